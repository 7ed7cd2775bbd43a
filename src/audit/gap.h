/* gap.h - what a model lost on tasks, beside another on the same items: rows of a family of verdicts. */
#ifndef RT_AUDIT_GAP_H
#define RT_AUDIT_GAP_H

#include "audit/domain.h"
#include "audit/family.h"
#include "audit/task.h"

/* A loss up to this counts as kept, where nobody states another margin. */
#define RT_GAP_MARGIN 0.02
/* Resamples where the difference is read and the interval is not. */
#define RT_GAP_FEW_RESAMPLES 2

typedef struct rt_gap_options {
    double margin;
    uint64_t seed;
    const char *name;     /* of the row; NULL: the task's */
    const char *metric;   /* NULL: acc_norm where the task has it, else its first share of right answers */
    const bool *use;      /* [items]: those that count; NULL: all */
    int resamples;        /* of the bootstrap; 0: its own number */
    const double *chance; /* value of guessing, NAN: none; NULL: the task's */
} rt_gap_options;

/* A row for the task. RT_UNSUPPORTED: it has no such metric. RT_INPUT: the items are not the same; RT_USAGE: none is
 * left. */
RT_MUST_USE rt_status rt_gap_add(rt_family *f, const rt_task_result *reference, const rt_task_result *model,
                                 const rt_gap_options *o, rt_err *err);

/* Has it a share of right answers, that is, a row? */
bool rt_gap_has_row(const rt_task_result *r);

/* A model's results in the order of the tasks. */
typedef struct rt_gap_model {
    const char *name;              /* "student", "twin" */
    const rt_task_result *results; /* [n_tasks] */
} rt_gap_model;

typedef struct rt_gap_input {
    rt_gap_model teacher, student;
    const rt_gap_model *baselines; /* each beside the teacher, and the student beside each */
    const rt_gap_model *seeds;     /* the student trained with other seeds */
    size_t n_baselines, n_seeds, n_tasks;
    double margin; /* stated before anything was run */
    uint64_t seed;
    const rt_domain *domain; /* [n_tasks] of the kind that the student was trained on? NULL: nobody said or looked */
    const rt_contamination *contaminated; /* [n_tasks] items that stand in the training text; NULL: not looked for */
    const json_t *const *docs; /* [n_tasks] texts of the items (rt_task_docs), to search slices in; NULL: no search */
    bool unlike;               /* compare what was not measured alike, and say so */
} rt_gap_input;

/* Families: "tasks", first the student beside its teacher, then baselines; "clean", without the items that stand in the
 * training text; "slices" that the search found; "safeguards" of the student and then of each baseline, and
 * "calibration" of the student, beside the teacher, where tasks say something of them. {margin, seed, families:
 * [rt_family_json], claims: rt_claims_json, trained_for: [{task, how: rt_domain_name}] or null, seen:
 * rt_claims_seen_json, seeds, unlike: [text], contamination: [{task, items, checked, found, share}] or null,
 * slice_search: {searched, judged} or null}: owned. RT_INPUT: results
 * that were not measured alike. */
RT_MUST_USE rt_status rt_gap_report(json_t **out, const rt_gap_input *in, rt_err *err);
/* The first row of the student beside its teacher, on tasks or safeguards, that is lost or worse by its own interval,
 * before any correction: what a gate must not overlook. A view; NULL: none. */
const json_t *rt_gap_loss(const json_t *report);

/* Appends a sentence for everything in which two results of one task differ and that may move scores: version, harness,
 * chat template, precision, items. */
void rt_gap_unlike(json_t *list, const rt_gap_model *a, const rt_gap_model *b, size_t task);
/* {n, rows: [{name, mean, sd, least, most}]} of the differences to the teacher over student and seeds; n = 1: no rows.
 */
RT_MUST_USE rt_status rt_gap_seeds(json_t **out, const rt_gap_input *in, rt_err *err);

#endif
