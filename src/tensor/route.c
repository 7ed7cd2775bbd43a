/* Routing of one row; tensor/ref.h has the oracle. */
#include "tensor/route.h"

#include <math.h>
#include <string.h>

#include "tensor/kernels.h"

static void to_scores(const rt_routing *r, float *p)
{
    const rt_kernels *k = rt_kernels_get();
    if (r->score == RT_SCORE_SOFTMAX) {
        k->softmax_scale(p, r->n_expert, 1.0f, k->logsumexp(p, r->n_expert, 1.0f, NULL), 1.0f);
        return;
    }
    for (int64_t e = 0; e < r->n_expert; e++) {
        p[e] = r->score == RT_SCORE_SIGMOID ? 1.0f / (1.0f + expf(-p[e]))
                                            : sqrtf(fmaxf(p[e], 0.0f) + log1pf(expf(-fabsf(p[e]))));
    }
}

/* Of an expert's score by its own logit; of a softmax the part that is not shared. */
static float slope(rt_router_score kind, float p)
{
    switch (kind) {
    case RT_SCORE_SIGMOID: return p * (1.0f - p);
    case RT_SCORE_SQRT_SOFTPLUS: return p > 0.0f ? -expm1f(-p * p) / (2.0f * p) : 0.0f; /* p^2 = ln(1 + e^z) */
    default: return p;
    }
}

static float biased(const float *p, const float *bias, int64_t e)
{
    return bias != NULL ? p[e] + bias[e] : p[e];
}

/* Takes the best candidate that is not taken, the first of equals. */
static int64_t take_best(const float *p, const float *bias, bool *taken, int64_t n)
{
    int64_t best = -1;
    for (int64_t e = 0; e < n; e++) {
        if (!taken[e] && (best < 0 || biased(p, bias, e) > biased(p, bias, best))) {
            best = e;
        }
    }
    taken[best] = true;
    return best;
}

static float score_group(const rt_routing *r, const float *p, const float *bias, int64_t first, int64_t size)
{
    float top = -INFINITY, second = -INFINITY;
    for (int64_t e = first; e < first + size; e++) {
        const float v = biased(p, bias, e);
        second = fmaxf(second, fminf(top, v));
        top = fmaxf(top, v);
    }
    return r->group_score == RT_GROUP_TOP2 ? top + second : top;
}

/* Marks the experts outside the best groups as taken. */
static void close_groups(const rt_routing *r, const float *p, const float *bias, bool *taken)
{
    const int64_t size = r->n_expert / r->n_group;
    float score[RT_MAX_EXPERT_GROUPS];
    bool kept[RT_MAX_EXPERT_GROUPS] = {false};
    for (int64_t g = 0; g < r->n_group; g++) {
        score[g] = score_group(r, p, bias, g * size, size);
    }
    memset(taken, true, (size_t)r->n_expert);
    for (int64_t i = 0; i < r->n_group_used; i++) {
        memset(taken + take_best(score, NULL, kept, r->n_group) * size, false, (size_t)size);
    }
}

/* What the scores of the chosen are divided by. */
static float divisor(const rt_routing *r, const float *p, const int32_t *expert)
{
    float sum = 0.0f;
    for (int64_t j = 0; j < r->n_used; j++) {
        sum += p[expert[j]];
    }
    return r->normalise ? sum : 1.0f;
}

static void weigh(const rt_routing *r, const float *p, const int32_t *expert, float *weight)
{
    const float sum = divisor(r, p, expert);
    for (int64_t j = 0; j < r->n_used; j++) {
        weight[j] = (float)r->scale * (p[expert[j]] / sum);
    }
}

void rt_route(const rt_routing *r, float *p, const float *bias, int32_t *expert, float *weight)
{
    bool taken[RT_MAX_EXPERTS] = {false};
    to_scores(r, p);
    if (r->n_group_used < r->n_group) {
        close_groups(r, p, bias, taken);
    }
    for (int64_t j = 0; j < r->n_used; j++) {
        expert[j] = (int32_t)take_best(p, bias, taken, r->n_expert);
    }
    weigh(r, p, expert, weight);
}

void rt_route_given(const rt_routing *r, float *p, const int32_t *expert, float *weight)
{
    to_scores(r, p);
    weigh(r, p, expert, weight);
}

void rt_route_backward(const rt_routing *r, float *p, const int32_t *expert, const float *dw)
{
    float dp[RT_MAX_EXPERTS_USED], mean = 0.0f, total = 0.0f;
    to_scores(r, p);
    const float sum = divisor(r, p, expert), scale = (float)r->scale;
    for (int64_t j = 0; r->normalise && j < r->n_used; j++) {
        mean += dw[j] * (p[expert[j]] / sum);
    }
    for (int64_t j = 0; j < r->n_used; j++) { /* w = scale p / sum */
        const float score = p[expert[j]];
        dp[j] = scale * (dw[j] - mean) / sum;
        total += dp[j] * score;
        dp[j] *= slope(r->score, score);
    }
    for (int64_t e = 0; e < r->n_expert; e++) {
        p[e] = r->score == RT_SCORE_SOFTMAX ? -p[e] * total : 0.0f;
    }
    for (int64_t j = 0; j < r->n_used; j++) {
        p[expert[j]] += dp[j];
    }
}
