/* step_layers.c - the teacher's forward pass beside the student's kept activations, a layer at a time. */
#include "train/step_layers.h"

#include <string.h>

#include "tensor/kernels.h"

int rt_step_layer_of(const int *map, int64_t layer, int64_t n_layer, int64_t n_teacher)
{
    return map != NULL ? map[layer] : (int)(layer * n_teacher / n_layer);
}

rt_status rt_step_layers_check(const rt_model *m, const rt_step_options *o, rt_err *err)
{
    const rt_model *t = o->teacher;
    if (!rt_losses_compare_layers(o->losses, o->n_losses)) {
        return RT_OK;
    }
    if (t == NULL) {
        return rt_fail(err, RT_USAGE, 0,
                       "a loss between layers (layers=1) needs the teacher's weights: give the teacher model");
    }
    if (m->hp.n_layer < 2) {
        return rt_fail(err, RT_USAGE, 0,
                       "a loss between layers (layers=1) compares all layers but the first: the student has no other");
    }
    if (rt_net_width(m) != m->hp.d_model || rt_net_width(t) != t->hp.d_model) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "a loss between layers (layers=1) compares one residual stream with one: %s has several",
                       rt_net_width(m) != m->hp.d_model ? "the student" : "the teacher");
    }
    if (t->hp.n_vocab != m->hp.n_vocab) {
        return rt_fail(err, RT_INPUT, 0, "the teacher has vocabulary %lld, the student %lld", (long long)t->hp.n_vocab,
                       (long long)m->hp.n_vocab);
    }
    for (int i = 0; o->layer_map != NULL && i < (int)m->hp.n_layer; i++) {
        if (o->layer_map[i] < 0 || o->layer_map[i] >= t->hp.n_layer) {
            return rt_fail(err, RT_USAGE, 0, "layer %d of the student stands for layer %d of a teacher of %lld", i,
                           o->layer_map[i], (long long)t->hp.n_layer);
        }
    }
    return RT_OK;
}

rt_status rt_step_layers_init(rt_step_layers *s, const rt_model *m, const rt_step_options *o, int64_t max_rows,
                              int64_t max_span, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_model *t = o->teacher;
    const int64_t d = m->hp.d_model, n = m->hp.n_layer;
    *s = (rt_step_layers){0};
    if (!rt_losses_compare_layers(o->losses, o->n_losses)) {
        return RT_OK;
    }
    s->teacher = t;
    s->n_layer = (int)n;
    s->max_rows = max_rows;
    s->d = d;
    RT_TRY(RT_NEW(&s->of, (size_t)n, "map of layers", err));
    for (int i = 0; i < (int)n; i++) {
        s->of[i] = rt_step_layer_of(o->layer_map, i, n, t->hp.n_layer);
        s->last = i > 0 && s->of[i] > s->last ? s->of[i] : s->last;
    }
    RT_TRY(rt_step_states_init(&s->states, o->losses, o->n_losses, true, o->projections, d, t->hp.d_model, err));
    s->states.share = 1.0 / (double)(n - 1);
    RT_TRY(rt_acts_new(&s->acts, t, max_rows, max_span, RT_NET_FORWARD, err));
    RT_TRY(RT_NEW(&s->gradient, (size_t)((n - 1) * max_rows * d), "gradients by the inputs of layers", err));
    RT_TRY(RT_NEW(&s->own, (size_t)(RT_HEAD_GRAD_CHUNK * d), "inputs of a layer", err));
    RT_TRY(RT_NEW(&s->d_own, (size_t)(RT_HEAD_GRAD_CHUNK * d), "inputs of a layer", err));
    RT_TRY(RT_NEW(&s->theirs, (size_t)(RT_HEAD_GRAD_CHUNK * t->hp.d_model), "inputs of a layer", err));
out:
    return st;
}

void rt_step_layers_release(rt_step_layers *s)
{
    rt_step_states_release(&s->states);
    rt_acts_free(s->acts);
    rt_free(s->of);
    rt_free(s->gradient);
    rt_free(s->own);
    rt_free(s->d_own);
    rt_free(s->theirs);
    *s = (rt_step_layers){0};
}

size_t rt_step_layers_bytes(const rt_model *m, const rt_step_options *o, int64_t max_rows, int64_t max_span)
{
    if (!rt_losses_compare_layers(o->losses, o->n_losses) || o->teacher == NULL) {
        return 0;
    }
    const int64_t d = m->hp.d_model, d_teacher = o->teacher->hp.d_model;
    const int64_t floats = (m->hp.n_layer - 1) * max_rows * d + RT_HEAD_GRAD_CHUNK * (2 * d + d_teacher);
    return rt_acts_bytes(o->teacher, max_rows, max_span, RT_NET_FORWARD) + rt_step_states_bytes(d_teacher) +
           (size_t)floats * sizeof(float);
}

bool rt_step_layers_active(const rt_step_layers *s)
{
    bool any = false;
    for (int i = 0; i < s->states.n_losses; i++) {
        any = any || s->states.losses[i].weight > 0;
    }
    return any;
}

static void gather(float *to, const float *x, const int32_t *rows, int64_t n, int64_t d)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * d, x + rows[i] * d, (size_t)d * sizeof *to);
    }
}

/* What layer `at` of the student reads beside the teacher's x. */
static void compare(const rt_step_layers *s, int at, const float *x)
{
    const float *own = rt_acts_layer_input(s->student, at);
    float *gradient = s->gradient + (at - 1) * s->max_rows * s->d;
    for (int64_t first = 0; first < s->n_rows; first += RT_HEAD_GRAD_CHUNK) {
        const int32_t *rows = s->row_ids + first;
        const int64_t n = s->n_rows - first < RT_HEAD_GRAD_CHUNK ? s->n_rows - first : RT_HEAD_GRAD_CHUNK;
        gather(s->own, own, rows, n, s->d);
        gather(s->theirs, x, rows, n, s->teacher->hp.d_model);
        memset(s->d_own, 0, (size_t)(n * s->d) * sizeof *s->d_own);
        rt_step_compare_states(
            &s->states, s->rows,
            &(rt_head_states){.index0 = first, .n = n, .hidden = s->own, .teacher = s->theirs, .dhidden = s->d_own});
        for (int64_t i = 0; i < n; i++) {
            memcpy(gradient + rows[i] * s->d, s->d_own + i * s->d, (size_t)s->d * sizeof *gradient);
        }
    }
}

static void see_teacher(void *ud, int layer, float *x)
{
    const rt_step_layers *s = ud;
    for (int i = 1; i < s->n_layer; i++) {
        if (s->of[i] == layer) {
            compare(s, i, x);
        }
    }
}

void rt_step_layers_compare(rt_step_layers *s, const rt_step_rows *rows, const rt_acts *student, const rt_batch *b,
                            const int32_t *row_ids, int64_t n_rows)
{
    s->rows = rows;
    s->student = student;
    s->row_ids = row_ids;
    s->n_rows = n_rows;
    s->n_tokens = b->n_rows;
    memset(s->gradient, 0, (size_t)((s->n_layer - 1) * s->max_rows * s->d) * sizeof *s->gradient);
    rt_net_forward_shown(s->teacher, s->acts, b, s->last, &(rt_net_visitor){.visit = see_teacher, .ud = s});
}

void rt_step_layers_add(void *ud, int layer, float *dx)
{
    const rt_step_layers *s = ud;
    if (layer > 0) {
        rt_kernels_get()->add(dx, s->gradient + (layer - 1) * s->max_rows * s->d, s->n_tokens * s->d);
    }
}
