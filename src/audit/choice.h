/* choice.h - multiple-choice tasks by log-likelihood, exactly as lm-evaluation-harness 0.4.13 scores them. */
#ifndef RT_AUDIT_CHOICE_H
#define RT_AUDIT_CHOICE_H

#include <jansson.h>

#include "audit/stat.h"
#include "model/models.h"
#include "text/text.h"

typedef struct rt_choice_result {
    char task[32];
    int64_t n;
    rt_stat acc, acc_norm; /* acc_norm: per character of the continuation (n = 0 where the task has none) */
    json_t *items;  /* per item {id, loglikelihoods[], n_tokens[], gold, picks: {acc, acc_norm}}; owned by the result */
    int64_t tokens; /* read by the model, a context shared by choices once: for the cost account */
    double chance;  /* accuracy of guessing */
} rt_choice_result;

/* Names known: "hellaswag", ...; ", "-separated for messages. */
const char *rt_choice_tasks(void);
bool rt_choice_is_task(const char *name);
/* Runs the first `limit` rows (0: all) of the JSONL file. RT_INPUT when a row lacks the task's fields. */
RT_MUST_USE rt_status rt_choice_run(rt_choice_result *out, const rt_model *m, const rt_tokenizer *t, const char *task,
                                    const char *path, int64_t limit, rt_err *err);
void rt_choice_result_release(rt_choice_result *r);
/* {task, n, acc, acc_norm, stderr, acc_norm_stderr, chance}; owned. */
json_t *rt_choice_json(const rt_choice_result *r);

#endif
