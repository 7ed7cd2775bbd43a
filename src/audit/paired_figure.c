/* paired_figure.c - two models by a figure that is no mean over items: resampled groups say how often each item counts.
 */
#include <math.h>

#include "audit/paired_parts.h"

typedef struct resampler {
    size_t *number; /* [n] group of each item */
    size_t n, n_groups;
    double *times;  /* [n_groups] */
    double *weight; /* [n] */
} resampler;

static void draw(const resampler *r, uint64_t seed, size_t index)
{
    rt_rng rng = rt_rng_init(seed, "bootstrap", index);
    for (size_t g = 0; g < r->n_groups; g++) {
        r->times[g] = 0;
    }
    for (size_t g = 0; g < r->n_groups; g++) {
        r->times[rt_rng_below(&rng, r->n_groups)]++;
    }
    for (size_t i = 0; i < r->n; i++) {
        r->weight[i] = r->times[r->number[i]];
    }
}

static double spread(const double *x, size_t n)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        mean += x[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        squares += (x[i] - mean) * (x[i] - mean);
    }
    return sqrt(squares / (double)(n - 1));
}

rt_status rt_paired_compare_figure(rt_paired *out, rt_paired_figure *figure, const void *teacher, const void *student,
                                   size_t n, const rt_paired_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    resampler r = {.n = n};
    double *difference = NULL;
    const size_t resamples = o->resamples > 0 ? (size_t)o->resamples : RT_PAIRED_RESAMPLES;
    size_t used = 0;
    *out = (rt_paired){.n = (int64_t)n, .retention = {NAN, NAN, NAN}, .flips = NAN};
    RT_TRY(rt_paired_check(n, o, err));
    out->teacher = figure(teacher, NULL);
    out->student = figure(student, NULL);
    out->difference = out->student - out->teacher;
    if (!isfinite(out->difference)) {
        RT_FAIL_OUT(err, RT_NUMERIC, 0, "a figure of %zu items is not finite", n);
    }
    RT_TRY(RT_NEW(&r.number, n, "groups of items", err));
    RT_TRY(RT_NEW(&r.times, n, "groups of items", err));
    RT_TRY(RT_NEW(&r.weight, n, "weights of items", err));
    RT_TRY(RT_NEW(&difference, resamples, "resamples", err));
    RT_TRY(rt_paired_number_groups(r.number, &r.n_groups, o->groups, n, err));
    out->groups = o->rests_on > 0 ? o->rests_on : (int64_t)r.n_groups;
    for (size_t i = 0; i < resamples; i++) {
        draw(&r, o->seed, i);
        const double d = figure(student, r.weight) - figure(teacher, r.weight);
        if (isfinite(d)) { /* a resample may hold one kind of items only */
            difference[used++] = d;
        }
    }
    if (used == 0) {
        RT_FAIL_OUT(err, RT_NUMERIC, 0, "no resample of %zu groups of items has this figure", r.n_groups);
    }
    out->stderr_ = out->groups > 1 ? spread(difference, used) : NAN;
    out->p = rt_paired_p(out, o);
    rt_paired_interval(out, difference, used);
    /* An end that is the figure itself, or no difference: resamples saw nothing move that way. */
    const bool worse = out->low == 0 || out->low >= out->difference;
    const bool better = out->high == 0 || out->high <= out->difference;
    rt_paired_unseen(out, &(rt_paired_unmoved){worse, better, rt_paired_most(o)}, o);
    rt_paired_judge(out, o);
out:
    rt_free(r.number);
    rt_free(r.times);
    rt_free(r.weight);
    rt_free(difference);
    return st;
}
