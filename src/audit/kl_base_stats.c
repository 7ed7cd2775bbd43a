/* kl_base_stats.c - every position's four figures first, then sums in the order of the text. */
#include "audit/kl_base_stats.h"

#include <math.h>
#include <stdlib.h>

const double rt_kl_quantiles[RT_KL_QUANTILES] = {1, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001, 0};

/* What the model (Q) and the file (base) make of a position. */
typedef struct position {
    double nll, nll_base, kld;
    bool same_top;
} position;

typedef struct pass {
    const int32_t *labels; /* of the piece */
    const char *rows;      /* the file's */
    int64_t n_vocab;
    position *at; /* of the piece */
} pass;

#define RARE (-16.0f) /* the file's precision ends here */

static void compare(void *ud, const rt_head_row *row)
{
    const pass *p = ud;
    const rt_kl_base_row base = rt_kl_base_row_at(p->rows, p->n_vocab, row->index);
    const float lse = rt_kernels_get()->logsumexp(row->logits, p->n_vocab, 1.0f, NULL);
    const int32_t label = p->labels[row->index];
    int64_t top = 0, top_base = 0;
    double kld = 0;
    for (int64_t v = 0; v < p->n_vocab; v++) {
        const float logp = rt_kl_base_logp(&base, v);
        top = row->logits[v] > row->logits[top] ? v : top;
        top_base = base.q[v] > base.q[top_base] ? v : top_base;
        if (logp > RARE) {
            kld += exp((double)logp) * ((double)logp - ((double)row->logits[v] - (double)lse));
        }
    }
    p->at[row->index] = (position){.nll = (double)lse - (double)row->logits[label],
                                   .nll_base = -(double)rt_kl_base_logp(&base, label),
                                   .kld = kld,
                                   .same_top = top == top_base};
}

static rt_status run(position *at, rt_chunks *c, rt_kl_base *base, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_kl_base_shape s = rt_kl_base_shape_of(base);
    const int64_t scored = rt_kl_base_scored(&s), first = rt_kl_base_first(&s);
    pass p = {.n_vocab = s.n_vocab, .at = at};
    char *rows = NULL;
    rt_progress progress;
    RT_TRY(RT_NEW(&rows, RT_CHUNK_ROWS * rt_kl_base_row_bytes(s.n_vocab), "rows of logits", err));
    p.rows = rows;
    rt_progress_begin(&progress, "compare");
    for (int64_t i = 0; i < s.n_chunk; i++) {
        const int32_t *ids = rt_kl_base_ids(base) + i * s.n_ctx;
        if (rt_interrupted()) {
            RT_FAIL_OUT(err, RT_CANCELLED, 0, "stopped at chunk %lld of %lld", (long long)i, (long long)s.n_chunk);
        }
        rt_chunks_forward(c, ids);
        for (int64_t from = 0; from < scored; from += RT_CHUNK_ROWS) {
            const int64_t n = scored - from < RT_CHUNK_ROWS ? scored - from : RT_CHUNK_ROWS;
            RT_TRY(rt_kl_base_next(base, rows, n, err));
            p.labels = ids + first + from + 1;
            rt_chunks_visit(c, from, n, compare, &p);
            p.at += n;
        }
        rt_progress_update(&progress, (double)(i + 1), (double)s.n_chunk, "chunks");
    }
    rt_progress_end(&progress, "%lld chunks", (long long)s.n_chunk);
out:
    rt_free(rows);
    return st;
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

typedef struct sums {
    double sum, squares;
} sums;

static void add(sums *s, double x)
{
    s->sum += x;
    s->squares += x * x;
}

static rt_kl_mean mean_of(const sums *s, int64_t n)
{
    const double mean = s->sum / (double)n, variance = s->squares / (double)n - mean * mean;
    return (rt_kl_mean){mean, variance > 0 && n > 1 ? sqrt(variance / (double)(n - 1)) : 0};
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void quantiles(double out[RT_KL_QUANTILES], double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    for (int i = 0; i < RT_KL_QUANTILES; i++) {
        const double place = rt_kl_quantiles[i] * (double)(n - 1);
        const int64_t below = (int64_t)place, above = below + 1 < n ? below + 1 : below;
        out[i] = x[below] + (place - (double)below) * (x[above] - x[below]);
    }
}

static rt_status summarise(rt_kl_base_stats *out, const position *at, int64_t n, rt_err *err)
{
    rt_status st = RT_OK;
    double *values = NULL, both = 0;
    int64_t same = 0;
    sums nll = {0}, nll_base = {0}, kld = {0}, dp = {0}, dp2 = {0};
    RT_TRY(RT_NEW(&values, 2 * (size_t)n, "figures of positions", err));
    for (int64_t i = 0; i < n; i++) {
        const position *p = &at[i];
        const double d = exp(-p->nll) - exp(-p->nll_base);
        if (!isfinite(p->nll) || !isfinite(p->kld)) {
            RT_FAIL_OUT(err, RT_NUMERIC, 0, "the model's logits at scored position %lld are not finite", (long long)i);
        }
        add(&nll, p->nll);
        add(&nll_base, p->nll_base);
        add(&kld, p->kld);
        add(&dp, d);
        add(&dp2, d * d);
        both += p->nll * p->nll_base;
        same += p->same_top;
        values[i] = p->kld;
        values[n + i] = d;
    }
    *out = (rt_kl_base_stats){.positions = n,
                              .nll = mean_of(&nll, n),
                              .nll_base = mean_of(&nll_base, n),
                              .kld = mean_of(&kld, n),
                              .dp = mean_of(&dp, n),
                              .dp2 = mean_of(&dp2, n),
                              .same_top = (double)same / (double)n};
    out->covariance = n > 1 ? (both / (double)n - out->nll.mean * out->nll_base.mean) / (double)(n - 1) : 0;
    quantiles(out->kld_at, values, n);
    quantiles(out->dp_at, values + n, n);
out:
    rt_free(values);
    return st;
}

rt_status rt_kl_base_measure(rt_kl_base_stats *out, const rt_model *m, const rt_tokenizer *t, rt_kl_base *base,
                             rt_err *err)
{
    rt_status st = RT_OK;
    rt_chunks *c = NULL;
    position *at = NULL;
    const rt_kl_base_shape s = rt_kl_base_shape_of(base);
    const int64_t n = s.n_chunk * rt_kl_base_scored(&s);
    RT_TRY(rt_chunks_new(&c, m, t, &s, err));
    RT_TRY(RT_NEW(&at, (size_t)n, "figures of positions", err));
    RT_TRY(run(at, c, base, err));
    RT_TRY(summarise(out, at, n, err));
out:
    rt_free(at);
    rt_chunks_free(c);
    return st;
}
