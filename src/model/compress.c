/* Timelines of compressed attention and the pooling of tokens into entries. */
#include "model/compress.h"

#include <math.h>
#include <string.h>

enum { VALUES, GATES, PLACES, NORM };

static rt_pool shape_of(const rt_hparams *hp, int layer, bool index)
{
    const bool sparse = hp->layer_mixer[layer] == RT_MIXER_SPARSE, heavy = hp->layer_mixer[layer] == RT_MIXER_HEAVY;
    if ((index && !sparse) || (!sparse && !heavy)) {
        return (rt_pool){0};
    }
    const int64_t size = index ? hp->index_dim : hp->head_dim;
    return (rt_pool){.ratio = sparse ? hp->compression.sparse : hp->compression.heavy,
                     .size = size,
                     .width = sparse ? 2 * size : size};
}

rt_pool rt_pool_of(const rt_block_run *r, bool index)
{
    rt_pool p = shape_of(&r->m->hp, r->l, index);
    p.param = r->layer->p + (index ? RT_ROLE_INDEX_POOL_VALUES : RT_ROLE_POOL_VALUES);
    return p;
}

static int64_t token_floats(const rt_pool *p, int64_t cap)
{
    return p->ratio > 0 ? cap * 2 * p->width : 0;
}

static int64_t entry_floats(const rt_pool *p, int64_t cap)
{
    return p->ratio > 0 ? cap / p->ratio * p->size : 0;
}

int64_t rt_timeline_floats(const rt_hparams *hp, int layer, int64_t cap)
{
    const rt_pool pool = shape_of(hp, layer, false), index = shape_of(hp, layer, true);
    return cap * hp->head_dim + token_floats(&pool, cap) + entry_floats(&pool, cap) + token_floats(&index, cap) +
           entry_floats(&index, cap);
}

static float *lay_out(rt_pool *p, float *at, int64_t cap)
{
    p->tokens = at;
    p->entries = p->tokens + token_floats(p, cap);
    return p->entries + entry_floats(p, cap);
}

rt_timeline rt_timeline_of(const rt_block_run *r, const rt_span *sp)
{
    const rt_hparams *hp = &r->m->hp;
    /* spans share the batch's memory: what those before this one need is no more than their rows together would */
    float *at = sp->kv != NULL ? sp->kv->layer[r->l] : r->a->timeline + rt_timeline_floats(hp, r->l, sp->row0);
    const int64_t cap = sp->kv != NULL ? sp->kv->cap : sp->n;
    rt_timeline t = {
        .n0 = sp->kv != NULL ? sp->kv->n : 0, .kv = at, .pool = rt_pool_of(r, false), .index = rt_pool_of(r, true)};
    at = lay_out(&t.pool, at + cap * hp->head_dim, cap);
    lay_out(&t.index, at, cap);
    return t;
}

void rt_pool_store(const rt_pool *p, const float *token, int64_t pos)
{
    float *dst = p->tokens + pos * 2 * p->width;
    memcpy(dst, token, (size_t)(2 * p->width) * sizeof *dst);
    rt_kernels_get()->add(dst + p->width, p->param[PLACES]->w + pos % p->ratio * p->width, p->width);
}

/* The windows that make entry w: their first token, and where their channels begin. */
static int windows_of(const rt_pool *p, int64_t w, int64_t first[2], int64_t channel[2])
{
    int n = 0;
    if (p->width > p->size && w > 0) {
        first[n] = (w - 1) * p->ratio;
        channel[n++] = 0;
    }
    first[n] = w * p->ratio;
    channel[n++] = p->width - p->size;
    return n;
}

void rt_pool_entry(const rt_pool *p, const rt_model *m, int64_t w, float *scratch)
{
    const rt_kernels *k = rt_kernels_get();
    const int64_t rot = m->hp.n_rot;
    float *largest = scratch, *sum = scratch + p->size, *entry = p->entries + w * p->size;
    int64_t first[2], channel[2];
    const int n = windows_of(p, w, first, channel);
    for (int64_t c = 0; c < p->size; c++) {
        largest[c] = -INFINITY;
        sum[c] = entry[c] = 0.0f;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < n * p->ratio; i++) {
            const float *value = p->tokens + (first[i / p->ratio] + i % p->ratio) * 2 * p->width;
            value += channel[i / p->ratio];
            const float *gate = value + p->width;
            for (int64_t c = 0; c < p->size; c++) {
                if (pass == 0) {
                    largest[c] = fmaxf(largest[c], gate[c]);
                } else {
                    const float weight = expf(gate[c] - largest[c]);
                    sum[c] += weight;
                    entry[c] += weight * value[c];
                }
            }
        }
    }
    for (int64_t c = 0; c < p->size; c++) {
        entry[c] /= sum[c];
    }
    k->rmsnorm(entry, RT_F32, NULL, entry, p->param[NORM]->w, 0.0f, (float)m->hp.norm_eps, 1, p->size);
    k->rope_pairs(entry + p->size - rot, p->size, 1, (int)rot, (int)rot, m->rope_cs[0] + w * p->ratio * rot, 1.0f, 1);
}
