/* retain.h - behaviour that must not be lost, taught beside the data: every step is (1 - weight) of the mean loss over
 * the data and weight of the mean loss over a batch of a second source, and from time to time somebody looks whether
 * the behaviour is still there. */
#ifndef RT_TRAIN_RETAIN_H
#define RT_TRAIN_RETAIN_H

#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/step.h"

/* One thing that was looked at. */
typedef struct rt_watched {
    char name[64];
    double value, min, max; /* holds: min <= value <= max; NAN: no bound */
} rt_watched;
enum { RT_WATCHED = 8 };

typedef struct rt_retain_options {
    rt_source *source; /* opened for batch_tokens; NULL: nothing is taught, but looked at */
    double weight;     /* share of a step, in (0, 1) */
    int64_t batch_tokens;
    rt_train_loss losses[RT_TRAIN_LOSSES];
    int n_losses;

    /* Fills list[*n <= RT_WATCHED]. NULL: nobody looks. */
    rt_status (*look)(void *ud, const rt_model *m, rt_watched list[RT_WATCHED], size_t *n, rt_err *err);
    void *ud;
    int64_t every; /* steps between looks; 0: at the end only */
    bool keep;     /* weights that hold are saved, and the last of them are left; else what fell fails the run */
} rt_retain_options;

typedef struct rt_retain rt_retain;
/* `data`: how the data beside is stepped, which this follows: the teacher, micro-batches, layers run again, and the
 * maps of terms between states, which are the same for both. Borrows models, maps and `o`. Refuses weights that are
 * none, maps that the data's terms do not have, and what rt_step_check refuses of its source. */
RT_MUST_USE rt_status rt_retain_new(rt_retain **out, const rt_model *student, const rt_retain_options *o,
                                    const rt_step_options *data, rt_err *err);
void rt_retain_free(rt_retain *r); /* accepts NULL */
size_t rt_retain_bytes(const rt_model *student, const rt_retain_options *o, const rt_step_options *data);
/* Share of a step that is left to the data; 1 where nothing is taught. */
double rt_retain_rest(const rt_retain_options *o);
/* Settings and the hash of the source, for the record of a run; owned. */
json_t *rt_retain_config(const rt_retain_options *o);

/* Adds its share of the gradient of update `step`; the cursor moves. */
RT_MUST_USE rt_status rt_retain_step(rt_retain *r, int64_t step, rt_source_cursor *cursor, float *grads,
                                     rt_step_report *report, rt_err *err);
/* Is it time to look, after n->step updates? */
bool rt_retain_is_due(const rt_retain *r, const rt_train_counts *n);
/* Looks now and writes a line of metrics. Counts say what was found: `passed_step` moves where everything holds. */
RT_MUST_USE rt_status rt_retain_look(rt_retain *r, const rt_model *m, rt_train_counts *n, rt_metrics *metrics,
                                     rt_err *err);
/* Looks at the weights of `step`, unless the latest look by this process saw them. *holds: nothing has fallen in them,
 * or nobody looks. A run's counts stay as they are. Accepts NULL. */
RT_MUST_USE rt_status rt_retain_look_again(rt_retain *r, const rt_model *m, int64_t step, rt_metrics *metrics,
                                           bool *holds, rt_err *err);
/* RT_FINDING where the latest look found what does not hold, and no weights that held are kept. While a run goes on
 * that is only asked once something has held: what is taught needs time. */
RT_MUST_USE rt_status rt_retain_judge(const rt_retain *r, const rt_train_counts *n, bool over, rt_err *err);
bool rt_watched_holds(const rt_watched *w);

#endif
