/* run.h - a training run in progress, shared by the files that open, drive and save it. */
#ifndef RT_TRAIN_RUN_H
#define RT_TRAIN_RUN_H

#include "train/metrics.h"
#include "train/trainer.h"

typedef struct rt_run {
    rt_model *student;
    const rt_model *teacher;
    rt_source *source;
    rt_train_options o; /* with what was left open filled in */
    rt_source_info info;

    rt_train_counts n;
    rt_optim optim;
    rt_projections projections;
    rt_step *step;
    rt_retain *retain; /* NULL: nothing is */
    rt_plan plan;
    rt_metrics metrics;
    json_t *config, *machine;
    char *dir, *schedule_path, *metrics_path; /* <run>/checkpoints, its schedule.json, metrics.jsonl */

    double t0, cpu0;                         /* when this process began */
    double active0, cpu_before;              /* spent by earlier ones */
    double t_checkpoint;                     /* when the last checkpoint was saved */
    int64_t saved_step;                      /* which it was, -1: none by this process */
    double checkpoint_took, validation_took; /* seconds, the latest */
    size_t predicted_bytes;
    rt_alarm alarm; /* of the student's text: while there is one no checkpoint is made, the last is from before */
    bool resumed;
} rt_run;

/* run_open.c: checks, memory, configuration, buffers, and the state of an earlier call when there is one. */
RT_MUST_USE rt_status rt_run_open(rt_run *r, rt_model *student, rt_source *source, const rt_model *teacher,
                                  const rt_train_options *o, rt_err *err);
/* Settles micro_tokens and recompute where they were left open: half a micro-batch again and again while what is needed
 * is more than `available` (-1: unknown), then layers run again. Returns what is needed beside the model. */
size_t rt_run_fit(rt_train_options *o, const rt_model *student, const rt_source_info *source, const rt_model *teacher,
                  int64_t available);
void rt_run_release(rt_run *r);
double rt_run_active(const rt_run *r);

/* run_on_policy.c: text of the student's own. */
int64_t rt_run_corpus_tokens(const rt_run *r); /* of a step, at most; the student writes the others */
int64_t rt_run_batch_capacity(const rt_train_options *o, const rt_source_info *source); /* tokens a step can have */
/* Writes when it is time, and says in metrics what was written. RT_NUMERIC when the student has collapsed. */
RT_MUST_USE rt_status rt_run_write(rt_run *r, rt_err *err);
RT_MUST_USE rt_status rt_run_restore_text(rt_run *r, const rt_checkpoint *c, rt_err *err);

/* run_config.c: what must be equal for a run to go on, and what equal bits depend on. NULL: memory is out. */
json_t *rt_run_config(const rt_run *r);
json_t *rt_run_machine(const rt_model *student);

/* run_state.c: the state in the run directory. */
typedef struct rt_prior {
    char *path; /* checkpoint to go on from, NULL: none */
    bool own;   /* it lies in this run's directory */
    rt_checkpoint c;
    json_t *schedule; /* schedule.json of this run, or of the run replayed */
} rt_prior;
RT_MUST_USE rt_status rt_prior_find(rt_prior *p, const rt_run *r, rt_err *err);
void rt_prior_release(rt_prior *p);
RT_MUST_USE rt_status rt_prior_check(const rt_prior *p, rt_run *r, rt_err *err);   /* settings and hashes */
RT_MUST_USE rt_status rt_prior_restore(const rt_prior *p, rt_run *r, rt_err *err); /* state, plan, metrics file */
RT_MUST_USE rt_status rt_run_save(rt_run *r, rt_err *err);                         /* a checkpoint now */
RT_MUST_USE rt_status rt_run_note_decision(rt_run *r, const rt_decision *d,
                                           rt_err *err); /* schedule.json and metrics */

#endif
