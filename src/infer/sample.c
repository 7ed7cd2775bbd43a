/* sample.c - drawing a token: probabilities at the temperature, the pool of tokens that the cuts leave, one of them. */
#include "infer/sample.h"

#include <math.h>
#include <string.h>

#include "tensor/kernels.h"

/* Bounds in which logits times 1 / temperature stay far inside float. */
#define LEAST_TEMPERATURE 1e-3
#define MOST_TEMPERATURE 1e3

rt_status rt_sampling_check(const rt_sampling *s, rt_err *err)
{
    const double t = s->temperature;
    if (t != 0 && !(t >= LEAST_TEMPERATURE && t <= MOST_TEMPERATURE)) {
        return rt_fail(err, RT_USAGE, 0, "'temperature' is %g; give 0 (greedy) or %g to %g", t, LEAST_TEMPERATURE,
                       MOST_TEMPERATURE);
    }
    if (s->top_k < 0) {
        return rt_fail(err, RT_USAGE, 0, "'top_k' is %lld; give 0 (off) or more", (long long)s->top_k);
    }
    if (!(s->top_p >= 0 && s->top_p <= 1)) {
        return rt_fail(err, RT_USAGE, 0, "'top_p' is %g; give 0 to 1", s->top_p);
    }
    if (!(s->min_p >= 0 && s->min_p <= 1)) {
        return rt_fail(err, RT_USAGE, 0, "'min_p' is %g; give 0 to 1", s->min_p);
    }
    return RT_OK;
}

size_t rt_sample_scratch_bytes(int64_t n)
{
    return (size_t)n * (sizeof(float) + sizeof(int32_t));
}

/* --- cuts ------------------------------------------------------------------------------------------------------ */

/* Probabilities of all tokens, and the ids of those still in. */
typedef struct pool {
    const float *logits;
    float *p;
    int32_t *id;
    int64_t n;
} pool;

/* Equal logits: the smaller id first, so that the order is total. */
static bool comes_first(const pool *c, int32_t a, int32_t b)
{
    return c->logits[a] > c->logits[b] || (c->logits[a] == c->logits[b] && a < b);
}

static void swap(int32_t *a, int32_t *b)
{
    const int32_t t = *a;
    *a = *b;
    *b = t;
}

/* Puts the tokens of [from, to) that come before the middle one of three in front of it; returns its place. */
static int64_t partition(pool *c, int64_t from, int64_t to)
{
    int32_t *first = &c->id[from], *middle = &c->id[from + (to - from) / 2], *last = &c->id[to - 1];
    if (comes_first(c, *middle, *first)) {
        swap(middle, first);
    }
    if (comes_first(c, *last, *first)) {
        swap(last, first);
    }
    if (comes_first(c, *middle, *last)) {
        swap(middle, last);
    }
    int64_t at = from;
    for (int64_t i = from; i < to - 1; i++) {
        if (comes_first(c, c->id[i], *last)) {
            swap(&c->id[i], &c->id[at++]);
        }
    }
    swap(&c->id[at], last);
    return at;
}

static double mass(const pool *c, int64_t from, int64_t to)
{
    double sum = 0;
    for (int64_t i = from; i < to; i++) {
        sum += (double)c->p[c->id[i]];
    }
    return sum;
}

/* Leaves the fewest tokens from the most probable on whose count, or mass, reaches `need` > 0. Quickselect: only the
 * side that holds the border is looked at again, so tokens are never sorted. */
static void keep_top(pool *c, bool by_mass, double need)
{
    int64_t from = 0, to = c->n;
    double have = 0; /* of [0, from), all of which stay; less than need */
    while (to - from > 1) {
        const int64_t at = partition(c, from, to);
        const double before = have + (by_mass ? mass(c, from, at) : (double)(at - from));
        const double with = before + (by_mass ? (double)c->p[c->id[at]] : 1);
        if (before >= need) {
            to = at;
        } else if (with >= need) {
            from = to = at + 1;
        } else {
            have = with;
            from = at + 1;
        }
    }
    c->n = to;
}

static void keep_at_least(pool *c, float least)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < c->n; i++) {
        if (c->p[c->id[i]] >= least) {
            c->id[kept++] = c->id[i];
        }
    }
    c->n = kept;
}

static void apply_cuts(const rt_sampling *s, pool *c)
{
    const int64_t n = c->n;
    const bool top_k = s->top_k > 0 && s->top_k<n, top_p = s->top_p> 0 && s->top_p < 1;
    for (int64_t i = 0; i < n; i++) {
        c->id[i] = (int32_t)i;
    }
    if (top_k) {
        keep_top(c, false, (double)s->top_k);
    } else if (top_p) {
        /* n tokens below this have less than 1 - top_p together: none is needed, and most are gone at once */
        keep_at_least(c, (float)((1 - s->top_p) / (2 * (double)n)));
    }
    if (top_p) {
        keep_top(c, true, s->top_p * (top_k ? mass(c, 0, c->n) : 1));
    }
    if (s->min_p > 0) {
        keep_at_least(c, (float)s->min_p * c->p[rt_kernels_get()->argmax(c->logits, n)]);
    }
}

/* --- drawing --------------------------------------------------------------------------------------------------- */

static double uniform(const rt_sampling *s, uint64_t sequence, uint64_t step)
{
    rt_rng r = rt_rng_init(s->seed, "sample", sequence);
    r.counter = step;
    return rt_rng_f64(&r);
}

/* The token in which the share u of the pool's mass falls; never one of probability 0. */
static int32_t pick(const pool *c, double u)
{
    const double border = u * mass(c, 0, c->n);
    double below = 0;
    int32_t last = c->id[0];
    for (int64_t i = 0; i < c->n; i++) {
        const float p = c->p[c->id[i]];
        below += (double)p;
        if (p > 0) {
            last = c->id[i];
            if (below > border) {
                break;
            }
        }
    }
    return last; /* the last of all where rounding leaves the sum at the border */
}

static int32_t draw(const rt_sampling *s, const float *logits, int64_t n, double u, void *scratch)
{
    const rt_kernels *k = rt_kernels_get();
    const float inv_t = (float)(1.0 / s->temperature);
    pool c = {.logits = logits, .p = scratch, .id = (int32_t *)((float *)scratch + n), .n = n};
    memcpy(c.p, logits, (size_t)n * sizeof *c.p);
    k->softmax_scale(c.p, n, inv_t, k->logsumexp(logits, n, inv_t, NULL), 1.0f);
    apply_cuts(s, &c);
    return pick(&c, u);
}

rt_sampled rt_sample(const rt_sampling *s, const float *logits, int64_t n, uint64_t sequence, uint64_t step,
                     void *scratch)
{
    const rt_kernels *k = rt_kernels_get();
    const float lse = k->logsumexp(logits, n, 1.0f, NULL);
    rt_sampled out = {.logprob = NAN};
    if (!isfinite(lse)) {
        return out;
    }
    if (s->temperature == 0) {
        out.id = (int32_t)k->argmax(logits, n);
    } else {
        out.id = draw(s, logits, n, uniform(s, sequence, step), scratch);
    }
    out.logprob = logits[out.id] - lse;
    return out;
}
