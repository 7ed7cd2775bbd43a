/* test_rng.c - Philox against the authors' vectors; streams and distributions. */
#include <math.h>

#include "rt_test.h"

static void philox_matches_the_known_answers(void **state)
{
    (void)state;
    /* kat_vectors of Random123: philox4x32, 10 rounds. */
    static const struct {
        uint64_t key, hi, lo;
        uint32_t out[4];
    } rows[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {UINT64_C(0x299f31d0a4093822),
         UINT64_C(0x0370734413198a2e),
         UINT64_C(0x85a308d3243f6a88),
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t out[4];
        rt_philox(rows[i].key, rows[i].hi, rows[i].lo, out);
        assert_memory_equal(out, rows[i].out, sizeof out);
    }
}

static void a_stream_is_a_function_of_seed_name_index(void **state)
{
    (void)state;
    rt_rng a = rt_rng_init(7, "draws", 3), b = rt_rng_init(7, "draws", 3);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(rt_rng_u32(&a), rt_rng_u32(&b));
    }
    rt_rng base = rt_rng_init(7, "draws", 3);
    rt_rng others[] = {rt_rng_init(8, "draws", 3), rt_rng_init(7, "order", 3), rt_rng_init(7, "draws", 4)};
    uint32_t first = rt_rng_u32(&base);
    for (size_t i = 0; i < 3; i++) {
        assert_int_not_equal(rt_rng_u32(&others[i]), first);
    }
}

static void a_copied_state_continues_alike(void **state)
{
    (void)state;
    rt_rng a = rt_rng_init(1, "s", 0);
    for (int i = 0; i < 6; i++) {
        rt_rng_u32(&a);
    }
    rt_rng b = a;
    for (int i = 0; i < 20; i++) {
        assert_true(rt_rng_f64(&a) == rt_rng_f64(&b));
    }
}

static void uniforms_fill_the_unit_interval(void **state)
{
    (void)state;
    rt_rng r = rt_rng_init(1, "uniform", 0);
    double sum = 0, least = 1, most = 0;
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        double u = rt_rng_f64(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        least = fmin(least, u);
        most = fmax(most, u);
    }
    assert_true(fabs(sum / n - 0.5) < 5 * sqrt(1.0 / 12 / n));
    assert_true(least < 1e-3 && most > 1 - 1e-3);
}

static void below_is_unbiased(void **state)
{
    (void)state;
    rt_rng r = rt_rng_init(1, "below", 0);
    enum { N = 7, DRAWS = 70000 };
    int counts[N] = {0};
    for (int i = 0; i < DRAWS; i++) {
        counts[rt_rng_below(&r, N)]++;
    }
    double chi2 = 0;
    for (int i = 0; i < N; i++) {
        double d = counts[i] - (double)DRAWS / N;
        chi2 += d * d / ((double)DRAWS / N);
    }
    assert_true(chi2 < 22.5); /* 6 degrees of freedom, p = 0.001 */
    assert_int_equal(rt_rng_below(&r, 1), 0);
    /* A range just over half of 2^64, where a plain modulus would favour low values two to one. */
    uint64_t range = UINT64_C(3) << 62;
    int low = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t v = rt_rng_below(&r, range);
        assert_true(v < range);
        low += v < range / 3;
    }
    assert_true(abs(low - 3333) < 250);
}

static void normals_have_unit_moments(void **state)
{
    (void)state;
    rt_rng r = rt_rng_init(1, "normal", 0);
    const int n = 100000;
    double m1 = 0, m2 = 0, m4 = 0;
    for (int i = 0; i < n; i++) {
        double x = rt_rng_normal(&r);
        assert_true(isfinite(x));
        m1 += x;
        m2 += x * x;
        m4 += x * x * x * x;
    }
    assert_true(fabs(m1 / n) < 5 / sqrt(n));
    assert_true(fabs(m2 / n - 1) < 5 * sqrt(2.0 / n));
    assert_true(fabs(m4 / n - 3) < 5 * sqrt(96.0 / n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_matches_the_known_answers),
        cmocka_unit_test(a_stream_is_a_function_of_seed_name_index),
        cmocka_unit_test(a_copied_state_continues_alike),
        cmocka_unit_test(uniforms_fill_the_unit_interval),
        cmocka_unit_test(below_is_unbiased),
        cmocka_unit_test(normals_have_unit_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
