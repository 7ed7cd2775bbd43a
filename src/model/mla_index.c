/* mla_index.c - the indexer of sparse latent attention (DeepSeek-V3.2): a light attention of its own, whose scores
 * sum_h w_h relu(iq_h . ik) say which keys a query keeps. Queries and keys are rotated in their first channels, halves
 * apart, whatever the attention's own layout is. */
#include <math.h>
#include <string.h>

#include "model/mla.h"

#define INDEX_EPS 1e-6

typedef struct index_job {
    const rt_block_run *r;
    const rt_mla_shape *s;
} index_job;

/* LayerNorm of one row in place (Ba et al. 2016). */
static void layer_norm(float *x, const float *w, const float *b, int64_t n)
{
    double mean = 0.0, square = 0.0;
    for (int64_t i = 0; i < n; i++) {
        mean += x[i];
    }
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        square += (x[i] - mean) * (x[i] - mean);
    }
    const double inverse = 1.0 / sqrt(square / (double)n + INDEX_EPS);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)((x[i] - mean) * inverse * w[i] + b[i]);
    }
}

static void prepare_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const index_job *j = ud;
    const rt_block_run *r = j->r;
    const rt_hparams *hp = &r->m->hp;
    const int64_t n = j->s->n, d = hp->index_dim, all = hp->n_index_head * d, row0 = task * RT_ROW_BLOCK;
    const int64_t end = row0 + RT_ROW_BLOCK < n ? row0 + RT_ROW_BLOCK : n;
    const float *cs = r->a->cs[0] + row0 * hp->n_rot;
    for (int64_t i = row0; i < end; i++) {
        layer_norm(r->la->mla.index_k + i * d, r->layer->p[RT_ROLE_INDEX_K_NORM]->w,
                   r->layer->p[RT_ROLE_INDEX_K_NORM_BIAS]->w, d);
    }
    const rt_kernels *k = rt_kernels_get();
    k->rope(r->la->mla.index_k + row0 * d, d, 1, (int)d, (int)hp->n_rot, cs, 1.0f, end - row0);
    k->rope(r->a->mla.index_q + row0 * all, all, (int)hp->n_index_head, (int)d, (int)hp->n_rot, cs, 1.0f, end - row0);
}

void rt_mla_index(const rt_block_run *r, const rt_mla_shape *s)
{
    rt_acts *a = r->a;
    const rt_hparams *hp = &r->m->hp;
    const rt_param *const *w = r->layer->p;
    const int64_t d = hp->index_dim, heads = hp->n_index_head;
    rt_linear(a->mla.index_q, heads * d, a->mla.op_q, a->type, s->ql, w[RT_ROLE_INDEX_Q], s->n, a->mode);
    rt_linear(r->la->mla.index_k, d, a->op_d, a->type, s->d, w[RT_ROLE_INDEX_K], s->n, a->mode);
    rt_linear(a->mla.index_w, heads, a->op_d, a->type, s->d, w[RT_ROLE_INDEX_WEIGHTS], s->n, a->mode);
    rt_team_for((s->n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK, prepare_rows, &(index_job){r, s});
}

/* Scores of the first `n` keys for row i of the batch. */
static void score_keys(const rt_block_run *r, const float *index_k, int64_t i, int64_t n, float *score)
{
    const rt_hparams *hp = &r->m->hp;
    const int64_t d = hp->index_dim, heads = hp->n_index_head;
    const float *q = r->a->mla.index_q + i * heads * d, *w = r->a->mla.index_w + i * heads;
    const float scale = 1.0f / sqrtf((float)(heads * d));
    for (int64_t t = 0; t < n; t++) {
        float sum = 0.0f;
        for (int64_t h = 0; h < heads; h++) {
            sum += w[h] * fmaxf(rt_kernels_get()->dot(q + h * d, index_k + t * d, d), 0.0f);
        }
        score[t] = sum * scale;
    }
}

/* A key stands before another: higher score, first of equals. */
static bool before(const float *score, int32_t a, int32_t b)
{
    return score[a] > score[b] || (score[a] == score[b] && a < b);
}

/* Lets the key at `at` sink in the heap of `n` keys whose root is the last in order. */
static void sink(int32_t *heap, int64_t n, int64_t at, const float *score)
{
    for (;;) {
        int64_t last = at;
        for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++) {
            last = before(score, heap[last], heap[child]) ? child : last;
        }
        if (last == at) {
            return;
        }
        const int32_t key = heap[at];
        heap[at] = heap[last];
        heap[last] = key;
        at = last;
    }
}

/* The `top` best of n > top keys, in `chosen` [n] in no particular order. */
static void choose_keys(const float *score, int64_t n, int64_t top, int32_t *chosen)
{
    for (int64_t t = 0; t < top; t++) {
        chosen[t] = (int32_t)t;
    }
    for (int64_t t = top / 2; t-- > 0;) {
        sink(chosen, top, t, score);
    }
    for (int64_t t = top; t < n; t++) {
        if (before(score, (int32_t)t, chosen[0])) {
            chosen[0] = (int32_t)t;
            sink(chosen, top, 0, score);
        }
    }
}

static const rt_span *span_of(const rt_batch *b, int64_t row)
{
    const rt_span *sp = b->spans;
    while (row >= sp->row0 + sp->n || row < sp->row0) {
        sp++;
    }
    return sp;
}

/* Task: one row, all heads. */
static void attend_row(void *ud, int64_t task, int thread)
{
    const index_job *j = ud;
    const rt_block_run *r = j->r;
    const rt_mla_shape *s = j->s;
    const rt_span *sp = span_of(r->b, task);
    const rt_mla_rows rows = rt_mla_rows_of(r, s, sp);
    const int64_t q0 = task - sp->row0, visible = rows.past + q0 + 1, top = r->m->hp.index_top;
    const float *kv = rows.kv;
    int64_t n = visible;
    if (visible > top) {
        float *score = r->a->mla.absorbed + (size_t)(thread + 1) * r->a->mla.absorbed_floats - 2 * r->a->max_span;
        int32_t *chosen = (int32_t *)(score + r->a->max_span);
        float *kept = score - top * s->kva;
        score_keys(r, rows.index_k, task, visible, score);
        choose_keys(score, visible, top, chosen);
        for (int64_t t = 0; t < top; t++) {
            memcpy(kept + t * s->kva, rows.kv + chosen[t] * s->kva, (size_t)s->kva * sizeof(float));
        }
        kv = kept;
        n = top;
    }
    for (int64_t h = 0; h < s->heads; h++) {
        rt_mla_absorbed(r, s, sp, h, q0, 1, kv, n, thread);
    }
}

void rt_mla_attend_indexed(const rt_block_run *r, const rt_mla_shape *s)
{
    rt_team_for(s->n, attend_row, &(index_job){r, s});
}
