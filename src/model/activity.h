/* activity.h - how much runs through each width of a model: what deciding about channels, neurons and heads needs.
 * Sums over rows of text, taken from what a forward pass in RT_NET_TRAIN mode keeps; one pass, no gradient. */
#ifndef RT_MODEL_ACTIVITY_H
#define RT_MODEL_ACTIVITY_H

#include "model/net.h"

/* D = d_model, F = d_ff, K = key/value heads; norms over D in the order of the parameters. */
typedef struct rt_activity {
    const rt_model *m;
    int64_t rows;    /* seen */
    int64_t n_norms; /* over residual channels */
    int64_t *norm;   /* [n_norms] their parameters' indices */
    double *output;  /* [n_norms, D] sum of |output of the norm| */
    double *square;  /* [n_norms, D] sum of (x / rms(x))^2: the share each channel has in the mean square */
    double *ffn;     /* [n_layer, F] sum of |input of the down-projection|; 0 where the layer is no dense one */
    double *heads;   /* [n_layer, K] sum of the norm of a group's outputs; 0 where the layer is no grouped attention */
    float *row;      /* [n_layer, F] scratch */
} rt_activity;

/* A norm over residual channels; and how many a model has. */
bool rt_activity_counts(const rt_model *m, const rt_param *p);
int64_t rt_activity_norms(const rt_model *m);
RT_MUST_USE rt_status rt_activity_new(rt_activity **out, const rt_model *m, rt_err *err);
void rt_activity_free(rt_activity *a); /* accepts NULL */
/* After rt_net_forward over `b` with `acts` in RT_NET_TRAIN mode. */
void rt_activity_add(rt_activity *a, const rt_acts *acts, const rt_batch *b);

#endif
