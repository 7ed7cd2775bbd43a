/* low_rank.h - products with the pair that belongs to a matrix. Private to model. */
#ifndef RT_MODEL_LOW_RANK_H
#define RT_MODEL_LOW_RANK_H

#include "model/rows.h"

/* A pair, and room for RT_LOW_RANK_ROWS rows that all pairs of a model share. */
struct rt_low_rank {
    const rt_param *a, *b; /* [rank, in], [out, rank] */
    float scale;           /* alpha / rank */
    float *u;              /* [rows, rank] */
    void *op;              /* the same as an operand */
    float *wide;           /* [largest out] */
};
#define RT_LOW_RANK_ROWS 256

/* Of a matrix without a pair these do nothing. y[n, out] += scale x A^T B^T, x in type t. */
void rt_low_rank_forward(float *y, int64_t ldy, const void *x, rt_dtype t, int64_t ldx, const rt_param *w, int64_t n,
                         rt_net_mode mode);
/* dx[n, in] += scale dy B A */
void rt_low_rank_dx(float *dx, const void *dy, rt_dtype t, int64_t lddy, const rt_param *w, int64_t n);
/* dB += scale dy^T (x A^T), dA += scale (dy B)^T x, in the flat gradient block */
void rt_low_rank_dw(float *grads, const void *dy, rt_dtype t, int64_t lddy, const void *x, int64_t ldx,
                    const rt_param *w, int64_t n);

#endif
