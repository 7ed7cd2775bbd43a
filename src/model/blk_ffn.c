/* Gated feed-forward block (Shazeer 2020): y = down(act(gate(n)) * up(n)), n = norm(x).
 * Kept for backward: gate and up; the norm and the product are computed again. */
#include "model/blocks.h"

#include <string.h>

void rt_block_residual(const rt_block_run *r, rt_role post_norm, float *saved, float *y, const float *x_in,
                       float *x_out)
{
    const int64_t n = r->b->n_rows, d = r->m->hp.d_model;
    if (r->m->arch->post_norms) {
        memcpy(saved, y, (size_t)(n * d) * sizeof(float));
        rt_rows_norm(y, RT_F32, saved, r->layer->p[post_norm], r->m, n);
    }
    rt_rows_add(x_out, x_in, y, n * d);
}

const float *rt_block_residual_backward(const rt_block_run *r, rt_role post_norm, const float *saved, const float *dx)
{
    const int64_t n = r->b->n_rows, d = r->m->hp.d_model;
    if (!r->m->arch->post_norms) {
        return dx;
    }
    memset(r->a->f_d, 0, (size_t)(n * d) * sizeof(float));
    rt_rows_norm_backward(r->a->f_d, r->grads, dx, saved, r->layer->p[post_norm], r->m, n, r->a->partial);
    return r->a->f_d;
}

void rt_ffn_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    rt_acts *a = r->a;
    const rt_layer *w = r->layer;
    const int64_t n = r->b->n_rows, d = r->m->hp.d_model, f = r->m->hp.d_ff;
    float *gate_up = r->la->gate_up;
    rt_rows_norm(a->op_d, a->type, x_in, w->p[RT_ROLE_FFN_NORM], r->m, n);
    rt_linear(gate_up, 2 * f, a->op_d, a->type, d, w->p[RT_ROLE_FFN_GATE], n, a->mode);
    rt_linear(gate_up + f, 2 * f, a->op_d, a->type, d, w->p[RT_ROLE_FFN_UP], n, a->mode);
    rt_rows_glu(a->op_mid, a->type, gate_up, r->m->arch->act, n, f);
    rt_linear(a->f_d, d, a->op_mid, a->type, f, w->p[RT_ROLE_FFN_DOWN], n, a->mode);
    rt_block_residual(r, RT_ROLE_FFN_POST_NORM, r->la->ffn_out, a->f_d, x_in, x_out);
}

void rt_ffn_backward(const rt_block_run *r, const float *x_in, float *dx)
{
    rt_acts *a = r->a;
    const rt_layer *w = r->layer;
    const rt_dtype t = a->type;
    const int64_t n = r->b->n_rows, d = r->m->hp.d_model, f = r->m->hp.d_ff;
    const float *gate_up = r->la->gate_up;
    const float *dy_f32 = rt_block_residual_backward(r, RT_ROLE_FFN_POST_NORM, r->la->ffn_out, dx);
    const void *dy = rt_rows_operand(dy_f32, a->op_dy, t, n * d);

    rt_rows_glu(a->op_mid, t, gate_up, r->m->arch->act, n, f);
    rt_linear_dw(r->grads, dy, t, d, a->op_mid, f, w->p[RT_ROLE_FFN_DOWN], n);
    rt_linear_dx(a->f_mid, false, dy, t, d, w->p[RT_ROLE_FFN_DOWN], n);
    rt_rows_glu_backward(a->op_wide, t, a->f_mid, gate_up, r->m->arch->act, n, f);

    void *dgate = a->op_wide, *dup = rt_operand_at(a->op_wide, t, f);
    rt_rows_norm(a->op_d, t, x_in, w->p[RT_ROLE_FFN_NORM], r->m, n);
    rt_linear_dw(r->grads, dgate, t, 2 * f, a->op_d, d, w->p[RT_ROLE_FFN_GATE], n);
    rt_linear_dw(r->grads, dup, t, 2 * f, a->op_d, d, w->p[RT_ROLE_FFN_UP], n);
    rt_linear_dx(a->f_d, false, dgate, t, 2 * f, w->p[RT_ROLE_FFN_GATE], n);
    rt_linear_dx(a->f_d, true, dup, t, 2 * f, w->p[RT_ROLE_FFN_UP], n);
    rt_rows_norm_backward(dx, r->grads, a->f_d, x_in, w->p[RT_ROLE_FFN_NORM], r->m, n, a->partial);
}
