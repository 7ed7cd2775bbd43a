/* The recipe's block `retain`: its schema and its reading (docs/retention.md). */
#include <math.h>
#include <string.h>

#include "audit/task.h"
#include "flow/recipe.h"

static const rt_field watch_fields[] = {
    {.key = "task", .kind = RT_FIELD_STR, .dflt = "advbench", .help = "built-in task that is scored"},
    {.key = "data", .kind = RT_FIELD_STR, .required = true, .help = "its rows, none of which is taught; few: 30 do"},
    {.key = "metric", .kind = RT_FIELD_STR, .dflt = "refused_by_margin", .help = "of the task; no answers are written"},
    {.key = "min", .kind = RT_FIELD_NUM, .min = -INFINITY, .max = INFINITY, .help = "it may not fall below"},
    {.key = "max", .kind = RT_FIELD_NUM, .min = -INFINITY, .max = INFINITY, .help = "it may not rise above"},
    {0},
};

const rt_field rt_retain_schema[] = {
    {.key = "prompts",
     .kind = RT_FIELD_STRS,
     .required = true,
     .help = ".jsonl rows with `id` and `prompt`, for a policy also `answer`"},
    {.key = "answers",
     .kind = RT_FIELD_ENUM,
     .choices = "teacher|policy",
     .dflt = "teacher",
     .help = "the teacher writes them and gives its distributions, or the rows bring them"},
    {.key = "split",
     .kind = RT_FIELD_ENUM,
     .choices = RT_HASH_SPLITS,
     .dflt = "all",
     .help = "rows whose id's SHA-256 ends in an even or odd hex digit; `rows` of a task takes the others"},
    {.key = "weight",
     .kind = RT_FIELD_NUM,
     .min = 0.001,
     .max = 0.9,
     .dflt = "0.1",
     .help = "share of every step's weight"},
    {.key = "batch_tokens",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 1e7,
     .help = "tokens a step beside the data's; default: their share by weight, 64 at least"},
    {.key = "new_tokens", .kind = RT_FIELD_INT, .min = 1, .max = 4096, .dflt = "64", .help = "longest answer written"},
    {.key = "watch",
     .kind = RT_FIELD_MAPS,
     .children = watch_fields,
     .help = "looked at while training; a bound that is broken fails the run (exit code 10)"},
    {.key = "every",
     .kind = RT_FIELD_INT,
     .min = 0,
     .max = 1e9,
     .dflt = "0",
     .help = "steps between looks; 0: at the end only"},
    {.key = "fail",
     .kind = RT_FIELD_ENUM,
     .choices = "gate|keep",
     .dflt = "gate",
     .help = "gate: stop once what held no longer does; keep: the last weights that held are the student"},
    {.key = "beside",
     .kind = RT_FIELD_STR,
     .help = "run directory of the recipe without `retain`: the page says what it cost in KL"},
    {0},
};

enum { LEAST_TOKENS = 64 };

static rt_status read_watch(rt_watch_spec *w, const json_t *j, rt_err *err)
{
    rt_status st = RT_OK;
    rt_err why = {0};
    rt_task *t = NULL;
    *w = (rt_watch_spec){.task = rt_json_str(j, "task", ""),
                         .data = rt_json_str(j, "data", ""),
                         .metric = rt_json_str(j, "metric", ""),
                         .min = rt_json_f64(j, "min", NAN),
                         .max = rt_json_f64(j, "max", NAN)};
    if (rt_task_open(&t, w->task, &why) != RT_OK) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'retain.watch': %s", why.msg);
    }
    if (!rt_task_has_metric(t, w->metric)) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'retain.watch': task %s has no metric '%s'", w->task, w->metric);
    }
    if (rt_task_metric_needs_answers(t, w->metric)) {
        RT_FAIL_OUT(err, RT_RECIPE, 0,
                    "'retain.watch': %s of %s is about answers, and none is written while training; take "
                    "refused_by_margin, over_refused_by_margin, margin or margin_auroc",
                    w->metric, w->task);
    }
    if (isnan(w->min) && isnan(w->max)) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'retain.watch': %s of %s has neither 'min' nor 'max'", w->metric, w->task);
    }
    if (!rt_path_exists(w->data)) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'retain.watch': '%s' does not exist", w->data);
    }
out:
    rt_task_close(t);
    return st;
}

rt_status rt_retain_spec_read(rt_retain_spec *out, const json_t *block, int64_t batch_tokens, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *prompts = json_object_get(block, "prompts"), *watch = json_object_get(block, "watch");
    *out = (rt_retain_spec){.n_prompts = json_array_size(prompts), .n_watch = json_array_size(watch)};
    if (block == NULL) {
        return RT_OK;
    }
    if (out->n_prompts > RT_MAX_PATHS || out->n_watch > RT_WATCHED) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'retain' takes %d files of prompts and %d things to watch at most",
                    RT_MAX_PATHS, RT_WATCHED);
    }
    for (size_t i = 0; i < out->n_prompts; i++) {
        out->prompts[i] = json_string_value(json_array_get(prompts, i));
        if (!rt_path_exists(out->prompts[i])) {
            RT_FAIL_OUT(err, RT_RECIPE, 0, "'retain.prompts': '%s' does not exist", out->prompts[i]);
        }
    }
    out->policy = strcmp(rt_json_str(block, "answers", "teacher"), "policy") == 0;
    out->split = rt_hash_split_of(rt_json_str(block, "split", "all"));
    out->weight = rt_json_f64(block, "weight", 0.1);
    const double share = out->weight * (double)batch_tokens;
    out->batch_tokens = rt_json_i64(block, "batch_tokens", share > LEAST_TOKENS ? (int64_t)share : LEAST_TOKENS);
    out->new_tokens = rt_json_i64(block, "new_tokens", 64);
    out->every = rt_json_i64(block, "every", 0);
    out->beside = rt_json_str(block, "beside", NULL);
    out->keep = strcmp(rt_json_str(block, "fail", "gate"), "keep") == 0;
    for (size_t i = 0; i < out->n_watch; i++) {
        RT_TRY(read_watch(&out->watch[i], json_array_get(watch, i), err));
    }
out:
    return st;
}
