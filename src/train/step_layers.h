/* step_layers.h - terms of the loss inside the stack: what the student's layers read beside what the teacher's read
 * whose place they took (Jiao et al. 2020; Sun et al. 2019, here in place of the blocks' outputs). The teacher runs
 * over every micro-batch as far as the last layer asked for; the gradients join those of the backward pass on its way
 * down. While all terms have weight 0 it does not run. */
#ifndef RT_TRAIN_STEP_LAYERS_H
#define RT_TRAIN_STEP_LAYERS_H

#include "train/step_states.h"

typedef struct rt_step_layers {
    rt_step_states states; /* the terms */
    const rt_model *teacher;
    rt_acts *acts;     /* the teacher's */
    int n_layer, last; /* of the student; the teacher's last layer whose input is asked for */
    int *of;           /* [n_layer] the teacher's layer beside each of the student; the first reads the same in both */
    int64_t max_rows, d;
    float *gradient;             /* [n_layer - 1][max_rows][d] by what layers 1 .. read */
    float *own, *theirs, *d_own; /* [RT_HEAD_GRAD_CHUNK][d, the teacher's width, d] rows that count */
    /* the micro-batch */
    const rt_step_rows *rows;
    const rt_acts *student;
    const int32_t *row_ids;
    int64_t n_rows, n_tokens;
} rt_step_layers;

/* The teacher's layer beside one of the student's: what `map` says, NULL: evenly spaced. */
int rt_step_layer_of(const int *map, int64_t layer, int64_t n_layer, int64_t n_teacher);
/* Refuses teachers whose stack cannot stand beside the student's. */
RT_MUST_USE rt_status rt_step_layers_check(const rt_model *m, const rt_step_options *o, rt_err *err);
/* For micro-batches of max_rows tokens in spans of max_span; where no term is inside the stack, nothing. */
RT_MUST_USE rt_status rt_step_layers_init(rt_step_layers *s, const rt_model *m, const rt_step_options *o,
                                          int64_t max_rows, int64_t max_span, rt_err *err);
void rt_step_layers_release(rt_step_layers *s);
size_t rt_step_layers_bytes(const rt_model *m, const rt_step_options *o, int64_t max_rows, int64_t max_span);

/* A term has a weight at present. */
bool rt_step_layers_active(const rt_step_layers *s);
/* After the student's forward pass over the batch: values into `rows`, gradients kept. row_ids: its rows with targets.
 */
void rt_step_layers_compare(rt_step_layers *s, const rt_step_rows *rows, const rt_acts *student, const rt_batch *b,
                            const int32_t *row_ids, int64_t n_rows);
/* rt_net_visitor of the student's backward pass over rt_step_layers: adds them. */
void rt_step_layers_add(void *ud, int layer, float *dx);

#endif
