/* audit_answers.h - the models of a run on the held-out rows: answers, exact matches and common words, each beside the
 * teacher and beside the best constant answer on the same rows. Private to flow. */
#ifndef RT_FLOW_AUDIT_ANSWERS_H
#define RT_FLOW_AUDIT_ANSWERS_H

#include "audit/task.h"
#include "flow/state.h"

enum { RT_ANSWER_MODELS = 5 };

typedef struct rt_answer_audit { /* zero-initialise; close in every case */
    rt_flow *f;
    rt_task *task; /* NULL: the recipe has no held-out rows */
    char *data;
    const char *id[RT_ANSWER_MODELS], *label[RT_ANSWER_MODELS]; /* the constant answer comes first */
    rt_task_result result[RT_ANSWER_MODELS];
    size_t n;
} rt_answer_audit;

RT_MUST_USE rt_status rt_answer_audit_open(rt_answer_audit *a, rt_flow *f, rt_err *err);
/* Greedy answers of a model; its rt_task_json goes to `tasks`, its items to audit/answers-<id>.json. */
RT_MUST_USE rt_status rt_answer_audit_model(rt_answer_audit *a, const rt_model *m, const char *id, const char *label,
                                            json_t *tasks, rt_err *err);
/* {task, metric, n, margin, models: [{id, label, metrics, beside: {teacher, constant, twin: rt_family_json}}],
 * examples: [{prompt, gold, outputs: {id: text}}]}; owned, NULL without held-out rows. */
RT_MUST_USE rt_status rt_answer_audit_json(const rt_answer_audit *a, json_t **out, rt_err *err);
void rt_answer_audit_close(rt_answer_audit *a);

#endif
