/* task_result.h - items as JSON, and the result over all of them. Private to audit. */
#ifndef RT_AUDIT_TASK_RESULT_H
#define RT_AUDIT_TASK_RESULT_H

#include "audit/task_item.h"
#include "audit/task_pair.h"
#include "audit/task_score.h"

typedef struct rt_task_question {
    rt_task_item item;
    size_t first, n; /* pairs: requests, or windows of a rolling text */
    rt_slice answer; /* generated */
    rt_refusal refusal;
    /* of an answer that is not kept: to a prompt of a task on refusal, or to a harmful row */
    char answer_sha256[65];
    int64_t answer_bytes;
    const double *judged; /* [RT_TASK_METRICS] its values, where the answer itself is gone; NULL: it is here */
} rt_task_question;

/* Lines of the first n questions; values (may be NULL) gets RT_TASK_METRICS a question. Indices of pairs, logprobs and
 * greedy are those of the questions. */
RT_MUST_USE rt_status rt_task_result_items(json_t **out, const rt_task *t, const rt_task_question *questions, size_t n,
                                           const rt_task_pair *pairs, const double *logprobs, const bool *greedy,
                                           double *values, rt_err *err);
/* Everything but docs and reused. */
RT_MUST_USE rt_status rt_task_result_fill(rt_task_result *out, const rt_task *t, const rt_task_question *questions,
                                          size_t n, const rt_task_pair *pairs, const double *logprobs,
                                          const bool *greedy, rt_err *err);

#endif
