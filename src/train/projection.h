/* projection.h - learned maps from the student's states into the teacher's space, for hidden-state terms of the loss:
 * moved by AdamW with the student's rate and clipped with its gradient, kept in checkpoints, absent from the student.
 */
#ifndef RT_TRAIN_PROJECTION_H
#define RT_TRAIN_PROJECTION_H

#include "tensor/kernels.h"
#include "train/losses.h"

/* [n_out = width of the teacher, n_in = width of the student], row-major f32 */
typedef struct rt_projection {
    char name[32]; /* of its tensor in checkpoints: "projection.1", by the place of its term */
    int64_t dims[2];
    float *w, *grad, *m, *v;
} rt_projection;

typedef struct rt_projections {
    rt_projection list[RT_TRAIN_LOSSES]; /* in the order of the terms that have one */
    int n;
} rt_projections;

/* The term maps states: the widths differ, or it asks for it. */
bool rt_projection_needed(const rt_train_loss *l, int64_t d_teacher, int64_t d_student);
/* A map a term that needs one, its entries normal of variance 1 / d_student, a function of the seed. */
RT_MUST_USE rt_status rt_projections_init(rt_projections *p, const rt_train_loss *losses, int n, int64_t d_teacher,
                                          int64_t d_student, uint64_t seed, rt_err *err);
void rt_projections_release(rt_projections *p);
size_t rt_projections_bytes(const rt_train_loss *losses, int n, int64_t d_teacher, int64_t d_student);

/* Sum of squares of all gradients. */
double rt_projections_squares(const rt_projections *p);
/* One update; leaves the gradients zero. */
void rt_projections_update(rt_projections *p, const rt_adamw *rule);

#endif
