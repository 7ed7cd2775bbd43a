/* test_gguf.c - GGUF: golden files, what is written comes back, every hostile variant is refused with its reason. */
#include "rt_test.h"

#include <math.h>

#include "format/gguf.h"
#include "format/quant.h"

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

/* A file of every value type, an array of each kind, three tensors. */
static rt_gguf_writer *small_model(const float *x)
{
    static const char *const tokens[] = {"a", "", "\xff\xfe"};
    static const int32_t types[] = {1, -2, 3};
    rt_gguf_writer *w = rt_gguf_writer_new();
    rt_gguf_set_str(w, "general.architecture", "llama");
    rt_gguf_set_u32(w, "llama.block_count", 7);
    rt_gguf_set_u64(w, "big", UINT64_MAX);
    rt_gguf_set_f32(w, "llama.eps", 1e-5f);
    rt_gguf_set_bool(w, "flag", true);
    rt_gguf_set_str_array(w, "tokens", tokens, 3);
    rt_gguf_set_i32_array(w, "types", types, 3);
    rt_gguf_add_tensor(w, "a.weight", RT_F32, 2, (int64_t[]){3, 5}, x);
    rt_gguf_add_tensor(w, "b.weight", RT_Q8_0, 2, (int64_t[]){2, 64}, x);
    rt_gguf_add_tensor(w, "c.weight", RT_F16, 1, (int64_t[]){3}, x);
    return w;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = sinf((float)i);
    }
}

/* The bytes of small_model's file. */
static rt_str small_bytes(void)
{
    float x[128];
    rt_err err = {0};
    rt_str bytes = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "small.gguf");
    fill(x, 128);
    rt_gguf_writer *w = small_model(x);
    assert_ok(rt_gguf_write(w, path, &err));
    assert_ok(rt_file_read(&bytes, path, 1 << 20, &err));
    rt_gguf_writer_free(w);
    rt_test_scratch_drop(dir);
    rt_free(path);
    return bytes;
}

/* ---- reading ---- */

static void golden_file_opens_with_keys_and_tensors(void **state)
{
    rt_gguf *g = NULL;
    rt_err err = {0};
    rt_slice s = {0};
    int64_t layers = 0;
    double eps = 0;
    (void)state;
    assert_ok(rt_gguf_open(&g, RT_TEST_GOLDEN "/gguf/llama3_rope.gguf", &err));
    assert_true(rt_gguf_get_str(g, "general.architecture", &s) && rt_slice_eq(s, "llama"));
    assert_true(rt_gguf_get_i64(g, "llama.block_count", &layers) && layers > 0);
    assert_true(rt_gguf_get_f64(g, "llama.attention.layer_norm_rms_epsilon", &eps) && eps > 0 && eps < 1e-3);
    const rt_tensor_info *embd = rt_gguf_find(g, "token_embd.weight"), *freqs = rt_gguf_find(g, "rope_freqs.weight");
    assert_non_null(embd);
    assert_non_null(freqs);
    int64_t hidden = 0;
    rt_gguf_array tokens;
    assert_true(rt_gguf_get_i64(g, "llama.embedding_length", &hidden));
    assert_true(rt_gguf_get_array(g, "tokenizer.ggml.tokens", &tokens));
    /* slowest first: [vocabulary, hidden] */
    assert_int_equal(embd->n_dims, 2);
    assert_int_equal(embd->dims[0], tokens.n);
    assert_int_equal(embd->dims[1], hidden);
    assert_int_equal(embd->bytes, (size_t)rt_tensor_info_elements(embd) * sizeof(float));
    assert_int_equal(freqs->n_dims, 1);
    const uint8_t *cursor = NULL;
    uint64_t n = 0;
    while (rt_gguf_next_str(&tokens, &cursor, &s)) {
        n++;
    }
    assert_int_equal(n, tokens.n);
    assert_null(rt_gguf_find(g, "absent"));
    rt_gguf_close(g);
    assert_ok(rt_gguf_open(&g, RT_TEST_GOLDEN "/gguf/gemma3_text_linear.gguf", &err));
    rt_gguf_close(g);
}

static void getters_convert_in_range_and_refuse_other_kinds(void **state)
{
    rt_str bytes = small_bytes();
    rt_gguf *g = NULL;
    rt_err err = {0};
    int64_t i;
    double d;
    bool b;
    rt_slice s;
    rt_gguf_array a;
    (void)state;
    assert_ok(rt_gguf_open_memory(&g, bytes.p, bytes.n, &err));
    assert_true(rt_gguf_get_i64(g, "llama.block_count", &i) && i == 7);
    assert_true(rt_gguf_get_f64(g, "llama.block_count", &d) && d == 7);
    assert_true(rt_gguf_get_f64(g, "llama.eps", &d) && d == (double)1e-5f);
    assert_true(rt_gguf_get_bool(g, "flag", &b) && b);
    assert_false(rt_gguf_get_i64(g, "big", &i));
    assert_false(rt_gguf_get_i64(g, "llama.eps", &i));
    assert_false(rt_gguf_get_i64(g, "tokens", &i));
    assert_false(rt_gguf_get_f64(g, "general.architecture", &d));
    assert_false(rt_gguf_get_str(g, "llama.block_count", &s));
    assert_false(rt_gguf_get_bool(g, "llama.block_count", &b));
    assert_false(rt_gguf_get_array(g, "flag", &a));
    assert_false(rt_gguf_get_i64(g, "absent", &i));
    assert_true(rt_gguf_get_array(g, "types", &a) && a.n == 3 && a.type == RT_GGUF_I32);
    assert_int_equal(rt_gguf_array_i64(&a, 1), -2);
    assert_true(rt_gguf_array_f64(&a, 2) == 3.0);
    rt_gguf_close(g);
    rt_str_release(&bytes);
}

static void what_is_written_comes_back(void **state)
{
    float x[128], got[128], want[128];
    rt_str bytes = small_bytes();
    rt_gguf *g = NULL;
    rt_err err = {0};
    rt_gguf_array a;
    rt_slice s = {0};
    const uint8_t *cursor = NULL;
    uint8_t block[2 * 2 * 34];
    (void)state;
    fill(x, 128);
    assert_ok(rt_gguf_open_memory(&g, bytes.p, bytes.n, &err));
    assert_int_equal(rt_gguf_n_tensors(g), 3);
    const rt_tensor_info *t = rt_gguf_find(g, "a.weight");
    assert_true(t->dtype == RT_F32 && t->n_dims == 2 && t->dims[0] == 3 && t->dims[1] == 5);
    assert_memory_equal(t->data, x, 15 * sizeof *x);
    t = rt_gguf_find(g, "b.weight");
    rt_encode(RT_Q8_0, x, block, 128);
    rt_decode(RT_Q8_0, block, want, 128);
    rt_decode(RT_Q8_0, t->data, got, 128);
    assert_memory_equal(got, want, sizeof got);
    assert_int_equal(((uintptr_t)t->data - (uintptr_t)bytes.p) % 32, 0);
    assert_true(rt_gguf_get_array(g, "tokens", &a));
    assert_true(rt_gguf_next_str(&a, &cursor, &s) && rt_slice_eq(s, "a"));
    assert_true(rt_gguf_next_str(&a, &cursor, &s) && s.n == 0);
    assert_true(rt_gguf_next_str(&a, &cursor, &s) && rt_slice_eq(s, "\xff\xfe"));
    assert_false(rt_gguf_next_str(&a, &cursor, &s));
    rt_gguf_close(g);
    rt_str_release(&bytes);
}

static void raw_keys_are_copied_byte_for_byte_and_keys_replace_in_place(void **state)
{
    rt_gguf *from = NULL, *to = NULL;
    rt_err err = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "copy.gguf");
    (void)state;
    assert_ok(rt_gguf_open(&from, RT_TEST_GOLDEN "/gguf/llama3_rope.gguf", &err));
    rt_gguf_writer *w = rt_gguf_writer_new();
    for (size_t i = 0; i < rt_gguf_n_kv(from); i++) {
        rt_gguf_set_raw(w, rt_gguf_kv_at(from, i));
    }
    rt_gguf_set_str(w, "general.architecture", "other");
    assert_ok(rt_gguf_write(w, path, &err));
    assert_ok(rt_gguf_open(&to, path, &err));
    assert_int_equal(rt_gguf_n_kv(to), rt_gguf_n_kv(from));
    for (size_t i = 0; i < rt_gguf_n_kv(from); i++) {
        const rt_gguf_kv *a = rt_gguf_kv_at(from, i), *b = rt_gguf_kv_at(to, i);
        assert_string_equal(a->key, b->key);
        assert_int_equal(a->type, b->type);
        if (strcmp(a->key, "general.architecture") != 0) {
            assert_int_equal(a->raw.n, b->raw.n);
            assert_memory_equal(a->raw.p, b->raw.p, a->raw.n);
        }
    }
    rt_gguf_writer_free(w);
    rt_gguf_close(from);
    rt_gguf_close(to);
    rt_test_scratch_drop(dir);
    rt_free(path);
}

/* ---- writing what cannot be ---- */

static void bad_tensors_are_reported_by_write(void **state)
{
    static const struct {
        const char *name;
        rt_dtype dtype;
        int64_t dims[2];
        float first;
        rt_status code;
        const char *why;
    } cases[] = {
        {"t", RT_Q8_0, {2, 31}, 0, RT_USAGE, "blocks of 32"},
        {"t", RT_Q6_K, {2, 256}, 0, RT_UNSUPPORTED, "does not write Q6_K"},
        {"", RT_F32, {1, 1}, 0, RT_USAGE, "tensor name"},
        {"0123456789012345678901234567890123456789012345678901234567890123", RT_F32, {1, 1}, 0, RT_USAGE, "63 bytes"},
        {"t", RT_Q4_0, {1, 32}, NAN, RT_NUMERIC, "element 0"},
        {"t", RT_F16, {1, 32}, 70000.0f, RT_NUMERIC, "cannot hold"},
        {"twin", RT_F32, {1, 1}, 0, RT_USAGE, "added twice"},
    };
    float x[512] = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "bad.gguf");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_gguf_writer *w = rt_gguf_writer_new();
        x[0] = cases[i].first;
        rt_gguf_add_tensor(w, "twin", RT_F32, 1, (int64_t[]){1}, x + 1);
        rt_gguf_add_tensor(w, cases[i].name, cases[i].dtype, 2, cases[i].dims, x);
        assert_int_equal(rt_gguf_write(w, path, &err), cases[i].code);
        assert_says(err.msg, cases[i].why);
        assert_false(rt_path_exists(path));
        rt_gguf_writer_free(w);
    }
    rt_test_scratch_drop(dir);
    rt_free(path);
}

/* ---- hostile files ---- */

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
    static const uint64_t odd[] = {33}, five[] = {1, 1, 1, 1, 1}, zero[] = {0, INT64_MAX, 2}, wide[] = {(uint64_t)1 << 62};
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
        {1, eight, 39, 0, RT_UNSUPPORTED, "ggml type 39"},
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

static void failing_allocations_leak_nothing(void **state)
{
    rt_str bytes = small_bytes();
    size_t live = rt_mem_get_stats().live_bytes;
    rt_status st = RT_MEMORY;
    (void)state;
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_gguf *g = NULL;
        rt_err err = {0};
        assert_true(n < 1000);
        rt_mem_fail_after(n);
        st = rt_gguf_open_memory(&g, bytes.p, bytes.n, &err);
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || st == RT_MEMORY);
        rt_gguf_close(g);
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
    rt_str_release(&bytes);
}

static void failing_allocations_while_writing_leave_no_broken_file(void **state)
{
    float x[128];
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "small.gguf");
    size_t live = rt_mem_get_stats().live_bytes;
    rt_status st = RT_MEMORY;
    (void)state;
    fill(x, 128);
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_err err = {0};
        assert_true(n < 1000);
        rt_gguf_writer *w = rt_gguf_writer_new();
        rt_mem_fail_after(n);
        rt_gguf_set_str(w, "general.architecture", "llama");
        rt_gguf_add_tensor(w, "b.weight", RT_Q8_0, 2, (int64_t[]){2, 64}, x);
        st = rt_gguf_write(w, path, &err);
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || st == RT_MEMORY);
        rt_gguf_writer_free(w);
        /* memory may run out after the rename, but then the file is whole */
        if (rt_path_exists(path)) {
            rt_gguf *g = NULL;
            assert_ok(rt_gguf_open(&g, path, &err));
            rt_gguf_close(g);
            assert_ok(rt_path_remove(path, &err));
        }
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
    rt_test_scratch_drop(dir);
    rt_free(path);
}

/* ---- split models ---- */

static void write_shard(const char *dir, const char *name, uint32_t no, uint32_t count, uint32_t total, const char *tensor)
{
    static const float x[32] = {1, 2, 3};
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    rt_gguf_writer *w = rt_gguf_writer_new();
    if (no == 0) {
        rt_gguf_set_str(w, "general.architecture", "llama");
    }
    rt_gguf_set_u32(w, "split.no", no);
    rt_gguf_set_u32(w, "split.count", count);
    rt_gguf_set_u32(w, "split.tensors.count", total);
    rt_gguf_add_tensor(w, tensor, RT_F32, 1, (int64_t[]){32}, x);
    assert_ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
    rt_free(path);
}

static void assert_open_fails(const char *dir, const char *name, rt_status code, const char *why)
{
    rt_gguf *g = NULL;
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    assert_int_equal(rt_gguf_open(&g, path, &err), code);
    assert_says(err.msg, why);
    assert_null(g);
    rt_free(path);
}

static void shards_open_together_by_any_of_their_names(void **state)
{
    rt_gguf *g = NULL;
    rt_err err = {0};
    rt_slice arch;
    char *dir = rt_test_scratch(), *second = rt_path_join(dir, "m-00002-of-00002.gguf");
    (void)state;
    write_shard(dir, "m-00001-of-00002.gguf", 0, 2, 2, "a");
    assert_open_fails(dir, "m-00001-of-00002.gguf", RT_NOT_FOUND, "m-00002-of-00002.gguf");
    write_shard(dir, "m-00002-of-00002.gguf", 1, 2, 2, "b");
    assert_ok(rt_gguf_open(&g, second, &err));
    assert_int_equal(rt_gguf_n_tensors(g), 2);
    assert_non_null(rt_gguf_find(g, "a"));
    assert_non_null(rt_gguf_find(g, "b"));
    assert_true(rt_gguf_get_str(g, "general.architecture", &arch));
    rt_gguf_close(g);

    write_shard(dir, "m-00002-of-00002.gguf", 1, 2, 2, "a");
    assert_open_fails(dir, "m-00001-of-00002.gguf", RT_INPUT, "'a' occurs twice");
    write_shard(dir, "m-00002-of-00002.gguf", 0, 2, 2, "b");
    assert_open_fails(dir, "m-00001-of-00002.gguf", RT_INPUT, "its name says");
    write_shard(dir, "m-00002-of-00002.gguf", 1, 2, 3, "b");
    write_shard(dir, "m-00001-of-00002.gguf", 0, 2, 3, "a");
    assert_open_fails(dir, "m-00001-of-00002.gguf", RT_INPUT, "split.tensors.count");
    write_shard(dir, "lone.gguf", 0, 2, 2, "a");
    assert_open_fails(dir, "lone.gguf", RT_INPUT, "split in 2");
    rt_test_scratch_drop(dir);
    rt_free(second);
}

static void files_that_are_no_models_are_refused_by_name(void **state)
{
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "empty.gguf");
    rt_err err = {0};
    (void)state;
    assert_open_fails(dir, "absent.gguf", RT_NOT_FOUND, "absent.gguf");
    assert_ok(rt_file_write(path, "", 0, &err));
    assert_open_fails(dir, "empty.gguf", RT_INPUT, "empty.gguf");
    assert_open_fails(dir, ".", RT_INPUT, "directory");
    rt_test_scratch_drop(dir);
    rt_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_file_opens_with_keys_and_tensors),
        cmocka_unit_test(getters_convert_in_range_and_refuse_other_kinds),
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(raw_keys_are_copied_byte_for_byte_and_keys_replace_in_place),
        cmocka_unit_test(bad_tensors_are_reported_by_write),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(bad_metadata_is_refused),
        cmocka_unit_test(bad_alignment_is_refused),
        cmocka_unit_test(bad_tensor_directories_are_refused),
        cmocka_unit_test(random_damage_never_crashes),
        cmocka_unit_test(failing_allocations_leak_nothing),
        cmocka_unit_test(failing_allocations_while_writing_leave_no_broken_file),
        cmocka_unit_test(shards_open_together_by_any_of_their_names),
        cmocka_unit_test(files_that_are_no_models_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
