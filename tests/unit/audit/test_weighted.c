/* AUROC and calibration are those of plain counts over pairs and bins, and a weight is as good as a repetition. */
#include "audit/weighted.h"

#include <math.h>

#include "audit/calibration.h"
#include "rt_test.h"

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12)) {
        fail_msg("%.17g is not %.17g", a, b);
    }
}

/* Every pair looked at. */
static double auroc_of_pairs(const double *score, const bool *positive, size_t n)
{
    double wins = 0, pairs = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            if (positive[i] && !positive[k]) {
                wins += score[i] > score[k] ? 1 : score[i] == score[k] ? 0.5 : 0;
                pairs++;
            }
        }
    }
    return wins / pairs;
}

static void auroc_counts_pairs(void **state)
{
    (void)state;
    double score[300];
    bool positive[300];
    size_t order[300];
    rt_rng r = rt_rng_init(7, "auroc", 0);
    for (size_t i = 0; i < 300; i++) {
        positive[i] = rt_rng_below(&r, 3) == 0;
        score[i] = (double)rt_rng_below(&r, 40) + (positive[i] ? 5 : 0); /* many ties */
    }
    rt_order_by(order, score, 300);
    const rt_scored s = {score, positive, order, 300};
    assert_near(rt_auroc(&s, NULL), auroc_of_pairs(score, positive, 300));
    const double apart[4] = {1, 2, 3, 4};
    const bool upper[4] = {false, false, true, true}, lower[4] = {true, true, false, false};
    const bool alike[4] = {true, true, true, true};
    const size_t straight[4] = {0, 1, 2, 3};
    assert_near(rt_auroc(&(rt_scored){apart, upper, straight, 4}, NULL), 1);
    assert_near(rt_auroc(&(rt_scored){apart, lower, straight, 4}, NULL), 0);
    assert_true(isnan(rt_auroc(&(rt_scored){apart, alike, straight, 4}, NULL)));
}

/* Ten picks: (0.15 wrong), (0.35 right, wrong), (0.55 right, wrong, wrong), (0.95 right x 3, wrong).
 * Width: |0 - .15|/10 + 2 |.5 - .35|/10 + 3 |1/3 - .55|/10 + 4 |.75 - .95|/10 = .015 + .03 + .065 + .08 = .19. */
static const double ten[10] = {0.15, 0.35, 0.35, 0.55, 0.55, 0.55, 0.95, 0.95, 0.95, 0.95};
static const bool ten_right[10] = {false, true, false, true, false, false, true, true, true, false};

static void calibration_is_that_of_bins_counted_by_hand(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_calibration c;
    assert_ok(rt_calibration_of(&c, ten, ten_right, 10, 0.5, &err));
    assert_near(c.ece, 0.19);
    /* one pick a bin: sum of |right - confidence| / 10 */
    assert_near(c.adaptive_ece, (0.15 + 0.65 + 0.35 + 0.45 + 0.55 + 0.55 + 3 * 0.05 + 0.95) / 10);
    assert_near(c.accuracy, 0.5);
    assert_near(c.confidence, 0.63);
    assert_near(c.bins[9].weight, 4);
    assert_near(c.bins[9].accuracy, 0.75);
    assert_near(c.bins[3].confidence, 0.35);
    assert_true(isnan(c.bins[0].accuracy));
    /* the surest 10 % is the last of equals: wrong; of 5, 3 + the last of .55, wrong; of 8, one of .35 is not there */
    assert_near(c.selective[0], 0);
    assert_near(c.selective[1], 3.0 / 5);
    assert_near(c.selective[2], 4.0 / 8);
    /* wrong among the k surest: 1 1 1 1 2 3 3 4 4 5 */
    assert_near(c.risk_coverage,
                (1 + 1.0 / 2 + 1.0 / 3 + 1.0 / 4 + 2.0 / 5 + 3.0 / 6 + 3.0 / 7 + 4.0 / 8 + 4.0 / 9 + 5.0 / 10) / 10);
    assert_near(c.auroc, auroc_of_pairs(ten, ten_right, 10));
    assert_near(c.brier, 0.5);
}

static void a_weight_is_a_repetition(void **state)
{
    (void)state;
    double weight[10], score[30];
    bool right[30];
    size_t order[10], long_order[30], n = 0;
    for (size_t i = 0; i < 10; i++) {
        weight[i] = (double)(i * 7 % 4); /* some count not at all */
        for (size_t k = 0; k < i * 7 % 4; k++, n++) {
            score[n] = ten[i];
            right[n] = ten_right[i];
        }
    }
    rt_order_by(order, ten, 10);
    rt_order_by(long_order, score, n);
    const rt_scored few = {ten, ten_right, order, 10}, many = {score, right, long_order, n};
    assert_near(rt_auroc(&few, weight), rt_auroc(&many, NULL));
    assert_near(rt_calibration_error(&few, weight, false), rt_calibration_error(&many, NULL, false));
    assert_near(rt_selective_accuracy(&few, weight, 0.5), rt_selective_accuracy(&many, NULL, 0.5));
}

/* ln p = -1, -2, -3: the first has 0.6652, the others 0.2447 and 0.0900. */
static void an_item_says_how_sure_the_model_was(void **state)
{
    (void)state;
    double confidence, brier;
    bool right;
    const double all = 1 + exp(-1) + exp(-2), p[3] = {1 / all, exp(-1) / all, exp(-2) / all};
    json_t *item =
        json_pack("{s:[f, f, f], s:i, s:{s:i}}", "loglikelihoods", -1.0, -2.0, -3.0, "gold", 1, "picks", "acc", 0);
    assert_true(rt_calibration_item(item, &confidence, &right, &brier));
    assert_near(confidence, p[0]);
    assert_false(right);
    assert_near(brier, p[0] * p[0] + (p[1] - 1) * (p[1] - 1) + p[2] * p[2]);
    json_object_del(item, "gold");
    assert_false(rt_calibration_item(item, &confidence, &right, &brier));
    json_decref(item);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auroc_counts_pairs),
        cmocka_unit_test(calibration_is_that_of_bins_counted_by_hand),
        cmocka_unit_test(a_weight_is_a_repetition),
        cmocka_unit_test(an_item_says_how_sure_the_model_was),
    };
    return cmocka_run_group_tests_name("weighted", tests, NULL, NULL);
}
