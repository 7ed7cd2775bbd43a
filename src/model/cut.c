/* Cutting: every axis of every tensor keeps the places its dimension keeps. */
#include "model/cut.h"

#include <math.h>
#include <string.h>

#include "model/params.h"
#include "model/stream.h"

/* Places of a dimension that stay: `unit` neighbours for each entry of the list; NULL: all. */
typedef struct places {
    const int32_t *list;
    int64_t n, unit;
} places;

/* `layer`: of the teacher, -1: none. */
static places places_of(rt_dim d, const rt_cut *c, const rt_hparams *hp, int layer)
{
    const int64_t l = layer < 0 ? 0 : layer, group = hp->n_head / hp->n_head_kv;
    const places heads = {c->heads != NULL ? c->heads + l * c->shape.kv_heads : NULL, c->shape.kv_heads, 1};
    switch (d) {
    case RT_DIM_D: return (places){c->hidden, c->shape.hidden, 1};
    case RT_DIM_F: return (places){c->ffn != NULL ? c->ffn + l * c->shape.ffn : NULL, c->shape.ffn, 1};
    case RT_DIM_KV: return (places){heads.list, heads.n, hp->head_dim};
    case RT_DIM_H: return (places){heads.list, heads.n, group};
    case RT_DIM_Q: return (places){heads.list, heads.n, group * hp->head_dim};
    default: return (places){0};
    }
}

static int64_t place_at(const places *p, int64_t i)
{
    return p->list != NULL ? p->list[i / p->unit] * p->unit + i % p->unit : i;
}

static void take(float *dst, const float *src, const rt_param *from, const rt_param *to, const places *rows,
                 const places *cols)
{
    const int64_t in = from->dims[1];
    for (int64_t r = 0; r < to->dims[0]; r++) {
        const float *row = src + place_at(rows, r) * in;
        for (int64_t c = 0; c < to->dims[1]; c++) {
            *dst++ = row[place_at(cols, c)];
        }
    }
}

static void scale_gain(float *w, int64_t n, float offset, float factor)
{
    for (int64_t i = 0; factor != 1.0f && i < n; i++) {
        w[i] = (w[i] + offset) * factor - offset;
    }
}

/* Embeddings that are multiplied by sqrt(d_model) on their way in. */
static void keep_embed_scale(rt_model *m, const rt_model *teacher)
{
    const double lost = teacher->hp.embed_scale / m->hp.embed_scale;
    if (lost == 1.0) {
        return;
    }
    for (int64_t i = 0; i < m->embed->n; i++) {
        m->embed->w[i] *= (float)lost;
    }
    if (m->output == m->embed) {
        scale_gain(m->output_norm->w, m->output_norm->n, m->arch->norm_offset, (float)(1.0 / lost));
    }
}

static rt_status fill(rt_model *m, const rt_model *teacher, const rt_cut *c, rt_err *err)
{
    rt_status st = RT_OK;
    float *whole = NULL;
    for (size_t i = 0, j = 0; i < m->n_params; i++, j++) {
        rt_param *p = &m->params[i];
        const int layer = p->layer < 0 || c->layers == NULL ? p->layer : c->layers[p->layer];
        while (teacher->params[j].layer != layer || teacher->params[j].role != p->role ||
               teacher->params[j].expert != p->expert) {
            j++; /* both lists have one order, the teacher's has more layers */
            RT_BUG_IF(j >= teacher->n_params);
        }
        const rt_param *from = &teacher->params[j];
        const rt_tensor_desc *d = rt_param_desc(teacher, from);
        const places rows = places_of(d->shape[0], c, &teacher->hp, layer);
        const places cols = places_of(d->shape[1], c, &teacher->hp, layer);
        if (from->frozen && (rows.list != NULL || cols.list != NULL)) {
            RT_FAIL_OUT(err, RT_UNSUPPORTED, 0,
                        "'%s' is not trained and keeps the codes of its file: it cannot be cut to another width",
                        from->name);
        }
        p->frozen = from->frozen;
        if (teacher->stream != NULL) {
            rt_stream_param(teacher, from);
        }
        if (rows.list == NULL && cols.list == NULL) {
            rt_param_read(from, p->w);
        } else {
            rt_free(whole);
            RT_TRY(RT_NEW(&whole, (size_t)from->n, "weights to cut", err));
            rt_param_read(from, whole);
            take(p->w, whole, from, p, &rows, &cols);
        }
        if (c->gain != NULL) {
            scale_gain(p->w, p->n, m->arch->norm_offset, c->gain[j]);
        }
    }
    keep_embed_scale(m, teacher);
out:
    rt_free(whole);
    return st;
}

static rt_status check_layers(const rt_cut *c, const rt_hparams *hp, rt_err *err)
{
    for (int64_t i = 0; c->layers != NULL && i < c->shape.layers; i++) {
        const int l = c->layers[i];
        if (l < 0 || l >= hp->n_layer || (i > 0 && l <= c->layers[i - 1])) {
            return rt_fail(err, RT_USAGE, 0, "keep-list entry %lld is layer %d: layers must ascend within 0..%lld",
                           (long long)i, l, (long long)hp->n_layer - 1);
        }
    }
    return RT_OK;
}

/* An empty model of the student's shape, with the teacher's rotary divisors. */
static rt_status build(rt_model **out, const rt_model *teacher, const rt_shape *s, const int *layers,
                       const rt_model_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_hparams hp;
    RT_BUG_IF(!o->trainable); /* values go into f32 masters */
    rt_shape_hparams(&hp, teacher->arch, &teacher->hp, s, layers);
    if (teacher->hp.rope_divisors != NULL) {
        RT_TRY(RT_NEW(&hp.rope_divisors, (size_t)(hp.n_rot / 2), "rotary divisors", err));
        memcpy(hp.rope_divisors, teacher->hp.rope_divisors, (size_t)(hp.n_rot / 2) * sizeof(float));
    }
    RT_TRY(rt_params_build(out, teacher->arch, &hp, o, err));
    hp.rope_divisors = NULL;
out:
    rt_free(hp.rope_divisors);
    return st;
}

rt_status rt_model_prune(rt_model **out, const rt_model *teacher, const rt_cut *cut, const rt_model_options *o,
                         rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_cut c = *cut;
    RT_TRY(rt_shape_settle(&c.shape, teacher->arch, &teacher->hp, err));
    RT_TRY(check_layers(&c, &teacher->hp, err));
    RT_TRY(build(&m, teacher, &c.shape, c.layers, o, err));
    RT_TRY(fill(m, teacher, &c, err));
    rt_model_refresh(m);
    *out = m;
    m = NULL;
out:
    rt_model_close(m);
    return st;
}

rt_status rt_model_cut(rt_model **out, const rt_model *teacher, const int *keep, int n_keep, const rt_model_options *o,
                       rt_err *err)
{
    if (n_keep < 1 || n_keep > teacher->hp.n_layer) {
        return rt_fail(err, RT_USAGE, 0, "cannot keep %d of %lld layers", n_keep, (long long)teacher->hp.n_layer);
    }
    return rt_model_prune(out, teacher, &(rt_cut){.shape = {.layers = n_keep}, .layers = keep}, o, err);
}

/* --- without a teacher's weights ---------------------------------------------------------------------------------- */

#define RANDOM_BLOCK 16384 /* values from one sub-stream */

typedef struct random_job {
    rt_param *p;
    uint64_t seed;
    double std;
} random_job;

static void draw_block(void *ud, int64_t task, int thread)
{
    (void)thread;
    const random_job *j = ud;
    const int64_t end = (task + 1) * RANDOM_BLOCK < j->p->n ? (task + 1) * RANDOM_BLOCK : j->p->n;
    rt_rng rng = rt_rng_init(j->seed, j->p->name, (uint64_t)task);
    for (int64_t i = task * RANDOM_BLOCK; i < end; i++) {
        j->p->w[i] = (float)(j->std * rt_rng_normal(&rng));
    }
}

static void randomise(const rt_model *m, rt_param *p, uint64_t seed)
{
    if (p->n_dims == 1) {
        for (int64_t i = 0; i < p->n; i++) {
            p->w[i] = rt_role_is_norm(p->role) ? 1.0f - m->arch->norm_offset : 0.0f;
        }
        return;
    }
    const bool writes = p->layer >= 0 && rt_param_desc(m, p)->shape[0] == RT_DIM_D;
    random_job j = {.p = p, .seed = seed, .std = RT_INIT_STD / (writes ? sqrt(2.0 * (double)m->hp.n_layer) : 1.0)};
    rt_team_for((p->n + RANDOM_BLOCK - 1) / RANDOM_BLOCK, draw_block, &j);
}

rt_status rt_model_random(rt_model **out, const rt_model *teacher, const rt_shape *s, uint64_t seed,
                          const rt_model_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_shape shape = *s;
    RT_TRY(rt_shape_settle(&shape, teacher->arch, &teacher->hp, err));
    RT_TRY(build(&m, teacher, &shape, NULL, o, err));
    for (size_t i = 0; i < m->n_params; i++) {
        randomise(m, &m->params[i], seed);
    }
    rt_model_refresh(m);
    *out = m;
    m = NULL;
out:
    rt_model_close(m);
    return st;
}
