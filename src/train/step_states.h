/* step_states.h - terms of the loss between the student's states after its final norm, mapped into the teacher's space
 * where the widths differ, and the teacher's: values by row, gradients into the states and into the maps. */
#ifndef RT_TRAIN_STEP_STATES_H
#define RT_TRAIN_STEP_STATES_H

#include "train/step_rows.h"

typedef struct rt_step_states {
    rt_train_loss losses[RT_TRAIN_LOSSES]; /* the terms, at their present weights */
    int n_losses;
    rt_projection *projections[RT_TRAIN_LOSSES]; /* of each; NULL: states are compared as they are */
    int64_t d, d_teacher;
    float *mapped, *dmapped; /* [RT_HEAD_GRAD_CHUNK, d_teacher] */
} rt_step_states;

/* `losses` and `n_losses` are set. Borrows rows, which then know of it, and projections (NULL: none is needed). */
RT_MUST_USE rt_status rt_step_states_init(rt_step_states *s, rt_step_rows *rows, rt_projections *projections, int64_t d,
                                          int64_t d_teacher, rt_err *err);
void rt_step_states_release(rt_step_states *s);
size_t rt_step_states_bytes(const rt_train_loss *losses, int n, int64_t d_teacher);
/* rt_head_states_visitor over rt_step_rows */
void rt_step_visit_states(void *ud, const rt_head_states *chunk);

#endif
