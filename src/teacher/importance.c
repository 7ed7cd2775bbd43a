/* Measuring importance, and what stays by it. */
#include "teacher/importance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "teacher/gather.h"
#include "teacher/importance_file.h"

/* --- measuring ---------------------------------------------------------------------------------------------------- */

rt_status rt_importance_layout(rt_importance *i, const rt_model *m, rt_err *err)
{
    const rt_hparams *hp = &m->hp;
    i->n_layer = hp->n_layer;
    i->d_model = hp->d_model;
    i->d_ff = hp->d_ff;
    i->n_head_kv = hp->n_head_kv;
    i->n_norms = rt_activity_norms(m);
    const int64_t n_ffn = i->n_layer * i->d_ff, n_heads = i->n_layer * i->n_head_kv;
    const rt_status st =
        RT_NEW(&i->block, (size_t)(i->d_model + n_ffn + n_heads + i->n_norms * i->d_model), "importance", err);
    i->hidden = i->block;
    i->ffn = i->hidden + i->d_model;
    i->heads = i->ffn + n_ffn;
    i->square = i->heads + n_heads;
    return st;
}

void rt_importance_release(rt_importance *i)
{
    rt_free(i->block);
    *i = (rt_importance){0};
}

static void means(float *out, const double *sum, int64_t n, double count)
{
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)(sum[i] / count);
    }
}

static void take_means(rt_importance *i, const rt_activity *a)
{
    const double rows = (double)a->rows;
    for (int64_t c = 0; c < i->d_model; c++) {
        double sum = 0;
        for (int64_t n = 0; n < i->n_norms; n++) {
            sum += a->output[n * i->d_model + c];
        }
        i->hidden[c] = (float)(sum / (rows * (double)i->n_norms));
    }
    means(i->ffn, a->ffn, i->n_layer * i->d_ff, rows);
    means(i->heads, a->heads, i->n_layer * i->n_head_kv, rows);
    means(i->square, a->square, i->n_norms * i->d_model, rows);
}

static rt_status check_means(const rt_importance *i, rt_err *err)
{
    const float *end = i->square + i->n_norms * i->d_model;
    for (const float *x = i->block; x < end; x++) {
        if (!isfinite(*x)) {
            return rt_fail(err, RT_NUMERIC, 0, "what runs through the teacher is not finite; the model is damaged");
        }
    }
    return RT_OK;
}

static rt_status check_memory(const rt_model *teacher, rt_err *err)
{
    const size_t bytes = rt_acts_bytes(teacher, RT_PIECE_TOKENS, RT_PIECE_TOKENS, RT_NET_TRAIN);
    return teacher->stream != NULL ? RT_OK : rt_ceiling_check(teacher, (int64_t)bytes, "measuring widths", "", err);
}

/* A span at a time: what a training pass keeps of more would be gigabytes. */
static rt_status run(rt_activity *a, rt_acts *acts, const rt_gather *g, rt_err *err)
{
    rt_progress progress;
    rt_progress_begin(&progress, "measure widths");
    for (int64_t i = 0; i < g->n_spans; i++) {
        const rt_span span = {.row0 = 0, .n = g->spans[i].n};
        const rt_batch b = {.ids = g->ids + g->spans[i].row0, .n_rows = span.n, .spans = &span, .n_spans = 1};
        if (rt_interrupted()) {
            return rt_fail(err, RT_CANCELLED, 0, "measuring widths stopped after %lld tokens", (long long)a->rows);
        }
        rt_net_forward(a->m, acts, &b);
        rt_activity_add(a, acts, &b);
        rt_progress_update(&progress, (double)a->rows, (double)g->n_tokens, "%lld tokens", (long long)a->rows);
    }
    rt_progress_end(&progress, "%lld tokens", (long long)a->rows);
    return RT_OK;
}

rt_status rt_importance_measure(rt_importance *out, const rt_model *teacher, const rt_digest *teacher_hash,
                                const rt_packed *p, int64_t tokens, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gather g = {0};
    rt_acts *acts = NULL;
    rt_activity *a = NULL;
    *out = (rt_importance){.teacher = *teacher_hash, .data = p->hash};
    RT_TRY(rt_model_check_trainable(teacher->arch, &teacher->hp, err));
    RT_TRY(rt_packed_check(p, teacher, err));
    RT_TRY(rt_gather_spread(&g, p, tokens, err));
    RT_TRY(rt_activity_new(&a, teacher, err));
    RT_TRY(check_memory(teacher, err));
    RT_TRY(rt_acts_new(&acts, teacher, RT_PIECE_TOKENS, RT_PIECE_TOKENS, RT_NET_TRAIN, err));
    RT_TRY(run(a, acts, &g, err));
    RT_TRY(rt_importance_layout(out, teacher, err));
    out->tokens = a->rows;
    take_means(out, a);
    RT_TRY(check_means(out, err));
out:
    rt_acts_free(acts);
    rt_activity_free(a);
    rt_gather_release(&g);
    return st;
}

/* --- choosing ----------------------------------------------------------------------------------------------------- */

typedef struct scored {
    float score;
    int32_t i;
} scored;

static int by_importance(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score ? 1 : -1) : x->i - y->i;
}

static int by_place(const void *a, const void *b)
{
    return ((const scored *)a)->i - ((const scored *)b)->i;
}

/* Places of the n_keep largest of n scores, ascending. */
static void best(int32_t *keep, int64_t n_keep, const float *score, int64_t n, scored *sorted)
{
    for (int64_t i = 0; i < n; i++) {
        sorted[i] = (scored){score[i], (int32_t)i};
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_importance);
    qsort(sorted, (size_t)n_keep, sizeof *sorted, by_place);
    for (int64_t i = 0; i < n_keep; i++) {
        keep[i] = sorted[i].i;
    }
}

static float gain_of(const float *square, int64_t n, const int32_t *keep, int64_t n_keep)
{
    double all = 0, kept = 0;
    for (int64_t i = 0; i < n; i++) {
        all += (double)square[i];
    }
    for (int64_t i = 0; i < n_keep; i++) {
        kept += (double)square[keep[i]];
    }
    return all > 0 ? (float)sqrt((double)n / (double)n_keep * kept / all) : 1.0f;
}

static void fill_gains(float *gain, const rt_importance *i, const rt_model *teacher, const int32_t *hidden,
                       int64_t n_hidden)
{
    int64_t norm = 0;
    for (size_t p = 0; p < teacher->n_params; p++) {
        gain[p] = 1.0f;
        if (rt_activity_counts(teacher, &teacher->params[p])) {
            gain[p] = gain_of(i->square + norm++ * i->d_model, i->d_model, hidden, n_hidden);
        }
    }
}

rt_status rt_importance_cut(rt_cut *cut, void **block, const rt_importance *i, const rt_model *teacher,
                            const rt_shape *shape, const int *layers, rt_err *err)
{
    rt_status st = RT_OK;
    scored *sorted = NULL;
    int32_t *hidden = NULL;
    const int64_t most = i->d_model > i->d_ff ? i->d_model : i->d_ff;
    const int64_t n_ffn = i->n_layer * shape->ffn, n_heads = i->n_layer * shape->kv_heads;
    *cut = (rt_cut){.shape = *shape, .layers = layers};
    RT_TRY(RT_NEW(&sorted, (size_t)(most + i->n_head_kv), "sorted importance", err));
    RT_TRY(RT_NEW(&hidden, (size_t)(shape->hidden + n_ffn + n_heads) + teacher->n_params, "what stays", err));
    int32_t *ffn = hidden + shape->hidden, *heads = ffn + n_ffn;
    float *gain = (float *)(heads + n_heads);
    if (shape->hidden < i->d_model) {
        best(hidden, shape->hidden, i->hidden, i->d_model, sorted);
        fill_gains(gain, i, teacher, hidden, shape->hidden);
        cut->hidden = hidden;
        cut->gain = gain;
    }
    for (int64_t l = 0; l < i->n_layer && shape->ffn < i->d_ff; l++) {
        best(ffn + l * shape->ffn, shape->ffn, i->ffn + l * i->d_ff, i->d_ff, sorted);
        cut->ffn = ffn;
    }
    for (int64_t l = 0; l < i->n_layer && shape->kv_heads < i->n_head_kv; l++) {
        best(heads + l * shape->kv_heads, shape->kv_heads, i->heads + l * i->n_head_kv, i->n_head_kv, sorted);
        cut->heads = heads;
    }
    *block = hidden;
out:
    rt_free(sorted);
    return st;
}
