/* task_rows.h - the rows of a task's data as questions, all their texts as ids in one pool. Private to audit. */
#ifndef RT_AUDIT_TASK_ROWS_H
#define RT_AUDIT_TASK_ROWS_H

#include "audit/task_result.h"
#include "model/models.h"

typedef struct rt_task_rows { /* rt_task_rows_release frees */
    const rt_task *task;
    const rt_model *model;
    const rt_tokenizer *tokenizer;
    const char *path;
    int64_t max_new; /* tokens of an answer that is generated */
    rt_arena arena;  /* texts of the questions */
    rt_task_question *questions;
    size_t n, cap;
    rt_task_pair *pairs; /* [n_pairs] */
    size_t n_pairs, cap_pairs;
    rt_ids pool;
    json_t *docs; /* what the harness's files need, where wanted; else NULL */
} rt_task_rows;

/* Reads the first `limit` rows (0: all) of r->path; task, model, tokenizer, path and max_new are set. Without a
 * tokenizer nothing is encoded. */
RT_MUST_USE rt_status rt_task_rows_read(rt_task_rows *r, int64_t limit, rt_err *err);
/* Of ids and texts: two results with the same were asked the same. */
uint64_t rt_task_rows_hash(const rt_task_rows *r);
void rt_task_rows_release(rt_task_rows *r);

#endif
