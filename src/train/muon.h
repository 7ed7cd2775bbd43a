/* muon.h - Muon (Jordan et al. 2024) for one matrix: the update is its momentum made orthogonal by five Newton-Schulz
 * steps, at a size that lets matrices share AdamW's rate and decay. Fixed grids of tasks and products: the same bits at
 * any number of threads. */
#ifndef RT_TRAIN_MUON_H
#define RT_TRAIN_MUON_H

#include "model/models.h"

typedef struct rt_muon_rule {
    double lr, momentum, weight_decay;
    double grad_scale; /* clip factor */
} rt_muon_rule;

/* Room for the largest of a model's matrices. */
typedef struct rt_muon {
    float *x, *y;       /* the matrix that becomes orthogonal, and the next of it */
    float *gram, *poly; /* [the shorter side]^2 */
    double *partial;    /* a sum of squares a task */
    int64_t n, side;    /* largest matrix; largest shorter side */
} rt_muon;

/* Matrices inside the network: not the embedding, the head or a router, whose rows are told apart by their size. */
bool rt_muon_takes(const rt_param *p);

RT_MUST_USE rt_status rt_muon_init(rt_muon *mu, const rt_model *m, rt_err *err);
void rt_muon_release(rt_muon *mu);
size_t rt_muon_bytes(const rt_model *m);

/* One update of `p` from its gradient `g`, with the momentum `m` carried on. Rewrites the bf16 copy, leaves g zero. */
void rt_muon_update(rt_muon *mu, const rt_param *p, float *m, float *g, const rt_muon_rule *rule);

#endif
