/* Multi-head latent attention (DeepSeek-AI 2024): queries, keys and values come from low-rank latents; a key is plain
 * channels of each head and rotated channels that all heads share. Rows without a past attend in the expanded form,
 * which has a backward pass; timelines keep the latents and attend in the absorbed form (mla_absorbed.c). */
#include "model/mla.h"

#include <string.h>

#include "model/pieces.h"

/* Of the latents' norms, whatever the model's other norms have. */
#define LATENT_EPS 1e-6f

rt_mla_shape rt_mla_shape_of(const rt_block_run *r)
{
    const rt_hparams *hp = &r->m->hp;
    return (rt_mla_shape){.n = r->b->n_rows,
                          .d = hp->d_model,
                          .heads = hp->n_head,
                          .hd = hp->head_dim,
                          .rot = hp->n_rot,
                          .plain = hp->head_dim - hp->n_rot,
                          .v = hp->head_dim_v,
                          .ql = hp->q_lora,
                          .kvl = hp->kv_lora,
                          .kva = rt_dim_size(RT_DIM_KVA, hp),
                          .q = rt_dim_size(RT_DIM_Q, hp),
                          .kvb = rt_dim_size(RT_DIM_KVB, hp),
                          .o = rt_dim_size(RT_DIM_O, hp)};
}

/* --- latents ---------------------------------------------------------------------------------------------------- */

/* RMSNorm of the first w->n of `ld` channels of each row. */
typedef struct latent_job {
    const rt_param *w;
    const float *x; /* raw rows */
    int64_t ld, n;
    void *y; /* forward: rows of stride ldy in type t */
    int64_t ldy;
    rt_dtype t;
    const float *dy;     /* backward: rows of w->n */
    float *dx, *partial; /* rows of stride ld, written */
} latent_job;

static int64_t row_blocks(int64_t n)
{
    return (n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK;
}

/* The rows of a task; *end past the last. */
static int64_t first_row(int64_t n, int64_t task, int64_t *end)
{
    const int64_t row0 = task * RT_ROW_BLOCK;
    *end = row0 + RT_ROW_BLOCK < n ? row0 + RT_ROW_BLOCK : n;
    return row0;
}

static void norm_latent_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const latent_job *j = ud;
    int64_t end;
    for (int64_t i = first_row(j->n, task, &end); i < end; i++) {
        rt_kernels_get()->rmsnorm(rt_operand_at(j->y, j->t, i * j->ldy), j->t, NULL, j->x + i * j->ld, j->w->w, 0.0f,
                                  LATENT_EPS, 1, j->w->n);
    }
}

static void norm_latent_rows_backward(void *ud, int64_t task, int thread)
{
    (void)thread;
    const latent_job *j = ud;
    const int64_t d = j->w->n;
    float *dw = j->partial + task * d;
    int64_t end;
    memset(dw, 0, (size_t)d * sizeof(float));
    for (int64_t i = first_row(j->n, task, &end); i < end; i++) {
        float *dx = j->dx + i * j->ld;
        memset(dx, 0, (size_t)d * sizeof(float));
        rt_kernels_get()->rmsnorm_backward(dx, dw, j->dy + i * d, j->x + i * j->ld, j->w->w, 0.0f, LATENT_EPS, 1, d);
    }
}

static void norm_latent_backward(const rt_block_run *r, latent_job j)
{
    j.partial = r->a->partial;
    rt_team_for(row_blocks(j.n), norm_latent_rows_backward, &j);
    for (int64_t i = 0; i < row_blocks(j.n); i++) {
        rt_kernels_get()->add(r->grads + j.w->offset, j.partial + i * j.w->n, j.w->n);
    }
}

static void norm_query_latent(const rt_block_run *r, const rt_mla_shape *s)
{
    rt_team_for(row_blocks(s->n), norm_latent_rows,
                &(latent_job){.w = r->layer->p[RT_ROLE_MLA_Q_NORM],
                              .x = r->la->mla.q_raw,
                              .ld = s->ql,
                              .n = s->n,
                              .y = r->a->mla.op_q,
                              .ldy = s->ql,
                              .t = r->a->type});
}

/* --- rotation, one task a block of rows ------------------------------------------------------------------------ */

typedef struct rows_job {
    const rt_block_run *r;
    const rt_mla_shape *s;
} rows_job;

/* Rotates the last channels of all heads of queries and the shared ones of key rows. */
static void rotate(const rt_block_run *r, const rt_mla_shape *s, float *q, float *kv, float sign, int64_t row0,
                   int64_t end)
{
    const rt_kernels *k = rt_kernels_get();
    const float *cs = r->a->cs[0] + row0 * s->rot;
    const bool halves = r->m->hp.rope_halves;
    float *x[2] = {q + row0 * s->q + s->plain, kv + row0 * s->kva + s->kvl};
    for (int i = 0; i < 2; i++) {
        (halves ? k->rope : k->rope_pairs)(x[i], i == 0 ? s->q : s->kva, i == 0 ? (int)s->heads : 1, (int)s->hd,
                                           (int)s->rot, cs, sign, end - row0);
    }
}

static void prepare_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const rows_job *j = ud;
    const rt_mla_acts *a = &j->r->la->mla;
    const rt_mla_shape *s = j->s;
    int64_t end, row0 = first_row(s->n, task, &end);
    for (int64_t i = row0; i < end; i++) {
        memcpy(a->kv + i * s->kva + s->kvl, a->kv_raw + i * s->kva + s->kvl, (size_t)s->rot * sizeof(float));
    }
    rotate(j->r, s, a->q, a->kv, 1.0f, row0, end);
}

/* Whole keys of every head from plain and shared channels. */
static void join_key_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const rows_job *j = ud;
    const rt_mla_acts *a = &j->r->la->mla;
    const rt_mla_shape *s = j->s;
    int64_t end;
    for (int64_t i = first_row(s->n, task, &end); i < end; i++) {
        for (int64_t h = 0; h < s->heads; h++) {
            float *k = j->r->a->mla.k + i * s->q + h * s->hd;
            memcpy(k, a->wide + i * s->kvb + h * (s->plain + s->v), (size_t)s->plain * sizeof(float));
            memcpy(k + s->plain, a->kv + i * s->kva + s->kvl, (size_t)s->rot * sizeof(float));
        }
    }
}

/* Gradients of whole keys back to plain channels and the shared ones, whose heads add up in order; all unrotated. */
static void part_key_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const rows_job *j = ud;
    const rt_mla_scratch *g = &j->r->a->mla;
    const rt_mla_shape *s = j->s;
    int64_t end, row0 = first_row(s->n, task, &end);
    for (int64_t i = row0; i < end; i++) {
        float *shared = g->draw + i * s->kva + s->kvl;
        memset(shared, 0, (size_t)s->rot * sizeof(float));
        for (int64_t h = 0; h < s->heads; h++) {
            const float *dk = g->dk + i * s->q + h * s->hd;
            memcpy(g->dwide + i * s->kvb + h * (s->plain + s->v), dk, (size_t)s->plain * sizeof(float));
            rt_kernels_get()->add(shared, dk + s->plain, s->rot);
        }
    }
    rotate(j->r, s, g->dq, g->draw, -1.0f, row0, end);
}

/* --- attention proper ------------------------------------------------------------------------------------------ */

static rt_attn expanded_head(const rt_block_run *r, const rt_mla_shape *s, const rt_span *sp, int64_t head, int thread)
{
    const rt_mla_acts *a = &r->la->mla;
    return (rt_attn){
        .n_q = sp->n,
        .n_kv = sp->n,
        .head_dim = (int)s->hd,
        .head_dim_v = (int)s->v,
        .scale = (float)r->m->hp.attn_scale,
        .q = a->q + sp->row0 * s->q + head * s->hd,
        .ldq = s->q,
        .k = r->a->mla.k + sp->row0 * s->q + head * s->hd,
        .ldk = s->q,
        .v = a->wide + sp->row0 * s->kvb + head * (s->plain + s->v) + s->plain,
        .ldv = s->kvb,
        .o = r->la->o + sp->row0 * s->o + head * s->v,
        .ldo = s->o,
        .lse = r->la->lse + head * r->a->max_rows + sp->row0,
        .scratch = r->a->attn_scratch + (size_t)thread * r->a->attn_scratch_floats,
    };
}

/* Piece of a head. */
static void attend(void *ud, const rt_attn_piece *p, int thread)
{
    const rows_job *j = ud;
    const rt_mla_shape *s = j->s;
    const rt_span *sp = p->span;
    if (sp->kv == NULL) {
        const rt_attn a = rt_attn_of_piece(expanded_head(j->r, s, sp, p->head, thread), p);
        rt_attend(&a, j->r->a->type);
        return;
    }
    const rt_mla_rows rows = rt_mla_rows_of(j->r, s, sp);
    for (int64_t q0 = p->q0; q0 < p->q1; q0 += RT_MLA_BLOCK) {
        const int64_t nq = p->q1 - q0 < RT_MLA_BLOCK ? p->q1 - q0 : RT_MLA_BLOCK;
        rt_mla_absorbed(j->r, s, sp, p->head, q0, nq, rows.kv, rows.past + q0 + nq, thread);
    }
}

static void attend_backward(void *ud, const rt_attn_piece *p, int thread)
{
    const rows_job *j = ud;
    const rt_mla_shape *s = j->s;
    const rt_mla_scratch *g = &j->r->a->mla;
    const rt_span *sp = p->span;
    const int64_t head = p->head;
    rt_attn a = expanded_head(j->r, s, sp, head, thread);
    a.do_ = j->r->a->f_mid + sp->row0 * s->o + head * s->v;
    a.dq = g->dq + sp->row0 * s->q + head * s->hd;
    a.dk = g->dk + sp->row0 * s->q + head * s->hd;
    a.dv = g->dwide + sp->row0 * s->kvb + head * (s->plain + s->v) + s->plain;
    for (int64_t i = p->k0; p->k0 == p->q0 && i < p->k1; i++) {
        memset(a.dk + i * s->q, 0, (size_t)s->hd * sizeof(float));
        memset(a.dv + i * s->kvb, 0, (size_t)s->v * sizeof(float));
    }
    a = rt_attn_of_piece(a, p);
    rt_attend_backward(&a, j->r->a->type);
}

/* --- the block -------------------------------------------------------------------------------------------------- */

/* Latents, queries and rotated channels of all rows; a->op_d gets the normed input. */
static void project(const rt_block_run *r, const rt_mla_shape *s, const float *x_in)
{
    rt_acts *a = r->a;
    const rt_layer *w = r->layer;
    rt_mla_acts *mla = &r->la->mla;
    rt_rows_norm(a->op_d, a->type, x_in, w->p[RT_ROLE_ATTN_NORM], r->m, s->n);
    if (s->ql > 0) {
        rt_linear(mla->q_raw, s->ql, a->op_d, a->type, s->d, w->p[RT_ROLE_MLA_Q_A], s->n, a->mode);
        norm_query_latent(r, s);
        rt_linear(mla->q, s->q, a->mla.op_q, a->type, s->ql, w->p[RT_ROLE_MLA_Q_B], s->n, a->mode);
    } else {
        rt_linear(mla->q, s->q, a->op_d, a->type, s->d, w->p[RT_ROLE_ATTN_Q], s->n, a->mode);
    }
    rt_linear(mla->kv_raw, s->kva, a->op_d, a->type, s->d, w->p[RT_ROLE_MLA_KV_A], s->n, a->mode);
    rt_team_for(row_blocks(s->n), norm_latent_rows,
                &(latent_job){.w = w->p[RT_ROLE_MLA_KV_NORM],
                              .x = mla->kv_raw,
                              .ld = s->kva,
                              .n = s->n,
                              .y = mla->kv,
                              .ldy = s->kva,
                              .t = RT_F32});
    rt_team_for(row_blocks(s->n), prepare_rows, &(rows_job){r, s});
}

/* Keys and values of every head, for rows that are not looked at through the latents. */
static void expand(const rt_block_run *r, const rt_mla_shape *s)
{
    rt_acts *a = r->a;
    const void *kv = rt_rows_operand(r->la->mla.kv, a->mla.op_kv, a->type, s->n * s->kva);
    rt_linear(r->la->mla.wide, s->kvb, kv, a->type, s->kva, r->layer->p[RT_ROLE_MLA_KV_B], s->n, a->mode);
    rt_team_for(row_blocks(s->n), join_key_rows, &(rows_job){r, s});
}

static void append_to_cache(const rt_block_run *r, const rt_mla_shape *s)
{
    const int64_t index = r->m->hp.index_dim;
    for (int64_t i = 0; i < r->b->n_spans; i++) {
        const rt_span *sp = &r->b->spans[i];
        if (sp->kv != NULL) {
            float *kv = sp->kv->layer[r->l], *index_k = kv + sp->kv->cap * s->kva;
            memcpy(kv + sp->kv->n * s->kva, r->la->mla.kv + sp->row0 * s->kva,
                   (size_t)(sp->n * s->kva) * sizeof(float));
            memcpy(index_k + sp->kv->n * index, r->la->mla.index_k + sp->row0 * index,
                   (size_t)(sp->n * index) * sizeof(float));
        }
    }
}

/* Latents and rotated channels [cap][kva], then the indexer's keys. */
int64_t rt_mla_memory(const rt_hparams *hp, int layer, int64_t cap)
{
    (void)layer;
    return cap * (rt_dim_size(RT_DIM_KVA, hp) + hp->index_dim);
}

void rt_mla_copy_rows(const rt_hparams *hp, int64_t cap, int64_t n, float *to, const float *from)
{
    const int64_t width = rt_dim_size(RT_DIM_KVA, hp);
    memcpy(to, from, (size_t)(n * width) * sizeof(float));
    memcpy(to + cap * width, from + cap * width, (size_t)(n * hp->index_dim) * sizeof(float));
}

static bool any_without_past(const rt_batch *b)
{
    for (int64_t i = 0; i < b->n_spans; i++) {
        if (b->spans[i].kv == NULL) {
            return true;
        }
    }
    return false;
}

static void project_output(const rt_block_run *r, const rt_mla_shape *s, const float *x_in, float *x_out)
{
    rt_acts *a = r->a;
    const void *o = rt_rows_operand(r->la->o, a->op_mid, a->type, s->n * s->o);
    rt_linear(a->f_d, s->d, o, a->type, s->o, r->layer->p[RT_ROLE_ATTN_OUT], s->n, a->mode);
    rt_block_residual(r, RT_ROLE_ATTN_POST_NORM, r->la->attn_out, a->f_d, x_in, x_out);
}

void rt_mla_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    const rt_mla_shape s = rt_mla_shape_of(r);
    project(r, &s, x_in);
    append_to_cache(r, &s);
    if (any_without_past(r->b)) {
        expand(r, &s);
    }
    rt_attn_pieces(r->b, s.heads, attend, &(rows_job){r, &s});
    project_output(r, &s, x_in, x_out);
}

void rt_mla_indexed_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    const rt_mla_shape s = rt_mla_shape_of(r);
    project(r, &s, x_in);
    rt_mla_index(r, &s);
    append_to_cache(r, &s);
    rt_mla_attend_indexed(r, &s);
    project_output(r, &s, x_in, x_out);
}

/* dq to the gradient of the normed input, added to a->f_d. */
static void query_backward(const rt_block_run *r, const rt_mla_shape *s)
{
    rt_acts *a = r->a;
    const rt_dtype t = a->type;
    const rt_layer *w = r->layer;
    const void *dq = rt_rows_operand(a->mla.dq, a->op_wide, t, s->n * s->q);
    if (s->ql == 0) {
        rt_linear_dw(r->grads, dq, t, s->q, a->op_d, s->d, w->p[RT_ROLE_ATTN_Q], s->n);
        rt_linear_dx(a->f_d, true, dq, t, s->q, w->p[RT_ROLE_ATTN_Q], s->n);
        return;
    }
    norm_query_latent(r, s);
    rt_linear_dw(r->grads, dq, t, s->q, a->mla.op_q, s->ql, w->p[RT_ROLE_MLA_Q_B], s->n);
    rt_linear_dx(a->mla.dlatent, false, dq, t, s->q, w->p[RT_ROLE_MLA_Q_B], s->n);
    norm_latent_backward(r, (latent_job){.w = w->p[RT_ROLE_MLA_Q_NORM],
                                         .x = r->la->mla.q_raw,
                                         .ld = s->ql,
                                         .n = s->n,
                                         .dy = a->mla.dlatent,
                                         .dx = a->mla.draw});
    const void *draw = rt_rows_operand(a->mla.draw, a->op_wide, t, s->n * s->ql);
    rt_linear_dw(r->grads, draw, t, s->ql, a->op_d, s->d, w->p[RT_ROLE_MLA_Q_A], s->n);
    rt_linear_dx(a->f_d, true, draw, t, s->ql, w->p[RT_ROLE_MLA_Q_A], s->n);
}

/* dwide and the rotated part of draw to the gradient of the normed input, written to a->f_d. */
static void key_value_backward(const rt_block_run *r, const rt_mla_shape *s)
{
    rt_acts *a = r->a;
    const rt_dtype t = a->type;
    const rt_layer *w = r->layer;
    const void *kv = rt_rows_operand(r->la->mla.kv, a->mla.op_kv, t, s->n * s->kva);
    const void *dwide = rt_rows_operand(a->mla.dwide, a->op_wide, t, s->n * s->kvb);
    rt_linear_dw(r->grads, dwide, t, s->kvb, kv, s->kva, w->p[RT_ROLE_MLA_KV_B], s->n);
    rt_linear_dx(a->mla.dlatent, false, dwide, t, s->kvb, w->p[RT_ROLE_MLA_KV_B], s->n);
    norm_latent_backward(r, (latent_job){.w = w->p[RT_ROLE_MLA_KV_NORM],
                                         .x = r->la->mla.kv_raw,
                                         .ld = s->kva,
                                         .n = s->n,
                                         .dy = a->mla.dlatent,
                                         .dx = a->mla.draw});
    const void *draw = rt_rows_operand(a->mla.draw, a->op_wide, t, s->n * s->kva);
    rt_linear_dw(r->grads, draw, t, s->kva, a->op_d, s->d, w->p[RT_ROLE_MLA_KV_A], s->n);
    rt_linear_dx(a->f_d, false, draw, t, s->kva, w->p[RT_ROLE_MLA_KV_A], s->n);
}

void rt_mla_backward(const rt_block_run *r, const float *x_in, float *dx)
{
    rt_acts *a = r->a;
    const rt_layer *w = r->layer;
    const rt_dtype t = a->type;
    const rt_mla_shape s = rt_mla_shape_of(r);
    const float *dy_f32 = rt_block_residual_backward(r, RT_ROLE_ATTN_POST_NORM, r->la->attn_out, dx);
    const void *dy = rt_rows_operand(dy_f32, a->op_dy, t, s.n * s.d);
    const void *o = rt_rows_operand(r->la->o, a->op_mid, t, s.n * s.o);
    rt_linear_dw(r->grads, dy, t, s.d, o, s.o, w->p[RT_ROLE_ATTN_OUT], s.n);
    rt_linear_dx(a->f_mid, false, dy, t, s.d, w->p[RT_ROLE_ATTN_OUT], s.n);

    rows_job job = {r, &s};
    rt_team_for(row_blocks(s.n), join_key_rows, &job);
    rt_attn_pieces_backward(r->b, s.heads, 0, attend_backward, &job);
    rt_rows_norm(a->op_d, t, x_in, w->p[RT_ROLE_ATTN_NORM], r->m, s.n);
    rt_team_for(row_blocks(s.n), part_key_rows, &job);
    key_value_backward(r, &s);
    query_backward(r, &s);
    rt_rows_norm_backward(dx, r->grads, a->f_d, x_in, w->p[RT_ROLE_ATTN_NORM], r->m, s.n, a->partial);
}
