/* draw.c - sampling and selection over one row of logits. */
#include "teacher/draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512 };

size_t rt_draw_scratch_bytes(int64_t n_vocab, int draws)
{
    const rt_draw_scratch *s = NULL;
    return (size_t)n_vocab * sizeof *s->z + (size_t)(n_vocab / BLOCK + 1) * sizeof *s->block +
           (size_t)draws * sizeof *s->u;
}

rt_status rt_draw_scratch_init(rt_draw_scratch *s, int64_t n_vocab, int draws, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(RT_NEW(&s->z, (size_t)n_vocab, "a row of logits", err));
    RT_TRY(RT_NEW(&s->block, (size_t)(n_vocab / BLOCK + 1), "partial sums", err));
    RT_TRY(RT_NEW(&s->u, (size_t)(draws > 0 ? draws : 1), "uniform numbers", err));
out:
    return st;
}

void rt_draw_scratch_release(rt_draw_scratch *s)
{
    rt_free(s->z);
    rt_free(s->block);
    rt_free(s->u);
    memset(s, 0, sizeof *s);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sorted_uniforms(double *u, int n, uint64_t seed, uint64_t position)
{
    rt_rng r = rt_rng_init(seed, "teacher draws", position);
    for (int i = 0; i < n; i++) {
        u[i] = rt_rng_f64(&r);
    }
    qsort(u, (size_t)n, sizeof *u, compare_doubles);
}

/* Sums of blocks of p, each in eight lanes so that it needs not be one long chain. Returns the sum of all. */
static double sum_blocks(const float *p, int64_t n, double *block)
{
    double total = 0;
    for (int64_t first = 0, b = 0; first < n; first += BLOCK, b++) {
        int64_t end = first + BLOCK < n ? first + BLOCK : n, i = first;
        double lane[8] = {0};
        for (; i + 8 <= end; i += 8) {
            for (int k = 0; k < 8; k++) {
                lane[k] += (double)p[i + k];
            }
        }
        for (; i < end; i++) {
            lane[0] += (double)p[i];
        }
        block[b] = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
        total += block[b];
    }
    return total;
}

/* Walks the cumulative sum once, over whole blocks where no draw falls into them. */
static int invert(const float *p, int64_t n, const double *block, double total, const double *u, int draws,
                  int32_t *ids, int32_t *counts)
{
    double before = 0;
    int drawn = 0, distinct = 0;
    for (int64_t first = 0, b = 0; first < n && drawn < draws; first += BLOCK, b++) {
        double after = before + block[b], sum = before;
        int64_t end = first + BLOCK < n ? first + BLOCK : n;
        for (int64_t i = first; i < end && drawn < draws && u[drawn] * total < after; i++) {
            int from = drawn;
            sum += (double)p[i];
            while (drawn < draws && u[drawn] * total < sum) {
                drawn++;
            }
            if (drawn > from) {
                ids[distinct] = (int32_t)i;
                counts[distinct++] = drawn - from;
            }
        }
        before = after;
    }
    if (distinct == 0) { /* no sum to invert: the entropy says so */
        ids[distinct] = 0;
        counts[distinct++] = 0;
    }
    counts[distinct - 1] += draws - drawn; /* what rounding left beyond the end */
    return distinct;
}

int rt_draw_sample(float *z, int64_t n_vocab, double temperature, int draws, uint64_t seed, uint64_t position,
                   rt_draw_scratch *s, int32_t *ids, int32_t *counts, float *entropy)
{
    const rt_kernels *k = rt_kernels_get();
    float inv_t = (float)(1 / temperature);
    float lse = k->logsumexp(z, n_vocab, inv_t, NULL);
    memcpy(s->z, z, (size_t)n_vocab * sizeof *z);
    k->softmax_scale(z, n_vocab, inv_t, lse, 1);
    *entropy = lse - inv_t * k->dot(z, s->z, n_vocab);
    if (*entropy < 0) {
        *entropy = 0; /* rounding, where one id has all the mass */
    }
    sorted_uniforms(s->u, draws, seed, position);
    double total = sum_blocks(z, n_vocab, s->block);
    return invert(z, n_vocab, s->block, total, s->u, draws, ids, counts);
}

void rt_draw_topk(float *z, int64_t n_vocab, double temperature, int k, int32_t *ids, float *logp, float *log_tail)
{
    const rt_kernels *kernels = rt_kernels_get();
    float inv_t = (float)(1 / temperature);
    float lse = kernels->logsumexp(z, n_vocab, inv_t, NULL);
    int n = 0;
    for (int64_t i = 0; i < n_vocab; i++) {
        if (n == k && !(z[i] > logp[n - 1])) {
            continue;
        }
        int at = n < k ? n++ : k - 1;
        for (; at > 0 && z[i] > logp[at - 1]; at--) {
            logp[at] = logp[at - 1];
            ids[at] = ids[at - 1];
        }
        logp[at] = z[i];
        ids[at] = (int32_t)i;
    }
    for (int j = 0; j < k; j++) {
        logp[j] = fminf(logp[j] * inv_t - lse, 0);
        z[ids[j]] = -INFINITY;
    }
    /* Summed over the rest, not as one minus the head: that would lose small tails to rounding. */
    *log_tail = k == n_vocab ? -INFINITY : fminf(kernels->logsumexp(z, n_vocab, inv_t, NULL) - lse, 0);
}
