/* family.c - rows of comparisons, Holm's correction over them, and their JSON (family.h). */
#include "audit/family.h"

#include <math.h>
#include <stdio.h>

#include "format/json.h"

#define LEVEL 0.05

rt_status rt_family_put(rt_family *f, const rt_family_label *label, const rt_paired *paired, const rt_paired_options *o,
                        rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(RT_GROW(&f->rows, f->n, &f->cap, "comparisons", err));
    rt_family_row *r = &f->rows[f->n++];
    *r = (rt_family_row){.margin = o->margin,
                         .lower_is_better = o->lower_is_better,
                         .paired = *paired,
                         .p_adjusted = NAN,
                         .p_verdict_adjusted = NAN,
                         .verdict = RT_PAIRED_OPEN};
    snprintf(r->name, sizeof r->name, "%s", label->name);
    snprintf(r->metric, sizeof r->metric, "%s", label->metric);
    snprintf(r->kind, sizeof r->kind, "%s", label->kind != NULL ? label->kind : "");
    snprintf(r->unit, sizeof r->unit, "%s", label->unit != NULL ? label->unit : "share");
out:
    return st;
}

rt_status rt_family_add(rt_family *f, const rt_family_label *label, const double *reference, const double *model,
                        size_t n, const rt_paired_options *o, rt_err *err)
{
    rt_paired paired;
    const rt_status st = rt_paired_compare(&paired, reference, model, n, o, err);
    return st == RT_OK ? rt_family_put(f, label, &paired, o, err) : rt_err_wrap(err, st, "%s", label->name);
}

rt_status rt_family_conclude(rt_family *f, rt_err *err)
{
    rt_status st = RT_OK;
    double *p = NULL, *adjusted = NULL;
    RT_TRY(RT_NEW(&p, 2 * f->n, "p-values", err));
    RT_TRY(RT_NEW(&adjusted, 2 * f->n, "p-values", err));
    for (size_t i = 0; i < f->n; i++) {
        const rt_paired *pair = &f->rows[i].paired;
        p[i] = pair->verdict == RT_PAIRED_FLOOR ? NAN : pair->p;
        p[f->n + i] = pair->p_verdict;
    }
    RT_TRY(rt_holm(adjusted, p, f->n, err));
    RT_TRY(rt_holm(adjusted + f->n, p + f->n, f->n, err));
    for (size_t i = 0; i < f->n; i++) {
        rt_family_row *r = &f->rows[i];
        r->p_adjusted = adjusted[i];
        r->p_verdict_adjusted = adjusted[f->n + i];
        const bool stands = r->paired.verdict == RT_PAIRED_FLOOR || r->p_verdict_adjusted <= LEVEL;
        r->verdict = stands ? r->paired.verdict : RT_PAIRED_OPEN;
    }
out:
    rt_free(p);
    rt_free(adjusted);
    return st;
}

static json_t *row_json(const rt_family_row *r)
{
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:f, s:b, s:f, s:o, s:o}", "name", r->name, "metric", r->metric, "kind",
                          r->kind, "unit", r->unit, "margin", r->margin, "higher_is_better", (int)!r->lower_is_better,
                          "estimate", r->paired.difference, "p_adjusted", rt_number_json(r->p_adjusted),
                          "p_verdict_adjusted", rt_number_json(r->p_verdict_adjusted));
    json_t *paired = rt_paired_json(&r->paired);
    json_object_update(j, paired);
    json_decref(paired);
    json_object_set_new(j, "verdict", json_string(rt_paired_verdict_name(r->verdict)));
    json_object_set_new(j, "verdict_alone", json_string(rt_paired_verdict_name(r->paired.verdict)));
    return j;
}

json_t *rt_family_json(const rt_family *f)
{
    json_t *rows = json_array();
    double widest = NAN;
    for (size_t i = 0; i < f->n; i++) {
        widest = fmax(widest, f->rows[i].paired.half_width);
        json_array_append_new(rows, row_json(&f->rows[i]));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "family", f->name, "table", f->table, "model", f->model,
                     "reference", f->reference, "half_width", rt_number_json(widest), "rows", rows);
}

void rt_family_release(rt_family *f)
{
    rt_free(f->rows);
    f->rows = NULL;
    f->n = f->cap = 0;
}
