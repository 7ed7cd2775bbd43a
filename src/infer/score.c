/* score.c - requests with one context form a group. Groups are packed into batches; a batch reads the shared part of
 * every context once into key/value memory, then round c continues all of them with their c-th choice. */
#include "infer/score.h"

#include <math.h>
#include <string.h>

#include "infer/id_lists.h"
#include "infer/kv.h"

#define DEFAULT_ROWS 2048

typedef struct group {
    size_t first, count; /* requests */
    int64_t shared;      /* tokens of the context read ahead: all but the last, which predicts; 0: nothing is shared */
    int64_t tail;        /* most rows a round takes */
    rt_kv kv;
} group;

typedef struct scorer {
    const rt_model *m;
    const rt_score_request *requests;
    rt_score *scores;
    size_t n;
    int64_t max_rows;
    rt_acts *acts;
    rt_head *head;
    group *groups; /* [max_rows] of the batch */
    size_t n_groups;
    rt_span *spans;  /* [max_rows] */
    int32_t *ids;    /* [max_rows] */
    int32_t *rows;   /* [max_rows] rows that predict */
    int32_t *labels; /* [max_rows] what follows them */
    float *logprobs; /* [max_rows] */
    bool *greedy;    /* [max_rows] */
} scorer;

static int64_t rows_of(const rt_score_request *r)
{
    return r->n_context + r->n - 1;
}

static rt_status check_input(const scorer *s, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < s->n; i++) {
        const rt_score_request *r = &s->requests[i];
        if (r->n < 1) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "request %zu: the continuation is empty", i);
        }
        RT_TRY(rt_ids_check_context(s->m, r->context, r->n_context, "context of request", i, err));
        if (r->n > s->m->rope_rows - r->n_context + 1) {
            RT_FAIL_OUT(err, RT_INPUT, 0,
                        "request %zu needs %lld tokens, the context of the model has %lld; shorten its context", i,
                        (long long)rows_of(r), (long long)s->m->rope_rows);
        }
        RT_TRY(rt_ids_check(s->m, r->ids, r->n, "continuation of request", i, err));
    }
out:
    return st;
}

static rt_status open_scorer(scorer *s, rt_err *err)
{
    rt_status st = RT_OK;
    int64_t longest = 1, total = 0;
    for (size_t i = 0; i < s->n; i++) {
        const int64_t rows = rows_of(&s->requests[i]);
        longest = rows > longest ? rows : longest;
        total += total <= s->max_rows ? rows : 0;
    }
    s->max_rows = total < s->max_rows ? total : s->max_rows;
    s->max_rows = longest > s->max_rows ? longest : s->max_rows;
    /* a row's keys and values are held with the context's, and its choice's behind them */
    const rt_pass pass = {.rows = s->max_rows, .span = longest, .bytes_per_row = 2 * (int64_t)rt_kv_bytes(s->m, 1)};
    RT_TRY(rt_pass_rows(&s->max_rows, s->m, &pass, err));
    const size_t n = (size_t)s->max_rows;
    RT_TRY(rt_acts_new(&s->acts, s->m, s->max_rows, longest, RT_NET_FORWARD, err));
    RT_TRY(rt_head_new(&s->head, s->m, NULL, false, err));
    RT_TRY(RT_NEW(&s->groups, n, "groups of requests", err));
    RT_TRY(RT_NEW(&s->spans, n, "batch spans", err));
    RT_TRY(RT_NEW(&s->ids, n, "batch ids", err));
    RT_TRY(RT_NEW(&s->rows, n, "rows to score", err));
    RT_TRY(RT_NEW(&s->labels, n, "tokens to score", err));
    RT_TRY(RT_NEW(&s->logprobs, n, "log-probabilities", err));
    RT_TRY(RT_NEW(&s->greedy, n, "greedy marks", err));
out:
    return st;
}

static void close_groups(scorer *s)
{
    for (size_t i = 0; i < s->n_groups; i++) {
        rt_kv_release(&s->groups[i].kv);
    }
    s->n_groups = 0;
}

static void close_scorer(scorer *s)
{
    close_groups(s);
    rt_acts_free(s->acts);
    rt_head_free(s->head);
    rt_free(s->groups);
    rt_free(s->spans);
    rt_free(s->ids);
    rt_free(s->rows);
    rt_free(s->labels);
    rt_free(s->logprobs);
    rt_free(s->greedy);
}

/* --- packing --------------------------------------------------------------------------------------------------- */

static bool same_context(const rt_score_request *a, const rt_score_request *b)
{
    return a->n_context == b->n_context &&
           (a->context == b->context || memcmp(a->context, b->context, (size_t)a->n_context * sizeof *a->context) == 0);
}

static group group_at(const scorer *s, size_t first)
{
    const rt_score_request *r = &s->requests[first];
    group g = {.first = first, .count = 1};
    int64_t longest = r->n;
    while (first + g.count < s->n && same_context(r, &r[g.count])) {
        longest = r[g.count].n > longest ? r[g.count].n : longest;
        g.count++;
    }
    g.shared = g.count > 1 ? r->n_context - 1 : 0;
    g.tail = r->n_context - g.shared + longest - 1;
    return g;
}

/* Fills a batch from request `first` on; returns the first request that is not in it. */
static size_t pack(scorer *s, size_t first)
{
    int64_t shared = 0, tail = 0;
    while (first < s->n) {
        const group g = group_at(s, first);
        shared += g.shared;
        tail += g.tail;
        if (s->n_groups > 0 && (shared > s->max_rows || tail > s->max_rows)) {
            break;
        }
        s->groups[s->n_groups++] = g;
        first += g.count;
    }
    return first;
}

/* --- running --------------------------------------------------------------------------------------------------- */

static void read_shared(scorer *s)
{
    rt_batch b = {.ids = s->ids, .spans = s->spans};
    for (size_t i = 0; i < s->n_groups; i++) {
        group *g = &s->groups[i];
        if (g->shared > 0) {
            memcpy(s->ids + b.n_rows, s->requests[g->first].context, (size_t)g->shared * sizeof *s->ids);
            s->spans[b.n_spans++] = (rt_span){.row0 = b.n_rows, .n = g->shared, .kv = &g->kv};
            b.n_rows += g->shared;
        }
    }
    if (b.n_rows > 0) {
        rt_net_forward(s->m, s->acts, &b);
    }
    for (size_t i = 0; i < s->n_groups; i++) {
        if (s->groups[i].shared > 0) {
            rt_kv_mark(&s->groups[i].kv, s->m);
        }
    }
}

static void score_row(void *ud, const rt_head_row *row)
{
    scorer *s = ud;
    const rt_kernels *k = rt_kernels_get();
    const int64_t v = s->m->hp.n_vocab;
    const int32_t label = s->labels[row->index];
    s->logprobs[row->index] = row->logits[label] - k->logsumexp(row->logits, v, 1.0f, NULL);
    s->greedy[row->index] = k->argmax(row->logits, v) == label;
}

/* Rows of one request: the context from `shared` on, then the continuation without its last token. */
static void append_request(scorer *s, group *g, const rt_score_request *r, rt_batch *b, int64_t *n_labels)
{
    const int64_t ahead = r->n_context - g->shared;
    int32_t *ids = s->ids + b->n_rows;
    memcpy(ids, r->context + g->shared, (size_t)ahead * sizeof *ids);
    memcpy(ids + ahead, r->ids, (size_t)(r->n - 1) * sizeof *ids);
    for (int64_t i = 0; i < r->n; i++) {
        s->rows[*n_labels] = (int32_t)(b->n_rows + ahead - 1 + i);
        s->labels[(*n_labels)++] = r->ids[i];
    }
    s->spans[b->n_spans++] = (rt_span){.row0 = b->n_rows, .n = ahead + r->n - 1, .kv = g->shared > 0 ? &g->kv : NULL};
    b->n_rows += ahead + r->n - 1;
}

/* The c-th choice of every group that has one; false when none has. */
static bool run_round(scorer *s, size_t c)
{
    rt_batch b = {.ids = s->ids, .spans = s->spans};
    int64_t n_labels = 0;
    for (size_t i = 0; i < s->n_groups; i++) {
        group *g = &s->groups[i];
        if (c < g->count) {
            if (g->shared > 0) {
                rt_kv_rewind(&g->kv, s->m);
            }
            append_request(s, g, &s->requests[g->first + c], &b, &n_labels);
        }
    }
    if (b.n_spans == 0) {
        return false;
    }
    rt_net_forward(s->m, s->acts, &b);
    rt_head_run(
        s->head,
        &(rt_head_sweep){
            .model = s->m, .x = rt_acts_x(s->acts), .rows = s->rows, .n_rows = n_labels, .visit = score_row, .ud = s});
    return true;
}

static rt_status store_round(scorer *s, size_t c, rt_err *err)
{
    int64_t at = 0;
    for (size_t i = 0; i < s->n_groups; i++) {
        if (c >= s->groups[i].count) {
            continue;
        }
        const size_t index = s->groups[i].first + c;
        const rt_score_request *r = &s->requests[index];
        rt_score out = {.greedy = true};
        for (int64_t j = 0; j < r->n; j++) {
            out.logprob += (double)s->logprobs[at + j];
            out.greedy &= s->greedy[at + j];
        }
        if (!isfinite(out.logprob)) {
            return rt_fail(err, RT_NUMERIC, 0, "request %zu: its log-probability is not finite; the model is damaged",
                           index);
        }
        if (r->logprobs != NULL) {
            memcpy(r->logprobs, s->logprobs + at, (size_t)r->n * sizeof(float));
        }
        s->scores[index] = out;
        at += r->n;
    }
    return RT_OK;
}

static rt_status run_batch(scorer *s, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < s->n_groups; i++) {
        group *g = &s->groups[i];
        if (g->shared > 0) {
            RT_TRY(rt_kv_init(&g->kv, s->m, g->shared + g->tail, err));
        }
    }
    read_shared(s);
    for (size_t c = 0; run_round(s, c); c++) {
        RT_TRY(store_round(s, c, err));
    }
out:
    close_groups(s);
    return st;
}

rt_status rt_score_run(const rt_model *m, const rt_score_request *requests, size_t n, rt_score *scores,
                       const rt_score_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    scorer s = {.m = m,
                .requests = requests,
                .scores = scores,
                .n = n,
                .max_rows = o != NULL && o->max_rows > 0 ? o->max_rows : DEFAULT_ROWS};
    RT_TRY(check_input(&s, err));
    RT_TRY(open_scorer(&s, err));
    for (size_t done = 0; done < n;) {
        if (rt_interrupted()) {
            RT_FAIL_OUT(err, RT_CANCELLED, 0, "scoring interrupted");
        }
        done = pack(&s, done);
        RT_TRY(run_batch(&s, err));
        if (o != NULL && o->on_progress != NULL) {
            o->on_progress(o->ud, done, n);
        }
    }
out:
    close_scorer(&s);
    return st;
}
