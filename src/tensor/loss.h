/* loss.h - divergences between teacher and student over one row of logits, with closed-form gradients
 * (docs/losses.md has the formulas and their sources).
 * q = softmax(z / T), p = the teacher's distribution at T. Values are in nats and carry no T^2;
 * the gradient written is weight * factor(T) * d value / d z, factor as listed in loss.def. */
#ifndef RT_TENSOR_LOSS_H
#define RT_TENSOR_LOSS_H

#include "core/core.h"

typedef enum rt_loss_kind {
#define RT_LOSS(name, recipe, power, distils, formula) RT_LOSS_##name,
#include "tensor/loss.def"
#undef RT_LOSS
    RT_LOSS_COUNT
} rt_loss_kind;
const char *rt_loss_name(rt_loss_kind k);
const char *rt_loss_formula(rt_loss_kind k);
bool rt_loss_from_name(const char *name, rt_loss_kind *out);
/* It compares with the teacher; the others only look at the text. */
bool rt_loss_distils(rt_loss_kind k);

typedef struct rt_loss {
    rt_loss_kind kind;
    double temperature;     /* > 0 */
    double mix;             /* JSD: teacher weight b in (0,1); skew: a; else unused */
    double label_smoothing; /* CE */
} rt_loss;

/* What the training gradient is multiplied by at the loss's temperature: T^2 or 1. */
double rt_loss_factor(const rt_loss *l);

/* What is known of the teacher at one position. */
typedef enum rt_target_kind { RT_TARGET_LABEL, RT_TARGET_SAMPLE, RT_TARGET_TOPK, RT_TARGET_DENSE } rt_target_kind;
const char *rt_target_kind_name(rt_target_kind k); /* "topk" */
#define RT_LOSS_MAX_TOPK 1024 /* most entries of a TOPK target: they wait on the stack while the tail is summed */
typedef struct rt_target {
    rt_target_kind kind;
    int32_t label; /* LABEL: the realised next token */
    int n;         /* SAMPLE, TOPK: entries, ids distinct */
    const int32_t *ids;
    const float *weight; /* SAMPLE: count / draws, sums to 1. TOPK: log p at the ids */
    float log_tail;      /* TOPK: log of the mass outside the ids (-INFINITY: none) */
    float entropy;       /* SAMPLE: teacher's entropy in nats; cross entropy - entropy estimates KL without bias */
    const float *logits; /* DENSE: teacher logits [V], un-tempered */
} rt_target;

/* Refuses pairs that cannot be computed (reverse KL on samples, T != 1 on samples drawn at T = 1, ...) with the
 * reason. cached_temperature is the one SAMPLE and TOPK targets were made at; other kinds ignore it. */
RT_MUST_USE rt_status rt_loss_check(const rt_loss *l, rt_target_kind t, double cached_temperature, rt_err *err);

/* z[v]: logits in, gradient out when grad (weight already divided by the number of counted rows), else as it was.
 * Returns the value of the row. scratch: v floats for DENSE targets with grad, else may be NULL. The pair has passed
 * rt_loss_check. Finite for every finite input. May be called from any thread. */
double rt_loss_row(const rt_loss *l, float *z, int64_t v, const rt_target *t, bool grad, float weight, float *scratch);
/* The same in double throughout, the oracle: DENSE reads `teacher` for t->logits, TOPK `logp` and `log_tail` for
 * t->weight and t->log_tail. */
double rt_loss_row_f64(const rt_loss *l, double *z, int64_t v, const rt_target *t, const double *teacher,
                       const double *logp, double log_tail, bool grad, double weight, double *scratch);

#endif
