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
/* The verdict from interval and margin, and how many items would decide it. */
void rt_paired_judge(rt_paired *p, const rt_paired_options *o);
/* Refuses margins and numbers of items that say nothing. */
RT_MUST_USE rt_status rt_paired_check(size_t n, const rt_paired_options *o, rt_err *err);

#endif
