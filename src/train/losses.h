/* losses.h - what a run minimises: one loss or a weighted sum of a few, as a user writes it and as it is recorded. */
#ifndef RT_TRAIN_LOSSES_H
#define RT_TRAIN_LOSSES_H

#include "tensor/loss.h"
#include "tensor/state_loss.h"

/* One term: a divergence between distributions over the vocabulary, or (state) a distance between states: those that
 * the heads of student and teacher read, after the final norm, or (layers) what their layers read, in the mean over the
 * student's. Its weight is constant, or moves linearly from `weight` at the first step to `to` at step `over`. */
typedef struct rt_train_loss {
    rt_loss loss;        /* without meaning when `state` is one */
    rt_state_loss state; /* RT_STATE_NONE: none */
    bool project;        /* state: through a learned map even where the widths are equal */
    bool layers;         /* state: inside the stack, one map for all layers */
    double weight;
    double to;
    int64_t over; /* 0: constant */
} rt_train_loss;
#define RT_TRAIN_LOSSES 4

/* Weight 1, at this temperature where the loss has one, with the usual mix: jsd 0.5, the skewed ones 0.1. */
rt_train_loss rt_train_loss_of(rt_loss_kind k, double temperature);
/* Weight 1, a map only where widths differ. */
rt_train_loss rt_train_state_loss_of(rt_state_loss k);
/* Of the first term that has one; 1: none has. */
double rt_losses_temperature(const rt_train_loss *l, int n);
const char *rt_train_loss_name(const rt_train_loss *l);
/* At the 0-based update `step`. */
double rt_train_loss_weight(const rt_train_loss *l, int64_t step);
/* Refuses weights that are none. */
RT_MUST_USE rt_status rt_train_loss_check(const rt_train_loss *l, rt_err *err);
/* true when one of them compares with the teacher's distribution; with the states its head reads; with what its layers
 * read */
bool rt_losses_distil(const rt_train_loss *l, int n);
bool rt_losses_compare_states(const rt_train_loss *l, int n);
bool rt_losses_compare_layers(const rt_train_loss *l, int n);
/* one of them is cross-entropy with the labels */
bool rt_losses_learn_labels(const rt_train_loss *l, int n);

/* "forward_kl", "forward_kl:0.9,ce:0.1", "jsd:mix=0.3,ce:0.5:to=0:over=200,z_loss:1e-4": terms separated by commas;
 * after the name a weight, or mix, smoothing (of ce), project and layers (0 or 1, of a state), to, over as key=value,
 * separated by colons. */
RT_MUST_USE rt_status rt_losses_parse(rt_train_loss out[RT_TRAIN_LOSSES], int *n, const char *text, double temperature,
                                      rt_err *err);
/* Text that rt_losses_parse reads back. */
void rt_losses_print(rt_str *s, const rt_train_loss *l, int n);
/* The formula: "0.9 T^2 (sum p (log p - log q)) + 0.1 (-log q[y], T = 1)"; of a single loss of weight 1 its own. */
void rt_losses_formula(rt_str *s, const rt_train_loss *l, int n);

#endif
