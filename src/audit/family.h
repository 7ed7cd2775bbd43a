/* family.h - verdicts that are given together: comparisons of one model with one reference, judged after Holm's
 * correction over all of them. Tasks, slices and safeguards are rows of families; the JSON below is what tables, pages
 * and gates read. */
#ifndef RT_AUDIT_FAMILY_H
#define RT_AUDIT_FAMILY_H

#include "audit/paired.h"

typedef struct rt_family_row {
    char name[96];   /* task, slice, safeguard */
    char metric[32]; /* what is averaged */
    char kind[32];   /* what a row is about, e.g. "commonsense"; "" */
    char unit[16];   /* "share": shown in points; else shown as it is, e.g. "nats" */
    double margin;
    bool lower_is_better;
    rt_paired paired;          /* paired.verdict is that of the row alone */
    double p_adjusted;         /* of no difference, by Holm over the family; NAN until concluded */
    double p_verdict_adjusted; /* of the verdict */
    rt_paired_verdict verdict; /* of the family: the row's own where it stands at 5 % after Holm, else open */
} rt_family_row;

/* Zero-initialise but for the texts, which are borrowed. */
typedef struct rt_family {
    const char *name;              /* "tasks": for programs */
    const char *table;             /* heading, for people */
    const char *model, *reference; /* "student", "teacher" */
    rt_family_row *rows;
    size_t n, cap;
} rt_family;

typedef struct rt_family_label {
    const char *name, *metric, *kind, *unit; /* NULL kind: none; NULL unit: "share" */
} rt_family_label;

/* A further row: the model's values beside the reference's ("teacher" in rt_paired). */
RT_MUST_USE rt_status rt_family_add(rt_family *f, const rt_family_label *label, const double *reference,
                                    const double *model, size_t n, const rt_paired_options *o, rt_err *err);
/* The same with a comparison that is there already, made with these options. */
RT_MUST_USE rt_status rt_family_put(rt_family *f, const rt_family_label *label, const rt_paired *paired,
                                    const rt_paired_options *o, rt_err *err);
/* Holm's steps, and the verdicts they leave. Rows where the reference is at the floor do not count. */
RT_MUST_USE rt_status rt_family_conclude(rt_family *f, rt_err *err);
/* {family, table, model, reference, half_width (the widest row's), rows: [{name, metric, kind, unit, margin,
 * higher_is_better, estimate, half_width, verdict, verdict_alone, p_adjusted, p_verdict_adjusted, and
 * rt_paired_json}]}: owned. */
json_t *rt_family_json(const rt_family *f);
void rt_family_release(rt_family *f);

#endif
