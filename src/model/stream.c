/* One window for a layer, one for an expert, both in the layout of params.c. The loader gives pages of the file back as
 * soon as they were decoded. */
#include "model/stream.h"

#include <string.h>

#include "model/ceiling.h"

typedef struct window {
    void *blocks[2];
    int64_t n_f32, n_bf16; /* elements of each */
} window;

/* Parameters of a layer: `first` .. `experts` are shared by all rows, then expert after expert up to `end`. */
typedef struct layer_range {
    int64_t first, experts, end;
} layer_range;

struct rt_stream {
    rt_loader *ld;
    layer_range *layers; /* [n_layer] */
    window shared, expert;
    int layer;            /* in the window, -1: none */
    int64_t expert_first; /* parameter in the other, -1: none */
    rt_stream_counts counts;
};

static void find_ranges(rt_stream *s)
{
    const rt_model *m = s->ld->m;
    for (int64_t i = 0; i < (int64_t)m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (p->layer < 0) {
            continue;
        }
        layer_range *r = &s->layers[p->layer];
        if (r->end == 0) {
            *r = (layer_range){.first = i, .experts = i};
        }
        r->end = i + 1;
        r->experts = p->expert < 0 ? i + 1 : r->experts;
    }
}

static int64_t expert_params(const rt_model *m, const layer_range *r)
{
    return r->end > r->experts ? (int64_t)m->n_expert_params : 0;
}

/* Grows a window's size to what these parameters take. */
static void measure(window *w, const rt_model *m, int64_t first, int64_t end)
{
    int64_t n_f32, n_bf16;
    rt_params_count(m, first, end, &n_f32, &n_bf16);
    w->n_f32 = n_f32 > w->n_f32 ? n_f32 : w->n_f32;
    w->n_bf16 = n_bf16 > w->n_bf16 ? n_bf16 : w->n_bf16;
}

static int64_t window_bytes(const window *w)
{
    return w->n_f32 * (int64_t)sizeof(float) + w->n_bf16 * (int64_t)sizeof(uint16_t);
}

static int64_t staying_bytes(const rt_model *m)
{
    int64_t n_f32, n_bf16, bytes = 0;
    for (int64_t i = 0; i < (int64_t)m->n_params; i++) {
        if (m->params[i].layer < 0) {
            rt_params_count(m, i, i + 1, &n_f32, &n_bf16);
            bytes += n_f32 * (int64_t)sizeof(float) + n_bf16 * (int64_t)sizeof(uint16_t);
        }
    }
    return bytes;
}

static rt_status open_window(window *w, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_new_big(&w->blocks[0], (size_t)w->n_f32 * sizeof(float), "window of a model", err));
    RT_TRY(rt_new_big(&w->blocks[1], (size_t)w->n_bf16 * sizeof(uint16_t), "window of a model", err));
out:
    return st;
}

/* `bytes`: of the windows; what stays was taken already. */
static rt_status check_room(const rt_model *m, int64_t bytes, const rt_model_options *o, rt_err *err)
{
    if (bytes <= rt_ceiling_room(m, o)) {
        return RT_OK;
    }
    if (m->ceiling == 0) {
        return rt_fail(err, RT_MEMORY, 0,
                       "the model's embedding, head and largest layer, and a pass over a sequence, do not fit into the "
                       "memory that is free: use a machine with more, or a served teacher");
    }
    return rt_ceiling_refuse(m, bytes, o, err);
}

rt_status rt_stream_new(rt_stream **out, rt_loader *ld, const rt_model_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_stream *s = NULL;
    const rt_model *m = ld->m;
    st = RT_NEW(&s, 1, "model stream", err);
    if (st != RT_OK) {
        rt_loader_free(ld);
        return st;
    }
    s->ld = ld;
    s->layer = -1;
    s->expert_first = -1;
    RT_TRY(RT_NEW(&s->layers, (size_t)m->hp.n_layer, "layers of a model", err));
    find_ranges(s);
    for (int64_t l = 0; l < m->hp.n_layer; l++) {
        const layer_range *r = &s->layers[l];
        measure(&s->shared, m, r->first, r->experts);
        measure(&s->expert, m, r->experts, r->experts + expert_params(m, r));
    }
    const int64_t need = window_bytes(&s->shared) + window_bytes(&s->expert);
    s->counts.bytes = need + staying_bytes(m);
    RT_TRY(check_room(m, need, o, err));
    for (int64_t i = 0; i < (int64_t)m->n_params; i++) {
        if (m->params[i].role == RT_ROLE_ROUTER_TABLE) { /* checked once, when all is in memory */
            RT_FAIL_OUT(err, RT_UNSUPPORTED, 0,
                        "the model is larger than the memory it may take, and its tables of experts cannot be read "
                        "layer by layer");
        }
    }
    RT_TRY(rt_loader_load(ld, err));
    RT_TRY(open_window(&s->shared, err));
    RT_TRY(open_window(&s->expert, err));
    *out = s;
    s = NULL;
out:
    rt_stream_free(s);
    return st;
}

void rt_stream_free(rt_stream *s)
{
    if (s == NULL) {
        return;
    }
    rt_loader_free(s->ld);
    for (int i = 0; i < 2; i++) {
        rt_free(s->shared.blocks[i]);
        rt_free(s->expert.blocks[i]);
    }
    rt_free(s->layers);
    rt_free(s);
}

rt_stream_counts rt_model_streamed(const rt_model *m)
{
    return m->stream != NULL ? m->stream->counts : (rt_stream_counts){0};
}

/* --- reading -------------------------------------------------------------------------------------------------- */

typedef struct read_job {
    const rt_loader *ld;
    const rt_param *first;
} read_job;

static void read_param(void *ud, int64_t task, int thread)
{
    const read_job *j = ud;
    rt_loader_decode(j->ld, j->first + task, thread);
}

static void announce(const rt_loader *ld, int64_t first, int64_t end)
{
    for (int64_t i = first; i < end; i++) {
        rt_loader_announce(ld, &ld->m->params[i]);
    }
}

static void read_into(rt_stream *s, const window *w, int64_t first, int64_t end)
{
    rt_model *m = s->ld->m;
    rt_params_place(m, first, end, w->blocks[0], w->blocks[1]);
    rt_team_for(end - first, read_param, &(read_job){.ld = s->ld, .first = m->params + first});
    for (int64_t i = first; i < end; i++) {
        s->counts.parameters += m->params[i].n;
    }
}

void rt_stream_layer(const rt_model *m, int layer)
{
    rt_stream *s = m->stream;
    if (s->layer == layer) {
        return;
    }
    const layer_range *r = &s->layers[layer], *next = &s->layers[(layer + 1) % m->hp.n_layer];
    announce(s->ld, next->first, next->experts);
    read_into(s, &s->shared, r->first, r->experts);
    s->layer = layer;
    s->counts.layers++;
}

void rt_stream_expert(const rt_model *m, int layer, int64_t expert)
{
    rt_stream *s = m->stream;
    const int64_t n = expert_params(m, &s->layers[layer]), first = s->layers[layer].experts + expert * n;
    if (s->expert_first == first) {
        return;
    }
    read_into(s, &s->expert, first, first + n);
    s->expert_first = first;
    s->counts.experts++;
}

void rt_stream_param(const rt_model *m, const rt_param *p)
{
    if (p->expert >= 0) {
        rt_stream_expert(m, p->layer, p->expert);
    } else if (p->layer >= 0) {
        rt_stream_layer(m, p->layer);
    }
}
