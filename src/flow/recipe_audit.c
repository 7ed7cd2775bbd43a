/* The recipe's block `audit`: its schema and its reading (docs/evaluation.md). */
#include <string.h>

#include "audit/safeguard.h"
#include "audit/task.h"
#include "flow/recipe.h"
#include "flow/recipe_answers.h"

const rt_field rt_recipe_audit_fields[] = {
    {.key = "tasks",
     .kind = RT_FIELD_STRS,
     .help = "tasks with an accuracy or on a safeguard, as name or name=file.jsonl"},
    {.key = "seen",
     .kind = RT_FIELD_STRS,
     .help = "those of the kind it is trained on; default: by the training files and the items found in them"},
    {.key = "limit", .kind = RT_FIELD_INT, .min = 1, .max = 1e9, .dflt = "100", .help = "items a task"},
    {.key = "tokens", .kind = RT_FIELD_INT, .min = 1, .max = 1e12, .dflt = "16k", .help = "held-out tokens"},
    {.key = "twin",
     .kind = RT_FIELD_ENUM,
     .choices = "ce|none",
     .dflt = "ce",
     .help = "train a twin on the text alone, as a baseline"},
    {0},
};

/* A page compares accuracies and safeguards; results are files named after the task. */
static rt_status check_task(const char *name, rt_err *err)
{
    rt_err why = {0};
    rt_task *t = NULL;
    rt_status st = RT_OK;
    if (strchr(name, '/') != NULL) {
        return rt_fail(err, RT_RECIPE, 0, "'audit.tasks': '%s' is a file; a recipe takes built-in tasks", name);
    }
    if (rt_task_open(&t, name, &why) != RT_OK) {
        return rt_fail(err, RT_RECIPE, 0, "'audit.tasks': %s", why.msg);
    }
    if (!rt_task_has_metric(t, "acc") && !rt_safeguard_has_row(t)) {
        st = rt_fail(err, RT_RECIPE, 0,
                     "'audit.tasks': %s says nothing of accuracy or safeguards; measure it with retort eval", name);
    }
    rt_task_close(t);
    return st;
}

/* "hellaswag" reads hellaswag.jsonl beside the first training text or prompts; "hellaswag=FILE" names it. */
static rt_status read_task(rt_run_recipe *r, size_t i, const char *entry, rt_err *err)
{
    const char *eq = strchr(entry, '=');
    char *dir = rt_path_dir(r->n_text > 0 ? r->text[0] : r->prompts[0]);
    rt_str file = {0};
    r->tasks[i] = eq != NULL ? rt_strndup(entry, (size_t)(eq - entry)) : rt_strdup(entry);
    if (eq != NULL) {
        rt_str_puts(&file, eq + 1);
    } else {
        rt_str_printf(&file, "%s/%s.jsonl", dir != NULL ? dir : ".", entry);
    }
    r->task_data[i] = rt_strdup(rt_str_cstr(&file));
    const bool failed = dir == NULL || file.failed || r->tasks[i] == NULL || r->task_data[i] == NULL;
    rt_free(dir);
    rt_str_release(&file);
    r->n_tasks++;
    if (failed) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    const rt_status st = check_task(r->tasks[i], err);
    if (st != RT_OK) {
        return st;
    }
    if (!rt_path_exists(r->task_data[i])) {
        return rt_fail(err, RT_RECIPE, 0, "'audit.tasks': %s reads '%s', which does not exist; write %s=FILE.jsonl",
                       r->tasks[i], r->task_data[i], r->tasks[i]);
    }
    return RT_OK;
}

/* Among the first n. */
static bool asks(const rt_run_recipe *r, size_t n, const char *task)
{
    bool asked = false;
    for (size_t k = 0; k < n; k++) {
        asked |= strcmp(r->tasks[k], task) == 0;
    }
    return asked;
}

static rt_status read_seen(rt_run_recipe *r, const json_t *seen, rt_err *err)
{
    rt_status st = rt_recipe_strings(seen, "audit.seen", r->seen, RT_MAX_TASKS, &r->n_seen, err);
    r->seen_declared = seen != NULL;
    for (size_t i = 0; st == RT_OK && i < r->n_seen; i++) {
        st = asks(r, r->n_tasks, r->seen[i])
                 ? RT_OK
                 : rt_fail(err, RT_RECIPE, 0, "'audit.seen': '%s' is none of 'audit.tasks'", r->seen[i]);
    }
    return st;
}

rt_status rt_recipe_read_audit(rt_run_recipe *r, const json_t *a, rt_err *err)
{
    const char *entries[RT_MAX_TASKS];
    size_t n;
    rt_status st = rt_recipe_strings(json_object_get(a, "tasks"), "audit.tasks", entries, RT_MAX_TASKS, &n, err);
    for (size_t i = 0; st == RT_OK && i < n; i++) {
        st = read_task(r, i, entries[i], err);
        if (st == RT_OK && asks(r, i, r->tasks[i])) {
            st = rt_fail(err, RT_RECIPE, 0, "'audit.tasks': '%s' is given twice; results are kept by this name",
                         r->tasks[i]);
        }
    }
    if (st == RT_OK) {
        st = read_seen(r, json_object_get(a, "seen"), err);
    }
    r->audit_limit = rt_json_i64(a, "limit", 100);
    r->audit_tokens = rt_json_i64(a, "tokens", 16000);
    r->twin = strcmp(rt_json_str(a, "twin", "ce"), "ce") == 0;
    return st;
}
