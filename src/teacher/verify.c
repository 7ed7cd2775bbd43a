/* verify.c - recomputing random positions of a cache. Draws depend on (seed, position) alone, so that on the machine
 * that made them they come out again; elsewhere, rounding moves a few and their cross-entropy is tested instead.
 * Neighbouring targets are tried as well: a cache shifted by one position is the silent error that costs most. */
#include "teacher/verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "teacher/cache_model.h"
#include "teacher/verify_row.h"

enum { ROWS_PER_SEQUENCE = 128 };

/* Stated bounds. Between f32 and bf16 arithmetic the same teacher differs by about 1e-3 nats. */
#define KL_LIMIT 1e-4
#define KL_LIMIT_MIXED 2e-2
#define ENTROPY_LIMIT 0.01
#define ENTROPY_LIMIT_MIXED 0.1
#define IDENTICAL_SHARE 0.99
#define Z_LIMIT 5.0
#define SHIFT_MARGIN 0.1 /* nats by which a neighbour must fit better */

/* ---- one sequence ---- */

/* At most `want` rows with a target, each equally likely, ascending. */
static int64_t choose_rows(rt_verify_run *k, int64_t want, rt_rng *r)
{
    int64_t left = 0, n = 0;
    for (int64_t i = 0; i < k->sequence.n; i++) {
        left += k->sequence.mask[i];
    }
    for (int64_t i = 0; i < k->sequence.n && n < want; i++) {
        if (k->sequence.mask[i] != 0 && (int64_t)rt_rng_below(r, (uint64_t)left--) < want - n) {
            k->rows[n++] = (int32_t)i;
        }
    }
    return n;
}

static rt_status run_sequence(rt_verify_run *k, const rt_cache *c, int64_t sequence, int64_t want, rt_rng *r,
                              int64_t *n, rt_err *err)
{
    rt_status st = rt_cache_read(c, sequence, &k->sequence, err);
    if (st != RT_OK) {
        return st;
    }
    *n = choose_rows(k, want, r);
    rt_gather_clear(&k->g);
    rt_gather_add_cached(&k->g, &k->sequence);
    const rt_batch b = rt_gather_batch(&k->g);
    const size_t d = (size_t)k->h->d_model;
    for (int64_t i = 0; k->hidden && i < *n; i++) {
        memcpy(k->hidden + (size_t)i * d, k->sequence.hidden[k->rows[i]], d * sizeof *k->hidden);
    }
    rt_net_forward(k->teacher, k->acts, &b);
    rt_head_run(k->head, &(rt_head_sweep){.model = k->teacher,
                                          .x = rt_acts_x(k->acts),
                                          .rows = k->rows,
                                          .n_rows = *n,
                                          .mode = RT_NET_FORWARD,
                                          .visit = rt_verify_row,
                                          .ud = k,
                                          .teacher = k->hidden ? k->teacher : NULL,
                                          .teacher_hidden = k->hidden});
    return RT_OK;
}

/* ---- verdict ---- */

typedef struct sums {
    double fit[3];
    int64_t n_fit[3];   /* positions that have this neighbour */
    double fit_here[3]; /* fit of the position itself over the same positions */
    double excess, excess_variance, entropy_error;
    int64_t identical;
} sums;

/* In a cache's steps: the mean over positions is that of the values themselves, and equal values differ by nothing. */
static double entropy_difference(float a, float b)
{
    return (double)abs(rt_model_entropy_steps(a) - rt_model_entropy_steps(b)) / RT_MODEL_ENTROPY_STEPS;
}

static void add_findings(const rt_verify_run *k, int64_t n, sums *s, rt_verify_report *r)
{
    for (int64_t i = 0; i < n; i++) {
        const rt_verify_finding *f = &k->findings[i];
        r->label_nll -= f->label_logp;
        r->kl += f->kl;
        for (int j = 0; j < 3; j++) {
            if (!isnan(f->fit[j])) {
                s->fit[j] += f->fit[j];
                s->fit_here[j] += f->fit[1];
                s->n_fit[j]++;
            }
        }
        if (k->h->kind == RT_CACHE_SAMPLE) {
            s->excess += -f->fit[1] - f->entropy;
            s->excess_variance += f->surprise_variance / k->h->draws;
            s->entropy_error += entropy_difference((float)f->entropy, k->sequence.targets[k->rows[i]].entropy);
            s->identical += f->identical;
        }
    }
    r->positions += n;
    r->sequences++;
}

static double mean(double sum, int64_t n)
{
    return n > 0 ? sum / (double)n : NAN;
}

static void summarise(const rt_verify_run *k, const sums *s, rt_verify_report *r)
{
    bool mixed = k->h->compute != k->teacher->compute || k->teacher->compute != RT_F32;
    r->label_nll = mean(r->label_nll, r->positions);
    r->fit_before = mean(s->fit[0], s->n_fit[0]);
    r->fit = mean(s->fit[1], s->n_fit[1]);
    r->fit_after = mean(s->fit[2], s->n_fit[2]);
    for (int j = 0; j < 3; j += 2) {
        if (s->n_fit[j] > 0 && s->fit[j] > s->fit_here[j] + SHIFT_MARGIN * (double)s->n_fit[j]) {
            r->shift = j - 1;
        }
    }
    if (k->h->kind == RT_CACHE_SAMPLE) {
        r->kl = 0;
        r->identical = mean((double)s->identical, r->positions);
        r->entropy_error = mean(s->entropy_error, r->positions);
        r->z = s->excess_variance > 0 ? s->excess / sqrt(s->excess_variance) : 0;
    } else {
        r->kl = mean(r->kl, r->positions);
        r->kl_limit = mixed ? KL_LIMIT_MIXED : KL_LIMIT;
    }
}

static rt_status judge(const rt_verify_run *k, rt_verify_report *r, rt_err *err)
{
    const char *what = NULL;
    bool mixed = k->h->compute != k->teacher->compute || k->teacher->compute != RT_F32;
    if (r->shift != 0) {
        snprintf(r->text, sizeof r->text,
                 "targets are shifted by one: those stored one position %s fit the teacher (%.3f against %.3f where "
                 "they stand)",
                 r->shift > 0 ? "later" : "earlier", r->shift > 0 ? r->fit_after : r->fit_before, r->fit);
        what = r->text;
    } else if (k->h->kind != RT_CACHE_SAMPLE) {
        snprintf(r->text, sizeof r->text,
                 "mean KL of the teacher to what is stored %.2e nats, limit %.0e, at %lld positions", r->kl,
                 r->kl_limit, (long long)r->positions);
        what = r->kl < r->kl_limit ? NULL : r->text;
    } else {
        bool entropy_fits = r->entropy_error <= (mixed ? ENTROPY_LIMIT_MIXED : ENTROPY_LIMIT);
        bool draws_fit = r->identical >= IDENTICAL_SHARE || fabs(r->z) < Z_LIMIT;
        snprintf(r->text, sizeof r->text,
                 "%.2f %% of %lld positions drawn again alike; cross-entropy of the draws off by %.2f standard errors, "
                 "entropy by "
                 "%.1e nats",
                 100 * r->identical, (long long)r->positions, r->z, r->entropy_error);
        what = entropy_fits && draws_fit ? NULL : r->text;
    }
    return what ? rt_fail(err, RT_FINDING, 0, "the cache does not hold what this teacher says: %s", what) : RT_OK;
}

/* ---- whole ---- */

static rt_status check_request(const rt_cache_header *h, const rt_model *teacher, int64_t n_positions, rt_err *err)
{
    if (h->n_vocab != teacher->hp.n_vocab || (h->kind == RT_CACHE_HIDDEN && h->d_model != teacher->hp.d_model)) {
        return rt_fail(err, RT_INPUT, 0, "the cache was made with another teacher: vocabulary %lld, this one has %lld",
                       (long long)h->n_vocab, (long long)teacher->hp.n_vocab);
    }
    if (h->sequence > teacher->rope_rows) {
        return rt_fail(err, RT_INPUT, 0, "sequences of %d tokens do not fit into the teacher's context", h->sequence);
    }
    return n_positions >= 1 ? RT_OK : rt_fail(err, RT_USAGE, 0, "no positions to verify");
}

static rt_status prepare_draws(rt_verify_run *k, rt_err *err)
{
    rt_status st = RT_OK;
    const size_t n = (size_t)k->n_threads * (size_t)k->h->draws;
    RT_TRY(RT_NEW(&k->scratch, (size_t)k->n_threads, "scratch of threads", err));
    RT_TRY(RT_NEW(&k->ids, n, "redrawn ids", err));
    RT_TRY(RT_NEW(&k->counts, n, "redrawn counts", err));
    for (int i = 0; i < k->n_threads; i++) {
        RT_TRY(rt_draw_scratch_init(&k->scratch[i], k->h->n_vocab, k->h->draws, err));
    }
out:
    return st;
}

static rt_status prepare(rt_verify_run *k, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_cache_header *h = k->h;
    const bool hidden = h->kind == RT_CACHE_HIDDEN;
    k->n_threads = rt_team_threads();
    int64_t rows;
    const rt_pass pass = {.rows = h->sequence, .span = h->sequence, .teacher = hidden ? k->teacher : NULL};
    RT_TRY(rt_pass_rows(&rows, k->teacher, &pass, err));
    RT_TRY(rt_acts_new(&k->acts, k->teacher, h->sequence, h->sequence, RT_NET_FORWARD, err));
    RT_TRY(rt_head_new(&k->head, k->teacher, hidden ? k->teacher : NULL, false, err));
    RT_TRY(rt_gather_init(&k->g, h->sequence, err));
    RT_TRY(RT_NEW(&k->rows, ROWS_PER_SEQUENCE, "rows to verify", err));
    RT_TRY(RT_NEW(&k->findings, ROWS_PER_SEQUENCE, "findings", err));
    if (hidden) {
        RT_TRY(RT_NEW(&k->hidden, (size_t)(ROWS_PER_SEQUENCE * h->d_model), "stored states", err));
    } else if (h->kind == RT_CACHE_SAMPLE) {
        RT_TRY(prepare_draws(k, err));
    }
out:
    return st;
}

static void release(rt_verify_run *k)
{
    for (int i = 0; k->scratch && i < k->n_threads; i++) {
        rt_draw_scratch_release(&k->scratch[i]);
    }
    rt_acts_free(k->acts);
    rt_head_free(k->head);
    rt_gather_release(&k->g);
    rt_cache_sequence_release(&k->sequence);
    rt_free(k->rows);
    rt_free(k->hidden);
    rt_free(k->findings);
    rt_free(k->scratch);
    rt_free(k->ids);
    rt_free(k->counts);
}

/* Sequences in random order, each at most once, until there are positions enough. */
static rt_status run_all(rt_verify_run *k, const rt_cache *c, int64_t n_positions, uint64_t seed, sums *s,
                         rt_verify_report *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_rng rng = rt_rng_init(seed, "verify", 0);
    const int64_t n = k->h->n_sequences;
    int64_t *token0 = NULL, *order = NULL, n_tokens, n_targets;
    RT_TRY(RT_NEW(&token0, (size_t)n + 1, "places of sequences", err));
    RT_TRY(RT_NEW(&order, (size_t)n, "order of sequences", err));
    for (int64_t i = 0; i < n; i++) {
        rt_cache_sequence_size(c, i, &n_tokens, &n_targets);
        token0[i + 1] = token0[i] + n_tokens;
        order[i] = i;
    }
    for (int64_t i = 0; i < n && r->positions < n_positions; i++) {
        int64_t j = i + (int64_t)rt_rng_below(&rng, (uint64_t)(n - i)), chosen = order[j],
                left = n_positions - r->positions;
        order[j] = order[i];
        k->token0 = token0[chosen];
        RT_TRY(run_sequence(k, c, chosen, left < ROWS_PER_SEQUENCE ? left : ROWS_PER_SEQUENCE, &rng, &n_targets, err));
        add_findings(k, n_targets, s, r);
    }
out:
    rt_free(token0);
    rt_free(order);
    return st;
}

rt_status rt_cache_verify(const rt_cache *c, const rt_model *teacher, int64_t n_positions, uint64_t seed,
                          rt_verify_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_verify_run k = {.h = rt_cache_get_header(c), .teacher = teacher};
    sums s = {0};
    *report = (rt_verify_report){0};
    RT_TRY(check_request(k.h, teacher, n_positions, err));
    RT_TRY(prepare(&k, err));
    RT_TRY(run_all(&k, c, n_positions, seed, &s, report, err));
    summarise(&k, &s, report);
    RT_TRY(judge(&k, report, err));
out:
    release(&k);
    return st;
}
