/* route.h - the router of a mixture of experts, one row at a time: which experts a token goes to and with which
 * weights, and the gradient of its logits. Everything that differs between models is data. */
#ifndef RT_TENSOR_ROUTE_H
#define RT_TENSOR_ROUTE_H

#include "core/core.h"

/* Scores p of the logits. Softmax with normalised weights is also the softmax over the chosen alone. */
typedef enum rt_router_score { RT_SCORE_SOFTMAX, RT_SCORE_SIGMOID, RT_SCORE_SQRT_SOFTPLUS } rt_router_score;
/* What a group of experts is judged by: its best expert, or the sum of its two best. */
typedef enum rt_group_score { RT_GROUP_MAX, RT_GROUP_TOP2 } rt_group_score;

#define RT_MAX_EXPERTS_USED 64  /* by one token; known models use 2 to 10 */
#define RT_MAX_EXPERTS 4096     /* of a layer; known models have up to 384 */
#define RT_MAX_EXPERT_GROUPS 64 /* known models have up to 8 */

/* Experts are chosen by p + bias (bias for the choice alone) inside the n_group_used best of n_group equal groups; the
 * weight of a chosen one is scale p, divided by the sum of the chosen p when `normalise`. */
typedef struct rt_routing {
    int64_t n_expert, n_used;
    int64_t n_group, n_group_used; /* 1, 1: one group */
    rt_router_score score;
    rt_group_score group_score;
    bool normalise;
    double scale;
} rt_routing;

/* p: logits in, scores out [n_expert]; bias [n_expert] or NULL. Chosen experts by descending p + bias, first of equals,
 * with their weights [n_used]. */
void rt_route(const rt_routing *r, float *p, const float *bias, int32_t *expert, float *weight);
/* The same with experts given: their weights alone. */
void rt_route_given(const rt_routing *r, float *p, const int32_t *expert, float *weight);
/* p: logits in, their gradient out, given the gradient dw [n_used] of the weights; the choice is taken as constant. */
void rt_route_backward(const rt_routing *r, float *p, const int32_t *expert, const float *dw);

#endif
