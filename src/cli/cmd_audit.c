/* retort audit: what a model lost beside its teacher, task by task. */
#include <stdio.h>
#include <string.h>

#include "audit/gap.h"
#include "cli/audit_print.h"
#include "cli/audit_saved.h"
#include "cli/command.h"
#include "model/identity.h"

static const char *const about =
    "Gives MODEL, its TEACHER and any baselines the same items of every task and says what was kept, lost or\n"
    "gained: paired differences with 95 % bootstrap intervals (whole groups where items have any), items that\n"
    "flipped, McNemar's p, how much of the teacher's ability above guessing is left, and verdicts against the\n"
    "margin after Holm's correction over the tasks. Where the teacher does not clearly beat guessing nothing\n"
    "can be kept, and the table says so. \"Competitive\" is claimed of what was kept only, beside what is\n"
    "lacking. docs/evaluation.md has the formulas. Exit code 10 with --gate when something is lost or worse.\n"
    "\n"
    "example:  retort audit runs/quickstart/export/model.gguf --against models/SmolLM2-135M-Instruct.Q4_1.gguf "
    "--task hellaswag=examples/data/hellaswag.jsonl --limit 100";

enum { TEACHER, STUDENT, BASELINES };

typedef struct audit_args {
    const char *against;
    rt_opt_list tasks, baselines, seen, seeds, train_text; /* NAME=FILE, NAME=MODEL, NAME, MODEL, FILE */
    const char *save;
    int64_t limit;
    double margin;
    bool gate, unlike;
} audit_args;

typedef struct audited {
    rt_task *task;
    const char *data; /* NULL: results are there already */
} audited;

typedef struct audit {
    audited *tasks; /* [n_tasks] */
    size_t n_tasks;
    rt_gap_model *models; /* [n_models] teacher, student, baselines, other seeds */
    const char **paths;   /* [n_models] */
    size_t n_models;
    rt_task_result *results;        /* [n_models][n_tasks] */
    char **names;                   /* [n_models] owned; NULL for the first two */
    json_t **docs;                  /* [n_tasks] texts of the items; NULL: not all are there */
    rt_contamination *contaminated; /* [n_tasks]; NULL: no training text was given */
    rt_domain *domain;              /* [n_tasks]; NULL: nothing is known of the training */
} audit;

/* --- what is asked for -------------------------------------------------------------------------------------------- */

static rt_status check_args(const audit_args *a, rt_err *err)
{
    if (a->against == NULL || a->tasks.n == 0) {
        return rt_fail(err, RT_USAGE, 0, "nothing to compare: give --against with the teacher, and --task NAME=FILE");
    }
    if (!(a->margin > 0)) {
        return rt_fail(err, RT_USAGE, 0, "option '--margin': %g is not above 0", a->margin);
    }
    return RT_OK;
}

/* NAME=VALUE; the name is owned. */
static rt_status split(char **name, const char **value, const char *option, const char *entry, const char *what,
                       rt_err *err)
{
    const char *eq = strchr(entry, '=');
    if (eq == NULL || eq == entry || eq[1] == '\0') {
        return rt_fail(err, RT_USAGE, 0, "option '%s': '%s' is not %s", option, entry, what);
    }
    *name = rt_strndup(entry, (size_t)(eq - entry));
    *value = eq + 1;
    return *name != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for '%s'", entry);
}

static rt_status open_task(audited *a, const char *entry, rt_err *err)
{
    char *name = NULL;
    if (strchr(entry, '=') == NULL) {
        return rt_task_open(&a->task, entry, err);
    }
    rt_status st = split(&name, &a->data, "--task", entry, "NAME=FILE, a task and its items", err);
    if (st == RT_OK) {
        st = rt_task_open(&a->task, name, err);
    }
    rt_free(name);
    return st;
}

/* Among the first n. */
static bool has_task(const audit *w, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rt_task_name(w->tasks[i].task), name) == 0) {
            return true;
        }
    }
    return false;
}

/* Tables and the gate tell models by their names. */
static rt_status check_names(const audit *w, rt_err *err)
{
    for (size_t k = BASELINES; k < w->n_models; k++) {
        for (size_t i = 0; i < k; i++) {
            if (strcmp(w->models[i].name, w->models[k].name) == 0) {
                return rt_fail(err, RT_USAGE, 0, "option '--baseline': there is a '%s' already; take another name",
                               w->models[k].name);
            }
        }
    }
    return RT_OK;
}

static rt_status open_audit(audit *w, rt_cli *c, const audit_args *a)
{
    rt_status st = RT_OK;
    w->n_tasks = a->tasks.n;
    w->n_models = BASELINES + a->baselines.n + a->seeds.n;
    RT_TRY(RT_NEW(&w->tasks, w->n_tasks, "tasks", &c->err));
    RT_TRY(RT_NEW(&w->models, w->n_models, "models", &c->err));
    RT_TRY(RT_NEW(&w->paths, w->n_models, "models", &c->err));
    RT_TRY(RT_NEW(&w->names, w->n_models, "names of models", &c->err));
    RT_TRY(RT_NEW(&w->results, w->n_models * w->n_tasks, "results", &c->err));
    for (size_t i = 0; i < w->n_tasks; i++) {
        RT_TRY(open_task(&w->tasks[i], a->tasks.v[i], &c->err));
        if (has_task(w, i, rt_task_name(w->tasks[i].task))) {
            RT_FAIL_OUT(&c->err, RT_USAGE, 0, "option '--task': '%s' is given twice; results are kept by this name",
                        rt_task_name(w->tasks[i].task));
        }
    }
    for (size_t i = 0; i < a->seen.n; i++) {
        if (!has_task(w, w->n_tasks, a->seen.v[i])) {
            RT_FAIL_OUT(&c->err, RT_USAGE, 0, "option '--seen': '%s' is not the name of a --task", a->seen.v[i]);
        }
    }
    w->paths[TEACHER] = a->against;
    w->paths[STUDENT] = c->operands.v[0];
    for (size_t i = 0; i < a->baselines.n; i++) {
        RT_TRY(split(&w->names[BASELINES + i], &w->paths[BASELINES + i], "--baseline", a->baselines.v[i],
                     "NAME=MODEL, a word for the tables and a model", &c->err));
    }
    for (size_t i = 0; i < a->seeds.n; i++) {
        const size_t k = BASELINES + a->baselines.n + i;
        rt_str name = {0};
        rt_str_printf(&name, "student-%zu", i + 2);
        w->paths[k] = a->seeds.v[i];
        w->names[k] = rt_strndup(rt_str_cstr(&name), name.n);
        rt_str_release(&name);
    }
    for (size_t k = 0; k < w->n_models; k++) {
        const char *name = k == TEACHER ? "teacher" : k == STUDENT ? "student" : w->names[k];
        w->models[k] = (rt_gap_model){.name = name, .results = w->results + k * w->n_tasks};
        RT_TRY(rt_audit_is_saved(w->paths[k]) ? RT_OK : rt_cli_check_model(c, w->paths[k]));
    }
    RT_TRY(check_names(w, &c->err));
out:
    return st;
}

static void close_audit(audit *w)
{
    for (size_t i = 0; w->tasks != NULL && i < w->n_tasks; i++) {
        rt_task_close(w->tasks[i].task);
    }
    for (size_t i = 0; w->results != NULL && i < w->n_models * w->n_tasks; i++) {
        rt_task_result_release(&w->results[i]);
    }
    for (size_t k = 0; w->names != NULL && k < w->n_models; k++) {
        rt_free(w->names[k]);
    }
    for (size_t i = 0; w->contaminated != NULL && i < w->n_tasks; i++) {
        rt_contamination_release(&w->contaminated[i]);
    }
    for (size_t i = 0; w->docs != NULL && i < w->n_tasks; i++) {
        json_decref(w->docs[i]);
    }
    rt_free(w->domain);
    rt_free(w->docs);
    rt_free(w->contaminated);
    rt_free(w->tasks);
    rt_free(w->models);
    rt_free(w->paths);
    rt_free(w->names);
    rt_free(w->results);
}

/* --- running and saying ------------------------------------------------------------------------------------------- */

/* By its hash a model beside itself is known, now or when results of today are compared later. */
static rt_status identify(rt_task_result *results, size_t n, const char *path, rt_err *err)
{
    rt_digest digest;
    const rt_status st = rt_model_sha256(path, NULL, &digest, err);
    for (size_t i = 0; st == RT_OK && i < n; i++) {
        rt_digest_hex(digest, results[i].model);
    }
    return st;
}

static rt_status run_model(rt_cli *c, const audit *w, size_t k, int64_t limit)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_tokenizer *t = NULL;
    if (rt_audit_is_saved(w->paths[k])) {
        for (size_t i = 0; i < w->n_tasks; i++) {
            RT_TRY(
                rt_audit_load(&w->results[k * w->n_tasks + i], w->paths[k], rt_task_name(w->tasks[i].task), &c->err));
        }
        goto out;
    }
    RT_TRY(rt_tokenizer_open(&t, w->paths[k], &c->err));
    RT_TRY(rt_cli_open_model(c, w->paths[k], &m));
    for (size_t i = 0; i < w->n_tasks; i++) {
        if (w->tasks[i].data == NULL) {
            RT_FAIL_OUT(
                &c->err, RT_USAGE, 0,
                "option '--task': '%s' is not NAME=FILE, a task and its items; only results of --save need none",
                rt_task_name(w->tasks[i].task));
        }
        RT_TRY(rt_task_run(&w->results[k * w->n_tasks + i], w->tasks[i].task, m, t, w->tasks[i].data,
                           &(rt_task_options){.limit = limit}, &c->err));
    }
    RT_TRY(identify(&w->results[k * w->n_tasks], w->n_tasks, w->paths[k], &c->err));
out:
    rt_model_close(m);
    rt_tokenizer_close(t);
    return st;
}

/* The texts of all items, where every task has a file. */
static rt_status read_docs(rt_cli *c, audit *w, const audit_args *a)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < w->n_tasks; i++) {
        if (w->tasks[i].data == NULL && a->train_text.n > 0) {
            RT_FAIL_OUT(&c->err, RT_USAGE, 0, "option '--train-text' needs the items: --task %s=FILE",
                        rt_task_name(w->tasks[i].task));
        }
        if (w->tasks[i].data == NULL) {
            return RT_OK;
        }
    }
    RT_TRY(RT_NEW(&w->docs, w->n_tasks, "items of tasks", &c->err));
    for (size_t i = 0; i < w->n_tasks; i++) {
        RT_TRY(rt_task_docs(&w->docs[i], w->tasks[i].task, w->tasks[i].data, a->limit, &c->err));
    }
out:
    return st;
}

static rt_status find_contamination(rt_cli *c, audit *w, const audit_args *a)
{
    const rt_status st = RT_NEW(&w->contaminated, w->n_tasks, "marks of items", &c->err);
    return st == RT_OK ? rt_contamination_find(w->contaminated, (const json_t *const *)w->docs, w->n_tasks,
                                               a->train_text.v, a->train_text.n, &c->err)
                       : st;
}

/* By --seen, or by the training text. */
static rt_status find_domain(rt_cli *c, audit *w, const audit_args *a)
{
    rt_status st = RT_OK;
    const rt_trained_on known = {.declared = a->seen.v,
                                 .n_declared = a->seen.n,
                                 .is_declared = a->seen.n > 0,
                                 .files = a->train_text.v,
                                 .n_files = a->train_text.n};
    RT_TRY(RT_NEW(&w->domain, w->n_tasks, "tasks", &c->err));
    for (size_t i = 0; i < w->n_tasks; i++) {
        w->domain[i] = rt_domain_of(rt_task_name(w->tasks[i].task), w->tasks[i].data,
                                    w->contaminated != NULL ? &w->contaminated[i] : NULL, &known);
    }
out:
    return st;
}

static void show(const rt_cli *c, const audit *w, json_t *report)
{
    if (!c->common.json) {
        rt_audit_print(report);
        return;
    }
    json_t *models = json_array();
    for (size_t k = 0; k < w->n_models; k++) {
        json_array_append_new(models, json_pack("{s:s, s:s}", "name", w->models[k].name, "file", w->paths[k]));
    }
    json_t *j = json_pack("{s:o}", "models", models);
    json_object_update(j, report);
    rt_cli_print_json(j);
    json_decref(j);
}

static rt_status compare(rt_cli *c, const audit_args *a, const audit *w)
{
    rt_status st = RT_OK;
    json_t *report = NULL;
    RT_TRY(rt_gap_report(&report,
                         &(rt_gap_input){.teacher = w->models[TEACHER],
                                         .student = w->models[STUDENT],
                                         .baselines = w->models + BASELINES,
                                         .n_baselines = a->baselines.n,
                                         .seeds = w->models + BASELINES + a->baselines.n,
                                         .n_seeds = a->seeds.n,
                                         .contaminated = w->contaminated,
                                         .docs = (const json_t *const *)w->docs,
                                         .unlike = a->unlike,
                                         .n_tasks = w->n_tasks,
                                         .margin = a->margin,
                                         .seed = (uint64_t)c->common.seed,
                                         .domain = w->domain},
                         &c->err));
    show(c, w, report);
    const json_t *loss = a->gate ? rt_gap_loss(report) : NULL;
    if (loss != NULL) {
        RT_FAIL_OUT(&c->err, RT_FINDING, 0, "gate: %s is %s", rt_json_str(loss, "name", ""),
                    rt_json_str(loss, "verdict_alone", ""));
    }
out:
    json_decref(report);
    return st;
}

int rt_cmd_audit(int argc, char **argv)
{
    rt_cli c;
    int code;
    audit_args a = {.margin = RT_GAP_MARGIN};
    const rt_opt opts[] = {
        {"against", 'a', RT_OPT_STR, &a.against, "TEACHER", "the model to compare with"},
        {"task", 0, RT_OPT_EACH, &a.tasks, "NAME=FILE", "a task as for retort eval, and its items; once for each task"},
        {"baseline", 0, RT_OPT_EACH, &a.baselines, "NAME=MODEL",
         "a model to stand beside, e.g. twin=, cut= or a quantised teacher; once for each"},
        {"seen", 0, RT_OPT_EACH, &a.seen, "NAME",
         "a task it was trained for, held against the others; default: by --train-text"},
        {"train-text", 0, RT_OPT_STRS, &a.train_text, "FILE...",
         "what the student was trained on, .jsonl or .txt: items found in it are counted"},
        {"another-seed", 0, RT_OPT_EACH, &a.seeds, "MODEL",
         "the student trained with another seed, for the spread; once for each"},
        {"save", 0, RT_OPT_OUT, &a.save, "DIR", "keep every model's results; DIR/NAME then stands for that model"},
        {"unlike", 0, RT_OPT_FLAG, &a.unlike, NULL, "compare results that were not measured alike, and say so"},
        {"limit", 0, RT_OPT_INT, &a.limit, "N", "only the first N items of each task"},
        {"margin", 0, RT_OPT_NUM, &a.margin, "M", "a loss up to this counts as kept (default 0.02: 2 points)"},
        {"gate", 0, RT_OPT_FLAG, &a.gate, NULL, "exit with code 10 when a verdict is lost or worse"},
        {0},
    };
    if (!rt_cli_begin(&c, "audit", argc, argv, "audit MODEL --against TEACHER --task NAME=FILE... [options]", about,
                      opts, 1, 1, "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    audit w = {0};
    RT_TRY(check_args(&a, &c.err));
    RT_TRY(open_audit(&w, &c, &a));
    RT_TRY(read_docs(&c, &w, &a));
    if (a.train_text.n > 0) {
        RT_TRY(find_contamination(&c, &w, &a));
    }
    if (a.seen.n + a.train_text.n > 0) {
        RT_TRY(find_domain(&c, &w, &a));
    }
    for (size_t k = 0; k < w.n_models; k++) {
        RT_TRY(run_model(&c, &w, k, a.limit));
        RT_TRY(a.save != NULL
                   ? rt_audit_save(a.save, w.models[k].name, w.paths[k], w.models[k].results, w.n_tasks, &c.err)
                   : RT_OK);
    }
    RT_TRY(compare(&c, &a, &w));
out:
    close_audit(&w);
    return rt_cli_end(&c, st);
}
