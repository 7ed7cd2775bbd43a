/* Lightning attention block (Qin et al. 2024, MiniMax-01): linear attention whose past fades by a factor a head.
 * A head keeps one matrix S; row after row S = fade S + k v^T and o = q S, so reading a prompt and decoding are the
 * same computation. No positions, no softmax, no scale; the joined heads are normed and gated. Forward only. */
#include "model/blocks.h"

#include <math.h>
#include <string.h>

#define OUTPUT_NORM_EPS 1e-6f /* whatever the model's own is */

typedef struct shape {
    int64_t n, d, hd, q, w; /* w: width of a row [q k v of head 0][q k v of head 1] ... [gate] */
} shape;

static shape shape_of(const rt_block_run *r)
{
    const rt_hparams *hp = &r->m->hp;
    const int64_t q = hp->n_head * hp->head_dim;
    return (shape){.n = r->b->n_rows, .d = hp->d_model, .hd = hp->head_dim, .q = q, .w = 4 * q};
}

/* What is left of a head's past after one row: early heads forget fast, early layers faster than late ones. */
static float fade(const rt_hparams *hp, int layer, int64_t head)
{
    const double slope = exp2(-8.0 * (double)(head + 1) / (double)hp->n_head);
    const double depth = (double)layer / ((double)(hp->n_layer - 1) + 1e-5);
    return (float)exp(-slope * (1.0 - depth + 1e-5));
}

/* A matrix a head. */
int64_t rt_lightning_memory(const rt_hparams *hp, int layer, int64_t cap)
{
    (void)layer;
    (void)cap;
    return hp->n_head * hp->head_dim * hp->head_dim;
}

/* Task: one head of one span, its rows in order. */
static void scan_head(void *ud, int64_t task, int thread)
{
    const rt_block_run *r = ud;
    const rt_kernels *k = rt_kernels_get();
    const shape s = shape_of(r);
    const int64_t head = task % r->m->hp.n_head, size = s.hd * s.hd;
    const rt_span *sp = &r->b->spans[task / r->m->hp.n_head];
    const float keep = fade(&r->m->hp, r->l, head);
    float *state = sp->kv != NULL ? sp->kv->layer[r->l] + head * size
                                  : r->a->attn_scratch + (size_t)thread * r->a->attn_scratch_floats;
    if (sp->kv == NULL || sp->kv->n == 0) {
        memset(state, 0, (size_t)size * sizeof(float));
    }
    for (int64_t t = 0; t < sp->n; t++) {
        const float *q = r->la->qkv + (sp->row0 + t) * s.w + 3 * head * s.hd, *key = q + s.hd, *v = key + s.hd;
        float *o = r->la->o + (sp->row0 + t) * s.q + head * s.hd;
        memset(o, 0, (size_t)s.hd * sizeof(float));
        k->scale(state, keep, size);
        for (int64_t i = 0; i < s.hd; i++) {
            k->axpy(state + i * s.hd, key[i], v, s.hd);
            k->axpy(o, q[i], state + i * s.hd, s.hd);
        }
    }
}

static void activate_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const rt_block_run *r = ud;
    const shape s = shape_of(r);
    const int64_t row0 = task * RT_ROW_BLOCK, end = row0 + RT_ROW_BLOCK < s.n ? row0 + RT_ROW_BLOCK : s.n;
    for (int64_t i = row0; i < end; i++) {
        float *row = r->la->qkv + i * s.w;
        for (int64_t j = 0; j < 3 * s.q; j++) {
            row[j] *= rt_sigmoid(row[j]);
        }
    }
}

static void gate_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const rt_block_run *r = ud;
    const shape s = shape_of(r);
    const int64_t row0 = task * RT_ROW_BLOCK, end = row0 + RT_ROW_BLOCK < s.n ? row0 + RT_ROW_BLOCK : s.n;
    float *o = r->la->o + row0 * s.q;
    rt_kernels_get()->rmsnorm(o, RT_F32, NULL, o, r->layer->p[RT_ROLE_LIGHTNING_NORM]->w, 0.0f, OUTPUT_NORM_EPS,
                              end - row0, s.q);
    for (int64_t i = row0; i < end; i++, o += s.q) {
        const float *gate = r->la->qkv + i * s.w + 3 * s.q;
        for (int64_t j = 0; j < s.q; j++) {
            o[j] *= rt_sigmoid(gate[j]);
        }
    }
}

void rt_lightning_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    rt_acts *a = r->a;
    const rt_layer *w = r->layer;
    const shape s = shape_of(r);
    const int64_t n_blocks = (s.n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK;
    float *qkv = r->la->qkv;
    rt_rows_norm(a->op_d, a->type, x_in, w->p[RT_ROLE_ATTN_NORM], r->m, s.n);
    rt_linear(qkv, s.w, a->op_d, a->type, s.d, w->p[RT_ROLE_LIGHTNING_QKV], s.n, a->mode);
    rt_linear(qkv + 3 * s.q, s.w, a->op_d, a->type, s.d, w->p[RT_ROLE_LIGHTNING_GATE], s.n, a->mode);
    rt_team_for(n_blocks, activate_rows, (void *)r);
    rt_team_for(r->b->n_spans * r->m->hp.n_head, scan_head, (void *)r);
    rt_team_for(n_blocks, gate_rows, (void *)r);
    const void *o = rt_rows_operand(r->la->o, a->op_mid, a->type, s.n * s.q);
    rt_linear(a->f_d, s.d, o, a->type, s.q, w->p[RT_ROLE_ATTN_OUT], s.n, a->mode);
    rt_block_residual(r, RT_ROLE_ATTN_POST_NORM, r->la->attn_out, a->f_d, x_in, x_out);
}
