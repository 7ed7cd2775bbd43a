/* audit_gap.h - what a run's student kept of its teacher (audit/gap.h), from the results of its audit. Private to flow. */
#ifndef RT_FLOW_AUDIT_GAP_H
#define RT_FLOW_AUDIT_GAP_H

#include "audit/gap.h"
#include "flow/state.h"

enum { RT_JUDGED_TEACHER, RT_JUDGED_STUDENT, RT_JUDGED_TWIN, RT_JUDGED_CUT, RT_N_JUDGED };

/* results[k]: of the recipe's tasks; of a model that was not judged they are empty and not read. Items are searched in
 * the training text, and for slices. null without tasks, or without the teacher's weights. Owned. */
RT_MUST_USE rt_status rt_flow_gap(json_t **out, const rt_flow *f, rt_task_result *const results[RT_N_JUDGED],
                                  rt_err *err);

#endif
