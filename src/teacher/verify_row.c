/* verify_row.c - the teacher's distribution at one position against what the cache holds there and beside it. */
#include "teacher/verify_row.h"

#include <math.h>

static double log_p(const float *z, int32_t id, double inv_t, double lse)
{
    return (double)z[id] * inv_t - lse;
}

/* Mean log p over what is stored at row `i`, NAN when nothing is. */
static double fit_of(const rt_verify_run *k, int64_t i, const float *z, double inv_t, double lse)
{
    if (i < 0 || i >= k->sequence.n || k->sequence.mask[i] == 0) {
        return NAN;
    }
    const rt_target *t = &k->sequence.targets[i];
    double sum = 0, mass = 0;
    for (int j = 0; j < t->n; j++) {
        double w = t->kind == RT_TARGET_SAMPLE ? (double)t->weight[j] : exp((double)t->weight[j]);
        sum += w * log_p(z, t->ids[j], inv_t, lse);
        mass += w;
    }
    return mass > 0 ? sum / mass : NAN;
}

/* Closeness of the recomputed state to the stored one: minus the squared distance, relative to its length. */
static double fit_hidden(const rt_verify_run *k, int64_t i, const float *state)
{
    if (i < 0 || i >= k->sequence.n || k->sequence.mask[i] == 0) {
        return NAN;
    }
    const float *stored = k->sequence.hidden[i];
    double distance = 0, length = 0;
    for (int64_t j = 0; j < k->h->d_model; j++) {
        double d = (double)state[j] - (double)stored[j];
        distance += d * d;
        length += (double)state[j] * (double)state[j];
    }
    return length > 0 ? -distance / length : NAN;
}

/* KL(teacher | stored) over the ids and one bucket for the rest, both summing to one. */
static double kl_topk(const rt_target *t, const float *z, double inv_t, double lse)
{
    double stored_mass = exp((double)t->log_tail), mass = 0, kl = 0;
    for (int j = 0; j < t->n; j++) {
        stored_mass += exp((double)t->weight[j]);
    }
    for (int j = 0; j < t->n; j++) {
        double lp = log_p(z, t->ids[j], inv_t, lse);
        kl += exp(lp) * (lp - (double)t->weight[j] + log(stored_mass));
        mass += exp(lp);
    }
    double tail = 1 - mass;
    return tail > 1e-12 && isfinite(t->log_tail) ? kl + tail * (log(tail) - (double)t->log_tail + log(stored_mass))
                                                 : kl;
}

static double kl_dense(const float *z, const float *stored, int64_t n_vocab, double lse)
{
    double stored_lse = (double)rt_kernels_get()->logsumexp(stored, n_vocab, 1, NULL), kl = 0;
    for (int64_t i = 0; i < n_vocab; i++) {
        double lp = (double)z[i] - lse;
        kl += exp(lp) * (lp - ((double)stored[i] - stored_lse));
    }
    return kl;
}

static bool same_draws(const rt_target *t, const int32_t *ids, const int32_t *counts, int n, int draws)
{
    bool same = t->n == n;
    for (int j = 0; same && j < n; j++) {
        int i = 0;
        while (i < n && ids[i] != t->ids[j]) {
            i++;
        }
        same = i < n && lrintf(t->weight[j] * (float)draws) == counts[i];
    }
    return same;
}

/* Draws again; leaves probabilities in z and logits in the scratch, from which the moments of -log p follow. */
static void redraw(rt_verify_run *k, int thread, int64_t row, float *z, rt_verify_finding *f)
{
    const rt_cache_header *h = k->h;
    rt_draw_scratch *s = &k->scratch[thread];
    int32_t *ids = k->ids + (int64_t)thread * h->draws, *counts = k->counts + (int64_t)thread * h->draws;
    float entropy;
    int n = rt_draw_sample(z, h->n_vocab, h->temperature, h->draws, h->seed, (uint64_t)(k->token0 + row), s, ids,
                           counts, &entropy);
    double second = 0;
    for (int64_t i = 0; i < h->n_vocab; i++) {
        double lp = z[i] > 0 ? log((double)z[i]) : 0;
        second += (double)z[i] * lp * lp;
    }
    f->entropy = (double)entropy;
    f->surprise_variance = second - f->entropy * f->entropy;
    f->identical = same_draws(&k->sequence.targets[row], ids, counts, n, h->draws);
}

void rt_verify_row(void *ud, const rt_head_row *r)
{
    rt_verify_run *k = ud;
    const rt_cache_header *h = k->h;
    const int64_t row = k->rows[r->index];
    const double inv_t = 1 / h->temperature;
    rt_verify_finding *f = &k->findings[r->index];
    double lse1 = (double)rt_kernels_get()->logsumexp(r->logits, h->n_vocab, 1, NULL);
    double lse =
        h->temperature == 1 ? lse1 : (double)rt_kernels_get()->logsumexp(r->logits, h->n_vocab, (float)inv_t, NULL);
    *f = (rt_verify_finding){.label_logp = (double)r->logits[k->sequence.label[row]] - lse1};
    for (int i = 0; i < 3; i++) {
        f->fit[i] = h->kind == RT_CACHE_HIDDEN ? fit_hidden(k, row + i - 1, r->hidden)
                                               : fit_of(k, row + i - 1, r->logits, inv_t, lse);
    }
    if (h->kind == RT_CACHE_SAMPLE) {
        redraw(k, r->thread, row, r->logits, f);
    } else {
        f->kl = h->kind == RT_CACHE_TOPK ? kl_topk(&k->sequence.targets[row], r->logits, inv_t, lse)
                                         : kl_dense(r->logits, r->teacher, h->n_vocab, lse);
    }
}
