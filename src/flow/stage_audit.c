/* Judging what ships: the exported file beside the teacher, the cut that was never trained, and the twin. */
#include <stdio.h>
#include <string.h>

#include "audit/heldout.h"
#include "flow/audit_answers.h"
#include "flow/audit_gap.h"
#include "flow/audit_samples.h"
#include "flow/measured.h"
#include "flow/retain.h"
#include "flow/state.h"

/* A model under judgement; `file` below the run directory, NULL: the teacher, where its weights are here. */
typedef struct judged {
    const char *id, *label, *file;
    bool text_only;          /* a further file of a model whose tasks and samples are known */
    rt_task_result *results; /* [n_tasks] of the recipe; the stage releases them */
    rt_continued *continued; /* what it wrote */
} judged;

static rt_status run_tasks(const rt_flow *f, const rt_model *m, const judged *j, json_t *out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_task *task = NULL;
    for (size_t i = 0; i < f->recipe.n_tasks; i++) {
        char name[96], *path = NULL;
        rt_task_result *r = &j->results[i];
        rt_log(RT_LOG_INFO, "audit: %s on %s", f->recipe.tasks[i], j->label);
        RT_TRY(rt_task_open(&task, f->recipe.tasks[i], err));
        RT_TRY(rt_task_run(r, task, m, f->tokenizer, f->recipe.task_data[i],
                           &(rt_task_options){.limit = f->split.audit_limit}, err));
        snprintf(name, sizeof name, "audit/%s-%s.json", f->recipe.tasks[i], j->id);
        RT_TRY(rt_flow_path_to(f, name, &path, err));
        st = rt_json_save(r->items, path, err);
        rt_free(path);
        RT_TRY(st);
        json_array_append_new(out, rt_task_json(r));
        rt_task_close(task);
        task = NULL;
    }
out:
    rt_task_close(task);
    return st;
}

static rt_status judge(rt_flow *f, rt_heldout *heldout, rt_answer_audit *answers, const judged *j, json_t *models,
                       json_t *samples, json_t **slices, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *own = NULL;
    char *path = NULL;
    rt_fidelity fid;
    json_t *tasks = json_array(), *distinct = NULL, *entry = NULL;
    const rt_model *m = f->teacher;
    if (j->file != NULL) {
        RT_TRY(rt_flow_path_to(f, j->file, &path, err));
        RT_TRY(rt_model_open(&own, path, &(rt_model_options){.precision = rt_flow_precision(f)}, err));
        m = own;
    }
    rt_log(RT_LOG_INFO, "audit: held-out text on %s", j->label);
    RT_TRY(rt_heldout_measure_slices(heldout, m, &fid, slices, err));
    if (!j->text_only) {
        RT_TRY(run_tasks(f, m, j, tasks, err));
        RT_TRY(rt_answer_audit_model(answers, m, j->id, j->label, tasks, err));
        RT_TRY(rt_audit_continue(j->continued, f, m, j->id, samples, err));
        distinct = rt_continued_json(j->continued);
    }
    entry =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:o, s:O, s:O*}", "architecture", m->arch->name, "id",
                  j->id, "label", j->label, "file", j->file != NULL ? j->file : f->recipe.teacher, "bytes",
                  (json_int_t)rt_path_size(path != NULL ? path : f->recipe.teacher), "parameters",
                  (json_int_t)m->n_elements, "layers", (json_int_t)m->hp.n_layer, "type", rt_dtype_name(m->file_dtype),
                  "fidelity", rt_fidelity_json(&fid), "tasks", tasks, "distinct", distinct);
    if (entry == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    json_array_append_new(models, entry);
    RT_TRY(rt_flow_tick(f, "audit", err));
out:
    rt_model_close(own);
    rt_free(path);
    json_decref(tasks);
    json_decref(distinct);
    return st;
}

/* Every file that ships is read and judged, not only the one that speaks for the student. */
static rt_status judge_exports(rt_flow *f, rt_heldout *heldout, json_t *exports, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *r = &f->recipe;
    for (size_t i = 0; i < r->n_exports; i++) {
        char id[32], label[48], file[64], earlier[64];
        bool seen = i == rt_export_first(r);
        rt_export_file(r, i, file);
        for (size_t k = 0; k < i && !seen; k++) {
            rt_export_file(r, k, earlier);
            seen = strcmp(earlier, file) == 0;
        }
        if (seen) {
            continue;
        }
        snprintf(id, sizeof id, "student-%s", r->exports[i].type);
        snprintf(label, sizeof label, "student as %s", r->exports[i].type);
        RT_TRY(judge(f, heldout, NULL, &(judged){id, label, file, true, NULL, NULL}, exports, NULL, NULL, err));
    }
out:
    return st;
}

rt_status rt_stage_audit(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_heldout *heldout = NULL;
    rt_answer_audit answers = {0};
    json_t *models = json_array(), *exports = json_array(), *samples = json_array(), *all = NULL, *held_out = NULL;
    json_t *slices = json_null(), *gap = NULL, *variety = NULL;
    rt_continued continued[RT_N_JUDGED] = {{0}};
    rt_task_result *results[RT_N_JUDGED] = {NULL};
    char *dir = NULL, shipped[64];
    rt_export_file(&f->recipe, rt_export_first(&f->recipe), shipped);
    for (int k = 0; k < RT_N_JUDGED; k++) {
        RT_TRY(RT_NEW(&results[k], f->recipe.n_tasks, "results", err));
    }
    const judged list[RT_N_JUDGED] = {
        [RT_JUDGED_TEACHER] = {"teacher", "teacher", NULL, false, results[RT_JUDGED_TEACHER],
                               &continued[RT_JUDGED_TEACHER]},
        [RT_JUDGED_STUDENT] = {"student", "student, as exported", shipped, false, results[RT_JUDGED_STUDENT],
                               &continued[RT_JUDGED_STUDENT]},
        [RT_JUDGED_TWIN] = {"twin", "twin, trained on the text alone", "twin/model.safetensors", false,
                            results[RT_JUDGED_TWIN], &continued[RT_JUDGED_TWIN]},
        [RT_JUDGED_CUT] = {"cut", "cut, not trained", "student/init.safetensors", false, results[RT_JUDGED_CUT],
                           &continued[RT_JUDGED_CUT]},
    };
    RT_TRY(rt_flow_retain_check(f, err)); /* the tasks may be new */
    RT_TRY(rt_measured_refuse_files(f, f->recipe.own_text.prompts, f->recipe.own_text.n_prompts, err));
    RT_TRY(rt_flow_need_teacher(f, err));
    rt_ceiling_lift(f->teacher);
    RT_TRY(rt_flow_need_texts(f, err));
    RT_TRY(rt_flow_path_to(f, "audit", &dir, err));
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(rt_answer_audit_open(&answers, f, err));
    RT_TRY(rt_heldout_new(&heldout, rt_flow_is_served(f) ? NULL : f->teacher, &f->audited, (int)f->recipe.sequence,
                          f->split.audit_tokens, err));
    for (int i = 0; i < RT_N_JUDGED; i++) {
        if ((strcmp(list[i].id, "twin") == 0 && !f->recipe.twin) || (list[i].file == NULL && rt_flow_is_served(f))) {
            continue;
        }
        RT_TRY(judge(f, heldout, &answers, &list[i], models, samples, i == RT_JUDGED_STUDENT ? &slices : NULL, err));
    }
    RT_TRY(judge_exports(f, heldout, exports, err));
    RT_TRY(rt_flow_gap(&gap, f, results, err));
    RT_TRY(rt_continued_compare(&variety, &continued[RT_JUDGED_TEACHER], &continued[RT_JUDGED_STUDENT], f->recipe.seed,
                                err));
    all = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:{s:I, s:I, s:b}}", "models", models, "exports", exports,
                    "samples", samples, "gap", gap, "variety", variety, "slices", slices, "held_out", "audit_documents",
                    (json_int_t)f->audited.n_docs, "validation_documents", (json_int_t)f->watched.n_docs, "shared",
                    (int)f->held_out_shared);
    if (all == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_answer_audit_json(&answers, &held_out, err));
    RT_TRY(held_out != NULL ? rt_flow_save_json(f, "audit", "audit/answers.json", held_out, err) : RT_OK);
    RT_TRY(rt_flow_save_json(f, "audit", "audit/models.json", all, err));
out:
    for (int k = 0; k < RT_N_JUDGED; k++) {
        for (size_t i = 0; results[k] != NULL && i < f->recipe.n_tasks; i++) {
            rt_task_result_release(&results[k][i]);
        }
        rt_free(results[k]);
    }
    rt_heldout_free(heldout);
    rt_answer_audit_close(&answers);
    json_decref(held_out);
    json_decref(gap);
    json_decref(variety);
    json_decref(slices);
    json_decref(models);
    json_decref(exports);
    json_decref(samples);
    json_decref(all);
    rt_free(dir);
    return st;
}
