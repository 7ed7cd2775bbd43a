/* loss_cases.h - a random teacher, student and draws, and every pair of loss and target that can be computed. */
#ifndef RT_TESTS_LOSS_CASES_H
#define RT_TESTS_LOSS_CASES_H

#include <string.h>

#include "tensor/loss.h"
#include "tensor/ref.h"
#include "unit/tensor/tensor_test.h"

enum { LOSS_V = 31, LOSS_K = 6, LOSS_PAIRS = 19 };

typedef struct loss_case {
    rt_loss loss;
    rt_target target;
    double z[LOSS_V], teacher[LOSS_V];
    double logp[LOSS_K], log_tail; /* of the first ids, at the loss's temperature */
    int32_t ids[LOSS_K];
    float counts[LOSS_K];
    float logp_f32[LOSS_K], teacher_f32[LOSS_V];
} loss_case;

/* Points into `c` itself: refill after copying. */
static inline void loss_case_fill(loss_case *c, rt_loss loss, rt_target_kind kind, uint64_t seed)
{
    rt_rng rng = rt_rng_init(seed, "loss case", 0);
    fill_normal(c->z, LOSS_V, 2.0, &rng);
    fill_normal(c->teacher, LOSS_V, 2.0, &rng);
    double p[LOSS_V], tail = 1.0, lse = rt_ref_logsumexp_f64(c->teacher, LOSS_V, 1.0 / loss.temperature, NULL);
    memcpy(p, c->teacher, sizeof p);
    rt_ref_softmax_scale_f64(p, LOSS_V, 1.0 / loss.temperature, lse, 1.0);
    for (int j = 0; j < LOSS_K; j++) {
        c->ids[j] = (7 + 5 * j) % LOSS_V;
        c->counts[j] = (float)(j + 1) / 21.0f; /* 21 = 1 + ... + LOSS_K */
        c->logp[j] = log(p[c->ids[j]]);
        c->logp_f32[j] = (float)c->logp[j];
        tail -= p[c->ids[j]];
    }
    for (int i = 0; i < LOSS_V; i++) {
        c->teacher_f32[i] = (float)c->teacher[i];
    }
    c->log_tail = log(tail);
    c->loss = loss;
    c->target = (rt_target){.kind = kind,
                            .label = 3,
                            .n = LOSS_K,
                            .ids = c->ids,
                            .log_tail = (float)c->log_tail,
                            .weight = kind == RT_TARGET_SAMPLE ? c->counts : c->logp_f32,
                            .entropy = 1.25f,
                            .logits = c->teacher_f32};
}

/* Value of c in double; z becomes weight * factor * gradient when grad. */
static inline double loss_case_run(const loss_case *c, double *z, bool grad, double weight)
{
    double scratch[LOSS_V];
    return rt_loss_row_f64(&c->loss, z, LOSS_V, &c->target, c->teacher, c->logp, c->log_tail, grad, weight, scratch);
}

/* Calls fn for every pair that rt_loss_check lets pass at temperature T; returns how many. */
typedef void (*loss_pair_fn)(rt_loss loss, rt_target_kind kind);
static inline int for_each_loss_pair(double temperature, loss_pair_fn fn)
{
    int n = 0;
    for (int k = 0; k < RT_LOSS_COUNT; k++) {
        for (int t = RT_TARGET_LABEL; t <= RT_TARGET_DENSE; t++) {
            rt_loss loss = {.kind = (rt_loss_kind)k,
                            .temperature = rt_loss_distils((rt_loss_kind)k) ? temperature : 1.0,
                            .mix = 0.3};
            if (rt_loss_check(&loss, (rt_target_kind)t, temperature, NULL) == RT_OK) {
                fn(loss, (rt_target_kind)t);
                n++;
            }
        }
    }
    return n;
}

#endif
