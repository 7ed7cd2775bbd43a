/* step_states.h - terms of the loss between states of the student, mapped into the teacher's space where the widths
 * differ, and the teacher's: values by row, gradients into the states and into the maps. The states are those after the
 * final norm, or what layers read (step_layers.h). */
#ifndef RT_TRAIN_STEP_STATES_H
#define RT_TRAIN_STEP_STATES_H

#include "train/step_rows.h"

typedef struct rt_step_states {
    rt_train_loss losses[RT_TRAIN_LOSSES]; /* the terms, at their present weights */
    int n_losses;
    rt_projection *projections[RT_TRAIN_LOSSES]; /* of each; NULL: states are compared as they are */
    bool layers;                                 /* which of a loss's terms are these */
    bool first;                                  /* the first of them is the first of the loss: rows keep its value */
    double share;                                /* of the states of one call in the mean that a term is */
    int64_t d, d_teacher;
    float *mapped, *dmapped; /* [RT_HEAD_GRAD_CHUNK, d_teacher] */
} rt_step_states;

/* For those of the n terms whose `layers` is so. Borrows projections (NULL: none is needed). */
RT_MUST_USE rt_status rt_step_states_init(rt_step_states *s, const rt_train_loss *losses, int n, bool layers,
                                          rt_projections *projections, int64_t d, int64_t d_teacher, rt_err *err);
void rt_step_states_release(rt_step_states *s);
size_t rt_step_states_bytes(int64_t d_teacher);
/* The terms over a chunk of rows: values into `rows`, gradients added to chunk->dhidden and to the maps. */
void rt_step_compare_states(const rt_step_states *s, const rt_step_rows *rows, const rt_head_states *chunk);
/* rt_head_states_visitor over rt_step_rows: the same with its `states`. */
void rt_step_visit_states(void *ud, const rt_head_states *chunk);

#endif
