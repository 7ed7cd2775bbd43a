/* The residual connection at the end of every block. */
#include "model/blocks.h"

#include <string.h>

void rt_block_residual(const rt_block_run *r, rt_role post_norm, float *saved, float *y, const float *x_in,
                       float *x_out)
{
    const int64_t n = r->b->n_rows, d = r->m->hp.d_model;
    if (r->m->hp.hyper.n > 0) {
        rt_hyper_leave(r, y, x_out);
        return;
    }
    if (r->m->arch->norm_residual) {
        const bool mixer = post_norm == RT_ROLE_ATTN_POST_NORM;
        const rt_residual *w = mixer ? &r->m->hp.after_mixer[r->m->hp.layer_mixer[r->l]] : &r->m->hp.after_ffn;
        rt_rows_norm(x_out, RT_F32, x_in, r->layer->p[mixer ? RT_ROLE_ATTN_NORM : RT_ROLE_FFN_NORM], r->m, n);
        rt_rows_blend(x_out, (float)w->alpha, (float)w->beta, y, n * d);
        return;
    }
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
