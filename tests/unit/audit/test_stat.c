/* Means and standard errors are those of the formulas, computed elsewhere. */
#include <math.h>

#include "audit/heldout.h"
#include "rt_test.h"

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12)) {
        fail_msg("%.17g is not %.17g", a, b);
    }
}

/* By hand: mean = (4 + 9 + 2.5 + 7) / (3 + 5 + 2 + 6) = 1.40625; residuals -0.21875, 1.96875, -0.3125, -1.4375;
 * sum of squares 6.087890625; sqrt(4/3 * 6.087890625) / 16. */
static void clustered_error_is_the_sandwich(void **state)
{
    (void)state;
    const double total[] = {4, 9, 2.5, 7};
    const int64_t count[] = {3, 5, 2, 6};
    const rt_stat s = rt_stat_clustered(total, count, 4);
    assert_near(s.mean, 1.40625);
    assert_near(s.stderr_, 0.17806673937564815);
    assert_int_equal(s.n, 16);
    assert_int_equal(s.clusters, 4);
}

static void empty_clusters_change_nothing(void **state)
{
    (void)state;
    const rt_stat a = rt_stat_clustered((const double[]){4, 9, 2.5}, (const int64_t[]){3, 5, 2}, 3);
    const rt_stat b = rt_stat_clustered((const double[]){0, 4, 0, 9, 2.5}, (const int64_t[]){0, 3, 0, 5, 2}, 5);
    assert_memory_equal(&a, &b, sizeof a);
}

/* 0/1 answers as the harness sees them: sqrt(p (1 - p) / (n - 1)). */
static void plain_error_is_the_harness_s(void **state)
{
    (void)state;
    double x[200] = {0};
    for (int i = 0; i < 74; i++) {
        x[i * 2] = 1;
    }
    const rt_stat s = rt_stat_plain(x, 200);
    assert_near(s.mean, 0.37);
    assert_near(s.stderr_, 0.034225089976793306);
    assert_int_equal(s.n, 200);
}

static void clusters_of_one_are_independent_observations(void **state)
{
    (void)state;
    const double x[] = {0.3, 1.7, -0.4, 2.2, 0.9};
    const int64_t count[] = {1, 1, 1, 1, 1};
    const rt_stat a = rt_stat_plain(x, 5), b = rt_stat_clustered(x, count, 5);
    assert_near(a.mean, b.mean);
    assert_near(a.stderr_, b.stderr_);
}

static void what_cannot_be_known_is_null(void **state)
{
    (void)state;
    const rt_stat none = rt_stat_plain(NULL, 0), one = rt_stat_plain((const double[]){0.5}, 1);
    const rt_stat text = rt_stat_clustered((const double[]){8}, (const int64_t[]){4}, 1);
    assert_true(isnan(none.mean) && isnan(none.stderr_));
    assert_true(one.mean == 0.5 && isnan(one.stderr_));
    assert_true(text.mean == 2 && isnan(text.stderr_) && text.n == 4);
    json_t *j = rt_stat_json(&text);
    assert_true(json_is_null(json_object_get(j, "stderr")));
    assert_true(json_number_value(json_object_get(j, "mean")) == 2);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clustered_error_is_the_sandwich),
        cmocka_unit_test(empty_clusters_change_nothing),
        cmocka_unit_test(plain_error_is_the_harness_s),
        cmocka_unit_test(clusters_of_one_are_independent_observations),
        cmocka_unit_test(what_cannot_be_known_is_null),
    };
    return cmocka_run_group_tests_name("stat", tests, NULL, NULL);
}
