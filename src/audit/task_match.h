/* task_match.h - answers read as a task that generates reads them: for filters, votes and baselines. */
#ifndef RT_AUDIT_TASK_MATCH_H
#define RT_AUDIT_TASK_MATCH_H

#include "audit/task.h"

/* Appends what counts of an answer: cut at the first stop text, extracted in the task's first way, less what it
 * ignores. Two answers are the same when these texts are. *found (may be NULL): there was something to extract. Texts
 * are well-formed UTF-8. */
RT_MUST_USE rt_status rt_task_take(rt_str *out, const rt_task *t, rt_slice answer, bool *found, rt_err *err);
/* The row's right answer, less what the task ignores. RT_INPUT: the row has none. */
RT_MUST_USE rt_status rt_task_gold(rt_str *out, const rt_task *t, const json_t *row, rt_err *err);
/* Bytes of the answer with the first stop text in it, behind which it ends; all of them, *stopped false, where there is
 * none. */
size_t rt_task_cut(const rt_task *t, rt_slice answer, bool *stopped);

#endif
