/* task_constant.h - the best answer that does not depend on the question: what guessing is worth where answers are
 * texts. Private to audit. */
#ifndef RT_AUDIT_TASK_CONSTANT_H
#define RT_AUDIT_TASK_CONSTANT_H

#include "audit/task_result.h"

/* *index: a question whose right answer is that of most questions, the first of equals; *share of them. n > 0. */
RT_MUST_USE rt_status rt_task_constant(size_t *index, double *share, const rt_task *t,
                                       const rt_task_question *questions, size_t n, rt_err *err);

#endif
