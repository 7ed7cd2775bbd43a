/* answers.c - forward pass, head sweep, and a visitor a kind of target. */
#include "teacher/answers.h"

#include <math.h>
#include <string.h>

#include "teacher/draw.h"

struct rt_answers {
    const rt_model *teacher; /* NULL: logits are given */
    int64_t n_vocab;
    rt_answer_options o;
    rt_acts *acts;
    rt_head *head;
    int n_threads;
    rt_draw_scratch *scratch; /* [n_threads] */
    rt_cache_row *rows;       /* [max_tokens] */
    int32_t *ids, *counts;    /* [max_tokens][width] */
    float *values;            /* [max_tokens][width] log p, or hidden states */
    size_t width;
    const rt_gather *g; /* of the run in progress */
};

static size_t row_width(const rt_model *teacher, const rt_answer_options *o)
{
    return o->kind == RT_CACHE_SAMPLE ? (size_t)o->draws
           : o->kind == RT_CACHE_TOPK ? (size_t)o->k
                                      : (size_t)teacher->hp.d_model;
}

static size_t bytes_per_row(const rt_model *teacher, const rt_answer_options *o)
{
    const size_t per_value = o->kind == RT_CACHE_HIDDEN ? sizeof(float) : 2 * sizeof(int32_t);
    return sizeof(rt_cache_row) + per_value * row_width(teacher, o);
}

static int64_t draw_bytes(const rt_model *teacher, const rt_answer_options *o)
{
    return o->kind == RT_CACHE_SAMPLE
               ? (int64_t)rt_draw_scratch_bytes(teacher->hp.n_vocab, o->draws) * rt_team_threads()
               : 0;
}

int64_t rt_answers_beside(const rt_model *teacher, const rt_answer_options *o)
{
    return draw_bytes(teacher, o) + o->max_tokens * (int64_t)bytes_per_row(teacher, o);
}

size_t rt_answers_bytes(const rt_model *teacher, const rt_answer_options *o)
{
    return rt_acts_bytes(teacher, o->max_tokens, o->max_span, RT_NET_FORWARD) + rt_head_bytes(teacher, NULL, false) +
           (size_t)rt_answers_beside(teacher, o);
}

rt_status rt_answers_fit(rt_answer_options *o, const rt_model *teacher, int64_t beside, rt_err *err)
{
    const rt_pass pass = {.rows = o->max_tokens,
                          .span = o->max_span,
                          .bytes = beside + draw_bytes(teacher, o),
                          .bytes_per_row = (int64_t)bytes_per_row(teacher, o)};
    return rt_pass_rows(&o->max_tokens, teacher, &pass, err);
}

rt_status rt_answers_new(rt_answers **out, const rt_model *teacher, const rt_answer_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_answers *a = NULL;
    RT_TRY(RT_NEW(&a, 1, "teacher answers", err));
    a->teacher = teacher;
    a->o = *o;
    a->width = row_width(teacher, o);
    a->n_threads = rt_team_threads();
    size_t n_values;
    if (!rt_mul_size((size_t)o->max_tokens, a->width, &n_values)) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "a batch of %lld tokens is too large", (long long)o->max_tokens);
    }
    a->n_vocab = teacher ? teacher->hp.n_vocab : o->n_vocab;
    if (teacher) {
        RT_TRY(rt_acts_new(&a->acts, teacher, o->max_tokens, o->max_span, RT_NET_FORWARD, err));
        RT_TRY(rt_head_new(&a->head, teacher, NULL, false, err));
    }
    RT_TRY(RT_NEW(&a->scratch, (size_t)a->n_threads, "scratch of threads", err));
    for (int i = 0; o->kind == RT_CACHE_SAMPLE && i < a->n_threads; i++) {
        RT_TRY(rt_draw_scratch_init(&a->scratch[i], a->n_vocab, o->draws, err));
    }
    RT_TRY(RT_NEW(&a->rows, (size_t)o->max_tokens, "teacher answers", err));
    if (o->kind != RT_CACHE_HIDDEN) {
        RT_TRY(RT_NEW(&a->ids, n_values, "ids of teacher answers", err));
    }
    if (o->kind == RT_CACHE_SAMPLE) {
        RT_TRY(RT_NEW(&a->counts, n_values, "counts of teacher answers", err));
    } else {
        RT_TRY(RT_NEW(&a->values, n_values, "values of teacher answers", err));
    }
    *out = a;
    a = NULL;
out:
    rt_answers_free(a);
    return st;
}

void rt_answers_free(rt_answers *a)
{
    if (!a) {
        return;
    }
    for (int i = 0; a->scratch && i < a->n_threads; i++) {
        rt_draw_scratch_release(&a->scratch[i]);
    }
    rt_acts_free(a->acts);
    rt_head_free(a->head);
    rt_free(a->scratch);
    rt_free(a->rows);
    rt_free(a->ids);
    rt_free(a->counts);
    rt_free(a->values);
    rt_free(a);
}

static void visit(void *ud, const rt_head_row *h)
{
    rt_answers *a = ud;
    const rt_answer_options *o = &a->o;
    const int64_t n_vocab = a->n_vocab;
    const size_t at = (size_t)h->index * a->width;
    rt_cache_row *row = &a->rows[h->index];
    float label = h->logits[a->g->labels[h->index]];
    *row = (rt_cache_row){.label_logp = label - rt_kernels_get()->logsumexp(h->logits, n_vocab, 1, NULL)};
    switch (o->kind) {
    case RT_CACHE_SAMPLE:
        row->ids = a->ids + at;
        row->counts = a->counts + at;
        row->n =
            rt_draw_sample(h->logits, n_vocab, o->temperature, o->draws, o->seed, (uint64_t)a->g->positions[h->index],
                           &a->scratch[h->thread], a->ids + at, a->counts + at, &row->entropy);
        break;
    case RT_CACHE_TOPK:
        row->ids = a->ids + at;
        row->logp = a->values + at;
        row->n = o->k;
        rt_draw_topk(h->logits, n_vocab, o->temperature, o->k, a->ids + at, a->values + at, &row->log_tail);
        break;
    case RT_CACHE_HIDDEN:
        row->hidden = a->values + at;
        memcpy(a->values + at, h->hidden, a->width * sizeof *a->values);
        break;
    }
}

const rt_cache_row *rt_answers_run(rt_answers *a, const rt_gather *g)
{
    const rt_batch b = rt_gather_batch(g);
    RT_BUG_IF(g->n_tokens > a->o.max_tokens || rt_team_threads() > a->n_threads);
    a->g = g;
    rt_net_forward(a->teacher, a->acts, &b);
    rt_head_run(a->head, &(rt_head_sweep){.model = a->teacher,
                                          .x = rt_acts_x(a->acts),
                                          .rows = g->rows,
                                          .n_rows = g->n_rows,
                                          .mode = RT_NET_FORWARD,
                                          .visit = visit,
                                          .ud = a});
    return a->rows;
}

void rt_answers_begin(rt_answers *a, const rt_gather *g)
{
    RT_BUG_IF(a->teacher || g->n_tokens > a->o.max_tokens);
    a->g = g;
}

void rt_answers_put(rt_answers *a, int64_t i, float *logits, int thread)
{
    visit(a, &(rt_head_row){.index = i, .row = a->g->rows[i], .logits = logits, .thread = thread});
}

const rt_cache_row *rt_answers_rows(const rt_answers *a)
{
    return a->rows;
}
