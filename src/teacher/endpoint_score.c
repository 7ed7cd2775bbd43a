/* endpoint_score.c - finds the way in which the server scores text, tries it on a sample, then asks it about batches.
 */
#include "teacher/endpoint_score.h"

#include <string.h>

#include "teacher/cache_codec.h"
#include "teacher/endpoint_vocab.h"
#include "teacher/endpoint_way.h"

enum { BATCH_TOKENS = 2048 };

struct rt_endpoint_scorer {
    rt_endpoint *endpoint;
    const rt_endpoint_way *way;
    rt_endpoint_row row;
    int k;
    int64_t max_tokens;
    rt_cache_row *rows; /* [max_tokens] */
    int32_t *ids;       /* [max_tokens][k] */
    float *logp;        /* [max_tokens][k] */
    int64_t *span_rows; /* [max_tokens + 1] where each span's rows begin */
    rt_ask *asks;       /* [max_tokens] */
    rt_remote remote;
};

static const char *url_of(const rt_endpoint_scorer *s)
{
    return rt_endpoint_url(s->endpoint)->text;
}

static rt_status not_honoured(const rt_endpoint_scorer *s, rt_err *err)
{
    return rt_fail(err, RT_REMOTE, 0, "'%s' answered '%s' at first and now leaves it out", url_of(s), s->way->name);
}

/* ---- a batch ---- */

/* Row number `row` of the batch out of an answer about ids[0..n); it stands at `at`. */
static rt_status take_row(rt_endpoint_scorer *s, const rt_gather *g, int64_t row, const json_t *answer, int64_t at,
                          rt_err *err)
{
    rt_status st = RT_OK;
    const size_t place = (size_t)row * (size_t)s->k;
    rt_endpoint_row_begin(&s->row, s->k, g->labels[row], s->ids + place, s->logp + place);
    RT_TRY(s->way->read(answer, at, &s->row, err));
    RT_TRY(rt_endpoint_row_end(&s->row, &s->rows[row], err));
out:
    return st;
}

static void find_span_rows(rt_endpoint_scorer *s, const rt_gather *g)
{
    int64_t row = 0;
    for (int64_t i = 0; i < g->n_spans; i++) {
        s->span_rows[i] = row;
        while (row < g->n_rows && g->rows[row] < g->spans[i].row0 + g->spans[i].n) {
            row++;
        }
    }
    s->span_rows[g->n_spans] = row;
}

/* A request a span, all of them at once. */
static rt_status run_spans(rt_endpoint_scorer *s, const rt_gather *g, rt_err *err)
{
    rt_status st = RT_OK;
    size_t n = 0;
    for (int64_t i = 0; i < g->n_spans; i++) {
        if (s->span_rows[i] < s->span_rows[i + 1]) {
            s->asks[n++] = (rt_ask){.path = s->way->path,
                                    .question = s->way->question(rt_endpoint_served(s->endpoint),
                                                                 g->ids + g->spans[i].row0, g->spans[i].n, s->k, -1)};
        }
    }
    RT_TRY(rt_endpoint_ask(s->endpoint, s->asks, n, err));
    const rt_ask *ask = s->asks;
    for (int64_t i = 0; i < g->n_spans; i++) {
        const rt_span *span = &g->spans[i];
        if (s->span_rows[i] == s->span_rows[i + 1]) {
            continue;
        }
        RT_TRY(s->way->honoured(ask->answer, g->ids + span->row0, span->n) ? RT_OK : not_honoured(s, err));
        for (int64_t row = s->span_rows[i]; row < s->span_rows[i + 1]; row++) {
            RT_TRY(take_row(s, g, row, ask->answer, g->rows[row] - span->row0 + 1, err));
        }
        ask++;
    }
out:
    rt_asks_release(s->asks, n);
    return st;
}

/* Row number `step` of each of the spans [first, end), those that have so many. */
static rt_status run_step(rt_endpoint_scorer *s, const rt_gather *g, int64_t first, int64_t end, int64_t step,
                          size_t *n, rt_err *err)
{
    rt_status st = RT_OK;
    *n = 0;
    for (int64_t i = first; i < end; i++) {
        const int64_t row = s->span_rows[i] + step, row0 = g->spans[i].row0;
        if (row < s->span_rows[i + 1]) {
            json_t *q = s->way->question(rt_endpoint_served(s->endpoint), g->ids + row0, g->rows[row] - row0 + 1, s->k,
                                         g->labels[row]);
            s->asks[(*n)++] = (rt_ask){.path = s->way->path, .question = q};
        }
    }
    if (*n == 0) {
        return RT_OK;
    }
    RT_TRY(rt_endpoint_ask(s->endpoint, s->asks, *n, err));
    const rt_ask *ask = s->asks;
    for (int64_t i = first; i < end; i++) {
        const int64_t row = s->span_rows[i] + step, row0 = g->spans[i].row0;
        if (row < s->span_rows[i + 1]) {
            RT_TRY(s->way->honoured(ask->answer, g->ids + row0, g->rows[row] - row0 + 1) ? RT_OK
                                                                                         : not_honoured(s, err));
            RT_TRY(take_row(s, g, row, ask->answer, 0, err));
            ask++;
        }
    }
out:
    rt_asks_release(s->asks, *n);
    return st;
}

/* A request a row. As many spans side by side as the server keeps timelines, so that it reads each token once. */
static rt_status run_steps(rt_endpoint_scorer *s, const rt_gather *g, rt_err *err)
{
    const int slots = rt_endpoint_slots(s->endpoint), parallel = rt_endpoint_parallel(s->endpoint);
    const int64_t lanes = slots < parallel ? slots : parallel;
    for (int64_t first = 0; first < g->n_spans; first += lanes) {
        const int64_t end = first + lanes < g->n_spans ? first + lanes : g->n_spans;
        size_t n = 1;
        for (int64_t step = 0; n > 0; step++) {
            const rt_status st = run_step(s, g, first, end, step, &n, err);
            if (st != RT_OK) {
                return st;
            }
        }
    }
    return RT_OK;
}

static rt_status answer(void *ud, const rt_gather *g, const rt_cache_row **rows, rt_err *err)
{
    rt_status st = RT_OK;
    rt_endpoint_scorer *s = ud;
    RT_BUG_IF(g->n_tokens > s->max_tokens);
    find_span_rows(s, g);
    RT_TRY(s->way->stepwise ? run_steps(s, g, err) : run_spans(s, g, err));
    RT_TRY(rt_endpoint_identify(s->endpoint, err));
    *rows = s->rows;
out:
    return st;
}

/* ---- finding the way ---- */

/* One more than is wanted: a server that stops at its own limit, or at k, shows here. */
static rt_status try_sample(rt_endpoint_scorer *s, const rt_endpoint_way *way, const rt_ids *sample, bool *works,
                            rt_str *why, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t n = (int64_t)sample->n, asked = way->stepwise ? n - 1 : n;
    const int k = s->k + 1 < s->remote.n_vocab ? s->k + 1 : (int)s->remote.n_vocab;
    int32_t *ids = NULL;
    float *logp = NULL;
    rt_cache_row row;
    rt_ask ask = {.path = way->path,
                  .optional = true,
                  .question =
                      way->question(rt_endpoint_served(s->endpoint), sample->p, asked, k, sample->p[sample->n - 1])};
    *works = false;
    RT_TRY(RT_NEW(&ids, (size_t)k, "probe", err));
    RT_TRY(RT_NEW(&logp, (size_t)k, "probe", err));
    RT_TRY(rt_endpoint_ask(s->endpoint, &ask, 1, err));
    if (ask.answer == NULL || !way->honoured(ask.answer, sample->p, asked)) {
        rt_str_printf(why, "%s%s: %s", why->n > 0 ? "; " : "", way->name, ask.answer == NULL ? ask.refusal : "ignored");
        goto out;
    }
    for (int64_t at = way->stepwise ? n - 1 : 1; at < n; at++) {
        rt_endpoint_row_begin(&s->row, k, sample->p[at], ids, logp);
        RT_TRY(way->read(ask.answer, at, &s->row, err));
        RT_TRY(rt_endpoint_row_end(&s->row, &row, err));
    }
    *works = true;
out:
    rt_asks_release(&ask, 1);
    rt_free(ids);
    rt_free(logp);
    return st;
}

static rt_status find_way(rt_endpoint_scorer *s, const rt_tokenizer *t, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ids sample = {0};
    rt_str why = {0};
    const bool llama = rt_endpoint_is_llama(s->endpoint);
    RT_TRY(rt_encode_text(t, rt_endpoint_sample, strlen(rt_endpoint_sample), 0, &sample, err));
    for (const rt_endpoint_way *w = rt_endpoint_ways; w->name != NULL && s->way == NULL; w++) {
        bool works = false;
        if (w->for_llama == llama) {
            RT_TRY(try_sample(s, w, &sample, &works, &why, err));
        }
        s->way = works ? w : NULL;
    }
    if (s->way == NULL) {
        RT_FAIL_OUT(err, RT_REMOTE, 0,
                    "'%s' cannot score given text (%.250s); it can write answers: --prompts FILE --targets text",
                    url_of(s), rt_str_cstr(&why));
    }
    rt_log(RT_LOG_INFO, "endpoint: '%s' gives %d log-probabilities a position by %s%s", url_of(s), s->k + 1,
           s->way->name, s->way->stepwise ? ", a request a token" : "");
out:
    rt_str_release(&why);
    rt_ids_release(&sample);
    return st;
}

/* ---- whole ---- */

static rt_status allocate(rt_endpoint_scorer *s, rt_err *err)
{
    rt_status st = RT_OK;
    const size_t n = (size_t)s->max_tokens, entries = n * (size_t)s->k;
    RT_TRY(RT_NEW(&s->rows, n, "teacher answers", err));
    RT_TRY(RT_NEW(&s->ids, entries, "ids of teacher answers", err));
    RT_TRY(RT_NEW(&s->logp, entries, "values of teacher answers", err));
    RT_TRY(RT_NEW(&s->span_rows, n + 1, "rows of spans", err));
    RT_TRY(RT_NEW(&s->asks, n, "requests", err));
out:
    return st;
}

rt_status rt_endpoint_scorer_new(rt_endpoint_scorer **out, rt_endpoint *e, const rt_tokenizer *t, int64_t n_vocab,
                                 int k, int sequence, rt_err *err)
{
    rt_status st = RT_OK;
    rt_endpoint_scorer *s = NULL;
    const int64_t own = rt_tokenizer_n_vocab(t), theirs = rt_endpoint_vocab(e), most = own > n_vocab ? own : n_vocab;
    *out = NULL;
    if (k < 1 || k > own) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "k is %d, expected 1 to %lld", k, (long long)own);
    }
    RT_TRY(RT_NEW(&s, 1, "endpoint scorer", err));
    s->endpoint = e;
    s->k = k;
    s->max_tokens = sequence > BATCH_TOKENS ? sequence : BATCH_TOKENS;
    s->remote = (rt_remote){.n_vocab = theirs > 0 ? theirs : most,
                            .context = rt_endpoint_context(e),
                            .batch_tokens = s->max_tokens,
                            .identity = rt_endpoint_identity(e),
                            .answer = answer,
                            .ud = s};
    if (s->remote.n_vocab > RT_CODEC_MAX_VOCAB) {
        RT_FAIL_OUT(err, RT_REMOTE, 0,
                    "'%s' says that its model knows %lld tokens, a cache has room for %d: wrong vocabulary, or another "
                    "model than the tokenizer is of",
                    url_of(s), (long long)s->remote.n_vocab, RT_CODEC_MAX_VOCAB);
    }
    RT_TRY(allocate(s, err));
    RT_TRY(rt_endpoint_row_open(&s->row, url_of(s), t, s->remote.n_vocab, err));
    RT_TRY(rt_endpoint_check_vocab(e, t, err));
    RT_TRY(find_way(s, t, err));
    *out = s;
    s = NULL;
out:
    rt_endpoint_scorer_free(s);
    return st;
}

void rt_endpoint_scorer_free(rt_endpoint_scorer *s)
{
    if (s != NULL) {
        rt_endpoint_row_release(&s->row);
        rt_free(s->rows);
        rt_free(s->ids);
        rt_free(s->logp);
        rt_free(s->span_rows);
        rt_free(s->asks);
        rt_free(s);
    }
}

const rt_remote *rt_endpoint_scorer_remote(const rt_endpoint_scorer *s)
{
    return &s->remote;
}
