/* compare.c - one row of logits against another: KL(p|q) and KL(q|p), acceptance sum min(p, q), agreement of the most
 * probable. */
#include "audit/compare.h"

#include <math.h>
#include <string.h>

#include "tensor/kernels.h"

/* Sums run in independent lanes of f32, so that plain loops become vector code, and go to f64 after STRETCH elements,
 * so that 50,000 small terms do not drown in rounding. */
enum { LANES = 16, STRETCH = 64 * LANES };

static double add_lanes(const float *lane)
{
    double sum = 0;
    for (int k = 0; k < LANES; k++) {
        sum += (double)lane[k];
    }
    return sum;
}

/* Body of a function: the sum of `term` over j = 0..v-1. */
#define SUM_OVER_VOCABULARY(term)                              \
    double sum = 0;                                            \
    int64_t i = 0;                                             \
    while (i + LANES <= v) {                                   \
        float lane[LANES] = {0};                               \
        const int64_t end = i + STRETCH < v ? i + STRETCH : v; \
        for (; i + LANES <= end; i += LANES) {                 \
            for (int k = 0; k < LANES; k++) {                  \
                const int64_t j = i + k;                       \
                lane[k] += (term);                             \
            }                                                  \
        }                                                      \
        sum += add_lanes(lane);                                \
    }                                                          \
    for (int64_t j = i; j < v; j++) {                          \
        sum += (double)(term);                                 \
    }                                                          \
    return sum

static double sum_log_ratio(const float *restrict p, const float *restrict t, const float *restrict z, float shift,
                            int64_t v)
{
    SUM_OVER_VOCABULARY(p[j] * (t[j] - z[j] - shift));
}

static double sum_log(const float *restrict p, const float *restrict t, float shift, int64_t v)
{
    SUM_OVER_VOCABULARY(p[j] * (t[j] - shift));
}

static double sum_min(const float *restrict p, const float *restrict q, int64_t v)
{
    SUM_OVER_VOCABULARY(p[j] < q[j] ? p[j] : q[j]);
}

static void softmax_of(float *p, const float *logits, float lse, int64_t v)
{
    memcpy(p, logits, (size_t)v * sizeof *p);
    rt_kernels_get()->softmax_scale(p, v, 1.0f, lse, 1.0f);
}

void rt_compare_rows(double value[RT_N_MEASURES], const float *z, const float *t, float *scratch, int64_t v,
                     int32_t label)
{
    const rt_kernels *k = rt_kernels_get();
    const float lse = k->logsumexp(z, v, 1.0f, NULL);
    const int64_t top = k->argmax(z, v);
    value[RT_MEASURE_NLL] = (double)lse - (double)z[label];
    value[RT_MEASURE_CONFIDENCE] = exp((double)z[top] - (double)lse);
    value[RT_MEASURE_RIGHT] = top == label;
    if (t == NULL) {
        return;
    }
    const float t_lse = k->logsumexp(t, v, 1.0f, NULL);
    value[RT_MEASURE_TEACHER_NLL] = (double)t_lse - (double)t[label];
    value[RT_MEASURE_TOP1] = top == k->argmax(t, v);
    float *p = scratch, *q = scratch + v;
    softmax_of(p, t, t_lse, v);
    softmax_of(q, z, lse, v);
    value[RT_MEASURE_ENTROPY] = -sum_log(p, t, t_lse, v);
    value[RT_MEASURE_KL] = sum_log_ratio(p, t, z, t_lse - lse, v);
    value[RT_MEASURE_REVERSE_KL] = sum_log_ratio(q, z, t, lse - t_lse, v);
    value[RT_MEASURE_ACCEPTANCE] = sum_min(p, q, v);
}
