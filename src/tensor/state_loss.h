/* state_loss.h - distances between a state of the student, seen in the teacher's space, and the teacher's state at the
 * same position: what a hidden-state term of the loss sums up. */
#ifndef RT_TENSOR_STATE_LOSS_H
#define RT_TENSOR_STATE_LOSS_H

#include "core/core.h"

typedef enum rt_state_loss {
    RT_STATE_NONE,
#define RT_STATE_LOSS(name, recipe, formula) RT_STATE_##name,
#include "tensor/state_loss.def"
#undef RT_STATE_LOSS
    RT_STATE_LOSS_COUNT
} rt_state_loss;
const char *rt_state_loss_name(rt_state_loss k);    /* "hidden_cosine" */
const char *rt_state_loss_formula(rt_state_loss k); /* y: the student's state, t: the teacher's */
bool rt_state_loss_from_name(const char *name, rt_state_loss *out);

/* Value of a row; dy [d], unless NULL, becomes weight x d value / d y. The product of norms in the cosine counts as
 * 1e-8 at least. */
double rt_state_loss_row(rt_state_loss k, const float *y, const float *t, int64_t d, float weight, float *dy);
/* The same in double throughout, the oracle. */
double rt_state_loss_row_f64(rt_state_loss k, const double *y, const double *t, int64_t d, double weight, double *dy);

#endif
