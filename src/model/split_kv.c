/* split_kv.c - one matrix [heads x (plain + value)][latent] from and to two tensors of three dims. */
#include "model/split_kv.h"

#include <stdio.h>
#include <string.h>

/* Both parts' names and shapes. */
static void describe(rt_split_kv_part part[2], const rt_model *m, const rt_param *p)
{
    const rt_hparams *hp = &m->hp;
    const int64_t dims[2][3] = {{hp->n_head, hp->kv_lora, hp->head_dim - hp->n_rot},
                                {hp->n_head, hp->head_dim_v, hp->kv_lora}};
    for (int i = 0; i < 2; i++) {
        snprintf(part[i].name, sizeof part[i].name, "blk.%d.attn_%c_b.weight", p->layer, "kv"[i]);
        memcpy(part[i].dims, dims[i], sizeof dims[i]);
    }
}

rt_status rt_split_kv_find(rt_split_kv *out, const rt_gguf *g, const rt_model *m, const rt_param *p, rt_err *err)
{
    rt_split_kv_part part[2];
    rt_tensor_rows *rows[2] = {&out->k, &out->v};
    describe(part, m, p);
    for (int i = 0; i < 2; i++) {
        const rt_tensor_info *t = rt_gguf_find(g, part[i].name);
        if (t == NULL) {
            return rt_fail(err, RT_NOT_FOUND, 0, "tensor '%s' is missing", part[i].name);
        }
        const rt_status st = rt_tensor_rows_of(rows[i], t, err);
        if (st != RT_OK) {
            return st;
        }
        if (rows[i]->n_dims != 3 || memcmp(rows[i]->dims, part[i].dims, sizeof part[i].dims) != 0) {
            return rt_fail(err, RT_INPUT, 0, "tensor '%s' must have shape [%lld, %lld, %lld]", part[i].name,
                           (long long)part[i].dims[0], (long long)part[i].dims[1], (long long)part[i].dims[2]);
        }
    }
    return RT_OK;
}

int64_t rt_split_kv_row(const rt_model *m)
{
    const int64_t plain = m->hp.head_dim - m->hp.n_rot;
    return plain > m->hp.kv_lora ? plain : m->hp.kv_lora;
}

/* Element (r, c) of p. */
static void put(const rt_param *p, int64_t r, int64_t c, float x)
{
    const int64_t at = r * p->dims[1] + c;
    if (p->w != NULL) {
        p->w[at] = x;
    }
    if (p->wb != NULL) {
        rt_kernels_get()->f32_to_bf16(p->wb + at, &x, 1);
    }
}

void rt_split_kv_load(const rt_split_kv *s, const rt_model *m, const rt_param *p, float *row)
{
    const int64_t plain = s->k.dims[2], value = s->v.dims[1], latent = s->v.dims[2];
    for (int64_t h = 0; h < m->hp.n_head; h++) {
        const int64_t row0 = h * (plain + value);
        for (int64_t c = 0; c < latent; c++) {
            rt_tensor_rows_decode(&s->k, h * latent + c, row);
            for (int64_t i = 0; i < plain; i++) {
                put(p, row0 + i, c, row[i]);
            }
        }
        for (int64_t i = 0; i < value; i++) {
            rt_tensor_rows_decode(&s->v, h * value + i, row);
            for (int64_t c = 0; c < latent; c++) {
                put(p, row0 + plain + i, c, row[c]);
            }
        }
        rt_tensor_rows_advise(&s->k, h * latent, latent, false);
        rt_tensor_rows_advise(&s->v, h * value, value, false);
    }
}

void rt_split_kv_announce(const rt_split_kv *s)
{
    rt_tensor_rows_advise(&s->k, 0, s->k.dims[0] * s->k.dims[1], true);
    rt_tensor_rows_advise(&s->v, 0, s->v.dims[0] * s->v.dims[1], true);
}

void rt_split_kv_values(rt_split_kv_part part[2], const rt_model *m, const rt_param *p, float *values)
{
    describe(part, m, p);
    const int64_t plain = part[0].dims[2], value = part[1].dims[1], latent = part[1].dims[2];
    float *k = values, *v = values + m->hp.n_head * latent * plain;
    part[0].values = k;
    part[1].values = v;
    for (int64_t h = 0; h < m->hp.n_head; h++) {
        for (int64_t i = 0; i < plain + value; i++) {
            float *turned = k + h * latent * plain + i, *row = v + (h * value + i - plain) * latent;
            const int64_t at = (h * (plain + value) + i) * latent;
            for (int64_t c = 0; c < latent; c++) {
                float x;
                if (p->w != NULL) {
                    x = p->w[at + c];
                } else {
                    rt_kernels_get()->bf16_to_f32(&x, p->wb + at + c, 1);
                }
                *(i < plain ? turned + c * plain : row + c) = x;
            }
        }
    }
}
