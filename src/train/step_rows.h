/* step_rows.h - the losses of one row of the head sweep: values into arrays by row, gradient into the logits. */
#ifndef RT_TRAIN_STEP_ROWS_H
#define RT_TRAIN_STEP_ROWS_H

#include "model/head.h"
#include "train/step.h"

/* Every RT_STEP_PROBE-th row is also measured: norm of its distillation gradient beside that of cross-entropy. */
#define RT_STEP_PROBE 61

/* What visitors write about a row; summed afterwards in row order, so threads do not matter. */
typedef struct rt_row_value {
    double loss, kl, ce;
    double state;                /* value of the first term between states */
    double kd_square, ce_square; /* probed rows */
    bool counted;
} rt_row_value;

/* The visitor's view of one micro-batch. */
typedef struct rt_step_rows {
    rt_train_loss losses[RT_TRAIN_LOSSES];
    int n_losses;
    bool distils; /* one of them compares with the teacher */
    int64_t n_vocab;
    double weight; /* 1 / counted rows of the step */
    const rt_source_batch *batch;
    int64_t first;                 /* row of the batch that is row 0 of the sweep */
    rt_row_value *values;          /* [batch rows] */
    float *scratch;                /* [threads][RT_STEP_SCRATCH][n_vocab] */
    struct rt_step_states *states; /* NULL: no term compares states */
} rt_step_rows;
#define RT_STEP_SCRATCH 3

/* rt_head_visitor over rt_step_rows */
void rt_step_visit(void *ud, const rt_head_row *row);
/* The position has what the losses need: the next token, and when they distil, the teacher's answer. */
bool rt_step_has_target(const rt_source_batch *b, int64_t row, bool distils, int64_t d_model);

#endif
