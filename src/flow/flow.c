/* The stage loop: which stages are wanted, which are current, and the manifest around each. */
#include "flow/flow.h"

#include <stdio.h>
#include <string.h>

#include "flow/inputs.h"
#include "flow/leftovers.h"

static bool wants_twin(const rt_flow *f)
{
    return f->recipe.twin;
}

static const rt_stage stages[] = {
    {"answers", rt_flow_has_prompts, rt_inputs_answers, rt_stage_answers, NULL},
    {"filter", rt_flow_has_prompts, rt_inputs_filter, rt_stage_filter, NULL},
    {"collect", NULL, rt_inputs_collect, rt_stage_collect, NULL},
    {"init", NULL, rt_inputs_init, rt_stage_init, NULL},
    {"train", NULL, rt_inputs_train, rt_stage_train, rt_flow_settle},
    {"twin", wants_twin, rt_inputs_twin, rt_stage_twin, NULL},
    {"export", NULL, rt_inputs_export, rt_stage_export, NULL},
    {"audit", NULL, rt_inputs_audit, rt_stage_audit, NULL},
    {"report", NULL, rt_inputs_report, rt_stage_report, NULL},
};
#define N_STAGES (sizeof stages / sizeof stages[0])

static rt_status run_stage(rt_flow *f, const rt_stage *s, const char *digest, rt_err *err)
{
    rt_err late = {0};
    rt_status st = rt_leftovers_clear(f, s->name, digest, err);
    if (st != RT_OK) {
        return st;
    }
    rt_leftovers_account(f, s->name);
    st = rt_manifest_begin(&f->manifest, s->name, digest, err);
    if (st != RT_OK) {
        return st;
    }
    rt_log(RT_LOG_INFO, "%s: begins", s->name);
    st = s->run(f, err);
    rt_crash_point("flow.stage");
    rt_leftovers_closed(f, s->name);
    const rt_status saved = rt_manifest_finish(&f->manifest, s->name, st, &late);
    if (st != RT_OK) {
        return rt_err_wrap(err, st, "stage %s", s->name);
    }
    if (saved != RT_OK && err != NULL) {
        *err = late;
    }
    return saved;
}

/* If one stage's inputs change, so do those of all that follow: each digest is chained to the one before. */
static rt_status run_stages(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    bool changed = false;
    size_t n_wanted = 0;
    char chain[65] = "";
    for (size_t i = 0; i < N_STAGES; i++) {
        const rt_stage *s = &stages[i];
        if (s->wanted != NULL && !s->wanted(f)) {
            RT_TRY(rt_manifest_set_aside(&f->manifest, s->name, err));
            continue;
        }
        RT_TRY(rt_manifest_take_back(&f->manifest, s->name, n_wanted++, err));
        if (s->settle != NULL) {
            RT_TRY(s->settle(f, err));
        }
        RT_TRY(rt_inputs_digest(chain, s->name, s->inputs(f), chain, err));
        if (rt_manifest_is_current(&f->manifest, s->name, chain)) {
            rt_log(RT_LOG_INFO, "%s: done before, unchanged", s->name);
            continue;
        }
        if (!changed) { /* until here the run is what its recipe.yaml says */
            RT_TRY(rt_flow_keep_recipe(f, err));
            changed = true;
        }
        RT_TRY(run_stage(f, s, chain, err));
    }
out:
    return st;
}

/* --- around it ---------------------------------------------------------------------------------------------------- */

/* One word of a shell command. */
static void put_word(rt_str *s, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,+-@%";
    rt_str_putc(s, ' ');
    if (*word != '\0' && word[strspn(word, plain)] == '\0') {
        rt_str_puts(s, word);
        return;
    }
    rt_str_putc(s, '\'');
    for (; *word != '\0'; word++) {
        rt_str_puts(s, *word == '\'' ? "'\\'" : "");
        rt_str_putc(s, *word);
        rt_str_puts(s, *word == '\'' ? "'" : "");
    }
    rt_str_putc(s, '\'');
}

/* The command that was given, for the page and the card; whoever writes them again later does not know it. */
static rt_status note_command(rt_flow *f, rt_err *err)
{
    const rt_flow_options *o = f->o;
    rt_str s = {0};
    rt_str_puts(&s, "retort run");
    put_word(&s, o->recipe);
    for (size_t i = 0; i < o->n_sets; i++) {
        rt_str_puts(&s, " --set");
        put_word(&s, o->sets[i]);
    }
    if (o->runs_dir != NULL) {
        rt_str_puts(&s, " --runs");
        put_word(&s, o->runs_dir);
    }
    json_t *command = s.failed ? NULL : json_string(rt_str_cstr(&s));
    const rt_status st = command != NULL ? rt_manifest_set(&f->manifest, "command", command, err)
                                         : rt_fail(err, RT_RECIPE, 0, "the command is no UTF-8 text");
    json_decref(command);
    rt_str_release(&s);
    return st;
}

static json_t *stage_list(const rt_flow *f)
{
    json_t *list = json_array(), *stage;
    size_t i;
    json_array_foreach(json_object_get(f->manifest.root, "stages"), i, stage)
    {
        json_array_append_new(list, json_pack("{s:s, s:s, s:f}", "name", rt_json_str(stage, "name", "?"), "state",
                                              rt_json_str(stage, "state", "?"), "active_s",
                                              rt_json_f64(stage, "active_s", 0)));
    }
    return list;
}

static json_t *summary_of(const rt_flow *f)
{
    char file[64];
    const rt_run_recipe *r = &f->recipe;
    const size_t first = rt_export_first(r);
    rt_export_file(r, first, file);
    const bool folder = strcmp(r->exports[first].type, "safetensors") == 0;
    char *report = rt_flow_path(f, "report.html"), *model = rt_flow_path(f, folder ? "export" : file);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:f, s:o}", "name", r->name, "dir", f->dir, "report",
                          report != NULL ? report : "", "model", model != NULL ? model : "", "active_seconds",
                          rt_manifest_active_seconds(&f->manifest), "stages", stage_list(f));
    rt_free(report);
    rt_free(model);
    return j;
}

rt_status rt_flow_run(const rt_flow_options *o, json_t **summary, rt_err *err)
{
    rt_status st = RT_OK;
    rt_flow f = {0};
    RT_TRY(rt_flow_open(&f, o, true, err));
    RT_TRY(note_command(&f, err));
    RT_TRY(rt_flow_gate(&f, err));
    RT_TRY(rt_flow_check_files(&f, err));
    RT_TRY(rt_flow_split(&f, err));
    RT_TRY(run_stages(&f, err));
    if (summary != NULL) {
        *summary = summary_of(&f);
    }
out:
    rt_flow_close(&f);
    return st;
}
