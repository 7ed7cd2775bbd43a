/* optim.h - AdamW over all parameters of a model, or Muon over its inner matrices and AdamW over the rest: flat blocks
 * for gradient and moments, laid out as params[i].offset says. Work is a fixed grid of tasks, sums run in grid order:
 * the same bits at any number of threads. */
#ifndef RT_TRAIN_OPTIM_H
#define RT_TRAIN_OPTIM_H

#include "train/muon.h"
#include "train/projection.h"

typedef enum rt_optim_kind { RT_OPTIM_ADAMW, RT_OPTIM_MUON, RT_OPTIM_COUNT } rt_optim_kind;
const char *rt_optim_name(rt_optim_kind k); /* "adamw" */
bool rt_optim_from_name(const char *name, rt_optim_kind *out);

typedef struct rt_optim_options {
    rt_optim_kind kind;
    double momentum; /* Muon */
    double beta1, beta2, eps;
    double weight_decay; /* decoupled; where rt_param_decays */
    double clip;         /* largest norm of the whole gradient; 0: none */
} rt_optim_options;
rt_optim_options rt_optim_default(void); /* AdamW, 0.95, 0.9, 0.95, 1e-8, 0.1, 1 */

typedef struct rt_optim {
    rt_optim_options o;
    rt_model *model;      /* borrows; trainable */
    float *grads, *m, *v; /* [model->n_elements]; v is not used where Muon is */
    int64_t t;            /* updates done */
    struct rt_optim_task *tasks;
    int64_t n_tasks;
    double *partial;             /* [n_tasks] */
    rt_muon muon;                /* empty for AdamW */
    rt_projections *projections; /* borrows: moved along with the model; NULL: none */
} rt_optim;

RT_MUST_USE rt_status rt_optim_init(rt_optim *o, rt_model *m, const rt_optim_options *options, rt_err *err);
void rt_optim_release(rt_optim *o);
size_t rt_optim_bytes(const rt_model *m, const rt_optim_options *options);
/* Which rule moves the parameter. */
rt_optim_kind rt_optim_of(const rt_optim *o, const rt_param *p);

/* Euclidean norm of the whole gradient, projections included, before clipping. */
double rt_optim_norm(rt_optim *o);
/* One update with the gradient scaled to the clip; `norm` from rt_optim_norm. Rewrites the bf16 copies, leaves grads
 * zero. */
void rt_optim_update(rt_optim *o, double lr, double norm);

#endif
