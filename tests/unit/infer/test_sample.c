/* The sampler keeps to softmax and its cuts, and a draw depends on seed, sequence and step alone. */
#include <math.h>

#include "infer/sample.h"
#include "rt_test.h"

enum { N = 7, DRAWS = 40000 };
/* probabilities .40 .25 .15 .10 .05 .05 0, shuffled; a constant added to show that only differences count */
static const double shares[N] = {0.05, 0.40, 0.10, 0.0, 0.25, 0.15, 0.05};
static float logits[N];
static char scratch[N * 8];

static int make_logits(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        logits[i] = shares[i] > 0 ? (float)log(shares[i]) + 3.0f : -200.0f;
    }
    assert_true(rt_sample_scratch_bytes(N) <= sizeof scratch);
    return 0;
}

static void count_draws(const rt_sampling *s, int counts[N])
{
    memset(counts, 0, N * sizeof *counts);
    for (int i = 0; i < DRAWS; i++) {
        counts[rt_sample(s, logits, N, 3, (uint64_t)i, scratch).id]++;
    }
}

/* Frequencies match `want` within five standard deviations; what has no probability never comes. */
static void assert_drawn_like(const rt_sampling *s, const double want[N])
{
    int counts[N];
    double sum = 0;
    count_draws(s, counts);
    for (int i = 0; i < N; i++) {
        sum += want[i];
    }
    for (int i = 0; i < N; i++) {
        const double p = want[i] / sum;
        if (p == 0) {
            assert_int_equal(counts[i], 0);
        } else if (fabs(counts[i] - DRAWS * p) > 5 * sqrt(DRAWS * p * (1 - p)) + 1e-9) {
            fail_msg("token %d came %d times of %d, its share is %g", i, counts[i], DRAWS, p);
        }
    }
}

static void greedy_takes_the_first_of_the_largest(void **state)
{
    (void)state;
    const rt_sampling s = {.temperature = 0, .top_k = 3};
    assert_int_equal(rt_sample(&s, logits, N, 0, 0, scratch).id, 1);
    const float equal[4] = {1, 2, 2, 0};
    assert_int_equal(rt_sample(&s, equal, 4, 0, 0, scratch).id, 1);
}

static void plain_draws_follow_softmax(void **state)
{
    (void)state;
    assert_drawn_like(&(rt_sampling){.temperature = 1, .seed = 5}, shares);
    assert_drawn_like(&(rt_sampling){.temperature = 1, .top_p = 1, .top_k = N, .seed = 6}, shares);
}

static void temperature_sharpens_and_flattens(void **state)
{
    (void)state;
    const double temperatures[] = {0.5, 2.0};
    for (int t = 0; t < 2; t++) {
        double want[N];
        for (int i = 0; i < N; i++) {
            want[i] = shares[i] > 0 ? pow(shares[i], 1 / temperatures[t]) : 0;
        }
        assert_drawn_like(&(rt_sampling){.temperature = temperatures[t], .seed = 7}, want);
        assert_drawn_like(&(rt_sampling){.temperature = temperatures[t], .min_p = 1e-9, .seed = 8}, want);
    }
}

static void cuts_keep_what_they_say(void **state)
{
    (void)state;
    const double two[N] = {0, 0.40, 0, 0, 0.25, 0, 0}, three[N] = {0, 0.40, 0, 0, 0.25, 0.15, 0};
    const double one[N] = {0, 1, 0, 0, 0, 0, 0}, four[N] = {0, 0.40, 0.10, 0, 0.25, 0.15, 0};
    assert_drawn_like(&(rt_sampling){.temperature = 1, .top_k = 3, .seed = 1}, three);
    assert_drawn_like(&(rt_sampling){.temperature = 1, .top_k = 1, .seed = 1}, one);
    assert_drawn_like(&(rt_sampling){.temperature = 1, .top_p = 0.7, .seed = 1}, three); /* .40 + .25 < .7 */
    assert_drawn_like(&(rt_sampling){.temperature = 1, .top_p = 0.01, .seed = 1}, one);  /* at least one */
    assert_drawn_like(&(rt_sampling){.temperature = 1, .min_p = 0.2, .seed = 1}, four); /* .10 / .40 > .2 > .05 / .40 */
    assert_drawn_like(&(rt_sampling){.temperature = 1, .min_p = 1, .seed = 1}, one);
    /* a share of what top_k left: .40 + .25 reach 0.8 of .80 */
    assert_drawn_like(&(rt_sampling){.temperature = 1, .top_k = 3, .top_p = 0.8, .seed = 1}, two);
    assert_drawn_like(&(rt_sampling){.temperature = 1, .top_k = 4, .min_p = 0.5, .seed = 1}, two);
}

/* --- a row large enough for the search of the border to take many turns ---------------------------------------- */

enum { LARGE = 1000 };
static float large[LARGE];

static int before(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return large[x] > large[y] ? -1 : large[x] < large[y] ? 1 : x - y;
}

/* Size of the kept set by sorting; `kept` marks its members. */
static int sorted_cut(const rt_sampling *s, bool kept[LARGE])
{
    int order[LARGE], n = 0;
    double total = 0, sum = 0;
    for (int i = 0; i < LARGE; i++) {
        order[i] = i;
        kept[i] = false;
    }
    qsort(order, LARGE, sizeof order[0], before);
    const int most = s->top_k > 0 ? (int)s->top_k : LARGE;
    for (int i = 0; i < most; i++) {
        total += exp((double)large[order[i]]);
    }
    for (; n < most && (s->top_p == 0 || sum < s->top_p * total); n++) {
        sum += exp((double)large[order[n]]);
        kept[order[n]] = true;
    }
    return n;
}

static void cuts_equal_those_of_a_sorted_row(void **state)
{
    (void)state;
    static const rt_sampling cases[] = {{.temperature = 1, .top_k = 17},
                                        {.temperature = 1, .top_k = 900},
                                        {.temperature = 1, .top_p = 0.1},
                                        {.temperature = 1, .top_p = 0.5},
                                        {.temperature = 1, .top_k = 200, .top_p = 0.6}};
    rt_rng rng = rt_rng_init(1, "large row", 0);
    char *work = rt_malloc(rt_sample_scratch_bytes(LARGE));
    for (int i = 0; i < LARGE; i++) {
        large[i] = (float)rt_rng_below(&rng, 60) / 40.0f; /* many are equal */
    }
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        bool kept[LARGE], drawn[LARGE] = {false};
        int distinct = 0;
        const int n = sorted_cut(&cases[c], kept);
        for (uint64_t i = 0; i < 20 * LARGE; i++) {
            const int32_t id = rt_sample(&cases[c], large, LARGE, 0, i, work).id;
            assert_true(kept[id]);
            distinct += !drawn[id];
            drawn[id] = true;
        }
        assert_int_equal(distinct, n);
    }
    rt_free(work);
}

static void equal_logits_are_cut_by_id(void **state)
{
    (void)state;
    const float equal[5] = {0, 0, 0, 0, 0};
    int counts[5] = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        counts[rt_sample(&(rt_sampling){.temperature = 1, .top_k = 2}, equal, 5, 0, i, scratch).id]++;
    }
    assert_int_equal(counts[0] + counts[1], 1000);
    assert_true(counts[0] > 400 && counts[1] > 400);
}

static void logprob_is_of_the_row_as_given(void **state)
{
    (void)state;
    const rt_sampling hot = {.temperature = 3, .top_k = 4, .seed = 2};
    for (uint64_t i = 0; i < 50; i++) {
        const rt_sampled d = rt_sample(&hot, logits, N, 0, i, scratch);
        assert_true(fabs((double)d.logprob - log(shares[d.id])) < 1e-5);
    }
}

static void a_draw_depends_on_seed_sequence_and_step_alone(void **state)
{
    (void)state;
    const rt_sampling s = {.temperature = 1, .seed = 11}, other = {.temperature = 1, .seed = 12};
    int same_seed = 0, same_sequence = 0, same_step = 0;
    for (uint64_t i = 0; i < 400; i++) {
        const int32_t id = rt_sample(&s, logits, N, 4, i, scratch).id;
        assert_int_equal(id, rt_sample(&s, logits, N, 4, i, scratch).id);
        same_seed += id == rt_sample(&other, logits, N, 4, i, scratch).id;
        same_sequence += id == rt_sample(&s, logits, N, 5, i, scratch).id;
        same_step += id == rt_sample(&s, logits, N, 4, i + 400, scratch).id;
    }
    /* independent draws agree with probability .2600 */
    assert_in_range(same_seed, 60, 150);
    assert_in_range(same_sequence, 60, 150);
    assert_in_range(same_step, 60, 150);
}

static void a_row_that_is_not_finite_is_told(void **state)
{
    (void)state;
    const float broken[3] = {0, NAN, 1}, infinite[3] = {0, INFINITY, 1};
    assert_true(isnan(rt_sample(&(rt_sampling){0}, broken, 3, 0, 0, scratch).logprob));
    assert_true(isnan(rt_sample(&(rt_sampling){.temperature = 1}, infinite, 3, 0, 0, scratch).logprob));
}

static void impossible_settings_are_refused(void **state)
{
    (void)state;
    const rt_sampling bad[] = {
        {.temperature = -1}, {.temperature = NAN}, {.temperature = 1e-9}, {.top_k = -1},
        {.top_p = 1.5},      {.top_p = -0.1},      {.min_p = 2},          {.temperature = 1, .min_p = NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rt_err err = {0};
        assert_int_equal(rt_sampling_check(&bad[i], &err), RT_USAGE);
        assert_true(strlen(err.msg) > 10);
    }
    assert_int_equal(
        rt_sampling_check(&(rt_sampling){.temperature = 0.7, .top_k = 40, .top_p = 0.9, .min_p = 0.05}, NULL), RT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_the_largest),
        cmocka_unit_test(plain_draws_follow_softmax),
        cmocka_unit_test(temperature_sharpens_and_flattens),
        cmocka_unit_test(cuts_keep_what_they_say),
        cmocka_unit_test(cuts_equal_those_of_a_sorted_row),
        cmocka_unit_test(equal_logits_are_cut_by_id),
        cmocka_unit_test(logprob_is_of_the_row_as_given),
        cmocka_unit_test(a_draw_depends_on_seed_sequence_and_step_alone),
        cmocka_unit_test(a_row_that_is_not_finite_is_told),
        cmocka_unit_test(impossible_settings_are_refused),
    };
    return cmocka_run_group_tests_name("sample", tests, make_logits, NULL);
}
