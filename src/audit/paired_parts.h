/* paired_parts.h - what comparisons of means and of other figures share. Private to audit. */
#ifndef RT_AUDIT_PAIRED_PARTS_H
#define RT_AUDIT_PAIRED_PARTS_H

#include "audit/paired.h"

enum { RT_PAIRED_RESAMPLES = 10000 };

/* Items of one tag get one number, 0 .. *n_groups-1 in the order of the tags; without tags each its own. */
RT_MUST_USE rt_status rt_paired_number_groups(size_t *number, size_t *n_groups, const int64_t *tags, size_t n,
                                              rt_err *err);
/* Sorts the differences of all resamples: low, high and half_width. */
void rt_paired_interval(rt_paired *out, double *differences, size_t n);
/* Directions in which no item moved. */
typedef struct rt_paired_unmoved {
    bool worse, better;
    double most; /* by which an item can move: 1 for shares */
} rt_paired_unmoved;
/* The last, of a figure. */
double rt_paired_most(const rt_paired_options *o);
/* Widens interval and retention by what may have happened unseen; not for one model beside itself. */
void rt_paired_unseen(rt_paired *p, const rt_paired_unmoved *none, const rt_paired_options *o);
/* Chance to see no item lose though as many as the margin takes do; 0 where some lost. */
double rt_paired_unseen_p(const rt_paired *p, const rt_paired_options *o);
/* Items without a flip that would decide. */
double rt_paired_unseen_needed(const rt_paired *p, const rt_paired_options *o);
/* Of no difference, by normal spread; NAN with one group. */
double rt_paired_p(const rt_paired *p, const rt_paired_options *o);
/* The verdict from interval and margin, and how many items would decide it. */
void rt_paired_judge(rt_paired *p, const rt_paired_options *o);
/* Refuses margins and numbers of items that say nothing. */
RT_MUST_USE rt_status rt_paired_check(size_t n, const rt_paired_options *o, rt_err *err);

#endif
