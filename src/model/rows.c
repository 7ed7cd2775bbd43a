/* Row-wise work on the team: every task is a fixed block of rows or elements. */
#include "model/rows.h"

#include "model/low_rank.h"

#include <string.h>

#define ELEMENT_BLOCK 16384
#define OUTPUT_BLOCK 64

static int64_t blocks(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static int64_t block_len(int64_t n, int64_t size, int64_t i)
{
    return n - i * size < size ? n - i * size : size;
}

/* --- linear maps ---------------------------------------------------------------------------------------------- */

static const void *weight_operand(const rt_param *w, rt_dtype t)
{
    return t == RT_BF16 ? (const void *)w->wb : (const void *)w->w;
}

typedef struct matvec_job {
    float *y;
    const float *x;
    const rt_param *w;
    int64_t ldy, ldx, n;
} matvec_job;

static void matvec_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    const matvec_job *j = ud;
    const int64_t out0 = task * OUTPUT_BLOCK, k = j->w->dims[1];
    const rt_dtype t = j->w->wb != NULL ? RT_BF16 : RT_F32;
    const void *w = t == RT_BF16 ? (const void *)(j->w->wb + out0 * k) : (const void *)(j->w->w + out0 * k);
    rt_kernels_get()->matvec(j->y + out0, j->ldy, j->x, j->ldx, j->n, w, t, k,
                             block_len(j->w->dims[0], OUTPUT_BLOCK, task), k);
}

void rt_linear(float *y, int64_t ldy, const void *x, rt_dtype t, int64_t ldx, const rt_param *w, int64_t n,
               rt_net_mode mode)
{
    if (mode == RT_NET_ROWS) {
        rt_team_for(blocks(w->dims[0], OUTPUT_BLOCK), matvec_task, &(matvec_job){y, x, w, ldy, ldx, n});
        return;
    }
    rt_gemm_run(&(rt_gemm){.m = n,
                           .n = w->dims[0],
                           .k = w->dims[1],
                           .type = t,
                           .a = x,
                           .lda = ldx,
                           .b = weight_operand(w, t),
                           .ldb = w->dims[1],
                           .trans_b = true,
                           .c = y,
                           .ldc = ldy});
}

/* The matrix alone. */
static void matrix_dx(float *dx, bool accumulate, const void *dy, rt_dtype t, int64_t lddy, const rt_param *w,
                      int64_t n)
{
    rt_gemm_run(&(rt_gemm){.m = n,
                           .n = w->dims[1],
                           .k = w->dims[0],
                           .type = t,
                           .a = dy,
                           .lda = lddy,
                           .b = weight_operand(w, t),
                           .ldb = w->dims[1],
                           .c = dx,
                           .ldc = w->dims[1],
                           .accumulate = accumulate});
}

void rt_linear_dx(float *dx, bool accumulate, const void *dy, rt_dtype t, int64_t lddy, const rt_param *w, int64_t n)
{
    matrix_dx(dx, accumulate, dy, t, lddy, w, n);
    rt_low_rank_dx(dx, dy, t, lddy, w, n);
}

static void matrix_dw(float *grads, const void *dy, rt_dtype t, int64_t lddy, const void *x, int64_t ldx,
                      const rt_param *w, int64_t n)
{
    if (w->frozen) {
        return;
    }
    rt_gemm_run(&(rt_gemm){.m = w->dims[0],
                           .n = w->dims[1],
                           .k = n,
                           .type = t,
                           .a = dy,
                           .lda = lddy,
                           .trans_a = true,
                           .b = x,
                           .ldb = ldx,
                           .c = grads + w->offset,
                           .ldc = w->dims[1],
                           .accumulate = true});
}

void rt_linear_dw(float *grads, const void *dy, rt_dtype t, int64_t lddy, const void *x, int64_t ldx, const rt_param *w,
                  int64_t n)
{
    matrix_dw(grads, dy, t, lddy, x, ldx, w, n);
    rt_low_rank_dw(grads, dy, t, lddy, x, ldx, w, n);
}

void rt_linear_stack_dx(float *dx, const void *dy, rt_dtype t, int64_t lddy, const rt_param *const *w, int count,
                        int64_t n)
{
    bool accumulate = false;
    for (int used = 0; count > 0; w += used, count -= used) {
        const rt_param all = rt_param_join(w, count, &used);
        matrix_dx(dx, accumulate, dy, t, lddy, &all, n);
        accumulate = true;
        for (int i = 0; i < used; i++) {
            rt_low_rank_dx(dx, dy, t, lddy, w[i], n);
            dy = rt_operand_at((void *)dy, t, w[i]->dims[0]);
        }
    }
}

void rt_linear_stack_dw(float *grads, const void *dy, rt_dtype t, int64_t lddy, const void *x, int64_t ldx,
                        const rt_param *const *w, int count, int64_t n)
{
    for (int used = 0; count > 0; w += used, count -= used) {
        const rt_param all = rt_param_join(w, count, &used);
        matrix_dw(grads, dy, t, lddy, x, ldx, &all, n);
        for (int i = 0; i < used; i++) {
            rt_low_rank_dw(grads, dy, t, lddy, x, ldx, w[i], n);
            dy = rt_operand_at((void *)dy, t, w[i]->dims[0]);
        }
    }
}

/* --- element-wise --------------------------------------------------------------------------------------------- */

typedef struct elem_job {
    void *y;
    const float *a, *b;
    float alpha, beta;
    int64_t n;
} elem_job;

static void convert_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    const elem_job *j = ud;
    const int64_t i = task * ELEMENT_BLOCK;
    rt_kernels_get()->f32_to_bf16((uint16_t *)j->y + i, j->a + i, block_len(j->n, ELEMENT_BLOCK, task));
}

const void *rt_rows_operand(const float *x, void *buf, rt_dtype t, int64_t n)
{
    if (t == RT_F32) {
        return x;
    }
    rt_team_for(blocks(n, ELEMENT_BLOCK), convert_task, &(elem_job){.y = buf, .a = x, .n = n});
    return buf;
}

static void add_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    const elem_job *j = ud;
    const int64_t i = task * ELEMENT_BLOCK, n = block_len(j->n, ELEMENT_BLOCK, task);
    float *y = (float *)j->y + i;
    if (y != j->a + i) {
        memcpy(y, j->a + i, (size_t)n * sizeof(float));
    }
    rt_kernels_get()->add(y, j->b + i, n);
}

void rt_rows_add(float *y, const float *a, const float *b, int64_t n)
{
    rt_team_for(blocks(n, ELEMENT_BLOCK), add_task, &(elem_job){.y = y, .a = a, .b = b, .n = n});
}

void rt_rows_bias(float *y, int64_t ldy, const rt_param *bias, int64_t n)
{
    for (int64_t i = 0; bias != NULL && i < n; i++) {
        rt_kernels_get()->add(y + i * ldy, bias->w, bias->n);
    }
}

void rt_rows_bias_backward(float *grads, const float *dy, int64_t lddy, const rt_param *bias, int64_t n)
{
    for (int64_t i = 0; bias != NULL && !bias->frozen && i < n; i++) {
        rt_kernels_get()->add(grads + bias->offset, dy + i * lddy, bias->n);
    }
}

static void blend_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    const elem_job *j = ud;
    const int64_t i = task * ELEMENT_BLOCK, n = block_len(j->n, ELEMENT_BLOCK, task);
    float *y = (float *)j->y + i;
    rt_kernels_get()->scale(y, j->alpha, n);
    rt_kernels_get()->axpy(y, j->beta, j->a + i, n);
}

void rt_rows_blend(float *y, float alpha, float beta, const float *x, int64_t n)
{
    rt_team_for(blocks(n, ELEMENT_BLOCK), blend_task,
                &(elem_job){.y = y, .a = x, .alpha = alpha, .beta = beta, .n = n});
}

/* --- RMSNorm -------------------------------------------------------------------------------------------------- */

typedef struct norm_job {
    void *y;
    rt_dtype t;
    const float *x, *dy, *w;
    float *dx, *partial;
    float offset, eps;
    int64_t rows, d;
} norm_job;

static void norm_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    const norm_job *j = ud;
    const int64_t r = task * RT_ROW_BLOCK;
    rt_kernels_get()->rmsnorm(rt_operand_at(j->y, j->t, r * j->d), j->t, NULL, j->x + r * j->d, j->w, j->offset, j->eps,
                              block_len(j->rows, RT_ROW_BLOCK, task), j->d);
}

void rt_rows_norm(void *y, rt_dtype t, const float *x, const rt_param *w, const rt_model *m, int64_t rows)
{
    rt_team_for(blocks(rows, RT_ROW_BLOCK), norm_task,
                &(norm_job){.y = y,
                            .t = t,
                            .x = x,
                            .w = w->w,
                            .offset = m->arch->norm_offset,
                            .eps = (float)m->hp.norm_eps,
                            .rows = rows,
                            .d = w->n});
}

static void norm_backward_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    const norm_job *j = ud;
    const int64_t r = task * RT_ROW_BLOCK;
    float *dw = j->partial + task * j->d;
    memset(dw, 0, (size_t)j->d * sizeof(float));
    rt_kernels_get()->rmsnorm_backward(j->dx + r * j->d, dw, j->dy + r * j->d, j->x + r * j->d, j->w, j->offset, j->eps,
                                       block_len(j->rows, RT_ROW_BLOCK, task), j->d);
}

void rt_rows_norm_backward(float *dx, float *grads, const float *dy, const float *x, const rt_param *w,
                           const rt_model *m, int64_t rows, float *partial)
{
    const int64_t n = blocks(rows, RT_ROW_BLOCK);
    rt_team_for(n, norm_backward_task,
                &(norm_job){.dy = dy,
                            .x = x,
                            .w = w->w,
                            .dx = dx,
                            .partial = partial,
                            .offset = m->arch->norm_offset,
                            .eps = (float)m->hp.norm_eps,
                            .rows = rows,
                            .d = w->n});
    for (int64_t i = 0; !w->frozen && i < n; i++) {
        rt_kernels_get()->add(grads + w->offset, partial + i * w->n, w->n);
    }
}

/* --- gated unit ----------------------------------------------------------------------------------------------- */

typedef struct glu_job {
    void *y;
    rt_dtype t;
    const float *gate_up, *dy;
    const rt_glu *unit;
    int64_t rows, f;
} glu_job;

static void glu_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    const glu_job *j = ud;
    const int64_t r = task * RT_ROW_BLOCK;
    const float *gate = j->gate_up + r * 2 * j->f;
    rt_kernels_get()->glu(rt_operand_at(j->y, j->t, r * j->f), j->t, j->f, gate, gate + j->f, 2 * j->f, j->unit,
                          block_len(j->rows, RT_ROW_BLOCK, task), j->f);
}

void rt_rows_glu(void *y, rt_dtype t, const float *gate_up, const rt_glu *unit, int64_t rows, int64_t f)
{
    rt_team_for(blocks(rows, RT_ROW_BLOCK), glu_task,
                &(glu_job){.y = y, .t = t, .gate_up = gate_up, .unit = unit, .rows = rows, .f = f});
}

static void glu_backward_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    const glu_job *j = ud;
    const int64_t r = task * RT_ROW_BLOCK;
    const float *gate = j->gate_up + r * 2 * j->f;
    rt_kernels_get()->glu_backward(
        rt_operand_at(j->y, j->t, r * 2 * j->f), rt_operand_at(j->y, j->t, r * 2 * j->f + j->f), j->t, 2 * j->f,
        j->dy + r * j->f, j->f, gate, gate + j->f, 2 * j->f, j->unit, block_len(j->rows, RT_ROW_BLOCK, task), j->f);
}

void rt_rows_glu_backward(void *dgate_up, rt_dtype t, const float *dy, const float *gate_up, const rt_glu *unit,
                          int64_t rows, int64_t f)
{
    rt_team_for(blocks(rows, RT_ROW_BLOCK), glu_backward_task,
                &(glu_job){.y = dgate_up, .t = t, .gate_up = gate_up, .dy = dy, .unit = unit, .rows = rows, .f = f});
}
