/* Draws follow the teacher's distribution without bias, depend on seed and position alone; the top k are the top k. */
#include "teacher/draw.h"

#include <math.h>

#include "rt_test.h"

enum { VOCAB = 700, DRAWS = 50, POSITIONS = 10000 };

static void make_logits(float *z, float spread)
{
    rt_rng r = rt_rng_init(1, "logits", 0);
    for (int i = 0; i < VOCAB; i++) {
        z[i] = spread * (float)rt_rng_normal(&r);
    }
}

static double softmax(const float *z, double temperature, double *p)
{
    double sum = 0, entropy = 0;
    for (int i = 0; i < VOCAB; i++) {
        sum += exp((double)z[i] / temperature);
    }
    for (int i = 0; i < VOCAB; i++) {
        p[i] = exp((double)z[i] / temperature) / sum;
        entropy -= p[i] * log(p[i]);
    }
    return entropy;
}

/* Ten thousand redraws: every id's mean share stays within sampling error of its probability, rare ids included, and
 * the spread over ids is that of a multinomial. */
static void mean_of_draws_is_the_distribution(double temperature)
{
    rt_err err = {0};
    rt_draw_scratch s = {0};
    float logits[VOCAB], z[VOCAB], entropy;
    double p[VOCAB];
    int32_t ids[DRAWS], counts[DRAWS];
    int64_t total[VOCAB] = {0};
    make_logits(logits, 3);
    double want = softmax(logits, temperature, p);
    assert_ok(rt_draw_scratch_init(&s, VOCAB, DRAWS, &err));
    for (uint64_t position = 0; position < POSITIONS; position++) {
        int sum = 0;
        memcpy(z, logits, sizeof z);
        int n = rt_draw_sample(z, VOCAB, temperature, DRAWS, 7, position, &s, ids, counts, &entropy);
        for (int j = 0; j < n; j++) {
            assert_true(j == 0 || ids[j] > ids[j - 1]);
            assert_true(counts[j] > 0);
            total[ids[j]] += counts[j];
            sum += counts[j];
        }
        assert_int_equal(sum, DRAWS);
        assert_true(fabs((double)entropy - want) < 1e-4);
    }
    const double n = (double)DRAWS * POSITIONS;
    double chi2 = 0, tail = 0, tail_p = 0;
    for (int i = 0; i < VOCAB; i++) {
        double expected = n * p[i];
        assert_true(fabs((double)total[i] - expected) < 5 * sqrt(expected * (1 - p[i])) + 3);
        if (expected >= 5) {
            chi2 += ((double)total[i] - expected) * ((double)total[i] - expected) / expected;
        } else {
            tail += (double)total[i];
            tail_p += p[i];
        }
    }
    assert_true(chi2 < VOCAB + 4 * sqrt(2.0 * VOCAB));
    assert_true(fabs(tail - n * tail_p) < 4 * sqrt(n * tail_p) + 3);
    rt_draw_scratch_release(&s);
}

static void draws_are_unbiased(void **state)
{
    (void)state;
    mean_of_draws_is_the_distribution(1);
    mean_of_draws_is_the_distribution(2);
}

static void draws_depend_on_seed_and_position(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_draw_scratch s = {0};
    float logits[VOCAB], z[VOCAB], entropy;
    int32_t ids[4][DRAWS], counts[4][DRAWS];
    int n[4];
    const uint64_t seed[4] = {1, 1, 2, 1}, position[4] = {5, 5, 5, 6};
    make_logits(logits, 3);
    assert_ok(rt_draw_scratch_init(&s, VOCAB, DRAWS, &err));
    for (int i = 0; i < 4; i++) {
        memcpy(z, logits, sizeof z);
        n[i] = rt_draw_sample(z, VOCAB, 1, DRAWS, seed[i], position[i], &s, ids[i], counts[i], &entropy);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(ids[0], ids[1], (size_t)n[0] * sizeof(int32_t));
    for (int i = 2; i < 4; i++) {
        assert_true(n[i] != n[0] || memcmp(ids[0], ids[i], (size_t)n[0] * sizeof(int32_t)) != 0);
    }
    rt_draw_scratch_release(&s);
}

static void extreme_logits_still_give_draws(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_draw_scratch s = {0};
    float z[VOCAB] = {0}, entropy;
    int32_t ids[DRAWS], counts[DRAWS];
    assert_ok(rt_draw_scratch_init(&s, VOCAB, DRAWS, &err));
    z[VOCAB - 1] = 1e4f;
    assert_int_equal(rt_draw_sample(z, VOCAB, 1, DRAWS, 1, 1, &s, ids, counts, &entropy), 1);
    assert_int_equal(ids[0], VOCAB - 1);
    assert_int_equal(counts[0], DRAWS);
    assert_true(entropy >= 0 && entropy < 1e-6f);
    z[3] = NAN;
    assert_int_equal(rt_draw_sample(z, VOCAB, 1, DRAWS, 1, 1, &s, ids, counts, &entropy), 1);
    assert_int_equal(counts[0], DRAWS);
    assert_true(isnan(entropy));
    rt_draw_scratch_release(&s);
}

static void top_k_are_the_likeliest_with_the_rest_as_tail(void **state)
{
    (void)state;
    float logits[VOCAB], z[VOCAB], logp[VOCAB], tail;
    double p[VOCAB];
    int32_t ids[VOCAB];
    make_logits(logits, 2);
    logits[600] = logits[10]; /* equals: the lower id first */
    for (int t = 1; t <= 2; t++) {
        static const int ks[] = {1, 32, VOCAB - 1, VOCAB};
        softmax(logits, t, p);
        for (size_t c = 0; c < sizeof ks / sizeof *ks; c++) {
            double rest = 1;
            memcpy(z, logits, sizeof z);
            rt_draw_topk(z, VOCAB, t, ks[c], ids, logp, &tail);
            for (int j = 0; j < ks[c]; j++) {
                assert_true(fabs((double)logp[j] - log(p[ids[j]])) < 1e-4);
                assert_true(j == 0 || logits[ids[j]] < logits[ids[j - 1]] ||
                            (logits[ids[j]] == logits[ids[j - 1]] && ids[j] > ids[j - 1]));
                rest -= p[ids[j]];
            }
            if (ks[c] == VOCAB) {
                assert_true(tail == -INFINITY);
            } else {
                assert_true(fabs(exp((double)tail) - rest) < 1e-5);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_are_unbiased),
        cmocka_unit_test(draws_depend_on_seed_and_position),
        cmocka_unit_test(extreme_logits_still_give_draws),
        cmocka_unit_test(top_k_are_the_likeliest_with_the_rest_as_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
