/* Grouped-query attention block (Ainslie et al. 2023) with rotary positions: inside a span, causal, optional window,
 * optional norm of q and k (of each head or of all, as wide as its weights), optional bias, optional past in a KV
 * cache, optional sinks (a score of each head that takes attention and gives nothing). */
#include "model/blocks.h"

#include <string.h>

#include "model/pieces.h"

typedef struct shape {
    int64_t n, d, hd, q, kv, w; /* w: width of a qkv row */
} shape;

static shape shape_of(const rt_block_run *r)
{
    const rt_hparams *hp = &r->m->hp;
    const int64_t q = hp->n_head * hp->head_dim, kv = hp->n_head_kv * hp->head_dim;
    return (shape){.n = r->b->n_rows, .d = hp->d_model, .hd = hp->head_dim, .q = q, .kv = kv, .w = q + 2 * kv};
}

static bool sliding(const rt_block_run *r)
{
    return r->m->hp.layer_sliding[r->l] != 0;
}

static const float *rotation(const rt_block_run *r)
{
    return r->a->cs[sliding(r) && r->m->arch->local_rotary ? 1 : 0];
}

/* --- bias, head norms, rotation: one task a block of rows ------------------------------------------------------ */

typedef struct prep_job {
    const rt_block_run *r;
    float *dqkv; /* backward */
} prep_job;

static void prepare_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const rt_block_run *r = ((const prep_job *)ud)->r;
    const rt_kernels *k = rt_kernels_get();
    const rt_hparams *hp = &r->m->hp;
    const shape s = shape_of(r);
    const rt_param *qn = r->layer->p[RT_ROLE_ATTN_Q_NORM], *kn = r->layer->p[RT_ROLE_ATTN_K_NORM];
    const int64_t row0 = task * RT_ROW_BLOCK, end = row0 + RT_ROW_BLOCK < s.n ? row0 + RT_ROW_BLOCK : s.n;
    for (int64_t i = row0; i < end; i++) {
        float *row = r->la->qkv + i * s.w;
        rt_rows_bias(row, s.w, r->layer->p[RT_ROLE_ATTN_Q_BIAS], 1);
        rt_rows_bias(row + s.q, s.w, r->layer->p[RT_ROLE_ATTN_K_BIAS], 1);
        rt_rows_bias(row + s.q + s.kv, s.w, r->layer->p[RT_ROLE_ATTN_V_BIAS], 1);
        if (qn != NULL) {
            float *raw = r->la->qk_raw + i * (s.q + s.kv);
            const float eps = (float)hp->norm_eps, offset = r->m->arch->norm_offset;
            memcpy(raw, row, (size_t)(s.q + s.kv) * sizeof(float));
            k->rmsnorm(row, RT_F32, NULL, raw, qn->w, offset, eps, s.q / qn->n, qn->n);
            k->rmsnorm(row + s.q, RT_F32, NULL, raw + s.q, kn->w, offset, eps, s.kv / kn->n, kn->n);
        }
    }
    /* q and k heads lie side by side in a row: one call rotates both */
    k->rope(r->la->qkv + row0 * s.w, s.w, (int)(hp->n_head + hp->n_head_kv), (int)s.hd, (int)hp->n_rot,
            rotation(r) + row0 * hp->n_rot, 1.0f, end - row0);
}

/* Floats of the sums for the two norm weights. */
static int64_t norm_width(const rt_block_run *r)
{
    return r->layer->p[RT_ROLE_ATTN_Q_NORM]->n + r->layer->p[RT_ROLE_ATTN_K_NORM]->n;
}

/* Norms of q and k of a block of rows: raw gradients into f_raw, sums for the two norm weights into partial[task]. */
static void unnorm_rows(const rt_block_run *r, const shape *s, float *dqkv, int64_t row0, int64_t end, float *partial)
{
    const rt_kernels *k = rt_kernels_get();
    const rt_hparams *hp = &r->m->hp;
    const float eps = (float)hp->norm_eps, offset = r->m->arch->norm_offset;
    const rt_param *qn = r->layer->p[RT_ROLE_ATTN_Q_NORM], *kn = r->layer->p[RT_ROLE_ATTN_K_NORM];
    const int64_t qk = s->q + s->kv;
    memset(partial, 0, (size_t)norm_width(r) * sizeof(float));
    for (int64_t i = row0; i < end; i++) {
        float *d = dqkv + i * s->w, *out = r->a->f_raw + i * qk;
        const float *raw = r->la->qk_raw + i * qk;
        memset(out, 0, (size_t)qk * sizeof(float));
        k->rmsnorm_backward(out, partial, d, raw, qn->w, offset, eps, s->q / qn->n, qn->n);
        k->rmsnorm_backward(out + s->q, partial + qn->n, d + s->q, raw + s->q, kn->w, offset, eps, s->kv / kn->n,
                            kn->n);
        memcpy(d, out, (size_t)qk * sizeof(float));
    }
}

static void unprepare_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const prep_job *j = ud;
    const rt_block_run *r = j->r;
    const rt_hparams *hp = &r->m->hp;
    const shape s = shape_of(r);
    const int64_t row0 = task * RT_ROW_BLOCK, end = row0 + RT_ROW_BLOCK < s.n ? row0 + RT_ROW_BLOCK : s.n;
    rt_kernels_get()->rope(j->dqkv + row0 * s.w, s.w, (int)(hp->n_head + hp->n_head_kv), (int)s.hd, (int)hp->n_rot,
                           rotation(r) + row0 * hp->n_rot, -1.0f, end - row0);
    if (r->m->arch->qk_norm) {
        unnorm_rows(r, &s, j->dqkv, row0, end, r->a->partial + task * norm_width(r));
    }
}

/* --- attention proper ------------------------------------------------------------------------------------------ */

static rt_attn head_args(const rt_block_run *r, const shape *s, const rt_span *sp, int64_t head, int thread)
{
    const rt_hparams *hp = &r->m->hp;
    const int64_t kv_head = head / (hp->n_head / hp->n_head_kv);
    float *q = r->la->qkv + sp->row0 * s->w;
    rt_attn a = {
        .n_q = sp->n,
        .n_kv = sp->n,
        .window = sliding(r) ? hp->window : 0,
        .head_dim = (int)s->hd,
        .head_dim_v = (int)s->hd,
        .scale = (float)hp->attn_scale,
        .q = q + head * s->hd,
        .ldq = s->w,
        .k = q + s->q + kv_head * s->hd,
        .ldk = s->w,
        .v = q + s->q + s->kv + kv_head * s->hd,
        .ldv = s->w,
        .o = r->la->o + sp->row0 * s->q + head * s->hd,
        .ldo = s->q,
        .lse = r->la->lse + head * r->a->max_rows + sp->row0,
        .scratch = r->a->attn_scratch + (size_t)thread * r->a->attn_scratch_floats,
    };
    const rt_param *sinks = r->layer->p[RT_ROLE_ATTN_SINKS];
    if (sinks != NULL) {
        a.sink = sinks->w + head;
    }
    if (sp->kv != NULL) {
        a.n_kv = sp->kv->n + sp->n;
        a.k = sp->kv->layer[r->l] + kv_head * s->hd;
        a.v = a.k + sp->kv->cap * s->kv;
        a.ldk = a.ldv = s->kv;
    }
    return a;
}

/* Piece of a query head. */
static void attend(void *ud, const rt_attn_piece *p, int thread)
{
    const rt_block_run *r = ud;
    const shape s = shape_of(r);
    const rt_attn a = rt_attn_of_piece(head_args(r, &s, p->span, p->head, thread), p);
    rt_attend(&a, r->a->type);
}

/* Task: one key/value head of one span. A single row takes its query heads together, so keys are read once. */
static void attend_group(void *ud, int64_t task, int thread)
{
    const rt_block_run *r = ud;
    const shape s = shape_of(r);
    const int64_t n_kv = r->m->hp.n_head_kv, group = r->m->hp.n_head / n_kv, first = task % n_kv * group;
    const rt_span *sp = &r->b->spans[task / n_kv];
    const int64_t together = sp->n == 1 && group <= RT_ATTN_MAX_GROUP ? group : 1;
    for (int64_t h = first; h < first + group; h += together) {
        rt_attn a = head_args(r, &s, sp, h, thread);
        a.group = (int)together;
        a.lse = NULL;
        rt_kernels_get()->attn(&a);
    }
}

/* Piece of a key/value head, its query heads in order, because they add to the same dk and dv. */
static void attend_backward(void *ud, const rt_attn_piece *p, int thread)
{
    const prep_job *j = ud;
    const rt_block_run *r = j->r;
    const rt_hparams *hp = &r->m->hp;
    const shape s = shape_of(r);
    const int64_t group = hp->n_head / hp->n_head_kv, kv_head = p->head;
    const rt_span *sp = p->span;
    float *d = j->dqkv + sp->row0 * s.w, *dk = d + s.q + kv_head * s.hd, *dv = dk + s.kv;
    for (int64_t i = p->k0; p->k0 == p->q0 && i < p->k1; i++) {
        memset(dk + i * s.w, 0, (size_t)s.hd * sizeof(float));
        memset(dv + i * s.w, 0, (size_t)s.hd * sizeof(float));
    }
    for (int64_t h = kv_head * group; h < (kv_head + 1) * group; h++) {
        rt_attn a = head_args(r, &s, sp, h, thread);
        a.do_ = r->a->f_mid + sp->row0 * s.q + h * s.hd;
        a.dq = d + h * s.hd;
        a.dk = dk;
        a.dv = dv;
        a.dsink = r->a->sink_partial + (sp->row0 + p->q0) * hp->n_head + h;
        a = rt_attn_of_piece(a, p);
        rt_attend_backward(&a, r->a->type);
    }
}

/* Keys [cap][kv], then values. */
int64_t rt_attn_memory(const rt_hparams *hp, int layer, int64_t cap)
{
    (void)layer;
    return 2 * cap * hp->n_head_kv * hp->head_dim;
}

void rt_attn_copy_rows(const rt_hparams *hp, int64_t cap, int64_t n, float *to, const float *from)
{
    const int64_t width = hp->n_head_kv * hp->head_dim;
    memcpy(to, from, (size_t)(n * width) * sizeof(float));
    memcpy(to + cap * width, from + cap * width, (size_t)(n * width) * sizeof(float));
}

static void append_to_cache(const rt_block_run *r, const shape *s)
{
    for (int64_t i = 0; i < r->b->n_spans; i++) {
        const rt_span *sp = &r->b->spans[i];
        for (int64_t t = 0; sp->kv != NULL && t < sp->n; t++) {
            const float *row = r->la->qkv + (sp->row0 + t) * s->w + s->q;
            float *k = sp->kv->layer[r->l] + (sp->kv->n + t) * s->kv, *v = k + sp->kv->cap * s->kv;
            memcpy(k, row, (size_t)s->kv * sizeof(float));
            memcpy(v, row + s->kv, (size_t)s->kv * sizeof(float));
        }
    }
}

void rt_attn_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    rt_acts *a = r->a;
    const rt_layer *w = r->layer;
    const shape s = shape_of(r);
    float *qkv = r->la->qkv;
    rt_rows_norm(a->op_d, a->type, x_in, w->p[RT_ROLE_ATTN_NORM], r->m, s.n);
    const rt_linear_map maps[] = {{qkv, s.w, w->p[RT_ROLE_ATTN_Q]},
                                  {qkv + s.q, s.w, w->p[RT_ROLE_ATTN_K]},
                                  {qkv + s.q + s.kv, s.w, w->p[RT_ROLE_ATTN_V]}};
    rt_block_maps(r, maps, 3, a->op_d, s.d, s.n);
    rt_team_for((s.n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK, prepare_rows, &(prep_job){.r = r});
    append_to_cache(r, &s);
    const double t0 = rt_now();
    if (a->mode == RT_NET_ROWS) {
        rt_team_for(r->b->n_spans * r->m->hp.n_head_kv, attend_group, (void *)r);
    } else {
        rt_attn_pieces(r->b, r->m->hp.n_head, attend, (void *)r);
    }
    a->attention_seconds += rt_now() - t0;
    const void *o = rt_rows_operand(r->la->o, a->op_mid, a->type, s.n * s.q);
    rt_block_maps(r, &(rt_linear_map){a->f_d, s.d, w->p[RT_ROLE_ATTN_OUT]}, 1, o, s.q, s.n);
    rt_rows_bias(a->f_d, s.d, w->p[RT_ROLE_ATTN_OUT_BIAS], s.n);
    rt_block_residual(r, RT_ROLE_ATTN_POST_NORM, r->la->attn_out, a->f_d, x_in, x_out);
}

static void norm_gradients(const rt_block_run *r, int64_t n_blocks)
{
    const rt_param *qn = r->layer->p[RT_ROLE_ATTN_Q_NORM], *kn = r->layer->p[RT_ROLE_ATTN_K_NORM];
    for (int64_t i = 0; qn != NULL && !qn->frozen && i < n_blocks; i++) {
        const float *partial = r->a->partial + i * norm_width(r);
        rt_kernels_get()->add(r->grads + qn->offset, partial, qn->n);
        rt_kernels_get()->add(r->grads + kn->offset, partial + qn->n, kn->n);
    }
}

void rt_attn_backward(const rt_block_run *r, const float *x_in, float *dx)
{
    rt_acts *a = r->a;
    const rt_layer *w = r->layer;
    const rt_dtype t = a->type;
    const shape s = shape_of(r);
    const int64_t n_blocks = (s.n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK;
    const float *dy_f32 = rt_block_residual_backward(r, RT_ROLE_ATTN_POST_NORM, r->la->attn_out, dx);
    const void *dy = rt_rows_operand(dy_f32, a->op_dy, t, s.n * s.d);

    const void *o = rt_rows_operand(r->la->o, a->op_mid, t, s.n * s.q);
    rt_rows_bias_backward(r->grads, dy_f32, s.d, w->p[RT_ROLE_ATTN_OUT_BIAS], s.n);
    rt_linear_dw(r->grads, dy, t, s.d, o, s.q, w->p[RT_ROLE_ATTN_OUT], s.n);
    rt_linear_dx(a->f_mid, false, dy, t, s.d, w->p[RT_ROLE_ATTN_OUT], s.n);

    float *dqkv = a->f_wide;
    prep_job job = {.r = r, .dqkv = dqkv};
    const double t0 = rt_now();
    if (w->p[RT_ROLE_ATTN_SINKS] != NULL) {
        memset(a->sink_partial, 0, (size_t)(s.n * r->m->hp.n_head) * sizeof(float));
    }
    rt_attn_pieces_backward(r->b, r->m->hp.n_head_kv, sliding(r) ? r->m->hp.window : 0, attend_backward, &job);
    a->attention_seconds += rt_now() - t0;
    rt_team_for(n_blocks, unprepare_rows, &job);
    norm_gradients(r, n_blocks);
    rt_rows_bias_backward(r->grads, a->sink_partial, r->m->hp.n_head, w->p[RT_ROLE_ATTN_SINKS], s.n);
    rt_rows_bias_backward(r->grads, dqkv, s.w, w->p[RT_ROLE_ATTN_Q_BIAS], s.n);
    rt_rows_bias_backward(r->grads, dqkv + s.q, s.w, w->p[RT_ROLE_ATTN_K_BIAS], s.n);
    rt_rows_bias_backward(r->grads, dqkv + s.q + s.kv, s.w, w->p[RT_ROLE_ATTN_V_BIAS], s.n);

    const rt_param *const in[] = {w->p[RT_ROLE_ATTN_Q], w->p[RT_ROLE_ATTN_K], w->p[RT_ROLE_ATTN_V]};
    const void *d = rt_rows_operand(dqkv, a->op_wide, t, s.n * s.w);
    rt_rows_norm(a->op_d, t, x_in, w->p[RT_ROLE_ATTN_NORM], r->m, s.n);
    rt_linear_stack_dw(r->grads, d, t, s.w, a->op_d, s.d, in, 3, s.n);
    rt_linear_stack_dx(a->f_d, d, t, s.w, in, 3, s.n);
    rt_rows_norm_backward(dx, r->grads, a->f_d, x_in, w->p[RT_ROLE_ATTN_NORM], r->m, s.n, a->partial);
}
