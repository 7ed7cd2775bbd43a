/* The comparison of two rows of logits is that of plain sums in double. */
#include <math.h>

#include "audit/compare.h"
#include "rt_test.h"

enum { MOST = 49152 };

static double z64[MOST], t64[MOST];

static double lse(const double *x, int64_t v)
{
    double top = x[0], sum = 0;
    for (int64_t i = 1; i < v; i++) {
        top = fmax(top, x[i]);
    }
    for (int64_t i = 0; i < v; i++) {
        sum += exp(x[i] - top);
    }
    return top + log(sum);
}

static void expect(double want[RT_N_MEASURES], int64_t v, int32_t label)
{
    const double lz = lse(z64, v), lt = lse(t64, v);
    int64_t best_z = 0, best_t = 0;
    want[RT_MEASURE_NLL] = lz - z64[label];
    want[RT_MEASURE_TEACHER_NLL] = lt - t64[label];
    want[RT_MEASURE_KL] = want[RT_MEASURE_REVERSE_KL] = want[RT_MEASURE_ACCEPTANCE] = want[RT_MEASURE_ENTROPY] = 0;
    for (int64_t i = 0; i < v; i++) {
        const double p = exp(t64[i] - lt), q = exp(z64[i] - lz);
        want[RT_MEASURE_KL] += p * (t64[i] - lt - z64[i] + lz);
        want[RT_MEASURE_REVERSE_KL] += q * (z64[i] - lz - t64[i] + lt);
        want[RT_MEASURE_ACCEPTANCE] += fmin(p, q);
        want[RT_MEASURE_ENTROPY] -= p * (t64[i] - lt);
        best_z = z64[i] > z64[best_z] ? i : best_z;
        best_t = t64[i] > t64[best_t] ? i : best_t;
    }
    want[RT_MEASURE_TOP1] = best_z == best_t;
    want[RT_MEASURE_CONFIDENCE] = exp(z64[best_z] - lz);
    want[RT_MEASURE_RIGHT] = best_z == label;
}

static void fill(float *z, float *t, int64_t v, double spread, double apart, uint64_t seed)
{
    rt_rng r = rt_rng_init(seed, "rows", 0);
    for (int64_t i = 0; i < v; i++) {
        t64[i] = t[i] = (float)(spread * (rt_rng_f64(&r) - 0.5));
        z64[i] = z[i] = (float)((double)t[i] + apart * (rt_rng_f64(&r) - 0.5));
    }
}

static void rows_compare_as_plain_sums_say(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 15, 16, 17, 331, 1024, 1040, 5000, MOST};
    static float z[MOST], t[MOST], p[2 * MOST];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int k = 0; k < 6; k++) {
            const int64_t v = sizes[s];
            double got[RT_N_MEASURES], want[RT_N_MEASURES];
            fill(z, t, v, k % 2 == 0 ? 4 : 60, k < 2 ? 0.1 : 10, (uint64_t)k);
            expect(want, v, (int32_t)(v / 2));
            rt_compare_rows(got, z, t, p, v, (int32_t)(v / 2));
            for (int i = 0; i < RT_N_MEASURES; i++) {
                if (!(fabs(got[i] - want[i]) <= 2e-5 * fmax(1, fabs(want[i])))) {
                    fail_msg("%lld ids, case %d, value %d: %.9g, not %.9g", (long long)v, k, i, got[i], want[i]);
                }
            }
        }
    }
}

static void equal_rows_do_not_diverge(void **state)
{
    (void)state;
    static float z[MOST], t[MOST], p[2 * MOST];
    double got[RT_N_MEASURES];
    fill(z, t, MOST, 30, 0, 7);
    rt_compare_rows(got, z, t, p, MOST, 3);
    assert_true(got[RT_MEASURE_KL] == 0);
    assert_true(got[RT_MEASURE_REVERSE_KL] == 0);
    assert_true(got[RT_MEASURE_TOP1] == 1);
    assert_true(fabs(got[RT_MEASURE_ACCEPTANCE] - 1) <= 1e-5);
    assert_true(got[RT_MEASURE_NLL] == got[RT_MEASURE_TEACHER_NLL]);
}

static void a_broken_row_shows(void **state)
{
    (void)state;
    static float z[MOST], t[MOST], p[2 * MOST];
    double got[RT_N_MEASURES];
    fill(z, t, 331, 30, 1, 7);
    z[200] = NAN;
    rt_compare_rows(got, z, t, p, 331, 3);
    assert_false(isfinite(got[RT_MEASURE_NLL]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_compare_as_plain_sums_say),
        cmocka_unit_test(equal_rows_do_not_diverge),
        cmocka_unit_test(a_broken_row_shows),
    };
    return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
