/* Driving the layers: embedding, blocks forward, blocks backward in reverse. */
#include "model/net.h"

#include <string.h>

#include "model/blocks.h"
#include "model/stream.h"

typedef struct embed_job {
    const rt_model *m;
    const rt_batch *b;
    float *x; /* forward */
    const float *dx;
    float *grads;
} embed_job;

static void embed_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const embed_job *j = ud;
    const rt_param *e = j->m->embed;
    const int64_t d = j->m->hp.d_model, width = rt_net_width(j->m), row0 = task * RT_ROW_BLOCK;
    const int64_t end = row0 + RT_ROW_BLOCK < j->b->n_rows ? row0 + RT_ROW_BLOCK : j->b->n_rows;
    const float scale = (float)j->m->hp.embed_scale;
    for (int64_t i = row0; i < end; i++) {
        const int64_t at = (int64_t)j->b->ids[i] * d;
        float *x = j->x + i * width;
        if (e->w != NULL) {
            memcpy(x, e->w + at, (size_t)d * sizeof(float));
        } else {
            rt_kernels_get()->bf16_to_f32(x, e->wb + at, d);
        }
        if (scale != 1.0f) {
            rt_kernels_get()->scale(x, scale, d);
        }
        for (int64_t stream = d; stream < width; stream += d) {
            memcpy(x + stream, x, (size_t)d * sizeof(float));
        }
    }
}

int64_t rt_net_width(const rt_model *m)
{
    return (m->hp.hyper.n > 0 ? m->hp.hyper.n : 1) * m->hp.d_model;
}

void rt_net_embed(const rt_model *m, const rt_batch *b, float *x)
{
    rt_team_for((b->n_rows + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK, embed_rows, &(embed_job){.m = m, .b = b, .x = x});
}

/* Task: a range of columns over all rows in order, so that rows with one id add up in a fixed order. */
#define EMBED_COLUMNS 64
static void embed_backward_columns(void *ud, int64_t task, int thread)
{
    (void)thread;
    const embed_job *j = ud;
    const int64_t d = j->m->hp.d_model, c0 = task * EMBED_COLUMNS;
    const int64_t n = d - c0 < EMBED_COLUMNS ? d - c0 : EMBED_COLUMNS;
    for (int64_t i = 0; i < j->b->n_rows; i++) {
        float *g = j->grads + j->m->embed->offset + (int64_t)j->b->ids[i] * d + c0;
        rt_kernels_get()->axpy(g, (float)j->m->hp.embed_scale, j->dx + i * d + c0, n);
    }
}

/* Rotation of every row of the batch, from its position in its span. */
static void fill_rotations(const rt_model *m, rt_acts *a, const rt_batch *b)
{
    const int64_t rot = m->hp.n_rot;
    for (int kind = 0; kind < 2 && m->rope_cs[kind] != NULL; kind++) {
        for (int64_t i = 0; i < b->n_spans; i++) {
            const rt_span *sp = &b->spans[i];
            const int64_t pos = sp->kv != NULL ? sp->kv->n : 0;
            RT_BUG_IF(pos + sp->n > m->rope_rows || pos + sp->n > a->max_span);
            memcpy(a->cs[kind] + sp->row0 * rot, m->rope_cs[kind] + pos * rot, (size_t)(sp->n * rot) * sizeof(float));
        }
    }
}

static rt_block_run layer_run(const rt_model *m, rt_acts *a, const rt_batch *b, int l)
{
    return (rt_block_run){
        .m = m, .a = a, .b = b, .layer = &m->layers[l], .l = l, .la = &a->layers[rt_net_trains(a->mode) ? l : 0]};
}

/* hyper: role of what connects the block to several streams, in architectures that have them. */
static void run_block(const rt_block_kind *k, rt_block_run *r, rt_role hyper, const float *x_in, float *x_out)
{
    r->stream = x_in;
    k->forward(r, r->layer->p[hyper] != NULL ? rt_hyper_enter(r, hyper, x_in) : x_in, x_out);
}

static void run_layer(rt_block_run r, const float *x_in, float *x_mid, float *x_out)
{
    const rt_model *m = r.m;
    const int l = r.l;
    if (m->stream != NULL) {
        rt_stream_layer(m, l);
    }
    run_block(rt_block_mixer(&m->hp, l), &r, RT_ROLE_HYPER_MIXER_FN, x_in, x_mid);
    run_block(rt_block_ffn(&m->hp, l), &r, RT_ROLE_HYPER_FFN_FN, x_mid, x_out);
}

void rt_net_layer(const rt_model *m, rt_acts *a, const rt_batch *b, int layer, float *x)
{
    RT_BUG_IF(rt_net_trains(a->mode));
    fill_rotations(m, a, b);
    run_layer(layer_run(m, a, b, layer), x, x, x);
}

void rt_net_forward_shown(const rt_model *m, rt_acts *a, const rt_batch *b, int last, const rt_net_visitor *v)
{
    RT_BUG_IF(rt_net_trains(a->mode) || b->n_rows > a->max_rows || last >= (int)m->hp.n_layer);
    fill_rotations(m, a, b);
    rt_net_embed(m, b, a->x);
    for (int l = 0; l < last; l++) {
        v->visit(v->ud, l, a->x);
        run_layer(layer_run(m, a, b, l), a->x, a->x, a->x);
    }
    v->visit(v->ud, last, a->x);
}

void rt_net_forward(const rt_model *m, rt_acts *a, const rt_batch *b)
{
    const bool train = rt_net_trains(a->mode);
    const int n_layer = (int)m->hp.n_layer;
    RT_BUG_IF(b->n_rows > a->max_rows);
    fill_rotations(m, a, b);
    rt_net_embed(m, b, train ? a->layers[0].x : a->x);
    for (int l = 0; l < n_layer; l++) {
        if (train) {
            float *out = l + 1 < n_layer ? a->layers[l + 1].x : a->x;
            run_layer(layer_run(m, a, b, l), a->layers[l].x, a->layers[l].x_mid, out);
        } else {
            run_layer(layer_run(m, a, b, l), a->x, a->x, a->x);
        }
    }
    if (m->hp.hyper.n > 0) {
        rt_hyper_end(m, a->x, b->n_rows, a->x_end);
    }
    for (int64_t i = 0; i < b->n_spans; i++) {
        if (b->spans[i].kv != NULL) {
            b->spans[i].kv->n += b->spans[i].n;
        }
    }
}

void rt_net_backward(const rt_model *m, float *grads, rt_acts *a, const rt_batch *b, float *dx)
{
    rt_net_backward_shown(m, grads, a, b, dx, NULL);
}

void rt_net_backward_shown(const rt_model *m, float *grads, rt_acts *a, const rt_batch *b, float *dx,
                           const rt_net_visitor *v)
{
    const int n_layer = (int)m->hp.n_layer;
    RT_BUG_IF(!rt_net_trains(a->mode));
    for (int l = n_layer - 1; l >= 0; l--) {
        rt_block_run r = layer_run(m, a, b, l);
        if (a->mode == RT_NET_RECOMPUTE && l + 1 < n_layer) { /* what the last layer left is still there */
            r.again = true;
            run_layer(r, r.la->x, r.la->x_mid, a->layers[l + 1].x);
        }
        r.grads = grads;
        rt_block_ffn(&m->hp, l)->backward(&r, r.la->x_mid, dx);
        rt_block_mixer(&m->hp, l)->backward(&r, r.la->x, dx);
        if (v != NULL) {
            v->visit(v->ud, l, dx);
        }
    }
    const int64_t n = (m->hp.d_model + EMBED_COLUMNS - 1) / EMBED_COLUMNS;
    if (!m->embed->frozen) {
        rt_team_for(n, embed_backward_columns, &(embed_job){.m = m, .b = b, .dx = dx, .grads = grads});
    }
}
