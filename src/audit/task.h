/* task.h - what a benchmark asks and how it is scored, as lm-evaluation-harness does: a description (YAML, built in or
 * a file of the user's) and a data file give items, log-likelihoods or answers, and means with their errors. */
#ifndef RT_AUDIT_TASK_H
#define RT_AUDIT_TASK_H

#include <jansson.h>

#include "audit/calibration.h"
#include "model/models.h"
#include "text/text.h"

typedef struct rt_task rt_task;

/* A built-in name, or a file: anything with a slash, or that ends in .yaml. RT_USAGE: no such name; RT_RECIPE: the file
 * is no description. */
RT_MUST_USE rt_status rt_task_open(rt_task **out, const char *name_or_file, rt_err *err);
void rt_task_close(rt_task *t);
const char *rt_task_name(const rt_task *t);
const char *rt_task_skill(const rt_task *t); /* what it is about, "truthfulness"; "" where nothing is said */
const char *rt_task_version(const rt_task *t);
/* Is it asked as a conversation and answered in text? */
bool rt_task_is_chat(const rt_task *t);
/* Does it ask this row of its data, or is the row of the half that `rows` leaves to training? */
bool rt_task_takes(const rt_task *t, const json_t *row);
/* Are the row's texts kept from every file that a model's results go to? As its `harmful` says, else its task's. */
bool rt_task_hides(const rt_task *t, const json_t *row);
/* Does it report this metric, e.g. "acc"? */
bool rt_task_has_metric(const rt_task *t, const char *metric);
/* Is this metric of a task on refusal one of answers, which has no items where none is written? */
bool rt_task_metric_needs_answers(const rt_task *t, const char *metric);
/* Appends the built-in names, ", " between. */
RT_MUST_USE rt_status rt_task_names(rt_str *out, rt_err *err);

enum { RT_TASK_METRICS = 12 };
#define RT_TASK_HARNESS "lm-eval 0.4.13" /* whose rules these are; another version may score otherwise */
typedef struct rt_task_metric {
    char name[32];
    bool higher_is_better;
    double value, stderr_; /* NAN: no item has it; no error is defined for it */
    int64_t n;             /* items that count */
} rt_task_metric;

typedef struct rt_task_result {
    char task[64], version[16], skill[32];
    int64_t n;
    rt_task_metric metrics[RT_TASK_METRICS];
    size_t n_metrics;
    json_t *items;  /* per item {id, group, ..., metrics: {name: value}}, see docs/evaluation.md; owned by the result */
    json_t *docs;   /* with keep_texts: as rt_task_docs gives them; owned by the result */
    int64_t tokens; /* read by the model, a context shared by choices once: for the cost account */
    int64_t reused; /* items that were in the items file already */
    double chance;  /* accuracy of guessing, of the best constant answer in chat tasks; NAN where there is none */
    char harness[32];           /* whose rules scored it, RT_TASK_HARNESS */
    char chat[17];              /* hash of the chat template that the prompts went through, or "none" */
    char precision[8];          /* of the model's products: "bf16", "f32" */
    uint64_t items_hash;        /* of the items' ids and texts */
    char model[65];             /* SHA-256 of whose it is, as the caller knows it; empty: unknown */
    rt_calibration calibration; /* by the sums of log-probabilities; n = 0 where there are no choices */
} rt_task_result;

typedef struct rt_task_options {
    int64_t limit;   /* first rows; 0: all */
    int64_t max_new; /* tokens of an answer; 0: as described */
    const char
        *items; /* JSON lines, written as the run goes; what is in it already is not computed again. NULL: none */
    const char *model_id; /* with items: whose they are; those of another model, task or data are refused */
    bool no_answers;      /* refusal: only openings are scored, metrics of answers have no items */
    bool keep_texts;      /* rows and texts, for rt_task_save_harness */
} rt_task_options;

/* `o` may be NULL. RT_INPUT when a row lacks the task's fields; the same bits whatever was computed before. */
RT_MUST_USE rt_status rt_task_run(rt_task_result *out, const rt_task *task, const rt_model *m, const rt_tokenizer *t,
                                  const char *data, const rt_task_options *o, rt_err *err);
/* The same for who always gives one answer: that which is right most often in these very rows. No model that does not
 * read its question can be better. */
RT_MUST_USE rt_status rt_task_run_constant(rt_task_result *out, const rt_task *task, const char *data, int64_t limit,
                                           rt_err *err);
void rt_task_result_release(rt_task_result *r);
const rt_task_metric *rt_task_result_metric(const rt_task_result *r, const char *name); /* NULL: none */
/* {task, version, n, chance, metrics: {name: {value, stderr, n, higher_is_better}}} and, where there is an acc, {acc,
 * acc_norm, stderr, acc_norm_stderr}, where there are choices {calibration}; owned. */
json_t *rt_task_json(const rt_task_result *r);

/* A result in a file, with its items, to be compared later without its model. What is read is as hostile as any file.
 */
RT_MUST_USE rt_status rt_task_result_save(const rt_task_result *r, const char *path, rt_err *err);
RT_MUST_USE rt_status rt_task_result_load(rt_task_result *out, const char *path, rt_err *err);

/* The first rows of the data (0: all), no model needed: {doc, arguments: [[context, continuation]], target, category?,
 * harmful?} an item, one that is harmful with its texts; owned. */
RT_MUST_USE rt_status rt_task_docs(json_t **out, const rt_task *task, const char *data, int64_t limit, rt_err *err);

/* Writes DIR/results_<time>.json and DIR/samples_<task>_<time>.jsonl as lm-evaluation-harness does, a harmful item with
 * a note in place of its texts. The result must have been made with keep_texts. `model` names it. */
RT_MUST_USE rt_status rt_task_save_harness(const rt_task_result *r, const char *dir, const char *model, int64_t limit,
                                           rt_err *err);

#endif
