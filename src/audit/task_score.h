/* task_score.h - from what a model said of an item to values, and from values to means. Private to audit. */
#ifndef RT_AUDIT_TASK_SCORE_H
#define RT_AUDIT_TASK_SCORE_H

#include "audit/refusal.h"
#include "audit/task_item.h"

/* What the model said: of each request (or window of a rolling text) a log-likelihood, or an answer. */
typedef struct rt_outcome {
    const double *logprobs; /* [n] */
    const bool *greedy;     /* [n] every token is the most probable one */
    size_t n;
    rt_slice answer;
    rt_refusal refusal;
} rt_outcome;

bool rt_score_knows(rt_scoring scoring, const char *metric);
/* Names and directions of the task's metrics; returns how many. */
size_t rt_score_metrics(const rt_task *t, rt_task_metric list[RT_TASK_METRICS]);
/* values[k] of the k-th metric; NAN where it says nothing of this item. */
RT_MUST_USE rt_status rt_score_item(double values[RT_TASK_METRICS], const rt_task *t, const rt_task_item *item,
                                    const rt_outcome *o, rt_err *err);
/* First of the best; -1 where nothing is picked. */
int64_t rt_score_pick(const rt_task *t, const rt_task_item *item, const rt_outcome *o, const char *metric);
/* Accuracy of guessing at this item; NAN: there is none. */
double rt_score_chance(const rt_task *t, const rt_task_item *item);
/* Fills value, stderr_ and n of metric k from values[i * RT_TASK_METRICS + k] and the items. */
RT_MUST_USE rt_status rt_score_means(rt_task_metric *metrics, size_t n_metrics, const rt_task *t, const double *values,
                                     const rt_task_item *const *items, size_t n, rt_err *err);

#endif
