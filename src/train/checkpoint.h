/* checkpoint.h - the whole state of training in one safetensors file: parameters under their own names, moments as
 * optimizer.m.<name> and optimizer.v.<name> (Muon's matrices have no v), projections likewise, everything else as one
 * JSON object in the metadata. Written atomically into <run>/checkpoints/step-NNNNNNNN.safetensors; the last two, the
 * best one and the last at which everything watched held are kept. */
#ifndef RT_TRAIN_CHECKPOINT_H
#define RT_TRAIN_CHECKPOINT_H

#include "teacher/source.h"
#include "train/optim.h"

/* Numbers a run carries from step to step. */
typedef struct rt_train_counts {
    int64_t step;         /* updates done */
    int64_t tokens, rows; /* seen; of which counted in the loss */
    int64_t missing;      /* counted positions that had no target */
    int64_t negligible;   /* steps in a row with a negligible distillation gradient */
    rt_source_cursor cursor;
    double active, cpu; /* seconds, over all restarts */
    int64_t best_step;  /* -1: never validated after the start */
    double best_kl, best_top1;
    int64_t validated_step; /* of the latest validation, -1: none */
    double last_kl, last_top1;
    int64_t stale;                /* validations of candidates since the best */
    rt_source_cursor retained;    /* of the second source */
    int64_t watched_step;         /* of the latest look at what must be retained, -1: none */
    int64_t passed_step;          /* of the latest at which everything held, -1: none */
    bool holds;                   /* did the latest find everything */
    bool mixed;                   /* parts ran on machines whose bits differ */
    double first_loss, last_loss; /* of the first and the latest step */
    bool finished;
    char stopped[24]; /* why, when finished */
} rt_train_counts;

typedef struct rt_checkpoint {
    rt_train_counts counts;
    json_t *decisions; /* schedule decisions known */
    int in_force;      /* how many of them had taken effect */
    json_t *config;    /* settings and hashes; must be equal to go on */
    json_t *machine;   /* what equal bits depend on */
    json_t *on_policy; /* the student's text, NULL: none */
    json_t *ledger;    /* mark of an online teacher's ledger, NULL: none */
    int64_t metrics_bytes;
    json_t *doc; /* owns the objects above after loading */
} rt_checkpoint;

/* Saves model and moments with `c` (doc not used) and removes what is no longer kept. Returns the seconds through
 * *took. */
RT_MUST_USE rt_status rt_checkpoint_save(const char *dir, const rt_checkpoint *c, const rt_optim *o, double *took,
                                         rt_err *err);
/* State only; the file stays untouched. */
RT_MUST_USE rt_status rt_checkpoint_read(const char *path, rt_checkpoint *c, rt_err *err);
/* Parameters, moments and update count into `o` and its model. Tensors that do not fit are refused by name. */
RT_MUST_USE rt_status rt_checkpoint_restore(const char *path, const rt_checkpoint *c, rt_optim *o, rt_err *err);
/* Parameters only. */
RT_MUST_USE rt_status rt_checkpoint_restore_weights(const char *path, rt_model *m, rt_err *err);
void rt_checkpoint_release(rt_checkpoint *c);

/* Path of the newest checkpoint in dir; NULL: none, or memory is out. Caller frees with rt_free. */
char *rt_checkpoint_newest(const char *dir);
char *rt_checkpoint_path(const char *dir, int64_t step);
/* Highest step below `below` with a checkpoint in dir, -1: none. */
int64_t rt_checkpoint_before(const char *dir, int64_t below);

/* Names of the keys whose values differ, "lr (0.0006, now 0.0003), seed (...)"; empty when equal. `skip`: keys that
 * may. */
void rt_config_differences(rt_str *out, const json_t *then, const json_t *now, const char *const *skip);

#endif
