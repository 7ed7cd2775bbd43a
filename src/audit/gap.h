/* gap.h - what a student lost on a family of tasks, beside its teacher on the same items. */
#ifndef RT_AUDIT_GAP_H
#define RT_AUDIT_GAP_H

#include "audit/paired.h"
#include "audit/task.h"

typedef struct rt_gap {
    char task[64], metric[32]; /* acc_norm where the task has it, else its first share of right answers */
    rt_paired paired;
    double p_adjusted; /* by Holm over the family, once rt_gap_adjust was there; NAN before */
} rt_gap;

/* RT_UNSUPPORTED: the task has no share of right answers. RT_INPUT: the items are not the same. */
RT_MUST_USE rt_status rt_gap_compare(rt_gap *out, const rt_task_result *teacher, const rt_task_result *student,
                                     double margin, uint64_t seed, rt_err *err);
RT_MUST_USE rt_status rt_gap_adjust(rt_gap *family, size_t n, rt_err *err);
/* rt_paired_json with {task, metric, p_adjusted}; owned. */
json_t *rt_gap_json(const rt_gap *g);

#endif
