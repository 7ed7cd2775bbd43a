/* paired.h - a student beside its teacher on the same items: the difference with its interval, what flipped, how much
 * of the teacher's ability above chance is left, and a verdict against a margin that was stated before the run. */
#ifndef RT_AUDIT_PAIRED_H
#define RT_AUDIT_PAIRED_H

#include <jansson.h>

#include "core/core.h"

typedef struct rt_paired_options {
    double margin;         /* a loss up to this counts as kept; above 0 */
    double chance;         /* value of guessing; NAN: the measure has none, and no retention */
    bool lower_is_better;  /* perplexity, calibration error */
    const int64_t *groups; /* [n] items of one number are not independent (one passage, one template); NULL: all are */
    int64_t rests_on;      /* of a figure: groups that it rests on, those of the rarer kind for AUROC; 0: all */
    double most;           /* of a figure: by how much these groups together can move it; 0: 1, as they can a share */
    bool same_model;       /* both sides are of one model: what does not flip cannot */
    int resamples;         /* of the bootstrap; 0: 10,000 */
    uint64_t seed;
} rt_paired_options;

typedef enum rt_paired_verdict {
    RT_PAIRED_KEPT,   /* the whole interval is above -margin */
    RT_PAIRED_LOST,   /* the whole interval is at or below -margin */
    RT_PAIRED_WORSE,  /* below zero, but by more or less than the margin: size open */
    RT_PAIRED_GAINED, /* the whole interval is above zero */
    RT_PAIRED_OPEN,   /* too few items to say; fewer than 6 groups are for two models, in any case */
    RT_PAIRED_FLOOR   /* the teacher itself is not clearly above chance, and the student is not above the teacher */
} rt_paired_verdict;
/* "kept", "worse, size open", "teacher at floor, not measurable" */
const char *rt_paired_verdict_name(rt_paired_verdict v);
bool rt_paired_is_loss(rt_paired_verdict v); /* lost or worse */

typedef struct rt_paired {
    int64_t n, groups;       /* groups: those that the figure rests on */
    double teacher, student; /* means */
    double difference;       /* student - teacher */
    double stderr_;          /* of the difference, clustered by group; NAN with one group */
    double low, high;        /* 95 % of the bootstrap over groups, percentiles, and what it cannot see (may_flip); NAN
                              * with one group */
    double half_width;       /* of that interval: what these items can tell apart */
    bool binary;             /* all values are 0 or 1; else the next two are 0 */
    int64_t worse, better;   /* items only the teacher has right, only the student */
    double flips;            /* share of items with another value */
    double may_flip;         /* share of items that may flip in a direction in which none did; 0: some did, both ways */
    double p;                /* of no difference: McNemar's exact test for binary items each on its own, else normal,
                              * and not below what an exact sign test can give, 2^(1 - groups) */
    bool at_floor;           /* the teacher is not clearly above chance: there is nothing to keep */
    double retention[3]; /* (student - chance) / (teacher - chance), low, high; NAN at the floor or without chance */
    rt_paired_verdict verdict;
    double p_verdict; /* of the bound that kept, lost, worse or gained rest on, as p when normal; 1: open, NAN: at the
                       * floor */
    int64_t needed;   /* items that would decide an open verdict, about; 0 when it is decided or no number would */
} rt_paired;

/* RT_USAGE: no items, or a margin that is none. RT_NUMERIC: a value is not finite. */
RT_MUST_USE rt_status rt_paired_compare(rt_paired *out, const double *teacher, const double *student, size_t n,
                                        const rt_paired_options *o, rt_err *err);
/* The same for a figure that is no mean over items: AUROC, calibration error. `weight` says how often each item counts,
 * NULL: once. Its standard error is that of the resamples; flips are NAN, retention is none. RT_NUMERIC: the items do
 * not have this figure. */
typedef double rt_paired_figure(const void *side, const double *weight);
RT_MUST_USE rt_status rt_paired_compare_figure(rt_paired *out, rt_paired_figure *figure, const void *teacher,
                                               const void *student, size_t n, const rt_paired_options *o, rt_err *err);
/* Fields as above, {verdict, retention: {value, low, high}, ...}; a number that is missing is null. Owned. */
json_t *rt_paired_json(const rt_paired *p);

/* Two-sided exact p of b against c discordant pairs. */
double rt_mcnemar(int64_t b, int64_t c);
/* Holm's step-down adjustment over a family of n; NAN stays and does not count. */
RT_MUST_USE rt_status rt_holm(double *adjusted, const double *p, size_t n, rt_err *err);

#endif
