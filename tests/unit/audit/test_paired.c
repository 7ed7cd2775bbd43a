/* Paired differences, their intervals and tests are the textbook's, and verdicts follow from them. */
#include "audit/paired.h"

#include <math.h>

#include "rt_test.h"

enum { N = 400 };

static void assert_near(double a, double b, double bound)
{
    if (!(fabs(a - b) <= bound)) {
        fail_msg("%.17g is not %.17g", a, b);
    }
}

static rt_paired compare(const double *t, const double *s, size_t n, const rt_paired_options *o)
{
    rt_err err = {0};
    rt_paired p;
    assert_ok(rt_paired_compare(&p, t, s, n, o, &err));
    return p;
}

/* Teacher right on the first `right` of n items; the student misses every `miss`-th of these. */
static void fill(double *t, double *s, size_t n, size_t right, size_t miss)
{
    for (size_t i = 0; i < n; i++) {
        t[i] = i < right;
        s[i] = t[i] * (miss == 0 || i % miss != 0);
    }
}

/* 2 * (1 + 10 + 45) / 2^10, and so on. */
static void mcnemar_is_the_binomial_sum(void **state)
{
    (void)state;
    assert_near(rt_mcnemar(8, 2), 0.109375, 1e-12);
    assert_near(rt_mcnemar(2, 8), 0.109375, 1e-12);
    assert_near(rt_mcnemar(6, 0), 0.03125, 1e-12);
    assert_near(rt_mcnemar(0, 0), 1, 0);
    assert_near(rt_mcnemar(5, 5), 1, 0);
    assert_near(rt_mcnemar(60, 40), 0.05688793364098, 1e-10); /* Python's math.comb in exact integers */
}

static void holm_steps_down(void **state)
{
    (void)state;
    rt_err err = {0};
    const double p[] = {0.01, 0.04, NAN, 0.03, 0.005}, want[] = {0.03, 0.06, 0, 0.06, 0.02};
    double got[5];
    assert_ok(rt_holm(got, p, 5, &err));
    for (size_t i = 0; i < 5; i++) {
        if (isnan(p[i])) {
            assert_true(isnan(got[i]));
        } else {
            assert_near(got[i], want[i], 1e-15);
        }
    }
}

/* d = -1, 0, 0, 1, -1: mean -0.2, sample deviation sqrt(0.7). */
static void difference_and_error_are_by_hand(void **state)
{
    (void)state;
    const double t[] = {1, 1, 0, 0, 1}, s[] = {0, 1, 0, 1, 0};
    const rt_paired p = compare(t, s, 5, &(rt_paired_options){.margin = 0.02, .chance = NAN});
    assert_near(p.teacher, 0.6, 1e-15);
    assert_near(p.student, 0.4, 1e-15);
    assert_near(p.difference, -0.2, 1e-15);
    assert_near(p.stderr_, sqrt(0.7 / 5), 1e-12);
    assert_true(p.binary);
    assert_int_equal(p.worse, 2);
    assert_int_equal(p.better, 1);
    assert_near(p.flips, 0.6, 1e-15);
    assert_near(p.p, 1, 0);
    assert_true(isnan(p.retention[0]));
}

/* Two items: resampled means are 0, 1/4, 1/2 with weights 1/4, 1/2, 1/4, so the 95 % are 0 to 1/2. Many items: +-1.96
 * standard errors. */
static void bootstrap_interval_is_the_known_one(void **state)
{
    (void)state;
    double t[N] = {0}, s[N];
    const rt_paired two = compare(t, (double[]){0, 0.5}, 2, &(rt_paired_options){.margin = 0.02, .chance = NAN});
    assert_near(two.low, 0, 0);
    assert_near(two.high, 0.5, 0);
    for (size_t i = 0; i < N; i++) {
        s[i] = sin((double)i * 12.9898); /* no pattern that matters */
    }
    const rt_paired many = compare(t, s, N, &(rt_paired_options){.margin = 0.02, .chance = NAN, .seed = 7});
    assert_near(many.low, many.difference - 1.96 * many.stderr_, 0.1 * many.stderr_);
    assert_near(many.high, many.difference + 1.96 * many.stderr_, 0.1 * many.stderr_);
    assert_near(many.p, erfc(fabs(many.difference) / many.stderr_ / sqrt(2)), 1e-15);
}

/* Copies of an item in its group say nothing new. */
static void groups_count_as_one_observation(void **state)
{
    (void)state;
    double t[4 * N], s[4 * N], t1[N], s1[N];
    int64_t groups[4 * N];
    fill(t1, s1, N, 240, 7);
    for (size_t i = 0; i < 4 * (size_t)N; i++) {
        t[i] = t1[i % N];
        s[i] = s1[i % N];
        groups[i] = (int64_t)(i % N);
    }
    const rt_paired once = compare(t1, s1, N, &(rt_paired_options){.margin = 0.02, .chance = 0.25});
    const rt_paired copied =
        compare(t, s, 4 * (size_t)N, &(rt_paired_options){.margin = 0.02, .chance = 0.25, .groups = groups});
    assert_int_equal(copied.groups, N);
    assert_near(copied.low, once.low, 1e-12);
    assert_near(copied.high, once.high, 1e-12);
    assert_near(copied.stderr_, once.stderr_, 1e-12);
    for (int i = 0; i < 3; i++) {
        assert_near(copied.retention[i], once.retention[i], 1e-12);
    }
}

static void retention_is_above_chance_only(void **state)
{
    (void)state;
    double t[N], s[N];
    fill(t, s, N, 300, 6); /* 0.75 against 0.625, four choices */
    const rt_paired p = compare(t, s, N, &(rt_paired_options){.margin = 0.02, .chance = 0.25});
    assert_false(p.at_floor);
    assert_near(p.retention[0], 0.75, 1e-12);
    assert_true(p.retention[1] < 0.75 && p.retention[2] > 0.75 && p.retention[2] < 1);
    fill(t, s, N, 120, 0); /* 0.30: its interval reaches down to 0.255 */
    const rt_paired floor = compare(t, s, N, &(rt_paired_options){.margin = 0.02, .chance = 0.25});
    assert_true(floor.at_floor);
    assert_int_equal(floor.verdict, RT_PAIRED_FLOOR);
    assert_string_equal(rt_paired_verdict_name(floor.verdict), "teacher at floor, not measurable");
    for (int i = 0; i < 3; i++) {
        assert_true(isnan(floor.retention[i]));
    }
}

static void one_group_decides_nothing(void **state)
{
    (void)state;
    double t[N], s[N];
    const int64_t groups[N] = {0};
    fill(t, s, N, 300, 3);
    const rt_paired p = compare(t, s, N, &(rt_paired_options){.margin = 0.02, .chance = NAN, .groups = groups});
    assert_true(isnan(p.low) && isnan(p.high) && isnan(p.half_width) && isnan(p.stderr_));
    assert_int_equal(p.verdict, RT_PAIRED_OPEN);
    json_t *j = rt_paired_json(&p);
    assert_non_null(j);
    json_decref(j);
}

static void a_model_beside_itself_differs_by_nothing(void **state)
{
    (void)state;
    double t[N], s[N];
    fill(t, s, N, 250, 0);
    const rt_paired p = compare(t, s, N, &(rt_paired_options){.margin = 0.02, .chance = 0.25, .same_model = true});
    assert_true(p.difference == 0 && p.may_flip == 0 && p.low == 0 && p.high == 0 && p.flips == 0 && p.stderr_ == 0);
    assert_true(p.p == 1 && p.retention[0] == 1 && p.retention[1] == 1 && p.retention[2] == 1);
    assert_int_equal(p.verdict, RT_PAIRED_KEPT);
}

/* 0.05^(1/100) = exp(-2.995732 / 100) = 0.970487; 0.98^148 = 0.0503, 0.98^149 = 0.0493. */
static void items_of_which_none_flipped_bound_what_may(void **state)
{
    (void)state;
    double t[N], s[N];
    int64_t pairs[N];
    for (size_t i = 0; i < N; i++) {
        pairs[i] = (int64_t)(i / 2);
    }
    const rt_paired_options o = {.margin = 0.02, .chance = 0.25},
                            grouped = {.margin = 0.02, .chance = 0.25, .groups = pairs},
                            lower = {.margin = 0.02, .chance = NAN, .lower_is_better = true};
    fill(t, s, 100, 75, 0);
    const rt_paired few = compare(t, s, 100, &o);
    assert_near(few.may_flip, 0.029513, 1e-6);
    assert_near(few.low, -0.029513, 1e-6);
    assert_near(few.high, 0.029513, 1e-6);
    assert_near(few.half_width, 0.029513, 1e-6);
    assert_near(few.retention[1], 1 - 0.029513 / 0.5, 2e-6);
    assert_near(few.retention[2], 1 + 0.029513 / 0.5, 2e-6);
    assert_int_equal(few.verdict, RT_PAIRED_OPEN);
    assert_int_equal(few.needed, 149);
    assert_int_equal(compare(t, s, 100, &lower).verdict, RT_PAIRED_OPEN);
    fill(t, s, 149, 75, 0);
    const rt_paired enough = compare(t, s, 149, &o);
    assert_int_equal(enough.verdict, RT_PAIRED_KEPT);
    assert_near(enough.p_verdict, pow(0.98, 149), 1e-12);
    fill(t, s, 200, 100, 0); /* pairs of items: 100 observations */
    const rt_paired two = compare(t, s, 200, &grouped);
    assert_near(two.high, few.high, 1e-12);
    assert_int_equal(two.needed, 298);
}

/* One of 20 became right and none wrong: resamples never fall below 0, and 1 - 0.05^(1/20) = 0.139108 may have. */
static void a_single_gain_does_not_hide_what_may_be_lost(void **state)
{
    (void)state;
    double t[20] = {0}, s[20] = {1};
    const rt_paired p = compare(t, s, 20, &(rt_paired_options){.margin = 0.02, .chance = NAN});
    assert_near(p.low, -0.139108, 1e-6);
    assert_int_equal(p.verdict, RT_PAIRED_OPEN);
}

/* Margins in nats: an item moves by as much as the values seen lie apart, 0 to 4. */
static void values_that_are_no_shares_move_by_their_own_range(void **state)
{
    (void)state;
    double t[100];
    for (size_t i = 0; i < 100; i++) {
        t[i] = 0.04 * (double)(i + 1);
    }
    const rt_paired p = compare(t, t, 100, &(rt_paired_options){.margin = 1, .chance = NAN});
    assert_near(p.high, 4 * 0.029513, 4e-6);
    assert_int_equal(p.verdict, RT_PAIRED_KEPT);
    assert_near(p.p_verdict, pow(0.75, 100), 1e-15);
}

static void verdicts_follow_interval_and_margin(void **state)
{
    (void)state;
    static const struct {
        size_t right, miss, n;
        double margin;
        bool lower_is_better;
        rt_paired_verdict verdict;
    } cases[] = {
        {300, 100, N, 0.05, false, RT_PAIRED_KEPT}, /* 0.75 points lost */
        {300, 3, N, 0.05, false, RT_PAIRED_LOST},   /* 25 points */
        {300, 15, N, 0.05, false, RT_PAIRED_WORSE}, /* 5 points, give or take 2 */
        {300, 3, N, 0.05, true, RT_PAIRED_GAINED},  /* fewer errors */
        {6, 6, 12, 0.05, false, RT_PAIRED_OPEN},    /* 1 of 12 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double t[N], s[N];
        fill(t, s, cases[i].n, cases[i].right, cases[i].miss);
        const rt_paired p =
            compare(t, s, cases[i].n,
                    &(rt_paired_options){
                        .margin = cases[i].margin, .chance = NAN, .lower_is_better = cases[i].lower_is_better});
        assert_int_equal(p.verdict, cases[i].verdict);
        const bool undecided = p.verdict == RT_PAIRED_OPEN;
        assert_true(!undecided || p.needed > p.n);
        assert_near(p.half_width, (p.high - p.low) / 2, 1e-15);
        json_t *j = rt_paired_json(&p);
        assert_string_equal(json_string_value(json_object_get(j, "verdict")), rt_paired_verdict_name(cases[i].verdict));
        json_decref(j);
    }
}

/* All lost: 2 * 2^-G at best, 0.0625 for five and 0.03125 for six. */
static void few_groups_that_agree_decide_nothing(void **state)
{
    (void)state;
    const double t[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, s[12] = {0};
    const int64_t pairs[] = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5};
    const rt_paired_options o = {.margin = 0.02, .chance = NAN},
                            grouped = {.margin = 0.02, .chance = NAN, .groups = pairs},
                            lower = {.margin = 0.02, .chance = NAN, .lower_is_better = true},
                            itself = {.margin = 0.02, .chance = NAN, .same_model = true};
    for (size_t n = 1; n <= 5; n++) {
        const rt_paired p = compare(t, s, n, &o);
        assert_int_equal(p.verdict, RT_PAIRED_OPEN);
        assert_true(p.p_verdict == 1 && (n == 1 || p.needed == 6));
        assert_int_equal(compare(t, s, n, &lower).verdict, RT_PAIRED_OPEN);
    }
    const rt_paired six = compare(t, s, 6, &o), five = compare(t, s, 10, &grouped), pair = compare(t, s, 12, &grouped);
    assert_int_equal(six.verdict, RT_PAIRED_LOST);
    assert_near(six.p_verdict, 0.03125, 1e-12);
    assert_near(six.p, 0.03125, 1e-12);
    assert_int_equal(five.verdict, RT_PAIRED_OPEN);
    assert_int_equal(five.needed, 12);
    assert_int_equal(pair.verdict, RT_PAIRED_LOST);
    assert_near(pair.p, 0.03125, 1e-12);
    assert_int_equal(compare(t, t, 2, &itself).verdict, RT_PAIRED_KEPT);
}

static void the_same_seed_gives_the_same_bits(void **state)
{
    (void)state;
    double t[N], s[N];
    fill(t, s, N, 300, 6);
    const rt_paired_options o = {.margin = 0.02, .chance = 0.25, .seed = 3},
                            other = {.margin = 0.02, .chance = 0.25, .seed = 4};
    const rt_paired a = compare(t, s, N, &o), b = compare(t, s, N, &o), c = compare(t, s, N, &other);
    assert_memory_equal(a.retention, b.retention, sizeof a.retention);
    assert_true(a.retention[1] != c.retention[1]);
}

typedef struct side {
    const double *value;
    size_t n;
} side;

static double mean_of(const void *of, const double *weight)
{
    const side *s = of;
    double sum = 0, all = 0;
    for (size_t i = 0; i < s->n; i++) {
        const double w = weight != NULL ? weight[i] : 1;
        sum += w * s->value[i];
        all += w;
    }
    return sum / all;
}

/* A mean as a figure is the mean: same draws, same interval. */
static void figures_are_compared_as_means_are(void **state)
{
    (void)state;
    rt_err err = {0};
    double t[N], s[N];
    int64_t groups[N];
    rt_paired p;
    fill(t, s, N, 300, 5);
    for (size_t i = 0; i < N; i++) {
        groups[i] = (int64_t)(i / 2);
    }
    const rt_paired_options o = {.margin = 0.02, .chance = NAN, .groups = groups, .seed = 3};
    const rt_paired_options itself = {.margin = 0.02, .chance = NAN, .groups = groups, .seed = 3, .same_model = true};
    s[399] = 1; /* one item is better: the mean knows both directions, as a figure does */
    const rt_paired want = compare(t, s, N, &o);
    assert_ok(rt_paired_compare_figure(&p, mean_of, &(side){t, N}, &(side){s, N}, N, &o, &err));
    assert_near(p.difference, want.difference, 1e-12);
    assert_near(p.low, want.low, 1e-12);
    assert_near(p.high, want.high, 1e-12);
    assert_near(p.stderr_, want.stderr_, 0.02 * want.stderr_);
    assert_int_equal(p.verdict, RT_PAIRED_LOST);
    assert_int_equal(p.groups, N / 2);
    assert_ok(rt_paired_compare_figure(&p, mean_of, &(side){t, N}, &(side){t, N}, N, &itself, &err));
    assert_true(p.difference == 0 && p.low == 0 && p.high == 0 && p.p == 1);
    assert_int_equal(p.verdict, RT_PAIRED_KEPT);
    assert_ok(rt_paired_compare_figure(&p, mean_of, &(side){t, N}, &(side){t, N}, N, &o, &err));
    assert_near(p.high, 1 - pow(0.05, 2.0 / N), 1e-12); /* two models, N / 2 groups */
    assert_near(p.low, -p.high, 0);
    t[7] = NAN;
    assert_int_equal(rt_paired_compare_figure(&p, mean_of, &(side){t, N}, &(side){s, N}, N, &o, &err), RT_NUMERIC);
}

/* As of means: one of 20 was gained, or two of two lost. */
static void figures_that_resamples_do_not_move_decide_nothing(void **state)
{
    (void)state;
    rt_err err = {0};
    const rt_paired_options o = {.margin = 0.02, .chance = NAN};
    const double none[20] = {0}, one[20] = {1}, two[] = {1, 1};
    rt_paired p;
    assert_ok(rt_paired_compare_figure(&p, mean_of, &(side){none, 20}, &(side){one, 20}, 20, &o, &err));
    assert_near(p.low, -0.139108, 1e-6);
    assert_int_equal(p.verdict, RT_PAIRED_OPEN);
    assert_ok(rt_paired_compare_figure(&p, mean_of, &(side){two, 2}, &(side){none, 2}, 2, &o, &err));
    assert_int_equal(p.verdict, RT_PAIRED_OPEN);
    assert_near(p.p, 0.5, 1e-12);
}

static void what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_paired p;
    const double one[] = {1}, bad[] = {NAN};
    assert_int_equal(rt_paired_compare(&p, one, one, 1, &(rt_paired_options){.chance = NAN}, &err), RT_USAGE);
    assert_says(err.msg, "margin");
    assert_int_equal(rt_paired_compare(&p, one, one, 0, &(rt_paired_options){.margin = 1}, &err), RT_USAGE);
    assert_int_equal(rt_paired_compare(&p, one, bad, 1, &(rt_paired_options){.margin = 1}, &err), RT_NUMERIC);
    assert_says(err.msg, "item 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mcnemar_is_the_binomial_sum),
        cmocka_unit_test(holm_steps_down),
        cmocka_unit_test(difference_and_error_are_by_hand),
        cmocka_unit_test(bootstrap_interval_is_the_known_one),
        cmocka_unit_test(groups_count_as_one_observation),
        cmocka_unit_test(retention_is_above_chance_only),
        cmocka_unit_test(one_group_decides_nothing),
        cmocka_unit_test(a_model_beside_itself_differs_by_nothing),
        cmocka_unit_test(items_of_which_none_flipped_bound_what_may),
        cmocka_unit_test(a_single_gain_does_not_hide_what_may_be_lost),
        cmocka_unit_test(values_that_are_no_shares_move_by_their_own_range),
        cmocka_unit_test(verdicts_follow_interval_and_margin),
        cmocka_unit_test(few_groups_that_agree_decide_nothing),
        cmocka_unit_test(the_same_seed_gives_the_same_bits),
        cmocka_unit_test(figures_are_compared_as_means_are),
        cmocka_unit_test(figures_that_resamples_do_not_move_decide_nothing),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
    };
    return cmocka_run_group_tests_name("paired", tests, NULL, NULL);
}
