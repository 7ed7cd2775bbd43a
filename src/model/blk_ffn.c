/* Gated feed-forward block (Shazeer 2020): y = down(act(gate(n)) * up(n)), n = norm(x).
 * Kept for backward: gate and up; the norm and the product are computed again. */
#include "model/blocks.h"

#include <string.h>

void rt_glu_expand(const rt_block_run *r, const void *x, rt_role gate, int64_t f, float *gate_up)
{
    const rt_param *const *w = r->layer->p + gate; /* gate, up */
    const rt_linear_map maps[] = {{gate_up, 2 * f, w[0]}, {gate_up + f, 2 * f, w[1]}};
    rt_block_maps(r, maps, 2, x, r->m->hp.d_model, r->b->n_rows);
}

void rt_glu_forward(const rt_block_run *r, const void *x, rt_role gate, int64_t f, float *gate_up, float *y)
{
    rt_acts *a = r->a;
    const rt_param *down = r->layer->p[gate + 2];
    const int64_t n = r->b->n_rows, d = r->m->hp.d_model;
    rt_glu_expand(r, x, gate, f, gate_up);
    rt_rows_glu(a->op_mid, a->type, gate_up, &r->m->hp.glu, n, f);
    rt_block_maps(r, &(rt_linear_map){y, d, down}, 1, a->op_mid, f, n);
}

void rt_glu_backward(const rt_block_run *r, const void *x, rt_role gate, int64_t f, const float *gate_up,
                     const void *dy, float *dx)
{
    rt_acts *a = r->a;
    const rt_param *const *w = r->layer->p + gate;
    const rt_dtype t = a->type;
    const int64_t n = r->b->n_rows, d = r->m->hp.d_model;
    rt_rows_glu(a->op_mid, t, gate_up, &r->m->hp.glu, n, f);
    rt_linear_dw(r->grads, dy, t, d, a->op_mid, f, w[2], n);
    rt_linear_dx(a->f_mid, false, dy, t, d, w[2], n);
    rt_rows_glu_backward(a->op_wide, t, a->f_mid, gate_up, &r->m->hp.glu, n, f);
    rt_linear_stack_dw(r->grads, a->op_wide, t, 2 * f, x, d, w, 2, n);
    rt_linear_stack_dx(dx, a->op_wide, t, 2 * f, w, 2, n);
}

void rt_ffn_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    rt_acts *a = r->a;
    rt_rows_norm(a->op_d, a->type, x_in, r->layer->p[RT_ROLE_FFN_NORM], r->m, r->b->n_rows);
    if (r->again && r->la->ffn_out == NULL) {
        rt_glu_expand(r, a->op_d, RT_ROLE_FFN_GATE, r->m->hp.d_ff, r->la->gate_up);
        return;
    }
    rt_glu_forward(r, a->op_d, RT_ROLE_FFN_GATE, r->m->hp.d_ff, r->la->gate_up, a->f_d);
    rt_block_residual(r, RT_ROLE_FFN_POST_NORM, r->la->ffn_out, a->f_d, x_in, x_out);
}

void rt_ffn_backward(const rt_block_run *r, const float *x_in, float *dx)
{
    rt_acts *a = r->a;
    const rt_param *norm = r->layer->p[RT_ROLE_FFN_NORM];
    const int64_t n = r->b->n_rows;
    const float *dy_f32 = rt_block_residual_backward(r, RT_ROLE_FFN_POST_NORM, r->la->ffn_out, dx);
    const void *dy = rt_rows_operand(dy_f32, a->op_dy, a->type, n * r->m->hp.d_model);
    rt_rows_norm(a->op_d, a->type, x_in, norm, r->m, n);
    rt_glu_backward(r, a->op_d, RT_ROLE_FFN_GATE, r->m->hp.d_ff, r->la->gate_up, dy, a->f_d);
    rt_rows_norm_backward(dx, r->grads, a->f_d, x_in, norm, r->m, n, a->partial);
}
