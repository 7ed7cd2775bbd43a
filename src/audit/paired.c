/* paired.c - paired differences, bootstrap over groups, McNemar, retention above chance, verdicts (paired.h). */
#include "audit/paired.h"

#include <math.h>
#include <stdlib.h>

#include "audit/paired_parts.h"
#include "format/json.h"

#define LEVEL 0.05
#define FLOOR 0.02 /* the teacher's own interval must be this far above chance */

const char *rt_paired_verdict_name(rt_paired_verdict v)
{
    static const char *const names[] = {"kept",   "lost", "worse, size open",
                                        "gained", "open", "teacher at floor, not measurable"};
    return names[v];
}

bool rt_paired_is_loss(rt_paired_verdict v)
{
    return v == RT_PAIRED_LOST || v == RT_PAIRED_WORSE;
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

typedef struct group {
    double teacher, student, difference; /* sums */
    int64_t n;
} group;

typedef struct tagged {
    int64_t tag;
    size_t item;
} tagged;

/* Items of a group in their order, groups by number. */
static int by_tag(const void *a, const void *b)
{
    const tagged *x = a, *y = b;
    if (x->tag != y->tag) {
        return x->tag < y->tag ? -1 : 1;
    }
    return x->item < y->item ? -1 : x->item > y->item;
}

rt_status rt_paired_number_groups(size_t *number, size_t *n_groups, const int64_t *tags, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    tagged *order = NULL;
    RT_TRY(RT_NEW(&order, n, "order of items", err));
    for (size_t i = 0; i < n; i++) {
        order[i] = (tagged){tags != NULL ? tags[i] : (int64_t)i, i};
    }
    qsort(order, n, sizeof *order, by_tag);
    *n_groups = 0;
    for (size_t i = 0; i < n; i++) {
        *n_groups += i == 0 || order[i].tag != order[i - 1].tag;
        number[order[i].item] = *n_groups - 1;
    }
out:
    rt_free(order);
    return st;
}

static rt_status make_groups(group **out, size_t *n_groups, const double *teacher, const double *student, size_t n,
                             const int64_t *tags, rt_err *err)
{
    rt_status st = RT_OK;
    size_t *number = NULL;
    RT_TRY(RT_NEW(&number, n, "groups of items", err));
    RT_TRY(RT_NEW(out, n, "groups of items", err));
    RT_TRY(rt_paired_number_groups(number, n_groups, tags, n, err));
    for (size_t i = 0; i < n; i++) {
        group *g = &(*out)[number[i]];
        g->teacher += teacher[i];
        g->student += student[i];
        g->difference += student[i] - teacher[i];
        g->n++;
    }
out:
    rt_free(number);
    return st;
}

/* Means, and the teacher's standard error, which is returned. */
static rt_status measure_groups(rt_paired *out, const group *g, size_t n, double *teacher_error, rt_err *err)
{
    rt_status st = RT_OK;
    double *total = NULL;
    int64_t *count = NULL;
    RT_TRY(RT_NEW(&total, 3 * n, "groups of items", err));
    RT_TRY(RT_NEW(&count, n, "groups of items", err));
    for (size_t i = 0; i < n; i++) {
        total[i] = g[i].teacher;
        total[n + i] = g[i].student;
        total[2 * n + i] = g[i].difference;
        count[i] = g[i].n;
    }
    const rt_stat teacher = rt_stat_clustered(total, count, n), difference = rt_stat_clustered(total + 2 * n, count, n);
    out->groups = (int64_t)n;
    out->teacher = teacher.mean;
    out->student = rt_stat_clustered(total + n, count, n).mean;
    out->difference = difference.mean;
    out->stderr_ = difference.stderr_;
    *teacher_error = teacher.stderr_;
out:
    rt_free(total);
    rt_free(count);
    return st;
}

/* --- bootstrap ---------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Of sorted values, by linear interpolation; nothing lies beside an infinity. */
static double quantile(const double *x, size_t n, double share)
{
    const double at = share * (double)(n - 1);
    const size_t i = (size_t)at;
    const double rest = at - (double)i;
    return rest == 0 || !isfinite(x[i]) ? x[i] : x[i] + rest * (x[i + 1] - x[i]);
}

void rt_paired_interval(rt_paired *out, double *differences, size_t n)
{
    qsort(differences, n, sizeof *differences, by_value);
    const bool spread = out->groups > 1; /* one observation has none */
    out->low = spread ? quantile(differences, n, 0.025) : NAN;
    out->high = spread ? quantile(differences, n, 0.975) : NAN;
    out->half_width = (out->high - out->low) / 2;
}

/* (student - chance) / (teacher - chance) where the latter may have fallen to nothing. */
static double kept_share(double student, double teacher, double chance)
{
    const double above = teacher - chance;
    return above > 0 ? (student - chance) / above : student > chance ? INFINITY : -INFINITY;
}

static rt_status bootstrap(rt_paired *out, const group *g, size_t n_groups, const rt_paired_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    double *difference = NULL, *kept = NULL;
    const size_t n = o->resamples > 0 ? (size_t)o->resamples : RT_PAIRED_RESAMPLES;
    const bool retention = isfinite(o->chance) && !out->at_floor && n_groups > 1;
    RT_TRY(RT_NEW(&difference, n, "resamples", err));
    RT_TRY(RT_NEW(&kept, n, "resamples", err));
    for (size_t r = 0; r < n; r++) {
        rt_rng rng = rt_rng_init(o->seed, "bootstrap", r);
        group sum = {0};
        for (size_t i = 0; i < n_groups; i++) {
            const group *one = &g[rt_rng_below(&rng, n_groups)];
            sum.teacher += one->teacher;
            sum.student += one->student;
            sum.difference += one->difference;
            sum.n += one->n;
        }
        const double items = (double)sum.n;
        difference[r] = sum.difference / items;
        kept[r] = retention ? kept_share(sum.student / items, sum.teacher / items, o->chance) : NAN;
    }
    rt_paired_interval(out, difference, n);
    if (retention) {
        qsort(kept, n, sizeof *kept, by_value);
        out->retention[0] = kept_share(out->student, out->teacher, o->chance);
        out->retention[1] = quantile(kept, n, 0.025);
        out->retention[2] = quantile(kept, n, 0.975);
    }
out:
    rt_free(difference);
    rt_free(kept);
    return st;
}

/* --- tests and verdicts ------------------------------------------------------------------------------------------- */

double rt_mcnemar(int64_t b, int64_t c)
{
    const int64_t n = b + c, few = b < c ? b : c;
    const double all = lgamma((double)n + 1) - (double)n * log(2);
    double tail = 0;
    for (int64_t k = 0; k <= few; k++) {
        tail += exp(all - lgamma((double)k + 1) - lgamma((double)(n - k) + 1));
    }
    return fmin(1, 2 * tail);
}

typedef struct ranked {
    double p;
    size_t index;
} ranked;

static int by_p(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->p != y->p) {
        return x->p < y->p ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

rt_status rt_holm(double *adjusted, const double *p, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    ranked *order = NULL;
    size_t m = 0;
    double least = 0;
    RT_TRY(RT_NEW(&order, n, "p-values", err));
    for (size_t i = 0; i < n; i++) {
        adjusted[i] = NAN;
        if (!isnan(p[i])) {
            order[m++] = (ranked){p[i], i};
        }
    }
    qsort(order, m, sizeof *order, by_p);
    for (size_t i = 0; i < m; i++) {
        least = fmax(least, fmin(1, (double)(m - i) * order[i].p));
        adjusted[order[i].index] = least;
    }
out:
    rt_free(order);
    return st;
}

/* Which directions show no move: of values that are no 0 or 1 a single one in either says enough. */
static rt_paired_unmoved count_flips(rt_paired *out, const double *teacher, const double *student, size_t n)
{
    int64_t changed = 0;
    double least = 0, most = 1; /* of values; a share's bounds */
    out->binary = true;
    for (size_t i = 0; i < n; i++) {
        const double t = teacher[i], s = student[i];
        out->binary &= (t == 0 || t == 1) && (s == 0 || s == 1);
        least = fmin(least, fmin(t, s));
        most = fmax(most, fmax(t, s));
        changed += t != s;
        out->worse += s < t;
        out->better += s > t;
    }
    out->flips = (double)changed / (double)n;
    if (!out->binary) {
        out->worse = out->better = 0;
    }
    const bool moved = !out->binary && changed > 0;
    return (rt_paired_unmoved){out->worse == 0 && !moved, out->better == 0 && !moved, most - least};
}

/* Two-sided, of a difference `distance` away from the bound. */
static double p_beyond(double distance, double error)
{
    return distance == 0 ? 1 : erfc(fabs(distance) / error / sqrt(2));
}

/* What an exact sign test says when all groups agree: however little they spread, no p is below it. */
static double least_p(const rt_paired *p, const rt_paired_options *o)
{
    return o->same_model ? 0 : ldexp(1, 1 - (int)fmin((double)p->groups, 1000));
}

double rt_paired_p(const rt_paired *p, const rt_paired_options *o)
{
    return isnan(p->stderr_) ? NAN : fmax(p_beyond(p->difference, p->stderr_), least_p(p, o));
}

static double p_of_verdict(const rt_paired *p, double change, const rt_paired_options *o)
{
    const double least = least_p(p, o);
    switch (p->verdict) {
    case RT_PAIRED_KEPT: return fmax(p_beyond(change + o->margin, p->stderr_), fmax(rt_paired_unseen_p(p, o), least));
    case RT_PAIRED_LOST: return fmax(p_beyond(change + o->margin, p->stderr_), least);
    case RT_PAIRED_WORSE:
    case RT_PAIRED_GAINED: return fmax(p_beyond(change, p->stderr_), least);
    case RT_PAIRED_OPEN: return 1;
    case RT_PAIRED_FLOOR: break;
    }
    return NAN;
}

void rt_paired_judge(rt_paired *p, const rt_paired_options *o)
{
    const double sign = o->lower_is_better ? -1 : 1, change = sign * p->difference;
    const double low = sign > 0 ? p->low : -p->high, high = sign > 0 ? p->high : -p->low;
    const bool few = least_p(p, o) > LEVEL;
    p->verdict = low > 0 && !few      ? RT_PAIRED_GAINED
                 : p->at_floor        ? RT_PAIRED_FLOOR
                 : few                ? RT_PAIRED_OPEN
                 : low >= -o->margin  ? RT_PAIRED_KEPT
                 : high <= -o->margin ? RT_PAIRED_LOST
                 : high < 0           ? RT_PAIRED_WORSE
                                      : RT_PAIRED_OPEN;
    p->p_verdict = p_of_verdict(p, change, o);
    const double distance = fabs(change + o->margin);
    if ((p->verdict == RT_PAIRED_OPEN || p->verdict == RT_PAIRED_WORSE) && distance > 0) {
        const bool unseen = p->may_flip > 0 && p->low == -p->high; /* nothing flipped */
        const double decides =
            unseen ? rt_paired_unseen_needed(p, o) : ceil((double)p->n * pow(p->half_width / distance, 2));
        const double enough = ceil(ceil(1 - log2(LEVEL)) * (double)p->n / (double)p->groups); /* least_p */
        const double needed = fmax(decides, few ? enough : 0);
        p->needed = needed < 1e15 ? (int64_t)needed : 0;
    }
}

rt_status rt_paired_check(size_t n, const rt_paired_options *o, rt_err *err)
{
    if (n == 0 || !(o->margin > 0) || !isfinite(o->margin)) {
        return rt_fail(err, RT_USAGE, 0, "a comparison needs items, and a margin above 0 that was stated before");
    }
    return RT_OK;
}

rt_status rt_paired_compare(rt_paired *out, const double *teacher, const double *student, size_t n,
                            const rt_paired_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    group *g = NULL;
    double teacher_error = NAN;
    size_t n_groups = 0;
    *out = (rt_paired){.n = (int64_t)n, .retention = {NAN, NAN, NAN}};
    RT_TRY(rt_paired_check(n, o, err));
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(teacher[i]) || !isfinite(student[i])) {
            RT_FAIL_OUT(err, RT_NUMERIC, i, "item %zu has a value that is not finite", i);
        }
    }
    RT_TRY(make_groups(&g, &n_groups, teacher, student, n, o->groups, err));
    RT_TRY(measure_groups(out, g, n_groups, &teacher_error, err));
    out->at_floor = isfinite(o->chance) && !(out->teacher - RT_Z95 * teacher_error > o->chance + FLOOR);
    RT_TRY(bootstrap(out, g, n_groups, o, err));
    const rt_paired_unmoved none = count_flips(out, teacher, student, n);
    rt_paired_unseen(out, &none, o);
    out->p = out->binary && out->groups == out->n ? rt_mcnemar(out->worse, out->better) : rt_paired_p(out, o);
    rt_paired_judge(out, o);
out:
    rt_free(g);
    return st;
}

json_t *rt_paired_json(const rt_paired *p)
{
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:b, s:I, s:I, s:o, s:f, s:o, s:b, s:{s:o, s:o, "
                     "s:o}, s:s, s:o, s:I}",
                     "n", (json_int_t)p->n, "groups", (json_int_t)p->groups, "teacher", p->teacher, "student",
                     p->student, "difference", p->difference, "stderr", rt_number_json(p->stderr_), "low",
                     rt_number_json(p->low), "high", rt_number_json(p->high), "half_width",
                     rt_number_json(p->half_width), "binary", (int)p->binary, "worse", (json_int_t)p->worse, "better",
                     (json_int_t)p->better, "flips", rt_number_json(p->flips), "may_flip", p->may_flip, "p",
                     rt_number_json(p->p), "at_floor", (int)p->at_floor, "retention", "value",
                     rt_number_json(p->retention[0]), "low", rt_number_json(p->retention[1]), "high",
                     rt_number_json(p->retention[2]), "verdict", rt_paired_verdict_name(p->verdict), "p_verdict",
                     rt_number_json(p->p_verdict), "needed", (json_int_t)p->needed);
}
