/* Compressed attention block (DeepSeek-V4): every head reads one shared vector a token as key and value, the last
 * tokens themselves and those further back as pooled entries (compress.h): all of them, or the few an indexer picks.
 * Rotation of a head's last channels is undone on its output; a learned score a head takes part in the softmax. The
 * output goes through one small matrix a group of heads. Forward only. */
#include <math.h>
#include <string.h>

#include "model/compress.h"

typedef struct shape {
    int64_t n, d, hd, q, rot; /* rows, model, head, all heads, rotated channels */
} shape;

static shape shape_of(const rt_block_run *r)
{
    const rt_hparams *hp = &r->m->hp;
    return (shape){r->b->n_rows, hp->d_model, hp->head_dim, hp->n_head * hp->head_dim, hp->n_rot};
}

int64_t rt_compressed_memory(const rt_hparams *hp, int layer, int64_t cap)
{
    return rt_timeline_floats(hp, layer, cap);
}

/* A row of the batch: its timeline and its place in it. */
typedef struct place {
    rt_timeline t;
    int64_t pos;
    const float *cs; /* its rotation */
} place;

static place place_of(const rt_block_run *r, int64_t row)
{
    const rt_span *sp = r->b->spans;
    while (row < sp->row0 || row >= sp->row0 + sp->n) {
        sp++;
    }
    const int kind = r->m->hp.layer_mixer[r->l] == RT_MIXER_WINDOWED ? 1 : 0;
    place p = {.t = rt_timeline_of(r, sp), .cs = r->a->cs[kind] + row * r->m->hp.n_rot};
    p.pos = p.t.n0 + row - sp->row0;
    return p;
}

/* Rotates the last channels of n heads of `size` that lie side by side. */
static void rotate(float *x, int64_t n, int64_t size, int64_t rot, const float *cs, float sign)
{
    rt_kernels_get()->rope_pairs(x + size - rot, n * size, (int)n, (int)size, (int)rot, cs, sign, 1);
}

static float *scratch_of(const rt_block_run *r, int thread)
{
    return r->a->attn_scratch + (size_t)thread * r->a->attn_scratch_floats;
}

/* --- what later tokens read: one task a row --------------------------------------------------------------------- */

static void store_row(void *ud, int64_t row, int thread)
{
    (void)thread;
    const rt_block_run *r = ud;
    const rt_compressed_acts *c = &r->a->compressed;
    const shape s = shape_of(r);
    const place p = place_of(r, row);
    float *kv = p.t.kv + p.pos * s.hd;
    rt_kernels_get()->rmsnorm(kv, RT_F32, NULL, c->kv + row * s.hd, r->layer->p[RT_ROLE_MLA_KV_NORM]->w, 0.0f,
                              (float)r->m->hp.norm_eps, 1, s.hd);
    rotate(kv, 1, s.hd, s.rot, p.cs, 1.0f);
    if (p.t.pool.ratio > 0) {
        rt_pool_store(&p.t.pool, c->tokens + row * 2 * p.t.pool.width, p.pos);
    }
    if (p.t.index.ratio > 0) {
        rt_pool_store(&p.t.index, c->index_tokens + row * 2 * p.t.index.width, p.pos);
    }
}

/* The last token of a window makes its entry. */
static void pool_row(void *ud, int64_t row, int thread)
{
    const rt_block_run *r = ud;
    const place p = place_of(r, row);
    if ((p.pos + 1) % p.t.pool.ratio != 0) {
        return;
    }
    const int64_t w = p.pos / p.t.pool.ratio;
    rt_pool_entry(&p.t.pool, r->m, w, scratch_of(r, thread));
    if (p.t.index.ratio > 0) {
        rt_pool_entry(&p.t.index, r->m, w, scratch_of(r, thread));
    }
}

/* --- attention: one task a row ---------------------------------------------------------------------------------- */

/* Marks the `used` highest of n scores, first of equals. */
static void mark_highest(float *mark, const float *score, int64_t n, int64_t used)
{
    memset(mark, 0, (size_t)n * sizeof *mark);
    for (int64_t k = 0; k < used; k++) {
        int64_t best = -1;
        for (int64_t w = 0; w < n; w++) {
            if (mark[w] == 0.0f && (best < 0 || score[w] > score[best])) {
                best = w;
            }
        }
        mark[best] = 1.0f;
    }
}

/* Marks the entries among the first n that the row reads; score: n floats of scratch. */
static void choose_entries(const rt_block_run *r, const place *p, int64_t row, int64_t n, float *mark, float *score)
{
    const rt_hparams *hp = &r->m->hp;
    const rt_kernels *k = rt_kernels_get();
    if (p->t.index.ratio == 0 || n <= hp->index_top) {
        for (int64_t w = 0; w < n; w++) {
            mark[w] = 1.0f;
        }
        return;
    }
    float *q = r->a->compressed.index_q + row * hp->n_index_head * hp->index_dim;
    const float *weight = r->a->compressed.index_weight + row * hp->n_index_head;
    const float scale = (float)(1.0 / sqrt((double)hp->index_dim * (double)hp->n_index_head));
    rotate(q, hp->n_index_head, hp->index_dim, hp->n_rot, p->cs, 1.0f);
    for (int64_t w = 0; w < n; w++) {
        score[w] = 0.0f;
        for (int64_t h = 0; h < hp->n_index_head; h++) {
            const float dot = k->dot(q + h * hp->index_dim, p->t.index.entries + w * hp->index_dim, hp->index_dim);
            score[w] += weight[h] * fmaxf(dot, 0.0f) * scale;
        }
    }
    mark_highest(mark, score, n, hp->index_top);
}

/* Appends the scores of the keys first .. end-1 (those marked, where there are marks); then, with weights in their
 * place, adds the weighted keys to o. Returns how many there were. */
static int64_t score_keys(float *score, const float *q, const float *keys, const float *mark, int64_t first,
                          int64_t end, int64_t hd)
{
    int64_t n = 0;
    for (int64_t j = first; j < end; j++) {
        if (mark == NULL || mark[j] != 0.0f) {
            score[n++] = rt_kernels_get()->dot(q, keys + j * hd, hd);
        }
    }
    return n;
}

static int64_t add_keys(float *o, const float *weight, const float *keys, const float *mark, int64_t first, int64_t end,
                        int64_t hd)
{
    int64_t n = 0;
    for (int64_t j = first; j < end; j++) {
        if (mark == NULL || mark[j] != 0.0f) {
            rt_kernels_get()->axpy(o, weight[n++], keys + j * hd, hd);
        }
    }
    return n;
}

static float log_add(float a, float b)
{
    const float top = fmaxf(a, b);
    return top + log1pf(expf(fminf(a, b) - top));
}

static void attend_row(void *ud, int64_t row, int thread)
{
    const rt_block_run *r = ud;
    const rt_hparams *hp = &r->m->hp;
    const rt_kernels *k = rt_kernels_get();
    const shape s = shape_of(r);
    const place p = place_of(r, row);
    const int64_t first = p.pos >= hp->window ? p.pos - hp->window + 1 : 0;
    const int64_t n_entries = p.t.pool.ratio > 0 ? (p.pos + 1) / p.t.pool.ratio : 0;
    const float *sink = r->layer->p[RT_ROLE_ATTN_SINKS]->w, scale = (float)hp->attn_scale;
    float *mark = scratch_of(r, thread), *score = mark + n_entries;
    choose_entries(r, &p, row, n_entries, mark, score);
    for (int64_t h = 0; h < hp->n_head; h++) {
        float *q = r->la->qkv + row * s.q + h * s.hd, *o = r->la->o + row * s.q + h * s.hd;
        k->scale(q, (float)(1.0 / sqrt(k->sum_squares(q, s.hd) / (double)s.hd + hp->norm_eps)), s.hd);
        rotate(q, 1, s.hd, s.rot, p.cs, 1.0f);
        int64_t n = score_keys(score, q, p.t.kv, NULL, first, p.pos + 1, s.hd);
        n += score_keys(score + n, q, p.t.pool.entries, mark, 0, n_entries, s.hd);
        k->scale(score, scale, n);
        k->softmax_scale(score, n, 1.0f, log_add(k->logsumexp(score, n, 1.0f, NULL), sink[h]), 1.0f);
        memset(o, 0, (size_t)s.hd * sizeof *o);
        n = add_keys(o, score, p.t.kv, NULL, first, p.pos + 1, s.hd);
        add_keys(o, score + n, p.t.pool.entries, mark, 0, n_entries, s.hd);
        rotate(o, 1, s.hd, s.rot, p.cs, -1.0f);
    }
}

/* --- the block -------------------------------------------------------------------------------------------------- */

/* Values and gates of the batch's tokens for a pool. */
static void project_pool(const rt_block_run *r, bool index, float *tokens)
{
    const rt_acts *a = r->a;
    const rt_pool p = rt_pool_of(r, index);
    const int64_t n = r->b->n_rows, d = r->m->hp.d_model;
    if (p.ratio > 0) {
        rt_linear(tokens, 2 * p.width, a->op_d, a->type, d, p.param[0], n, a->mode);
        rt_linear(tokens + p.width, 2 * p.width, a->op_d, a->type, d, p.param[1], n, a->mode);
    }
}

static void project(const rt_block_run *r, const float *x_in)
{
    rt_acts *a = r->a;
    rt_compressed_acts *c = &a->compressed;
    const rt_layer *w = r->layer;
    const rt_hparams *hp = &r->m->hp;
    const shape s = shape_of(r);
    rt_rows_norm(a->op_d, a->type, x_in, w->p[RT_ROLE_ATTN_NORM], r->m, s.n);
    rt_linear(c->latent, hp->q_lora, a->op_d, a->type, s.d, w->p[RT_ROLE_MLA_Q_A], s.n, a->mode);
    rt_rows_norm(c->op_latent, a->type, c->latent, w->p[RT_ROLE_MLA_Q_NORM], r->m, s.n);
    rt_linear(r->la->qkv, s.q, c->op_latent, a->type, hp->q_lora, w->p[RT_ROLE_MLA_Q_B], s.n, a->mode);
    rt_linear(c->kv, s.hd, a->op_d, a->type, s.d, w->p[RT_ROLE_ATTN_KV], s.n, a->mode);
    project_pool(r, false, c->tokens);
    if (w->p[RT_ROLE_INDEX_Q] != NULL) {
        const int64_t width = hp->n_index_head * hp->index_dim;
        project_pool(r, true, c->index_tokens);
        rt_linear(c->index_q, width, c->op_latent, a->type, hp->q_lora, w->p[RT_ROLE_INDEX_Q], s.n, a->mode);
        rt_linear(c->index_weight, hp->n_index_head, a->op_d, a->type, s.d, w->p[RT_ROLE_INDEX_WEIGHTS], s.n, a->mode);
    }
}

/* The rows of a matrix that belong to group g of n. */
static rt_param rows_of_group(const rt_param *p, int64_t g, int64_t n)
{
    rt_param part = *p;
    part.dims[0] = p->dims[0] / n;
    part.n = p->n / n;
    part.w = p->w != NULL ? p->w + g * part.n : NULL;
    part.wb = p->wb != NULL ? p->wb + g * part.n : NULL;
    return part;
}

void rt_compressed_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    rt_acts *a = r->a;
    const rt_compression *z = &r->m->hp.compression;
    const shape s = shape_of(r);
    const int64_t width = z->o_groups * z->o_rank;
    project(r, x_in);
    rt_team_for(s.n, store_row, (void *)r);
    if (rt_pool_of(r, false).ratio > 0) {
        rt_team_for(s.n, pool_row, (void *)r);
    }
    rt_team_for(s.n, attend_row, (void *)r);
    const void *o = rt_rows_operand(r->la->o, a->op_mid, a->type, s.n * s.q);
    for (int64_t g = 0; g < z->o_groups; g++) {
        const rt_param part = rows_of_group(r->layer->p[RT_ROLE_ATTN_OUT_A], g, z->o_groups);
        rt_linear(a->compressed.group + g * z->o_rank, width,
                  rt_operand_at((void *)o, a->type, g * (s.q / z->o_groups)), a->type, s.q, &part, s.n, a->mode);
    }
    const void *group = rt_rows_operand(a->compressed.group, a->compressed.op_group, a->type, s.n * width);
    rt_linear(a->f_d, s.d, group, a->type, width, r->layer->p[RT_ROLE_ATTN_OUT_B], s.n, a->mode);
    rt_block_residual(r, RT_ROLE_ATTN_POST_NORM, r->la->attn_out, a->f_d, x_in, x_out);
}
