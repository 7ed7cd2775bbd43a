/* The stage loop: which stages are wanted, which are current, and the manifest around each. */
#include "flow/flow.h"

#include <stdio.h>
#include <string.h>

#include "flow/state.h"

/* --- what each stage's result depends on, beside the stages before it ------------------------------------------ */

static json_t *file_digests(const char *const *paths, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        rt_digest d;
        char hex[65] = "absent";
        if (rt_file_sha256(paths[i], NULL, &d, NULL) == RT_OK) {
            rt_digest_hex(d, hex);
        }
        json_array_append_new(out, json_string(hex));
    }
    return out;
}

static json_t *part(const rt_flow *f, const char *key)
{
    json_t *v = json_object_get(f->recipe.json, key);
    return v != NULL ? json_deep_copy(v) : json_null();
}

static json_t *collect_inputs(const rt_flow *f)
{
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:o, s:s}", "teacher", f->teacher_sha, "collect", part(f, "collect"), "tokens",
                     (json_int_t)f->split.collect_tokens, "sequence", (json_int_t)f->recipe.sequence, "seed",
                     (json_int_t)f->recipe.seed, "text", file_digests(f->recipe.text, f->recipe.n_text), "precision",
                     f->recipe.precision);
}

static json_t *init_inputs(const rt_flow *f)
{
    return json_pack("{s:s, s:o}", "teacher", f->teacher_sha, "student", part(f, "student"));
}

static json_t *train_inputs(const rt_flow *f)
{
    return json_pack("{s:o, s:f, s:I, s:o}", "train", part(f, "train"), "seconds", f->split.train_seconds, "tokens",
                     (json_int_t)f->split.train_tokens, "valid", file_digests(f->recipe.valid, f->recipe.n_valid));
}

static json_t *twin_inputs(const rt_flow *f)
{
    (void)f;
    return json_string("twin");
}

static json_t *export_inputs(const rt_flow *f)
{
    return json_pack("{s:o, s:s}", "export", part(f, "export"), "name", f->recipe.name);
}

static json_t *audit_inputs(const rt_flow *f)
{
    return json_pack("{s:o, s:I, s:I, s:o}", "audit", part(f, "audit"), "tokens", (json_int_t)f->split.audit_tokens, "limit",
                     (json_int_t)f->split.audit_limit, "data",
                     file_digests((const char *const *)f->recipe.task_data, f->recipe.n_tasks));
}

static json_t *report_inputs(const rt_flow *f)
{
    return json_pack("{s:O}", "recipe", f->recipe.json);
}

static bool wants_twin(const rt_flow *f)
{
    return f->recipe.twin;
}

static const rt_stage stages[] = {
    {"collect", NULL, collect_inputs, rt_stage_collect},
    {"init", NULL, init_inputs, rt_stage_init},
    {"train", NULL, train_inputs, rt_stage_train},
    {"twin", wants_twin, twin_inputs, rt_stage_twin},
    {"export", NULL, export_inputs, rt_stage_export},
    {"audit", NULL, audit_inputs, rt_stage_audit},
    {"report", NULL, report_inputs, rt_stage_report},
};
#define N_STAGES (sizeof stages / sizeof stages[0])

/* --- running ---------------------------------------------------------------------------------------------------- */

/* Digest of a stage's inputs, chained to the stages before: if one of them changes, so do all that follow. */
static rt_status stage_digest(const rt_flow *f, const rt_stage *s, char chain[65], rt_err *err)
{
    rt_str text = {0};
    json_t *own = s->inputs(f);
    if (own == NULL) {
        return rt_fail(err, RT_INTERNAL, 0, "inputs of stage '%s' cannot be described", s->name);
    }
    rt_str_printf(&text, "%s %s ", chain, s->name);
    rt_json_append(&text, own);
    json_decref(own);
    const bool failed = text.failed;
    rt_digest_hex(rt_sha256_of(rt_str_cstr(&text), text.n), chain);
    rt_str_release(&text);
    return failed ? rt_fail(err, RT_MEMORY, 0, "out of memory") : RT_OK;
}

static rt_status run_stage(rt_flow *f, const rt_stage *s, const char *digest, rt_err *err)
{
    rt_err late = {0};
    rt_status st = rt_manifest_begin(&f->manifest, s->name, digest, err);
    if (st != RT_OK) {
        return st;
    }
    rt_log(RT_LOG_INFO, "%s: begins", s->name);
    st = s->run(f, err);
    rt_crash_point("flow.stage");
    const rt_status saved = rt_manifest_finish(&f->manifest, s->name, st, &late);
    if (st != RT_OK) {
        return rt_err_wrap(err, st, "stage %s", s->name);
    }
    if (saved != RT_OK && err != NULL) {
        *err = late;
    }
    return saved;
}

static json_t *summary_of(const rt_flow *f)
{
    char *report = rt_flow_path(f, "report.html"), *model = rt_flow_path(f, "export/model.gguf");
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:f}", "name", f->recipe.name, "dir", f->dir, "report", report != NULL ? report : "",
                          "model", model != NULL ? model : "", "active_seconds", rt_manifest_active_seconds(&f->manifest));
    rt_free(report);
    rt_free(model);
    return j;
}

rt_status rt_flow_run(const rt_flow_options *o, json_t **summary, rt_err *err)
{
    rt_status st = RT_OK;
    rt_flow f = {0};
    char chain[65] = "";
    RT_TRY(rt_flow_open(&f, o, true, err));
    RT_TRY(rt_flow_gate(&f, err));
    RT_TRY(rt_flow_split(&f, err));
    for (size_t i = 0; i < N_STAGES; i++) {
        const rt_stage *s = &stages[i];
        if (s->wanted != NULL && !s->wanted(&f)) {
            continue;
        }
        RT_TRY(stage_digest(&f, s, chain, err));
        if (rt_manifest_is_current(&f.manifest, s->name, chain)) {
            rt_log(RT_LOG_INFO, "%s: done before, unchanged", s->name);
            continue;
        }
        RT_TRY(run_stage(&f, s, chain, err));
    }
    if (summary != NULL) {
        *summary = summary_of(&f);
    }
out:
    rt_flow_close(&f);
    return st;
}
