/* safeguard.h - what a task says of safeguards and calibration as rows of families of their own: each by the figure
 * that fits it, against a margin of its own. Which direction is better is never a question of politics: of what has two
 * sides the distance from even is compared. */
#ifndef RT_AUDIT_SAFEGUARD_H
#define RT_AUDIT_SAFEGUARD_H

#include "audit/family.h"
#include "audit/task.h"

/* Does the task say anything of refusal, bias, or consistency? */
bool rt_safeguard_has_row(const rt_task *t);
/* A row for each metric on refusal or bias that the task has; none for others, nor where the models have no item in
 * common that says something of it. */
RT_MUST_USE rt_status rt_safeguard_add(rt_family *f, const rt_task_result *reference, const rt_task_result *model,
                                       uint64_t seed, rt_err *err);
/* Calibration errors, Brier's score, AUROC of the confidence and the accuracy of the surest half, of a task whose items
 * all have choices and one right one; none for others. */
RT_MUST_USE rt_status rt_calibration_add(rt_family *f, const rt_task_result *reference, const rt_task_result *model,
                                         uint64_t seed, rt_err *err);

#endif
