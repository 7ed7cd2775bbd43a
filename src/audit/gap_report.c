/* gap_report.c - every model beside the teacher, the student beside every baseline, and what that amounts to (gap.h).
 */
#include <string.h>

#include "audit/claim.h"
#include "audit/gap.h"
#include "audit/heldout.h"
#include "audit/safeguard.h"
#include "audit/slice_search.h"
#include "format/json.h"

static rt_status compare(rt_family *f, const rt_gap_model *reference, const rt_gap_model *model, const rt_gap_input *in,
                         rt_err *err)
{
    rt_status st = RT_OK;
    f->model = model->name;
    f->reference = reference->name;
    for (size_t i = 0; i < in->n_tasks; i++) {
        if (rt_gap_has_row(&reference->results[i])) {
            RT_TRY(rt_gap_add(f, &reference->results[i], &model->results[i],
                              &(rt_gap_options){.margin = in->margin, .seed = in->seed}, err));
        }
    }
    RT_TRY(rt_family_conclude(f, err));
out:
    return st;
}

static rt_status add_family(json_t *families, const char *table, const rt_gap_model *reference,
                            const rt_gap_model *model, const rt_gap_input *in, rt_err *err)
{
    rt_family f = {.name = "tasks", .table = table};
    const rt_status st = compare(&f, reference, model, in, err);
    if (st == RT_OK) {
        json_array_append_new(families, rt_family_json(&f));
    }
    rt_family_release(&f);
    return st;
}

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

/* --- contamination ------------------------------------------------------------------------------------------------ */

/* A row without the items that stand in the training text, where some do and some do not. */
static rt_status add_clean(rt_family *f, const rt_gap_input *in, size_t task, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_contamination *o = &in->contaminated[task];
    bool *use = NULL;
    if (o->found == 0 || o->found == o->items || !rt_gap_has_row(&in->teacher.results[task]) ||
        o->items != in->teacher.results[task].n) {
        return RT_OK;
    }
    RT_TRY(RT_NEW(&use, (size_t)o->items, "marks of items", err));
    for (int64_t i = 0; i < o->items; i++) {
        use[i] = !o->hit[i];
    }
    RT_TRY(rt_gap_add(f, &in->teacher.results[task], &in->student.results[task],
                      &(rt_gap_options){.margin = in->margin, .seed = in->seed, .use = use}, err));
out:
    rt_free(use);
    return st;
}

static json_t *contamination_json(const rt_contamination *o, const char *task)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:o}", "task", task, "items", (json_int_t)o->items, "checked",
                     (json_int_t)o->checked, "found", (json_int_t)o->found, "share",
                     rt_number_json((double)o->found / (double)o->checked));
}

static rt_status report_contamination(json_t **out, json_t *families, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    rt_family f = {.name = "clean",
                   .table = "Without the items whose words stand in the training text",
                   .model = in->student.name,
                   .reference = in->teacher.name};
    *out = in->contaminated != NULL ? json_array() : json_null();
    for (size_t i = 0; in->contaminated != NULL && i < in->n_tasks; i++) {
        json_array_append_new(*out, contamination_json(&in->contaminated[i], in->teacher.results[i].task));
        RT_TRY(add_clean(&f, in, i, err));
    }
    RT_TRY(rt_family_conclude(&f, err));
    if (f.n > 0) {
        json_array_append_new(families, rt_family_json(&f));
    }
out:
    rt_family_release(&f);
    return st;
}

/* --- slices ------------------------------------------------------------------------------------------------------- */

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
    if (f.n > 0) {
        json_array_append_new(families, rt_family_json(&f));
    }
out:
    rt_family_release(&f);
    return st;
}

/* --- safeguards --------------------------------------------------------------------------------------------------- */

typedef rt_status adder(rt_family *f, const rt_task_result *reference, const rt_task_result *model, uint64_t seed,
                        rt_err *err);

/* A family of the model beside the teacher; without rows it is none. */
static rt_status add_further(json_t *families, const char *name, const char *table, adder *add,
                             const rt_gap_model *model, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    rt_family f = {.name = name, .table = table, .model = model->name, .reference = in->teacher.name};
    for (size_t i = 0; i < in->n_tasks; i++) {
        RT_TRY(add(&f, &in->teacher.results[i], &model->results[i], in->seed, err));
    }
    RT_TRY(rt_family_conclude(&f, err));
    if (f.n > 0) {
        json_array_append_new(families, rt_family_json(&f));
    }
out:
    rt_family_release(&f);
    return st;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

rt_status rt_gap_report(json_t **out, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *families = json_array(), *unlike = json_array(), *seeds = NULL, *contamination = NULL, *slices = NULL;
    rt_family student = {.name = "tasks", .table = "What the student kept of its teacher"};
    RT_TRY(check_alike(unlike, in, err));
    RT_TRY(compare(&student, &in->teacher, &in->student, in, err));
    json_array_append_new(families, rt_family_json(&student));
    RT_TRY(report_contamination(&contamination, families, in, err));
    for (size_t i = 0; i < in->n_baselines; i++) {
        RT_TRY(add_family(families, "A baseline beside the teacher", &in->teacher, &in->baselines[i], in, err));
        RT_TRY(add_family(families, "The student beside a baseline", &in->baselines[i], &in->student, in, err));
    }
    RT_TRY(add_further(families, "safeguards", "Safeguards and neutrality", rt_safeguard_add, &in->student, in, err));
    RT_TRY(add_further(families, "calibration", "Is it as sure as it is right", rt_calibration_add, &in->student, in,
                       err));
    for (size_t i = 0; i < in->n_baselines; i++) {
        RT_TRY(add_further(families, "safeguards", "Safeguards and neutrality", rt_safeguard_add, &in->baselines[i], in,
                           err));
    }
    RT_TRY(report_slices(&slices, families, in, err));
    RT_TRY(rt_gap_seeds(&seeds, in, err));
    *out = json_pack("{s:f, s:I, s:O, s:o, s:o, s:O, s:O, s:O, s:O}", "margin", in->margin, "seed",
                     (json_int_t)in->seed, "families", families, "claims", rt_claims_json(&student), "seen",
                     rt_claims_seen_json(&student, in->seen, in->n_seen), "seeds", seeds, "unlike", unlike,
                     "contamination", contamination, "slice_search", slices);
    if (*out == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the report of a gap");
    }
out:
    json_decref(families);
    json_decref(unlike);
    json_decref(seeds);
    json_decref(contamination);
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
