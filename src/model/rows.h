/* rows.h - element-wise work and linear maps over rows of a batch, cut into tasks for the team. Private to model.
 * "operand" buffers hold GEMM inputs in the compute type `t` (F32 or BF16). */
#ifndef RT_MODEL_ROWS_H
#define RT_MODEL_ROWS_H

#include "model/acts.h"
#include "tensor/gemm.h"

/* y[n, out] = x[n, in] W^T; x in type t. RT_NET_ROWS: t is F32 and each row has an order of its own. Of the matrix
 * alone: what an adapter adds comes with maps (maps.h) and with the gradients below. */
void rt_linear(float *y, int64_t ldy, const void *x, rt_dtype t, int64_t ldx, const rt_param *w, int64_t n,
               rt_net_mode mode);
/* dx[n, in] (+)= dy[n, out] W */
void rt_linear_dx(float *dx, bool accumulate, const void *dy, rt_dtype t, int64_t lddy, const rt_param *w, int64_t n);
/* dW += dy^T x, in the flat gradient block; frozen: nothing */
void rt_linear_dw(float *grads, const void *dy, rt_dtype t, int64_t lddy, const void *x, int64_t ldx, const rt_param *w,
                  int64_t n);

/* Gradients of maps w[0..count-1] of one input whose outputs lie side by side in dy; dx is overwritten. Matrices that
 * follow each other are one product. */
void rt_linear_stack_dx(float *dx, const void *dy, rt_dtype t, int64_t lddy, const rt_param *const *w, int count,
                        int64_t n);
void rt_linear_stack_dw(float *grads, const void *dy, rt_dtype t, int64_t lddy, const void *x, int64_t ldx,
                        const rt_param *const *w, int count, int64_t n);

/* Attention of one head, its products in type t. */
static inline void rt_attend(const rt_attn *a, rt_dtype t)
{
    const rt_kernels *k = rt_kernels_get();
    (t == RT_BF16 ? k->attn_bf16 : k->attn)(a);
}
static inline void rt_attend_backward(const rt_attn *a, rt_dtype t)
{
    const rt_kernels *k = rt_kernels_get();
    (t == RT_BF16 ? k->attn_bf16_backward : k->attn_backward)(a);
}

/* f32 [n] as an operand: itself when t is F32, else rounded into `buf`. */
const void *rt_rows_operand(const float *x, void *buf, rt_dtype t, int64_t n);

void rt_rows_norm(void *y, rt_dtype t, const float *x, const rt_param *w, const rt_model *m, int64_t rows);
/* dx += gradient, dW += in the flat block; partial: [row blocks][d] scratch */
void rt_rows_norm_backward(float *dx, float *grads, const float *dy, const float *x, const rt_param *w,
                           const rt_model *m, int64_t rows, float *partial);
/* y[r] += bias for n rows of stride ldy; NULL: nothing */
void rt_rows_bias(float *y, int64_t ldy, const rt_param *bias, int64_t n);
/* its gradient += sum of the rows of dy, in order */
void rt_rows_bias_backward(float *grads, const float *dy, int64_t lddy, const rt_param *bias, int64_t n);
/* y = a + b */
void rt_rows_add(float *y, const float *a, const float *b, int64_t n);
/* y = alpha y + beta x */
void rt_rows_blend(float *y, float alpha, float beta, const float *x, int64_t n);
/* unit(gate, up) over [rows, 2f] -> operand [rows, f] */
void rt_rows_glu(void *y, rt_dtype t, const float *gate_up, const rt_glu *unit, int64_t rows, int64_t f);
void rt_rows_glu_backward(void *dgate_up, rt_dtype t, const float *dy, const float *gate_up, const rt_glu *unit,
                          int64_t rows, int64_t f);

/* Element `i` of an operand buffer. */
static inline void *rt_operand_at(void *p, rt_dtype t, int64_t i)
{
    return (char *)p + i * (t == RT_BF16 ? 2 : 4);
}

#endif
