/* The closed-form gradients are the derivatives of the values; sampled targets are unbiased; the factors keep the
 * size of the gradient as the temperature grows. */
#include "unit/tensor/loss_cases.h"

#include <stdio.h>

typedef struct probe {
    const loss_case *c;
    double z[LOSS_V];
    double kl_share; /* LK: at the point of the gradient, which takes it as a constant */
} probe;

static double value_of(const probe *p, rt_loss_kind kind)
{
    loss_case c = *p->c;
    double z[LOSS_V];
    memcpy(z, p->z, sizeof z);
    c.loss.kind = kind;
    return loss_case_run(&c, z, false, 1.0);
}

static double value_at(void *arg)
{
    const probe *p = arg;
    if (p->c->loss.kind != RT_LOSS_LK) {
        return value_of(p, p->c->loss.kind);
    }
    return p->kl_share * value_of(p, RT_LOSS_FORWARD_KL) + (1.0 - p->kl_share) * value_of(p, RT_LOSS_TVD);
}

static void check_differences(rt_loss loss, rt_target_kind kind)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        loss_case c;
        loss_case_fill(&c, loss, kind, seed);
        probe p = {.c = &c};
        double grad[LOSS_V], weight = 0.7;
        memcpy(p.z, c.z, sizeof p.z);
        p.kl_share = loss.kind == RT_LOSS_LK ? exp(-3.0 * (1.0 - value_of(&p, RT_LOSS_TVD))) : 0.0;
        memcpy(grad, c.z, sizeof grad);
        double with_grad = loss_case_run(&c, grad, true, weight);
        assert_true(with_grad == loss_case_run(&c, p.z, false, 1.0));
        assert_memory_equal(p.z, c.z, sizeof p.z); /* no gradient asked for: logits untouched */
        assert_true(fabs(with_grad - value_at(&p)) <= 1e-12 * fabs(with_grad));
        for (int i = 0; i < LOSS_V; i++) {
            grad[i] /= weight * rt_loss_factor(&loss);
        }
        char what[96];
        snprintf(what, sizeof what, "%s, %s, T %g, mix %g, smoothing %g", rt_loss_name(loss.kind),
                 rt_target_kind_name(kind), loss.temperature, loss.mix, loss.label_smoothing);
        assert_gradient(what, value_at, &p, p.z, grad, LOSS_V, 1e-6);
    }
}

static void every_gradient_equals_the_difference_quotient(void **state)
{
    (void)state;
    const double temperatures[] = {0.7, 1.0, 2.0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(for_each_loss_pair(temperatures[i], check_differences), LOSS_PAIRS);
    }
    check_differences((rt_loss){.kind = RT_LOSS_CE, .temperature = 1.0, .label_smoothing = 0.1}, RT_TARGET_LABEL);
    const double mixes[] = {0.1, 0.5, 0.9};
    for (int i = 0; i < 3; i++) {
        rt_loss jsd = {.kind = RT_LOSS_JSD, .temperature = 1.3, .mix = mixes[i]}, forward = jsd, reverse = jsd;
        forward.kind = RT_LOSS_SKEW_FORWARD_KL;
        reverse.kind = RT_LOSS_SKEW_REVERSE_KL;
        check_differences(jsd, RT_TARGET_DENSE);
        check_differences(forward, RT_TARGET_TOPK);
        check_differences(reverse, RT_TARGET_TOPK);
    }
}

/* ---- draws ---- */

static int draw(const double *p, rt_rng *rng)
{
    double u = rt_rng_f64(rng);
    for (int i = 0; i < LOSS_V - 1; i++) {
        u -= p[i];
        if (u < 0.0) {
            return i;
        }
    }
    return LOSS_V - 1;
}

/* Fills ids and weights with the distinct results of `draws` draws; returns how many there are. */
static int draw_target(const double *p, int draws, int32_t *ids, float *weight, rt_rng *rng)
{
    int count[LOSS_V] = {0}, n = 0;
    for (int d = 0; d < draws; d++) {
        count[draw(p, rng)]++;
    }
    for (int i = 0; i < LOSS_V; i++) {
        if (count[i] > 0) {
            ids[n] = i;
            weight[n++] = (float)count[i] / (float)draws;
        }
    }
    return n;
}

static void sampled_targets_are_unbiased_in_value_and_gradient(void **state)
{
    (void)state;
    enum { REDRAWS = 10000, DRAWS = 50 };
    const double T = 1.5;
    rt_loss loss = {.kind = RT_LOSS_FORWARD_KL, .temperature = T};
    loss_case dense;
    loss_case_fill(&dense, loss, RT_TARGET_DENSE, 11);
    double want[LOSS_V], p[LOSS_V], entropy = 0.0;
    memcpy(want, dense.z, sizeof want);
    double want_value = loss_case_run(&dense, want, true, 1.0);
    double lse = rt_ref_logsumexp_f64(dense.teacher, LOSS_V, 1.0 / T, NULL);
    memcpy(p, dense.teacher, sizeof p);
    rt_ref_softmax_scale_f64(p, LOSS_V, 1.0 / T, lse, 1.0);
    for (int i = 0; i < LOSS_V; i++) {
        entropy -= p[i] * log(p[i]);
    }

    rt_rng rng = rt_rng_init(7, "redraws", 0);
    double mean[LOSS_V] = {0}, value = 0.0, value2 = 0.0, got[LOSS_V];
    for (int r = 0; r < REDRAWS; r++) {
        int32_t ids[LOSS_V];
        float weight[LOSS_V];
        rt_target t = {.kind = RT_TARGET_SAMPLE, .ids = ids, .weight = weight, .entropy = (float)entropy};
        t.n = draw_target(p, DRAWS, ids, weight, &rng);
        memcpy(got, dense.z, sizeof got);
        double v = rt_loss_row_f64(&loss, got, LOSS_V, &t, NULL, NULL, 0.0, true, 1.0, NULL);
        value += v / REDRAWS;
        value2 += v * v / REDRAWS;
        for (int i = 0; i < LOSS_V; i++) {
            mean[i] += got[i] / REDRAWS;
        }
    }
    assert_true(fabs(value - want_value) < 4.0 * sqrt((value2 - value * value) / REDRAWS));
    for (int i = 0; i < LOSS_V; i++) { /* the rarest id has p below 1e-3: the tail is held to the same bound */
        double se = T * sqrt(p[i] * (1.0 - p[i]) / DRAWS / REDRAWS);
        if (!(fabs(mean[i] - want[i]) < 4.0 * se)) {
            fail_msg("id %d with p %.3g: mean %.6g, dense %.6g, standard error %.2g", i, p[i], mean[i], want[i], se);
        }
    }
}

/* ---- temperature ---- */

static double gradient_norm(rt_loss loss)
{
    loss_case c;
    double z[LOSS_V], sum = 0.0;
    loss_case_fill(&c, loss, RT_TARGET_DENSE, 5);
    memcpy(z, c.z, sizeof z);
    loss_case_run(&c, z, true, 1.0);
    for (int i = 0; i < LOSS_V; i++) {
        sum += z[i] * z[i];
    }
    return sqrt(sum);
}

/* The factor is right when a high temperature leaves the gradient's size alone: T^2 for all divergences that are of
 * second order in p - q, none for total variation, whose gradient shrinks like 1/T all the same. */
static void gradient_size_stays_as_temperature_grows(void **state)
{
    (void)state;
    const rt_loss_kind kinds[] = {RT_LOSS_FORWARD_KL, RT_LOSS_REVERSE_KL, RT_LOSS_JSD, RT_LOSS_SKEW_FORWARD_KL,
                                  RT_LOSS_SKEW_REVERSE_KL};
    for (int i = 0; i < 5; i++) {
        rt_loss low = {.kind = kinds[i], .temperature = 100.0, .mix = 0.3}, high = low;
        high.temperature = 200.0;
        assert_true(fabs(gradient_norm(high) / gradient_norm(low) - 1.0) < 0.05);
    }
    rt_loss low = {.kind = RT_LOSS_TVD, .temperature = 100.0}, high = {.kind = RT_LOSS_TVD, .temperature = 200.0};
    assert_true(fabs(gradient_norm(high) / gradient_norm(low) - 0.5) < 0.05);
}

static void jsd_becomes_forward_and_reverse_kl_at_its_ends(void **state)
{
    (void)state;
    loss_case c;
    double z[LOSS_V];
    const struct {
        rt_loss_kind kl;
        double b;
    } ends[] = {{RT_LOSS_FORWARD_KL, 1e-6}, {RT_LOSS_REVERSE_KL, 1.0 - 1e-6}};
    for (int i = 0; i < 2; i++) {
        loss_case_fill(&c, (rt_loss){.kind = RT_LOSS_JSD, .temperature = 1.0, .mix = ends[i].b}, RT_TARGET_DENSE, 3);
        memcpy(z, c.z, sizeof z);
        double jsd = loss_case_run(&c, z, false, 1.0);
        c.loss = (rt_loss){.kind = ends[i].kl, .temperature = 1.0};
        double kl = loss_case_run(&c, z, false, 1.0);
        assert_true(fabs(jsd / kl - 1.0) < 1e-3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gradient_equals_the_difference_quotient),
        cmocka_unit_test(sampled_targets_are_unbiased_in_value_and_gradient),
        cmocka_unit_test(gradient_size_stays_as_temperature_grows),
        cmocka_unit_test(jsd_becomes_forward_and_reverse_kl_at_its_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
