/* gap_report.c - every model beside the teacher, the student beside every baseline, and what that amounts to (gap.h).
 */
#include <string.h>

#include "audit/claim.h"
#include "audit/gap_items.h"
#include "audit/gap_row.h"
#include "audit/safeguard.h"
#include "audit/slice_search.h"
#include "format/json.h"

static const char tasks_name[] = "tasks";

/* --- conditions --------------------------------------------------------------------------------------------------- */

static rt_status check_alike(json_t *list, const rt_gap_input *in, rt_err *err)
{
    for (size_t i = 0; i < in->n_tasks; i++) {
        rt_gap_unlike(list, &in->teacher, &in->student, i);
        for (size_t k = 0; k < in->n_baselines; k++) {
            rt_gap_unlike(list, &in->teacher, &in->baselines[k], i);
        }
        for (size_t k = 0; k < in->n_seeds; k++) {
            rt_gap_unlike(list, &in->teacher, &in->seeds[k], i);
        }
    }
    if (json_array_size(list) > 0 && !in->unlike) {
        return rt_fail(err, RT_INPUT, 0, "%s: not measured alike; measure both the same way, or say --unlike",
                       json_string_value(json_array_get(list, 0)));
    }
    return RT_OK;
}

/* --- families ----------------------------------------------------------------------------------------------------- */

/* A family of the report: what it is called, who stands beside whom, and where its rows come from. */
typedef struct table table;
typedef rt_status filler(rt_family *f, const table *t, const rt_gap_input *in, rt_err *err);
struct table {
    const char *name, *heading;
    filler *fill;
    const rt_gap_model *reference, *model;
};

static rt_status make_family(rt_family *f, const table *t, const rt_gap_input *in, rt_err *err)
{
    *f = (rt_family){.name = t->name, .table = t->heading, .model = t->model->name, .reference = t->reference->name};
    const rt_status st = t->fill(f, t, in, err);
    return st == RT_OK ? rt_family_conclude(f, err) : st;
}

/* Without rows it is none; what was asked of the tasks is said in any case. */
static void append_family(json_t *families, const rt_family *f)
{
    if (f->n > 0 || strcmp(f->name, tasks_name) == 0) {
        json_array_append_new(families, rt_family_json(f));
    }
}

static rt_status add_family(json_t *families, const table *t, const rt_gap_input *in, rt_err *err)
{
    rt_family f;
    const rt_status st = make_family(&f, t, in, err);
    if (st == RT_OK) {
        append_family(families, &f);
    }
    rt_family_release(&f);
    return st;
}

/* --- their rows --------------------------------------------------------------------------------------------------- */

static rt_status fill_tasks(rt_family *f, const table *t, const rt_gap_input *in, rt_err *err)
{
    return rt_gap_add_tasks(f, t->reference, t->model, in, 0, err);
}

/* A row without the items that stand in the training text, where some do and some do not. */
static rt_status add_clean(rt_family *f, const table *t, const rt_gap_input *in, size_t task, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_contamination *o = &in->contaminated[task];
    bool *use = NULL;
    if (o->found == 0 || o->found == o->items || !rt_gap_has_row(&t->reference->results[task]) ||
        o->items != t->reference->results[task].n) {
        return RT_OK;
    }
    RT_TRY(RT_NEW(&use, (size_t)o->items, "marks of items", err));
    for (int64_t i = 0; i < o->items; i++) {
        use[i] = !o->hit[i];
    }
    RT_TRY(rt_gap_add(f, &t->reference->results[task], &t->model->results[task],
                      &(rt_gap_options){.margin = in->margin, .seed = in->seed, .use = use}, err));
out:
    rt_free(use);
    return st;
}

static rt_status fill_clean(rt_family *f, const table *t, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; in->contaminated != NULL && i < in->n_tasks; i++) {
        RT_TRY(add_clean(f, t, in, i, err));
    }
out:
    return st;
}

static rt_status fill_safeguards(rt_family *f, const table *t, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < in->n_tasks; i++) {
        RT_TRY(rt_safeguard_add(f, &t->reference->results[i], &t->model->results[i], in->seed, err));
    }
out:
    return st;
}

static rt_status fill_calibration(rt_family *f, const table *t, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < in->n_tasks; i++) {
        RT_TRY(rt_calibration_add(f, &t->reference->results[i], &t->model->results[i], in->seed, err));
    }
out:
    return st;
}

static rt_status add_safeguards(json_t *families, const rt_gap_model *model, const rt_gap_input *in, rt_err *err)
{
    return add_family(
        families, &(table){"safeguards", "Safeguards and neutrality", fill_safeguards, &in->teacher, model}, in, err);
}

/* All but the first and those of slices. */
static rt_status add_families(json_t *families, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_gap_model *teacher = &in->teacher, *student = &in->student, *end = in->baselines + in->n_baselines;
    const table clean = {"clean", "Without the items whose words stand in the training text", fill_clean, teacher,
                         student},
                calibration = {"calibration", "Is it as sure as it is right", fill_calibration, teacher, student};
    RT_TRY(add_family(families, &clean, in, err));
    for (const rt_gap_model *b = in->baselines; b != end; b++) {
        const table beside_teacher = {tasks_name, "A baseline beside the teacher", fill_tasks, teacher, b},
                    beside_student = {tasks_name, "The student beside a baseline", fill_tasks, b, student};
        RT_TRY(add_family(families, &beside_teacher, in, err));
        RT_TRY(add_family(families, &beside_student, in, err));
    }
    RT_TRY(add_safeguards(families, student, in, err));
    RT_TRY(add_family(families, &calibration, in, err));
    for (const rt_gap_model *b = in->baselines; b != end; b++) {
        RT_TRY(add_safeguards(families, b, in, err));
    }
out:
    return st;
}

/* --- slices ------------------------------------------------------------------------------------------------------- */

/* They are found and judged in one: no filler, for the report says how many were looked at. */
static rt_status report_slices(json_t **out, json_t *families, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    size_t searched = 0;
    rt_family f = {.name = "slices",
                   .table = "The worst slices of one half of the items, judged on the other",
                   .model = in->student.name,
                   .reference = in->teacher.name};
    *out = json_null();
    if (in->docs != NULL) {
        RT_TRY(rt_slice_search(&f, &searched, in, err));
        *out = json_pack("{s:I, s:I}", "searched", (json_int_t)searched, "judged", (json_int_t)f.n);
    }
    append_family(families, &f);
out:
    rt_family_release(&f);
    return st;
}

/* --- what stands beside them -------------------------------------------------------------------------------------- */

static json_t *contamination_json(const rt_gap_input *in)
{
    json_t *list = in->contaminated != NULL ? json_array() : json_null();
    for (size_t i = 0; in->contaminated != NULL && i < in->n_tasks; i++) {
        const rt_contamination *o = &in->contaminated[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:o}", "task", in->teacher.results[i].task, "items",
                                              (json_int_t)o->items, "checked", (json_int_t)o->checked, "found",
                                              (json_int_t)o->found, "share",
                                              rt_number_json((double)o->found / (double)o->checked)));
    }
    return list;
}

static json_t *trained_for_json(const rt_gap_input *in)
{
    json_t *list = in->domain != NULL ? json_array() : json_null();
    for (size_t i = 0; in->domain != NULL && i < in->n_tasks; i++) {
        if (in->domain[i] != RT_DOMAIN_OTHER) {
            json_array_append_new(list, json_pack("{s:s, s:s}", "task", in->teacher.results[i].task, "how",
                                                  rt_domain_name(in->domain[i])));
        }
    }
    return list;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

rt_status rt_gap_report(json_t **out, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *families = json_array(), *unlike = json_array(), *trained_for = trained_for_json(in), *seeds = NULL,
           *slices = NULL;
    rt_family student = {0};
    RT_TRY(check_alike(unlike, in, err));
    RT_TRY(make_family(
        &student, &(table){tasks_name, "What the student kept of its teacher", fill_tasks, &in->teacher, &in->student},
        in, err));
    append_family(families, &student);
    RT_TRY(add_families(families, in, err));
    RT_TRY(report_slices(&slices, families, in, err));
    RT_TRY(rt_gap_seeds(&seeds, in, err));
    *out = json_pack("{s:f, s:I, s:O, s:o, s:O, s:o, s:O, s:O, s:o, s:O}", "margin", in->margin, "seed",
                     (json_int_t)in->seed, "families", families, "claims", rt_claims_json(&student), "trained_for",
                     trained_for, "seen", rt_claims_seen_json(&student, trained_for), "seeds", seeds, "unlike", unlike,
                     "contamination", contamination_json(in), "slice_search", slices);
    if (*out == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the report of a gap");
    }
out:
    json_decref(families);
    json_decref(unlike);
    json_decref(trained_for);
    json_decref(seeds);
    json_decref(slices);
    rt_family_release(&student);
    return st;
}

static const json_t *loss_in(const json_t *family)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(family, "rows"), i, row)
    {
        const char *alone = rt_json_str(row, "verdict_alone", "");
        if (strcmp(alone, rt_paired_verdict_name(RT_PAIRED_LOST)) == 0 ||
            strcmp(alone, rt_paired_verdict_name(RT_PAIRED_WORSE)) == 0) {
            return row;
        }
    }
    return NULL;
}

const json_t *rt_gap_loss(const json_t *report)
{
    size_t i;
    json_t *family;
    const json_t *families = json_object_get(report, "families"), *first = json_array_get(families, 0);
    const json_t *loss = loss_in(first);
    json_array_foreach(families, i, family)
    {
        const bool of_student = strcmp(rt_json_str(family, "model", ""), rt_json_str(first, "model", "?")) == 0;
        if (loss == NULL && of_student && strcmp(rt_json_str(family, "family", ""), "safeguards") == 0) {
            loss = loss_in(family);
        }
    }
    return loss;
}

const json_t *rt_gap_row(const json_t *report, const char *task)
{
    size_t i;
    json_t *row;
    const json_t *first = json_array_get(json_object_get(report, "families"), 0);
    json_array_foreach(json_object_get(first, "rows"), i, row)
    {
        if (strcmp(rt_json_str(row, "name", ""), task) == 0) {
            return row;
        }
    }
    return NULL;
}
