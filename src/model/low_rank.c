/* A fixed number of rows at a time, so that room for them can be laid out once. */
#include "model/low_rank.h"

static const void *weights(const rt_param *w, rt_dtype t)
{
    return t == RT_BF16 ? (const void *)w->wb : (const void *)w->w;
}

static int64_t chunk(int64_t n, int64_t first)
{
    return n - first < RT_LOW_RANK_ROWS ? n - first : RT_LOW_RANK_ROWS;
}

/* u = scale x M^T (`trans`) or scale x M over n rows, as an operand. */
static const void *narrow(const rt_low_rank *p, const void *x, rt_dtype t, int64_t ldx, const rt_param *m, bool trans,
                          int64_t n)
{
    const int64_t rank = p->a->dims[0];
    rt_gemm_run(&(rt_gemm){.m = n,
                           .n = rank,
                           .k = trans ? m->dims[1] : m->dims[0],
                           .type = t,
                           .a = x,
                           .lda = ldx,
                           .b = weights(m, t),
                           .ldb = m->dims[1],
                           .trans_b = trans,
                           .c = p->u,
                           .ldc = rank});
    rt_kernels_get()->scale(p->u, p->scale, n * rank);
    return rt_rows_operand(p->u, p->op, t, n * rank);
}

/* Few rows, each in an order of its own. */
static void forward_rows(float *y, int64_t ldy, const float *x, int64_t ldx, const rt_param *w, int64_t n)
{
    const rt_low_rank *p = w->low;
    const rt_kernels *k = rt_kernels_get();
    const int64_t rank = p->a->dims[0], out = w->dims[0];
    for (int64_t i = 0; i < n; i++) {
        k->matvec(p->u, rank, x + i * ldx, ldx, 1, p->a->w, RT_F32, w->dims[1], rank, w->dims[1]);
        k->scale(p->u, p->scale, rank);
        k->matvec(p->wide, out, p->u, rank, 1, p->b->w, RT_F32, rank, out, rank);
        k->add(y + i * ldy, p->wide, out);
    }
}

void rt_low_rank_forward(float *y, int64_t ldy, const void *x, rt_dtype t, int64_t ldx, const rt_param *w, int64_t n,
                         rt_net_mode mode)
{
    const rt_low_rank *p = w->low;
    if (p == NULL) {
        return;
    }
    if (mode == RT_NET_ROWS) {
        forward_rows(y, ldy, x, ldx, w, n);
        return;
    }
    for (int64_t i = 0; i < n; i += RT_LOW_RANK_ROWS) {
        const int64_t rows = chunk(n, i), rank = p->a->dims[0];
        const void *u = narrow(p, rt_operand_at((void *)x, t, i * ldx), t, ldx, p->a, true, rows);
        rt_gemm_run(&(rt_gemm){.m = rows,
                               .n = w->dims[0],
                               .k = rank,
                               .type = t,
                               .a = u,
                               .lda = rank,
                               .b = weights(p->b, t),
                               .ldb = rank,
                               .trans_b = true,
                               .c = y + i * ldy,
                               .ldc = ldy,
                               .accumulate = true});
    }
}

void rt_low_rank_dx(float *dx, const void *dy, rt_dtype t, int64_t lddy, const rt_param *w, int64_t n)
{
    const rt_low_rank *p = w->low;
    for (int64_t i = 0; p != NULL && i < n; i += RT_LOW_RANK_ROWS) {
        const int64_t rows = chunk(n, i), rank = p->a->dims[0], in = w->dims[1];
        const void *g = narrow(p, rt_operand_at((void *)dy, t, i * lddy), t, lddy, p->b, false, rows);
        rt_gemm_run(&(rt_gemm){.m = rows,
                               .n = in,
                               .k = rank,
                               .type = t,
                               .a = g,
                               .lda = rank,
                               .b = weights(p->a, t),
                               .ldb = in,
                               .c = dx + i * in,
                               .ldc = in,
                               .accumulate = true});
    }
}

/* grad[out, in] += left^T right over the rows */
static void add_outer(float *grad, int64_t out, int64_t in, const void *left, int64_t ldl, const void *right,
                      int64_t ldr, rt_dtype t, int64_t rows)
{
    rt_gemm_run(&(rt_gemm){.m = out,
                           .n = in,
                           .k = rows,
                           .type = t,
                           .a = left,
                           .lda = ldl,
                           .trans_a = true,
                           .b = right,
                           .ldb = ldr,
                           .c = grad,
                           .ldc = in,
                           .accumulate = true});
}

void rt_low_rank_dw(float *grads, const void *dy, rt_dtype t, int64_t lddy, const void *x, int64_t ldx,
                    const rt_param *w, int64_t n)
{
    const rt_low_rank *p = w->low;
    for (int64_t i = 0; p != NULL && i < n; i += RT_LOW_RANK_ROWS) {
        const int64_t rows = chunk(n, i), rank = p->a->dims[0];
        const void *dy_i = rt_operand_at((void *)dy, t, i * lddy), *x_i = rt_operand_at((void *)x, t, i * ldx);
        const void *u = narrow(p, x_i, t, ldx, p->a, true, rows);
        add_outer(grads + p->b->offset, w->dims[0], rank, dy_i, lddy, u, rank, t, rows);
        const void *g = narrow(p, dy_i, t, lddy, p->b, false, rows);
        add_outer(grads + p->a->offset, rank, w->dims[1], g, rank, x_i, ldx, t, rows);
    }
}
