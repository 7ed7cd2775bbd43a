/* Gathering a run's facts from its files (keys: report/report.h). */
#include "flow/facts.h"

#include <stdio.h>
#include <string.h>

#include "audit/task.h"
#include "tensor/gemm.h"

/* A JSON file of the run, or NULL when it is not there. */
static json_t *load(const rt_flow *f, const char *name)
{
    json_t *j = NULL;
    char *path = rt_flow_path(f, name);
    if (path == NULL || !rt_path_exists(path) || rt_json_load(&j, path, NULL) != RT_OK) {
        j = NULL;
    }
    rt_free(path);
    return j;
}

/* Curve and validations out of a metrics file; at most this many points of the curve are kept, evenly spread. */
enum { CURVE_POINTS = 400 };

static json_t *thin(json_t *curve)
{
    const size_t n = json_array_size(curve);
    if (n <= CURVE_POINTS) {
        return curve;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        json_array_append(out, json_array_get(curve, i * (n - 1) / (CURVE_POINTS - 1)));
    }
    json_decref(curve);
    return out;
}

static void add_metrics(const rt_flow *f, const char *name, json_t *into)
{
    rt_jsonl r = {0};
    json_t *line = NULL, *curve = json_array(), *validations = json_array();
    char *path = rt_flow_path(f, name);
    if (path != NULL && rt_path_exists(path) && rt_jsonl_open(&r, path, NULL) == RT_OK) {
        while (rt_jsonl_next(&r, &line, NULL) == RT_OK && line != NULL) {
            const char *event = rt_json_str(line, "event", NULL);
            if (event == NULL && json_object_get(line, "loss") != NULL) {
                json_array_append(curve, line);
            } else if (event != NULL && strcmp(event, "validation") == 0) {
                json_array_append(validations, line);
            }
            json_decref(line);
            line = NULL;
        }
        rt_jsonl_close(&r);
    }
    json_object_set_new(into, "curve", thin(curve));
    json_object_set_new(into, "validations", validations);
    rt_free(path);
}

/* train.json of one of the two, the settings both share, and its metrics. */
static json_t *training(const rt_flow *f, const char *result, const char *metrics)
{
    json_t *j = load(f, result);
    if (j != NULL) {
        json_object_set_new(j, "lr", json_real(f->recipe.lr));
        json_object_set_new(j, "schedule", json_string(f->recipe.schedule));
        json_object_set_new(j, "batch_tokens", json_integer(f->recipe.batch_tokens));
        add_metrics(f, metrics, j);
    }
    return j;
}

static json_t *teacher_facts(const rt_flow *f, const json_t *models)
{
    const json_t *entry = rt_facts_model(models, "teacher");
    const bool served = rt_flow_is_served(f);
    /* the file's name: what general.name says is often a training run's working title */
    const char *name = served ? f->recipe.server.model : rt_path_base(f->recipe.teacher);
    json_t *t = json_pack("{s:s, s:s, s:s, s:s, s:s, s:O}", "name", name, "path",
                          served ? f->recipe.server.url : f->recipe.teacher, "sha256",
                          rt_permit_model_sha256(f->permit), "licence", rt_permit_licence(f->permit), "verdict",
                          rt_verdict_name(rt_permit_verdict(f->permit)), "duties", rt_permit_duties(f->permit));
    static const char *const keys[] = {"architecture", "parameters", "layers", "bytes", "type"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *v = json_object_get(entry, keys[i]);
        if (v != NULL) {
            json_object_set(t, keys[i], v);
        }
    }
    json_object_set_new(t, "quantisation", json_string(rt_json_str(entry, "type", "unknown")));
    return t;
}

const json_t *rt_facts_model(const json_t *models, const char *id)
{
    size_t i;
    json_t *m;
    json_array_foreach((json_t *)models, i, m)
    {
        if (strcmp(rt_json_str(m, "id", ""), id) == 0) {
            return m;
        }
    }
    return NULL;
}

static json_t *student_facts(const rt_flow *f, const json_t *models)
{
    json_t *s = load(f, "student/init.json");
    const json_t *entry = rt_facts_model(models, "student"), *cut = rt_facts_model(models, "cut");
    if (s == NULL) {
        s = json_object();
    }
    if (entry != NULL) {
        static const char *const keys[] = {"architecture", "parameters", "layers", "bytes", "file", "type"};
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            json_object_set(s, keys[i], json_object_get(entry, keys[i]));
        }
    }
    if (cut != NULL) {
        const json_t *fid = json_object_get(cut, "fidelity");
        json_t *kl = json_object_get(json_object_get(fid, "kl"), "mean");
        json_object_set_new(s, "start",
                            json_pack("{s:O*, s:f}", "kl", kl, "perplexity", rt_json_f64(fid, "perplexity", 0)));
    }
    return s;
}

static json_t *cost_facts(const rt_flow *f)
{
    json_t *list = json_array(), *stage;
    double seconds = 0, cpu = 0;
    int64_t peak = 0;
    size_t i;
    json_array_foreach(json_object_get(f->manifest.root, "stages"), i, stage)
    {
        const double s = rt_json_f64(stage, "active_s", 0), c = rt_json_f64(stage, "cpu_s", 0);
        const int64_t p = rt_json_i64(stage, "peak_rss", 0);
        seconds += s;
        cpu += c;
        peak = p > peak ? p : peak;
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:I}", "name", rt_json_str(stage, "name", "?"),
                                              "seconds", s, "cpu_seconds", c, "peak_bytes", (json_int_t)p));
    }
    return json_pack("{s:f, s:f, s:I, s:o}", "seconds", seconds, "cpu_seconds", cpu, "peak_bytes", (json_int_t)peak,
                     "stages", list);
}

json_t *rt_facts_machine(const rt_flow *f)
{
    const rt_cpu *cpu = rt_cpu_get();
    return json_pack("{s:s, s:s, s:i, s:s, s:s}", "cpu", cpu->model, "isa", rt_isa_name(cpu->isa), "threads",
                     rt_team_threads(), "gemm", rt_gemm_backend(), "precision", f->recipe.precision);
}

static json_t *export_files(const rt_flow *f)
{
    const json_t *outputs = json_object_get(rt_manifest_find(&f->manifest, "export"), "outputs");
    return outputs != NULL ? json_deep_copy(outputs) : json_array();
}

static void set(json_t *o, const char *key, json_t *v)
{
    if (v != NULL) {
        json_object_set_new(o, key, v);
    }
}

/* What was asked, written, kept and scored; absent parts of a run without prompts. */
static json_t *answer_facts(const rt_flow *f)
{
    const rt_run_recipe *r = &f->recipe;
    if (!rt_flow_has_prompts(f)) {
        return NULL;
    }
    json_t *j = json_pack("{s:s, s:i, s:f, s:f, s:I}", "task", r->task, "n", r->answers, "temperature",
                          r->sampling.temperature, "top_p", r->sampling.top_p, "new_tokens", (json_int_t)r->new_tokens);
    set(j, "asked", load(f, "answers/asked.json"));
    set(j, "filter", load(f, "answers/filter.json"));
    set(j, "held_out", load(f, "audit/answers.json"));
    return j;
}

/* What nobody has measured unless rows of the audit have one of the metrics. */
typedef struct subject {
    const char *name, *metrics[4];
} subject;
static const subject subjects[] = {
    {"refusals of harmful prompts", {"refused"}},
    {"over-refusals of harmless prompts", {"over_refused"}},
    {"bias and neutrality", {"amb_bias_score", "pct_stereotype", "asymmetry", "pair_same"}},
    {"calibration", {"ece"}},
};

static bool is_judged(const json_t *audit, const subject *s)
{
    size_t i, k;
    json_t *family, *row;
    bool any = false;
    json_array_foreach(json_object_get(json_object_get(audit, "gap"), "families"), i, family)
    {
        json_array_foreach(json_object_get(family, "rows"), k, row)
        {
            for (size_t m = 0; m < 4 && s->metrics[m] != NULL; m++) {
                any |= strcmp(rt_json_str(row, "metric", ""), s->metrics[m]) == 0;
            }
        }
    }
    return any;
}

static bool asks_for_truth(const char *name)
{
    rt_task *t = NULL;
    const bool asks = rt_task_open(&t, name, NULL) == RT_OK && strcmp(rt_task_skill(t), "truthfulness") == 0;
    rt_task_close(t);
    return asks;
}

static json_t *not_measured(const rt_flow *f, const json_t *audit)
{
    const json_t *exports = json_object_get(audit, "exports");
    json_t *n = json_array();
    bool truthful = false;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        if (!is_judged(audit, &subjects[i])) {
            json_array_append_new(n, json_string(subjects[i].name));
        }
    }
    for (size_t i = 0; i < f->recipe.n_tasks; i++) {
        truthful |= asks_for_truth(f->recipe.tasks[i]);
    }
    if (!truthful) {
        json_array_append_new(n, json_string("truthfulness"));
    }
    json_array_append_new(n, json_string("memorisation of training text"));
    if (rt_flow_is_served(f)) {
        json_array_append_new(n, json_string("distance to the teacher: a server keeps its weights"));
    }
    if (f->recipe.n_tasks == 0) {
        json_array_append_new(n, json_string("abilities on benchmark tasks"));
    }
    for (size_t i = 0; i < json_array_size(exports) && f->recipe.n_tasks > 0; i++) {
        json_array_append_new(n, json_sprintf("tasks on %s", rt_json_str(json_array_get(exports, i), "file", "?")));
    }
    if (f->held_out_shared) {
        json_array_append_new(n, json_string("held-out text that no validation saw: too few documents"));
    }
    return n;
}

rt_status rt_facts_collect(json_t **out, rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str recipe = {0};
    json_t *facts = json_object(), *audit = load(f, "audit/models.json");
    const json_t *models = json_object_get(audit, "models");
    char now[21];
    rt_timestamp(now);
    RT_TRY(rt_flow_need_texts(f, err));
    rt_recipe_print(&recipe, f->recipe.json);
    set(facts, "name", json_string(f->recipe.name));
    set(facts, "created", json_string(now));
    set(facts, "tool", json_sprintf("retort %s", rt_version()));
    set(facts, "command", json_incref((json_t *)rt_manifest_get(&f->manifest, "command")));
    set(facts, "recipe", json_string(rt_str_cstr(&recipe)));
    set(facts, "teacher", teacher_facts(f, models));
    set(facts, "student", student_facts(f, models));
    set(facts, "data", rt_facts_data(f));
    set(facts, "provenance_complete", json_boolean(rt_facts_data_stated(json_object_get(facts, "data"))));
    set(facts, "answers", answer_facts(f));
    set(facts, "collect", load(f, "collect.json"));
    set(facts, "train", training(f, "student/train.json", "metrics.jsonl"));
    set(facts, "retain", rt_facts_retain(f, json_object_get(facts, "train"), models));
    set(facts, "twin", f->recipe.twin ? training(f, "twin/train.json", "twin/metrics.jsonl") : NULL);
    set(facts, "models", json_incref((json_t *)models));
    set(facts, "exports", json_incref(json_object_get(audit, "exports")));
    set(facts, "samples", json_incref(json_object_get(audit, "samples")));
    set(facts, "gap", json_incref(json_object_get(audit, "gap")));
    set(facts, "variety", json_incref(json_object_get(audit, "variety")));
    set(facts, "slices", json_incref(json_object_get(audit, "slices")));
    set(facts, "cost", cost_facts(f));
    const json_t *machine = rt_manifest_get(&f->manifest, "machine"); /* the page may be written on another one */
    set(facts, "machine", machine != NULL ? json_incref((json_t *)machine) : rt_facts_machine(f));
    set(facts, "not_measured", not_measured(f, audit));
    set(facts, "files", export_files(f));
    set(facts, "ledger", json_incref((json_t *)rt_manifest_get(&f->manifest, "ledger")));
    set(facts, "permit", json_incref((json_t *)rt_permit_json(f->permit)));
    *out = facts;
    facts = NULL;
out:
    json_decref(facts);
    json_decref(audit);
    rt_str_release(&recipe);
    return st;
}
