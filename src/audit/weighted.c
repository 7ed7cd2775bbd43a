/* weighted.c - AUROC and calibration of weighted observations (weighted.h). */
#define _GNU_SOURCE

#include "audit/weighted.h"

#include <math.h>
#include <stdlib.h>

static int by_score(const void *a, const void *b, void *ud)
{
    const size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const double *x = ud;
    if (x[i] != x[k]) {
        return x[i] < x[k] ? -1 : 1;
    }
    return i < k ? -1 : i > k;
}

void rt_order_by(size_t *order, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
    }
    qsort_r(order, n, sizeof *order, by_score, (void *)x);
}

static double weight_of(const double *weight, size_t i)
{
    return weight != NULL ? weight[i] : 1;
}

static double total_weight(const rt_scored *s, const double *weight)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        sum += weight_of(weight, i);
    }
    return sum;
}

double rt_auroc(const rt_scored *s, const double *weight)
{
    double below = 0, positives = 0, wins = 0; /* below: weight of the negatives with a lower score */
    for (size_t i = 0; i < s->n;) {
        const double score = s->score[s->order[i]];
        double tied[2] = {0};
        for (; i < s->n && s->score[s->order[i]] == score; i++) {
            tied[s->positive[s->order[i]]] += weight_of(weight, s->order[i]);
        }
        wins += tied[1] * (below + tied[0] / 2);
        below += tied[0];
        positives += tied[1];
    }
    return below > 0 && positives > 0 ? wins / (below * positives) : NAN;
}

/* --- calibration -------------------------------------------------------------------------------------------------- */

/* (k/10, (k+1)/10]; 0 belongs to the first. */
static int bin_of_width(double confidence)
{
    const int k = (int)ceil(confidence * RT_CALIBRATION_BINS) - 1;
    return k < 0 ? 0 : k < RT_CALIBRATION_BINS ? k : RT_CALIBRATION_BINS - 1;
}

static int bin_of_weight(double before, double own, double all)
{
    const int k = (int)((before + own / 2) / all * RT_CALIBRATION_BINS);
    return k < RT_CALIBRATION_BINS ? k : RT_CALIBRATION_BINS - 1;
}

void rt_calibration_bins(rt_calibration_bin bins[RT_CALIBRATION_BINS], const rt_scored *s, const double *weight,
                         bool equal_weight)
{
    const double all = total_weight(s, weight);
    double before = 0;
    for (int k = 0; k < RT_CALIBRATION_BINS; k++) {
        bins[k] = (rt_calibration_bin){0};
    }
    for (size_t i = 0; i < s->n; i++) {
        const size_t at = s->order[i];
        const double w = weight_of(weight, at);
        if (w > 0) {
            rt_calibration_bin *b = &bins[equal_weight ? bin_of_weight(before, w, all) : bin_of_width(s->score[at])];
            b->weight += w;
            b->confidence += w * s->score[at];
            b->accuracy += w * s->positive[at];
        }
        before += w;
    }
    for (int k = 0; k < RT_CALIBRATION_BINS; k++) {
        bins[k].confidence = bins[k].weight > 0 ? bins[k].confidence / bins[k].weight : NAN;
        bins[k].accuracy = bins[k].weight > 0 ? bins[k].accuracy / bins[k].weight : NAN;
    }
}

double rt_calibration_error(const rt_scored *s, const double *weight, bool equal_weight)
{
    rt_calibration_bin bins[RT_CALIBRATION_BINS];
    double sum = 0, all = 0;
    rt_calibration_bins(bins, s, weight, equal_weight);
    for (int k = 0; k < RT_CALIBRATION_BINS; k++) {
        all += bins[k].weight;
        sum += bins[k].weight > 0 ? bins[k].weight * fabs(bins[k].accuracy - bins[k].confidence) : 0;
    }
    return sum / all;
}

double rt_selective_accuracy(const rt_scored *s, const double *weight, double coverage)
{
    const double wanted = coverage * total_weight(s, weight);
    double taken = 0, right = 0;
    for (size_t i = s->n; i-- > 0 && taken < wanted;) {
        const double w = fmin(weight_of(weight, s->order[i]), wanted - taken);
        taken += w;
        right += w * s->positive[s->order[i]];
    }
    return right / taken;
}

double rt_risk_coverage(const rt_scored *s, const double *weight)
{
    double taken = 0, wrong = 0, area = 0;
    for (size_t i = s->n; i-- > 0;) {
        const double w = weight_of(weight, s->order[i]);
        taken += w;
        wrong += w * !s->positive[s->order[i]];
        area += w > 0 ? w * wrong / taken : 0;
    }
    return area / taken;
}
