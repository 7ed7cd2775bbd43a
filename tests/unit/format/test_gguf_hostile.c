/* test_gguf_hostile.c - GGUF files made to hurt: every variant is refused with its reason, none crashes the reader. */
#include "gguf_small.h"

/* ---- a file made by hand ---- */

static void put_u32(rt_str *s, uint32_t v)
{
    rt_str_add(s, &v, sizeof v);
}

static void put_u64(rt_str *s, uint64_t v)
{
    rt_str_add(s, &v, sizeof v);
}

static void put_text(rt_str *s, const char *text)
{
    put_u64(s, strlen(text));
    rt_str_puts(s, text);
}

static void put_header(rt_str *s, uint32_t version, uint64_t n_tensors, uint64_t n_kv)
{
    rt_str_puts(s, "GGUF");
    put_u32(s, version);
    put_u64(s, n_tensors);
    put_u64(s, n_kv);
}

static void put_tensor(rt_str *s, const char *name, uint32_t rank, const uint64_t *dims, uint32_t type, uint64_t offset)
{
    put_text(s, name);
    put_u32(s, rank);
    for (uint32_t i = 0; i < rank; i++) {
        put_u64(s, dims[i]);
    }
    put_u32(s, type);
    put_u64(s, offset);
}

static void pad(rt_str *s, size_t alignment)
{
    while (s->n % alignment != 0) {
        rt_str_putc(s, 0);
    }
}

static void put_zeros(rt_str *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rt_str_putc(s, 0);
    }
}

/* Opens `s` (and drops it) and demands a refusal that says `why`. */
static void assert_refused(rt_str *s, rt_status code, const char *why)
{
    rt_gguf *g = NULL;
    rt_err err = {0};
    assert_false(s->failed);
    rt_status st = rt_gguf_open_memory(&g, s->p, s->n, &err);
    assert_int_equal(st, code);
    assert_int_equal(err.code, code);
    assert_null(g);
    assert_says(err.msg, why);
    rt_str_release(s);
}

static void every_truncation_is_refused(void **state)
{
    rt_str bytes = small_bytes();
    rt_err err = {0};
    rt_gguf *g = NULL;
    (void)state;
    /* the last tensor needs 6 of its 32 bytes; padding behind it may be missing, as other writers leave it out */
    size_t least = bytes.n - 32 + 6;
    for (size_t n = 0; n < bytes.n; n++) {
        uint8_t *exact = rt_malloc(n);
        memcpy(exact, bytes.p, n);
        rt_status st = rt_gguf_open_memory(&g, exact, n, &err);
        if (n < least) {
            assert_int_equal(st, RT_INPUT);
            assert_true(err.msg[0] != '\0');
        } else {
            assert_ok(st);
            rt_gguf_close(g);
        }
        rt_free(exact);
    }
    rt_str_release(&bytes);
}

static void bad_headers_are_refused(void **state)
{
    rt_str s = {0};
    (void)state;
    assert_refused(&s, RT_INPUT, "empty");
    rt_str_puts(&s, "PK\003\004 and more bytes than a header");
    assert_refused(&s, RT_INPUT, "not a GGUF file");
    put_header(&s, 1, 0, 0);
    assert_refused(&s, RT_UNSUPPORTED, "version 1");
    put_header(&s, 0x03000000, 0, 0);
    assert_refused(&s, RT_UNSUPPORTED, "big-endian");
    put_header(&s, 4, 0, 0);
    assert_refused(&s, RT_UNSUPPORTED, "version 4");
    put_header(&s, 0, 0, 0);
    assert_refused(&s, RT_UNSUPPORTED, "version 0");
    put_header(&s, 3, 0, UINT64_MAX);
    assert_refused(&s, RT_INPUT, "too many");
    put_header(&s, 3, (uint64_t)1 << 60, 0);
    assert_refused(&s, RT_INPUT, "too many");
}

static void bad_metadata_is_refused(void **state)
{
    rt_str s = {0};
    (void)state;
    put_header(&s, 3, 0, 1);
    put_text(&s, "");
    put_zeros(&s, 16);
    assert_refused(&s, RT_INPUT, "empty");
    put_header(&s, 3, 0, 1);
    put_text(&s, "a\033[2J");
    put_zeros(&s, 16);
    assert_refused(&s, RT_INPUT, "control characters");
    put_header(&s, 3, 0, 1);
    put_text(&s, "key");
    put_u32(&s, 13);
    put_zeros(&s, 16);
    assert_refused(&s, RT_INPUT, "value type 13");
    put_header(&s, 3, 0, 1);
    put_text(&s, "key");
    put_u32(&s, RT_GGUF_BOOL);
    rt_str_putc(&s, 2);
    assert_refused(&s, RT_INPUT, "no bool");
    put_header(&s, 3, 0, 1);
    put_text(&s, "key");
    put_u32(&s, RT_GGUF_STRING);
    put_u64(&s, UINT64_MAX - 3);
    assert_refused(&s, RT_INPUT, "limit");
    put_header(&s, 3, 0, 1);
    put_text(&s, "key");
    put_u32(&s, RT_GGUF_ARRAY);
    put_u32(&s, RT_GGUF_F64);
    put_u64(&s, UINT64_MAX / 8 + 2); /* times 8 wraps to a small number */
    put_zeros(&s, 64);
    assert_refused(&s, RT_INPUT, "array elements");
    put_header(&s, 3, 0, 1);
    put_text(&s, "key");
    put_u32(&s, RT_GGUF_ARRAY);
    put_u32(&s, RT_GGUF_ARRAY);
    put_u64(&s, 1);
    assert_refused(&s, RT_INPUT, "array of arrays");
    put_header(&s, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_text(&s, "key");
        put_u32(&s, RT_GGUF_U32);
        put_u32(&s, 1);
    }
    assert_refused(&s, RT_INPUT, "'key' occurs twice");
}

static void bad_alignment_is_refused(void **state)
{
    static const uint32_t bad[] = {0, 3, 48, UINT32_MAX};
    rt_str s = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_header(&s, 3, 0, 1);
        put_text(&s, "general.alignment");
        put_u32(&s, RT_GGUF_U32);
        put_u32(&s, bad[i]);
        assert_refused(&s, RT_INPUT, "power of two");
    }
    put_header(&s, 3, 0, 1);
    put_text(&s, "general.alignment");
    put_u32(&s, RT_GGUF_U64);
    put_u64(&s, 32);
    assert_refused(&s, RT_INPUT, "not a u32");
}

static void bad_tensor_directories_are_refused(void **state)
{
    static const uint64_t eight[] = {8}, huge[] = {(uint64_t)1 << 40, (uint64_t)1 << 40}, negative[] = {UINT64_MAX};
    static const uint64_t odd[] = {33}, five[] = {1, 1, 1, 1, 1}, zero[] = {0, INT64_MAX, 2},
                          wide[] = {(uint64_t)1 << 62};
    static const struct {
        uint32_t rank;
        const uint64_t *dims;
        uint32_t type;
        uint64_t offset;
        rt_status code;
        const char *why;
    } cases[] = {
        {0, eight, 0, 0, RT_INPUT, "0 dims"},
        {5, five, 0, 0, RT_INPUT, "5 dims"},
        {2, huge, 0, 0, RT_INPUT, "multiply"},
        {1, negative, 0, 0, RT_INPUT, "multiply"},
        {3, zero, 0, 0, RT_INPUT, "multiply"},
        {1, wide, 0, 0, RT_INPUT, "more bytes than a file can hold"}, /* times 4 wraps to 0 */
        {1, wide, 24, 0, RT_INPUT, "needs"},
        {1, eight, 16, 0, RT_UNSUPPORTED, "ggml type 16 (IQ2_XXS)"},
        {1, eight, UINT32_MAX, 0, RT_UNSUPPORTED, "ggml type"},
        {1, odd, 8, 0, RT_INPUT, "blocks of 32"},
        {1, eight, 0, 32, RT_INPUT, "holes"},
        {1, eight, 0, UINT64_MAX, RT_INPUT, "holes"},
    };
    rt_str s = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_header(&s, 3, 1, 0);
        put_tensor(&s, "t", cases[i].rank, cases[i].dims, cases[i].type, cases[i].offset);
        pad(&s, 32);
        put_zeros(&s, 128);
        assert_refused(&s, cases[i].code, cases[i].why);
    }
    put_header(&s, 3, 2, 0);
    put_tensor(&s, "a", 1, eight, 0, 0);
    put_tensor(&s, "b", 1, eight, 0, 0); /* overlaps */
    pad(&s, 32);
    put_zeros(&s, 128);
    assert_refused(&s, RT_INPUT, "overlaps");
    put_header(&s, 3, 2, 0);
    put_tensor(&s, "a", 1, eight, 0, 0);
    put_tensor(&s, "a", 1, eight, 0, 32);
    pad(&s, 32);
    put_zeros(&s, 128);
    assert_refused(&s, RT_INPUT, "'a' occurs twice");
    put_header(&s, 3, 1, 0);
    put_tensor(&s, "0123456789012345678901234567890123456789012345678901234567890123", 1, eight, 0, 0);
    pad(&s, 32);
    put_zeros(&s, 128);
    assert_refused(&s, RT_INPUT, "limit is 63");
}

static void random_damage_never_crashes(void **state)
{
    rt_str bytes = small_bytes();
    rt_rng rng = rt_rng_init(1, "damage", 0);
    uint8_t *copy = rt_malloc(bytes.n);
    (void)state;
    for (int round = 0; round < 20000; round++) {
        rt_gguf *g = NULL;
        rt_err err = {0};
        memcpy(copy, bytes.p, bytes.n);
        for (uint64_t k = rt_rng_below(&rng, 4); k < 4; k++) {
            copy[rt_rng_below(&rng, bytes.n)] = (uint8_t)rt_rng_u32(&rng);
        }
        if (rt_gguf_open_memory(&g, copy, bytes.n, &err) == RT_OK) {
            rt_gguf_close(g);
        } else {
            assert_true(err.msg[0] != '\0');
        }
    }
    rt_free(copy);
    rt_str_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(bad_metadata_is_refused),
        cmocka_unit_test(bad_alignment_is_refused),
        cmocka_unit_test(bad_tensor_directories_are_refused),
        cmocka_unit_test(random_damage_never_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
