/* mla_absorbed.c - latent attention without expanding keys and values: score = (K_h^T q) . latent + q_rot . rotated,
 * output = V_h (sum of weights x latent), where K_h and V_h are the head's rows of the expanding projection. */
#include <string.h>

#include "model/mla.h"

rt_mla_rows rt_mla_rows_of(const rt_block_run *r, const rt_mla_shape *s, const rt_span *sp)
{
    if (sp->kv == NULL) {
        return (rt_mla_rows){.kv = r->la->mla.kv + sp->row0 * s->kva,
                             .index_k = r->la->mla.index_k + sp->row0 * r->m->hp.index_dim};
    }
    const float *kv = sp->kv->layer[r->l];
    return (rt_mla_rows){.kv = kv, .index_k = kv + sp->kv->cap * s->kva, .past = sp->kv->n};
}

/* Row `i` of the expanding projection in f32; `buf` [kvl] is for models that have it in bf16. */
static const float *expanding_row(const rt_param *w, int64_t i, float *buf)
{
    const int64_t kvl = w->dims[1];
    if (w->wb == NULL) {
        return w->w + i * kvl;
    }
    rt_kernels_get()->bf16_to_f32(buf, w->wb + i * kvl, kvl);
    return buf;
}

void rt_mla_absorbed(const rt_block_run *r, const rt_mla_shape *s, const rt_span *sp, int64_t head, int64_t q0,
                     int64_t nq, const float *kv, int64_t n_kv, int thread)
{
    const rt_kernels *k = rt_kernels_get();
    const rt_param *w = r->layer->p[RT_ROLE_MLA_KV_B];
    const int64_t w0 = head * (s->plain + s->v), row0 = sp->row0 + q0;
    const float *q = r->la->mla.q + row0 * s->q + head * s->hd;
    float *qa = r->a->mla.absorbed + (size_t)thread * r->a->mla.absorbed_floats;
    float *mean = qa + RT_MLA_BLOCK * s->kva, *buf = mean + RT_MLA_BLOCK * s->kvl;
    for (int64_t i = 0; i < nq; i++) {
        memset(qa + i * s->kva, 0, (size_t)s->kvl * sizeof(float));
        memcpy(qa + i * s->kva + s->kvl, q + i * s->q + s->plain, (size_t)s->rot * sizeof(float));
    }
    for (int64_t c = 0; c < s->plain; c++) {
        const float *row = expanding_row(w, w0 + c, buf);
        for (int64_t i = 0; i < nq; i++) {
            k->axpy(qa + i * s->kva, q[i * s->q + c], row, s->kvl);
        }
    }
    k->attn(&(rt_attn){.n_q = nq,
                       .n_kv = n_kv,
                       .head_dim = (int)s->kva,
                       .head_dim_v = (int)s->kvl,
                       .scale = (float)r->m->hp.attn_scale,
                       .q = qa,
                       .ldq = s->kva,
                       .k = kv,
                       .ldk = s->kva,
                       .v = kv,
                       .ldv = s->kva,
                       .o = mean,
                       .ldo = s->kvl,
                       .scratch = r->a->attn_scratch + (size_t)thread * r->a->attn_scratch_floats});
    const rt_dtype t = w->wb != NULL ? RT_BF16 : RT_F32;
    const void *v = t == RT_BF16 ? (const void *)(w->wb + (w0 + s->plain) * s->kvl)
                                 : (const void *)(w->w + (w0 + s->plain) * s->kvl);
    k->matvec(r->la->o + row0 * s->o + head * s->v, s->o, mean, s->kvl, nq, v, t, s->kvl, s->v, s->kvl);
}

size_t rt_mla_absorbed_floats(const rt_hparams *hp, int64_t max_span)
{
    const int64_t kvl = hp->kv_lora, kva = kvl + hp->n_rot;
    const int64_t top = hp->index_top < max_span ? hp->index_top : max_span;
    const int64_t block = RT_MLA_BLOCK * (kva + kvl) + kvl;
    return (size_t)(block + (hp->index_top > 0 ? 2 * max_span + top * kva : 0));
}
