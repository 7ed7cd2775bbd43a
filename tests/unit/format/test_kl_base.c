/* llama.cpp's logits file: values within half a step, both ways, and every damage refused with its place. */
#include <math.h>
#include <string.h>

#include "format/kl_base.h"
#include "rt_test.h"

enum { CTX = 9, VOCAB = 7, CHUNKS = 2, SCORED = CTX - 1 - CTX / 2 };

static const rt_kl_base_shape shape = {.n_ctx = CTX, .n_vocab = VOCAB, .n_chunk = CHUNKS};

typedef struct bytes {
    char *p;
    size_t n;
} bytes;

static float logit(int64_t row, int64_t v)
{
    return (float)((row * 31 + v * 17) % 23) * 0.9f - 4.0f; /* some lie more than 16 below the largest */
}

static bytes make(void)
{
    rt_err err = {0};
    bytes b = {0};
    int32_t ids[CTX * CHUNKS];
    float logits[VOCAB];
    _Alignas(4) char row[64];
    FILE *f = open_memstream(&b.p, &b.n);
    assert_non_null(f);
    for (int i = 0; i < CTX * CHUNKS; i++) {
        ids[i] = i % VOCAB;
    }
    assert_true(rt_kl_base_row_bytes(VOCAB) <= sizeof row);
    assert_ok(rt_kl_base_write_head(f, &shape, ids, "memory", &err));
    for (int64_t r = 0; r < CHUNKS * SCORED; r++) {
        for (int64_t v = 0; v < VOCAB; v++) {
            logits[v] = logit(r, v);
        }
        rt_kl_base_encode(row, logits, VOCAB);
        assert_ok(rt_fwrite(f, row, rt_kl_base_row_bytes(VOCAB), "memory", &err));
    }
    assert_int_equal(fclose(f), 0);
    return b;
}

static void what_was_written_is_read_to_half_a_step(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_kl_base *k = NULL;
    bytes b = make();
    _Alignas(4) char row[64];
    FILE *f = fmemopen(b.p, b.n, "rb");
    assert_ok(rt_kl_base_read(&k, f, "memory", &err));
    const rt_kl_base_shape s = rt_kl_base_shape_of(k);
    assert_int_equal(s.n_ctx, CTX);
    assert_int_equal(s.n_vocab, VOCAB);
    assert_int_equal(s.n_chunk, CHUNKS);
    assert_int_equal(rt_kl_base_scored(&s), SCORED);
    assert_int_equal(rt_kl_base_ids(k)[CTX], CTX % VOCAB);
    for (int64_t r = 0; r < CHUNKS * SCORED; r++) {
        double most = -INFINITY, sum = 0;
        for (int64_t v = 0; v < VOCAB; v++) {
            most = fmax(most, (double)logit(r, v));
        }
        for (int64_t v = 0; v < VOCAB; v++) {
            sum += exp((double)logit(r, v) - most);
        }
        assert_ok(rt_kl_base_next(k, row, 1, &err));
        const rt_kl_base_row got = rt_kl_base_row_at(row, VOCAB, 0);
        for (int64_t v = 0; v < VOCAB; v++) {
            const double want = fmax((double)logit(r, v), most - 16) - most - log(sum);
            assert_true(fabs((double)rt_kl_base_logp(&got, v) - want) <= 0.5 * 16 / 65535 + 1e-5);
        }
    }
    assert_int_equal(rt_kl_base_next(k, row, 1, &err), RT_INPUT); /* nothing follows */
    rt_kl_base_close(k);
    (void)fclose(f);
    free(b.p);
}

/* Opens the bytes and reads every position. */
static rt_status read_all(const bytes *b, rt_err *err)
{
    rt_kl_base *k = NULL;
    _Alignas(4) char rows[64 * CHUNKS * SCORED];
    FILE *f = fmemopen(b->p, b->n, "rb");
    assert_non_null(f);
    rt_status st = rt_kl_base_read(&k, f, "memory", err);
    if (st == RT_OK) {
        st = rt_kl_base_next(k, rows, CHUNKS * SCORED, err);
    }
    rt_kl_base_close(k);
    (void)fclose(f);
    return st;
}

static void a_file_that_ends_early_is_refused_wherever_it_ends(void **state)
{
    (void)state;
    bytes b = make();
    for (size_t n = 1; n < b.n; n++) {
        rt_err err = {0};
        assert_int_equal(read_all(&(bytes){b.p, n}, &err), RT_INPUT);
        assert_says(err.msg, "memory");
    }
    free(b.p);
}

static void damage_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        int32_t value;
        const char *says;
    } cases[] = {{0, 0, "_logits_"},     {8, 3, "damaged"},   {8, -1, "damaged"},
                 {12, 0, "damaged"},     {16, 0, "damaged"},  {16, INT32_MAX, "damaged"},
                 {20, VOCAB, "token 0"}, {24, -1, "token 1"}, {20 + 4 * CTX * CHUNKS, 0x7fc00000, "position"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        bytes b = make();
        memcpy(b.p + cases[i].at, &cases[i].value, sizeof cases[i].value);
        assert_int_equal(read_all(&b, &err), RT_INPUT);
        assert_says(err.msg, cases[i].says);
        free(b.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_to_half_a_step),
        cmocka_unit_test(a_file_that_ends_early_is_refused_wherever_it_ends),
        cmocka_unit_test(damage_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
