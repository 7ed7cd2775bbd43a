/* step.h - gradient of one optimiser step: a batch of whole sequences cut into micro-batches, each through the net, the
 * head sweep with the losses, and back. One denominator: every row's weight is divided by the counted rows of the whole
 * step, so micro-batches, packing and lengths do not change the mean. All memory is taken when the step is made. */
#ifndef RT_TRAIN_STEP_H
#define RT_TRAIN_STEP_H

#include "teacher/source.h"
#include "train/projection.h"

/* Micro-batches larger than this gain little speed and cost activations. */
#define RT_STEP_MICRO_TOKENS 1024

typedef struct rt_step_options {
    rt_train_loss losses[RT_TRAIN_LOSSES];
    int n_losses;
    int64_t batch_tokens;        /* largest batch */
    int64_t micro_tokens;        /* largest micro-batch; raised to the longest sequence */
    bool recompute;              /* layers are run again in the backward pass instead of keeping what they made */
    rt_projections *projections; /* of the terms that need one, made for these models; NULL: none does */
    const rt_model *teacher;     /* HIDDEN: its head; DENSE: the source's teacher; terms between layers: all of it */
    const int *layer_map; /* terms between layers: [layers of the student] the teacher's beside each; NULL: evenly */
} rt_step_options;

typedef struct rt_step_report {
    int64_t tokens, rows;  /* rows: counted, the denominator */
    int64_t missing;       /* positions without a target, left out */
    double loss_sum, loss; /* weighted sum of the terms over the rows; divided by rows */
    double kl;             /* mean value of the first term that compares with the teacher, NAN: none */
    double ce;             /* mean -log q(label) */
    double state;          /* mean value of the first term between states, NAN: none */
    int64_t probed;        /* rows on which the next two were measured: a fixed share, 0 without distillation terms */
    double kd_norm,
        ce_norm; /* root mean square norm of d loss / d logits at weight 1: distillation terms, and cross-entropy */
} rt_step_report;

typedef struct rt_step rt_step;
/* Refuses losses that the source's targets cannot give, vocabularies that differ, and sequences longer than a model's
 * context. */
RT_MUST_USE rt_status rt_step_check(const rt_model *m, const rt_source_info *source, const rt_step_options *o,
                                    rt_err *err);
/* Borrows model and teacher. Refuses what rt_step_check refuses. */
RT_MUST_USE rt_status rt_step_new(rt_step **out, const rt_model *m, const rt_source_info *source,
                                  const rt_step_options *o, rt_err *err);
void rt_step_free(rt_step *s);
size_t rt_step_bytes(const rt_model *m, const rt_source_info *source, const rt_step_options *o);
/* What is added from now on is this multiple of the gradient; reports stay those of the plain mean. At first 1. */
void rt_step_scale(rt_step *s, double scale);
/* Takes the terms at the weights they have at the 0-based update `step`; before the first call it is 0. */
void rt_step_weigh(rt_step *s, int64_t step);
/* Adds the gradient of the mean loss over `b` to the flat block `grads`. Batches without counted rows are refused. */
RT_MUST_USE rt_status rt_step_run(rt_step *s, const rt_source_batch *b, float *grads, rt_step_report *r, rt_err *err);

/* Wall-clock seconds of two parts of the steps since the last call, for benchmarks. */
typedef struct rt_step_seconds {
    double head, attention;
} rt_step_seconds;
rt_step_seconds rt_step_take_seconds(rt_step *s);

#endif
