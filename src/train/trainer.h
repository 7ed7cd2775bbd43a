/* trainer.h - a training run: steps until the plan says it is over, validation, checkpoints, metrics. The same call on
 * the same run directory goes on where the last one was killed. */
#ifndef RT_TRAIN_TRAINER_H
#define RT_TRAIN_TRAINER_H

#include "train/checkpoint.h"
#include "train/on_policy.h"
#include "train/optim.h"
#include "train/plan.h"
#include "train/retain.h"
#include "train/scored.h"
#include "train/step.h"

/* KL to the teacher in nats and top-1 agreement (0..1) of `m` on held-out text. */
typedef rt_status (*rt_train_validate)(void *ud, const rt_model *m, double *kl, double *top1, rt_err *err);

/* Layers kept whole for the backward pass, or run again in it (net.h): the same bits, less memory, more time. AUTO: run
 * again where nothing else makes the run fit into memory. */
typedef enum rt_recompute { RT_RECOMPUTE_AUTO, RT_RECOMPUTE_NONE, RT_RECOMPUTE_LAYERS } rt_recompute;
bool rt_recompute_from_name(const char *name, rt_recompute *out); /* "auto", "none", "layers" */

typedef struct rt_train_options {
    const char *run_dir; /* metrics.jsonl and checkpoints/ go here */
    rt_train_loss losses[RT_TRAIN_LOSSES];
    int n_losses;
    const int
        *layer_map; /* [layers of the student], of terms between layers: the teacher's beside each; NULL: evenly */

    /* how long: exactly one of these, or a replay */
    int64_t steps, tokens;
    double budget;      /* active seconds, over all restarts */
    const char *replay; /* run directory whose schedule decisions are repeated */

    int64_t batch_tokens; /* a step, at most; whole sequences */
    /* Text of the student's own, part of a step's tokens: the source was opened with it as its `more`. NULL: none */
    rt_on_policy *on_policy;
    rt_scored *scored;    /* an online teacher's ledger; NULL: the source answers from a cache, or has no teacher */
    int64_t micro_tokens; /* 0: what fits into memory, up to 1024 */
    rt_recompute recompute;

    rt_schedule_kind schedule;
    double lr, lr_floor; /* peak; share of it left at the end */
    int64_t warmup;      /* steps; -1: rt_schedule_warmup */
    double decay;        /* WSD: share of the run that falls */
    rt_optim_options optim;
    uint64_t seed; /* of the order of data; recorded (the source applies it) */

    rt_train_validate validate; /* NULL: none */
    void *validate_ud;
    int64_t eval_every;              /* steps between validations; 0: at the start and the end */
    int64_t patience;                /* validations without a new best before the run stops; 0: never */
    const rt_retain_options *retain; /* behaviour taught beside the data and looked at; NULL: none. Weights behind
                                        a look at which it did not hold are no candidates for the best */

    double checkpoint_seconds; /* between checkpoints; 0: not by time */
    int64_t checkpoint_steps;  /* 0: not by steps */
    const char *from;          /* checkpoint of another run to go on from; a newer one in run_dir wins */
    bool ignore_memory;        /* go on although the prediction exceeds what the machine has */
} rt_train_options;
/* forward KL, 4096 tokens a step, WSD to zero over the last quarter, lr 6e-4, AdamW's defaults, a checkpoint every two
 * minutes */
rt_train_options rt_train_default(void);

typedef struct rt_train_result {
    rt_train_counts counts;      /* steps, tokens, seconds, best validation, why it stopped */
    rt_step_report last;         /* of the last step made by this call */
    double final_kl, final_top1; /* validation of the weights left in the student; NAN: none */
    int64_t weights_step;        /* step those weights are from: the last, the best validated, the last that held */
    rt_ledger_mark ledger;       /* the end of an online teacher's; zero: there was none */
    double tokens_per_s;         /* recent pace of this call; of a very short one, the mean of the run */
    size_t predicted_bytes;      /* model, optimiser, activations, head; of an online teacher and of a student that
                                    writes, their activations too */
    bool resumed, comparable;    /* comparable: bits equal to an uninterrupted run on this machine */
} rt_train_result;

/* Trains `student` in place. Borrows everything. `teacher`: for HIDDEN and DENSE sources. `source` must have been
 * opened for o->batch_tokens. On RT_CANCELLED (a signal) a checkpoint has been saved; on RT_NUMERIC the last one is
 * untouched, and where the student collapsed on its own text, from before the first alarm. When validation found an
 * earlier step better than the last, its weights are left in the student. RT_FINDING where what was to be retained is
 * lost. */
RT_MUST_USE rt_status rt_train_run(rt_model *student, rt_source *source, const rt_model *teacher,
                                   const rt_train_options *o, rt_train_result *r, rt_err *err);

/* Bytes a run takes beside the model itself; layers are kept unless it says otherwise. */
size_t rt_train_bytes(const rt_model *student, const rt_source_info *source, const rt_model *teacher,
                      const rt_train_options *o);

#endif
