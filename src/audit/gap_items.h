/* gap_items.h - items of two results side by side. Private to audit. */
#ifndef RT_AUDIT_GAP_ITEMS_H
#define RT_AUDIT_GAP_ITEMS_H

#include "audit/gap.h"

/* Both have the same items in the same order; RT_INPUT: they do not. */
RT_MUST_USE rt_status rt_gap_check(const rt_family *f, const rt_task_result *reference, const rt_task_result *model,
                                   rt_err *err);
/* Their models have one known hash, and computed alike. */
bool rt_gap_same_model(const rt_task_result *a, const rt_task_result *b);
/* groups[i] of item i: items without a group are groups of their own, and those of one name are one. */
RT_MUST_USE rt_status rt_gap_groups(int64_t *groups, const json_t *items, rt_err *err);
/* out[i]: the item's value of the metric, NAN where it has none. */
void rt_gap_values(double *out, const rt_task_result *r, const char *metric);
/* A row for each task that has a share of right answers; resamples as in rt_gap_options. */
RT_MUST_USE rt_status rt_gap_add_tasks(rt_family *f, const rt_gap_model *reference, const rt_gap_model *model,
                                       const rt_gap_input *in, int resamples, rt_err *err);

#endif
