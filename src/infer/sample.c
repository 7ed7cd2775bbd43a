/* sample.c - drawing a token. All cuts keep a prefix of the tokens in descending order of logit, so one heap that hands
 * them out in that order serves all three, and only as many are taken as are kept. */
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

/* --- tokens in descending order ---------------------------------------------------------------------------------- */

typedef struct heap {
    const float *key;
    int32_t *id; /* [n], a binary heap with the first token at the root */
    int64_t n;
} heap;

/* Equal logits: the smaller id first, so that the order is total. */
static bool comes_first(const heap *h, int32_t a, int32_t b)
{
    return h->key[a] > h->key[b] || (h->key[a] == h->key[b] && a < b);
}

static void sift_down(heap *h, int64_t i)
{
    const int32_t id = h->id[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child + 1 < h->n && comes_first(h, h->id[child + 1], h->id[child])) {
            child++;
        }
        if (child >= h->n || !comes_first(h, h->id[child], id)) {
            break;
        }
        h->id[i] = h->id[child];
        i = child;
    }
    h->id[i] = id;
}

static void heap_build(heap *h)
{
    for (int64_t i = 0; i < h->n; i++) {
        h->id[i] = (int32_t)i;
    }
    for (int64_t i = h->n / 2 - 1; i >= 0; i--) {
        sift_down(h, i);
    }
}

/* The popped token takes the place that falls free behind the heap: id[n - 1], id[n - 2], ... end up descending. */
static int32_t heap_pop(heap *h)
{
    const int32_t first = h->id[0];
    h->id[0] = h->id[--h->n];
    sift_down(h, 0);
    h->id[h->n] = first;
    return first;
}

/* --- drawing ------------------------------------------------------------------------------------------------------ */

static double uniform(const rt_sampling *s, uint64_t sequence, uint64_t step)
{
    rt_rng r = rt_rng_init(s->seed, "sample", sequence);
    r.counter = step;
    return rt_rng_f64(&r);
}

/* Index of the weight in which the share u of their sum falls; never one of weight 0. */
static int64_t pick(const float *weight, int64_t n, double sum, double u)
{
    double below = 0;
    int64_t last = 0;
    for (int64_t i = 0; i < n; i++) {
        below += (double)weight[i];
        if (weight[i] > 0) {
            last = i;
            if (below > u * sum) {
                break;
            }
        }
    }
    return last; /* rounding may leave the whole sum below u * sum */
}

static int32_t draw_any(const float *logits, int64_t n, float inv_t, float lse, double u, float *p)
{
    memcpy(p, logits, (size_t)n * sizeof *p);
    rt_kernels_get()->softmax_scale(p, n, inv_t, lse, 1.0f);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)p[i];
    }
    return (int32_t)pick(p, n, sum, u);
}

/* Weights are relative to the most probable token. */
static int32_t draw_cut(const rt_sampling *s, const float *logits, int64_t n, float inv_t, float lse, float top, double u,
                        float *weight, int32_t *order)
{
    heap h = {.key = logits, .id = order, .n = n};
    const int64_t most = s->top_k > 0 && s->top_k < n ? s->top_k : n;
    const double top_p = s->top_p > 0 ? s->top_p : 1;
    double sum = 0;
    int64_t kept = 0;
    heap_build(&h);
    /* top_p is a share of what top_k leaves: of everything, known from the log-sum-exp, or of k tokens, summed first */
    double total = exp((double)lse - (double)top);
    if (most < n) {
        for (total = 0; kept < most; kept++) {
            weight[kept] = expf(logits[heap_pop(&h)] * inv_t - top);
            total += (double)weight[kept];
        }
    }
    for (int64_t i = 0; i < most; i++) {
        if (i == kept) {
            weight[kept++] = expf(logits[heap_pop(&h)] * inv_t - top);
        }
        if (i > 0 && ((double)weight[i] < s->min_p || (top_p < 1 && sum >= top_p * total))) {
            kept = i;
            break;
        }
        sum += (double)weight[i];
    }
    return order[n - 1 - pick(weight, kept, sum, u)];
}

rt_sampled rt_sample(const rt_sampling *s, const float *logits, int64_t n, uint64_t sequence, uint64_t step, void *scratch)
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
        const float inv_t = (float)(1.0 / s->temperature);
        const bool all = s->top_k == 0 && (s->top_p == 0 || s->top_p == 1) && s->min_p == 0;
        float *weight = scratch, top;
        const float lse_t = k->logsumexp(logits, n, inv_t, &top);
        const double u = uniform(s, sequence, step);
        out.id = all ? draw_any(logits, n, inv_t, lse_t, u, weight)
                     : draw_cut(s, logits, n, inv_t, lse_t, top, u, weight, (int32_t *)(weight + n));
    }
    out.logprob = logits[out.id] - lse;
    return out;
}
