/* speculate.c - rounds of drafting and verifying. Rows that are verified together are timelines of one row each that
 * lie in one memory: every row's sums run as when the token is decoded alone. */
#include "infer/speculate.h"

#include <math.h>
#include <string.h>

#include "infer/id_lists.h"
#include "infer/kv.h"
#include "infer/slot.h"

enum { ROWS = RT_DRAFT_MOST + 1 };

/* One of the two models at work. */
typedef struct side {
    const rt_model *m;
    rt_kv kv;
    rt_acts *prefill, *decode;
    rt_head *head;
    float *p;      /* [ROWS][n] probabilities of the rows, where tokens are drawn */
    int32_t *best; /* [ROWS] most probable tokens */
    float *lse;    /* [ROWS] at temperature 1 */
    float *logits; /* [ROWS][n] of the target, whose log-probabilities are told; else NULL */
    bool *broken;  /* [ROWS] not finite */
} side;

struct rt_speculator {
    const rt_tokenizer *t;
    rt_speculation_options o;
    int64_t n; /* ids both models have */
    side target, draft;
    int64_t longest;
    /* of the sequence under way */
    const rt_prompt *prompt;
    uint64_t sequence;
    rt_generated *g;
    int64_t room;
};

/* --- life ------------------------------------------------------------------------------------------------------ */

static rt_status open_side(rt_speculator *s, side *d, const rt_model *m, int64_t rows, int n_rows, rt_err *err)
{
    rt_status st = RT_OK;
    d->m = m;
    if (rt_kv_recurrent(m)) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0,
                    "drafting needs models that can be wound back, and architecture '%s' keeps a state that cannot",
                    m->arch->name);
    }
    RT_TRY(rt_kv_init(&d->kv, m, rows, err));
    RT_TRY(rt_acts_new(&d->prefill, m, rt_least(s->longest, RT_PIECE), rows, RT_NET_FORWARD, err));
    RT_TRY(rt_acts_new(&d->decode, m, n_rows, rows, RT_NET_ROWS, err));
    RT_TRY(rt_head_new(&d->head, m, NULL, false, err));
    RT_TRY(RT_NEW(&d->p, (size_t)(ROWS * s->n), "probabilities", err));
    RT_TRY(RT_NEW(&d->best, ROWS, "tokens", err));
    RT_TRY(RT_NEW(&d->lse, ROWS, "sums", err));
    RT_TRY(RT_NEW(&d->broken, ROWS, "marks", err));
out:
    return st;
}

static void close_side(side *d)
{
    rt_kv_release(&d->kv);
    rt_acts_free(d->prefill);
    rt_acts_free(d->decode);
    rt_head_free(d->head);
    rt_free(d->p);
    rt_free(d->logits);
    rt_free(d->best);
    rt_free(d->lse);
    rt_free(d->broken);
}

rt_status rt_speculator_new(rt_speculator **out, const rt_model *target, const rt_model *draft, const rt_tokenizer *t,
                            const rt_speculation_options *o, int64_t longest, rt_err *err)
{
    rt_status st = RT_OK;
    rt_speculator *s = NULL;
    RT_TRY(rt_sampling_check(&(rt_sampling){.temperature = o->temperature}, err));
    if (o->draft < 1 || o->draft > RT_DRAFT_MOST || o->max_new < 1 || longest < 1) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "a draft of %d tokens for %lld new ones; drafts have 1 to %d", o->draft,
                    (long long)o->max_new, RT_DRAFT_MOST);
    }
    RT_TRY(RT_NEW(&s, 1, "drafting", err));
    s->t = t;
    s->o = *o;
    s->longest = longest;
    s->n = rt_least(target->hp.n_vocab, draft->hp.n_vocab);
    const int64_t context = rt_least(target->rope_rows, draft->rope_rows),
                  rows = rt_least(longest + o->max_new, context);
    RT_TRY(open_side(s, &s->target, target, rows, o->draft + 1, err));
    RT_TRY(RT_NEW(&s->target.logits, (size_t)(ROWS * s->n), "logits", err));
    RT_TRY(open_side(s, &s->draft, draft, rows, 1, err));
    *out = s;
    s = NULL;
out:
    rt_speculator_free(s);
    return st;
}

void rt_speculator_free(rt_speculator *s)
{
    if (s != NULL) {
        close_side(&s->target);
        close_side(&s->draft);
        rt_free(s);
    }
}

/* --- rows of a model ------------------------------------------------------------------------------------------- */

typedef struct show {
    const rt_speculator *s;
    side *d;
    int64_t first; /* where row 0 goes */
} show;

static void note_row(void *ud, const rt_head_row *row)
{
    const show *w = ud;
    const rt_kernels *k = rt_kernels_get();
    side *d = w->d;
    const int64_t n = w->s->n, i = w->first + row->index;
    d->lse[i] = k->logsumexp(row->logits, d->m->hp.n_vocab, 1.0f, NULL);
    d->broken[i] = !isfinite(d->lse[i]);
    d->best[i] = (int32_t)k->argmax(row->logits, n);
    if (d->logits != NULL) {
        memcpy(d->logits + i * n, row->logits, (size_t)n * sizeof(float));
    }
    if (w->s->o.temperature > 0) {
        const float inv = (float)(1.0 / w->s->o.temperature);
        memcpy(d->p + i * n, row->logits, (size_t)n * sizeof(float));
        k->softmax_scale(d->p + i * n, n, inv, k->logsumexp(row->logits, n, inv, NULL), 1.0f);
    }
}

static void sweep(rt_speculator *s, side *d, const float *x, int64_t first, int64_t n)
{
    rt_head_run(
        d->head,
        &(rt_head_sweep){
            .model = d->m, .x = x, .n_rows = n, .mode = RT_NET_ROWS, .visit = note_row, .ud = &(show){s, d, first}});
}

/* Reads the prompt; the row behind it is the first. */
static void read_prompt(rt_speculator *s, side *d)
{
    const rt_prompt *p = s->prompt;
    int64_t rows = 0;
    rt_kv_clear(&d->kv);
    for (int64_t i = 0; i < p->n; i += rows) {
        rows = rt_least(p->n - i, RT_PIECE);
        rt_net_forward(
            d->m, d->prefill,
            &(rt_batch){.ids = p->ids + i, .n_rows = rows, .n_spans = 1, .spans = &(rt_span){.n = rows, .kv = &d->kv}});
    }
    sweep(s, d, rt_acts_x(d->prefill) + (rows - 1) * d->m->hp.d_model, 0, 1);
}

/* Reads ids[n] behind what the timeline has; rows `first` .. */
static void read_rows(rt_speculator *s, side *d, const int32_t *ids, int64_t n, int64_t first)
{
    rt_kv view[ROWS];
    rt_span spans[ROWS];
    for (int64_t i = 0; i < n; i++) {
        view[i] = d->kv;
        view[i].n += i;
        spans[i] = (rt_span){.row0 = i, .n = 1, .kv = &view[i]};
    }
    rt_net_forward(d->m, d->decode, &(rt_batch){.ids = ids, .n_rows = n, .spans = spans, .n_spans = n});
    d->kv.n += n;
    sweep(s, d, rt_acts_x(d->decode), first, n);
}

/* --- the rule -------------------------------------------------------------------------------------------------- */

bool rt_draft_stays(const float *p, const float *q, int32_t x, double u)
{
    return u * (double)q[x] < (double)p[x];
}

/* What p has above q, NULL: nothing is taken off. */
static double excess(const float *p, const float *q, int64_t i)
{
    const float off = q != NULL ? q[i] : 0;
    return p[i] > off ? (double)(p[i] - off) : 0;
}

/* A token by its share of the excess; `last` where there is none. */
static int32_t by_excess(const float *p, const float *q, int64_t n, double u, int32_t last)
{
    double sum = 0, below = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += excess(p, q, i);
    }
    for (int64_t i = 0; i < n; i++) {
        const double share = excess(p, q, i);
        below += share;
        if (share > 0) {
            last = (int32_t)i;
            if (below > u * sum) {
                break;
            }
        }
    }
    return last;
}

int32_t rt_draft_replace(const float *p, const float *q, int64_t n, double u)
{
    return by_excess(p, q, n, u, (int32_t)rt_kernels_get()->argmax(p, n)); /* p = q up to rounding */
}

static double uniform(const rt_speculator *s, const char *stream, int64_t step)
{
    rt_rng r = rt_rng_init(s->o.seed, stream, s->sequence);
    r.counter = (uint64_t)step;
    return rt_rng_f64(&r);
}

/* A token of row i by its probabilities. */
static int32_t draw(const rt_speculator *s, const side *d, int64_t i, const char *stream, int64_t step)
{
    if (s->o.temperature == 0) {
        return d->best[i];
    }
    return by_excess(d->p + i * s->n, NULL, s->n, uniform(s, stream, step), d->best[i]);
}

static bool stays(const rt_speculator *s, int64_t i, int32_t x)
{
    if (s->o.temperature == 0) {
        return x == s->target.best[i];
    }
    return rt_draft_stays(s->target.p + i * s->n, s->draft.p + i * s->n, x, uniform(s, "keep", s->g->n));
}

static int32_t replacement(const rt_speculator *s, int64_t i)
{
    if (s->o.temperature == 0) {
        return s->target.best[i];
    }
    return rt_draft_replace(s->target.p + i * s->n, s->draft.p + i * s->n, s->n, uniform(s, "replace", s->g->n));
}

/* --- rounds ---------------------------------------------------------------------------------------------------- */

/* Appends a token that follows the target's row i; false when the sequence ends with it. */
static bool append(rt_speculator *s, int64_t i, int32_t id)
{
    rt_generated *g = s->g;
    g->ids[g->n] = id;
    g->logprobs[g->n++] = s->target.logits[i * s->n + id] - s->target.lse[i];
    if (!s->o.ignore_end && s->t != NULL && rt_tokenizer_is_end(s->t, id)) {
        g->stop = RT_STOP_END;
        return false;
    }
    g->stop = s->room == s->o.max_new ? RT_STOP_LENGTH : RT_STOP_CONTEXT;
    return g->n < s->room;
}

static int32_t token_at(const rt_speculator *s, int64_t at)
{
    return at < s->prompt->n ? s->prompt->ids[at] : s->g->ids[at - s->prompt->n];
}

/* Drafts k tokens into x; row i of the draft is what x[i] was drawn from. */
static void make_draft(rt_speculator *s, int32_t *x, int64_t k, rt_speculation *sum)
{
    side *d = &s->draft;
    const double t0 = rt_now();
    const int64_t before = d->kv.n;
    const int64_t end = s->prompt->n + s->g->n;
    for (int64_t at = d->kv.n; at < end; at++) {
        const int32_t id = token_at(s, at);
        read_rows(s, d, &id, 1, 0);
    }
    for (int64_t i = 0; i < k; i++) {
        if (i > 0) {
            read_rows(s, d, &x[i - 1], 1, i);
        }
        x[i] = draw(s, d, i, "draft", s->g->n + i);
    }
    sum->drafted += d->kv.n - before;
    sum->drafting += rt_now() - t0;
}

/* One draft and its verdict; *more: the sequence goes on. */
static rt_status round_of(rt_speculator *s, rt_speculation *sum, bool *more, rt_err *err)
{
    int32_t ids[ROWS];
    const int64_t k = rt_least(s->o.draft, s->room - s->g->n - 1), base = s->target.kv.n;
    ids[0] = s->g->ids[s->g->n - 1];
    make_draft(s, ids + 1, k, sum);
    read_rows(s, &s->target, ids, k + 1, 0);
    sum->rounds++;
    int64_t i = 0;
    for (*more = true; *more; i++) {
        if (s->target.broken[i] || (i < k && s->draft.broken[i])) {
            return rt_fail(err, RT_NUMERIC, 0, "logits after %lld tokens are not finite; a model is damaged",
                           (long long)(base + i + 1));
        }
        const bool drafted = i < k, kept = drafted && stays(s, i, ids[i + 1]);
        if (drafted) {
            sum->judged[i]++;
            sum->kept[i] += kept;
        }
        sum->written++;
        *more = append(s, i, kept ? ids[i + 1] : drafted ? replacement(s, i) : draw(s, &s->target, i, "more", s->g->n));
        if (!kept) {
            i++;
            break;
        }
    }
    s->target.kv.n = base + i;
    s->draft.kv.n = rt_least(s->draft.kv.n, base + i);
    return RT_OK;
}

rt_status rt_speculate(rt_speculator *s, const rt_prompt *p, uint64_t sequence, rt_generated *g, rt_speculation *sum,
                       rt_err *err)
{
    rt_status st = RT_OK;
    s->prompt = p;
    s->sequence = sequence;
    s->g = g;
    g->n = 0;
    RT_TRY(rt_ids_check_context(s->target.m, p->ids, p->n, "prompt", (size_t)sequence, err));
    if (p->n > s->longest || p->n > s->draft.m->rope_rows) {
        RT_FAIL_OUT(err, RT_INPUT, 0,
                    "prompt %llu has %lld tokens, more than was prepared for or the draft's context takes",
                    (unsigned long long)sequence, (long long)p->n);
    }
    s->room =
        rt_least(rt_generate_room(s->target.m, p->n, s->o.max_new), rt_generate_room(s->draft.m, p->n, s->o.max_new));
    read_prompt(s, &s->target);
    read_prompt(s, &s->draft);
    if (s->target.broken[0]) {
        RT_FAIL_OUT(err, RT_NUMERIC, 0, "prompt %llu: its logits are not finite; the model is damaged",
                    (unsigned long long)sequence);
    }
    bool more = append(s, 0, draw(s, &s->target, 0, "more", 0));
    const double t0 = rt_now();
    while (more) {
        if (rt_interrupted()) {
            RT_FAIL_OUT(err, RT_CANCELLED, 0, "generation interrupted");
        }
        RT_TRY(round_of(s, sum, &more, err));
    }
    sum->seconds += rt_now() - t0;
out:
    return st;
}
