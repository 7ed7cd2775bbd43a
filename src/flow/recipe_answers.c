/* recipe_answers.c - the keys below `data` and `answers`, and the checks that need more than one of them. */
#include "flow/recipe_answers.h"

#include <string.h>

#include "audit/task.h"

const rt_field rt_data_fields[] = {
    {.key = "text", .kind = RT_FIELD_STRS, .help = "training documents: .jsonl or .txt files"},
    {.key = "valid",
     .kind = RT_FIELD_STRS,
     .help = "held-out documents; without it a twentieth of the training documents is held out"},
    {.key = "prompts",
     .kind = RT_FIELD_STRS,
     .help = "beside or instead of `text`: rows the teacher answers, .jsonl with `prompt` or `messages` "
             "(docs/task-recipe.md)"},
    {.key = "held_out",
     .kind = RT_FIELD_STRS,
     .help = "rows like `prompts` with an `answer`, for the score; prompts that stand among them are left out"},
    {0},
};
static const rt_field filter_fields[] = {
    {.key = "finished", .kind = RT_FIELD_BOOL, .dflt = "true", .help = "drop answers that were cut off by new_tokens"},
    {.key = "min_tokens", .kind = RT_FIELD_INT, .min = 0, .max = 65536, .dflt = "1", .help = "drop shorter answers"},
    {.key = "max_tokens", .kind = RT_FIELD_INT, .min = 1, .max = 65536, .help = "drop longer ones; default: none"},
    {.key = "repetition",
     .kind = RT_FIELD_NUM,
     .min = 0,
     .max = 1,
     .dflt = "0.5",
     .help = "drop answers with a larger share of four-token runs that were there before"},
    {.key = "verifier",
     .kind = RT_FIELD_STR,
     .help = "`exact`: keep what is the row's `answer`; else a command, run by /bin/sh -c: a JSON line an answer in, "
             "true or false a line out"},
    {.key = "verifier_time",
     .kind = RT_FIELD_DURATION,
     .min = 0.01,
     .max = 1e6,
     .dflt = "10m",
     .help = "longest time the command may take"},
    {.key = "majority",
     .kind = RT_FIELD_BOOL,
     .dflt = "false",
     .help = "of a prompt's answers keep those that say what most of them say, two at least"},
    {.key = "distinct", .kind = RT_FIELD_BOOL, .dflt = "true", .help = "of equal answers to a prompt keep one"},
    {0},
};
const rt_field rt_answers_fields[] = {
    {.key = "n", .kind = RT_FIELD_INT, .min = 1, .max = 256, .dflt = "4", .help = "answers a prompt"},
    {.key = "temperature", .kind = RT_FIELD_NUM, .min = 0, .max = 20, .dflt = "0.8", .help = "0: greedy"},
    {.key = "top_p", .kind = RT_FIELD_NUM, .min = 0, .max = 1, .dflt = "0.95", .help = "0 or 1: all tokens"},
    {.key = "top_k", .kind = RT_FIELD_INT, .min = 0, .max = 1e6, .dflt = "0", .help = "0: all tokens"},
    {.key = "min_p", .kind = RT_FIELD_NUM, .min = 0, .max = 1, .dflt = "0", .help = "0: all tokens"},
    {.key = "new_tokens",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 65536,
     .dflt = "128",
     .help = "of an answer at most, the teacher's and those that are scored"},
    {.key = "task",
     .kind = RT_FIELD_STR,
     .dflt = "answers",
     .help = "how answers are read and compared: answers (the text), last_number, or a file of your own "
             "(docs/evaluation.md)"},
    {.key = "filter", .kind = RT_FIELD_MAP, .children = filter_fields, .help = "which of them are trained on"},
    {0},
};

rt_status rt_recipe_strings(const json_t *list, const char *what, const char **out, size_t cap, size_t *n, rt_err *err)
{
    *n = json_array_size(list);
    if (*n > cap) {
        return rt_fail(err, RT_RECIPE, 0, "'%s' has %zu entries, at most %zu are taken", what, *n, cap);
    }
    for (size_t i = 0; i < *n; i++) {
        out[i] = json_string_value(json_array_get(list, i));
    }
    return RT_OK;
}

rt_status rt_recipe_read_data(rt_run_recipe *r, const json_t *data, rt_err *err)
{
    const struct {
        const char *key, *what, **out;
        size_t *n;
    } lists[] = {{"text", "data.text", r->text, &r->n_text},
                 {"valid", "data.valid", r->valid, &r->n_valid},
                 {"prompts", "data.prompts", r->prompts, &r->n_prompts},
                 {"held_out", "data.held_out", r->held_out, &r->n_held_out}};
    rt_status st = RT_OK;
    for (size_t i = 0; st == RT_OK && i < sizeof lists / sizeof lists[0]; i++) {
        st = rt_recipe_strings(json_object_get(data, lists[i].key), lists[i].what, lists[i].out, RT_MAX_PATHS,
                               lists[i].n, err);
    }
    return st;
}

/* Answers are read by a task that asks as the prompts do. */
static rt_status check_answer_task(const char *name, rt_err *err)
{
    rt_err why = {0};
    rt_task *t = NULL;
    rt_status st = RT_OK;
    if (rt_task_open(&t, name, &why) != RT_OK) {
        return rt_fail(err, RT_RECIPE, 0, "'answers.task': %s", why.msg);
    }
    if (!rt_task_is_chat(t)) {
        st = rt_fail(err, RT_RECIPE, 0, "'answers.task': %s does not ask what `prompt` or `messages` say (chat: true)",
                     name);
    }
    rt_task_close(t);
    return st;
}

static void read_filter(rt_answer_filter *f, const json_t *j)
{
    const char *verifier = rt_json_str(j, "verifier", NULL);
    f->finished = rt_json_bool(j, "finished", true);
    f->majority = rt_json_bool(j, "majority", false);
    f->distinct = rt_json_bool(j, "distinct", true);
    f->min_tokens = rt_json_i64(j, "min_tokens", 1);
    f->max_tokens = rt_json_i64(j, "max_tokens", INT64_MAX);
    f->repetition = rt_json_f64(j, "repetition", 0.5);
    f->exact = verifier != NULL && strcmp(verifier, "exact") == 0;
    f->verifier = f->exact ? NULL : verifier;
    f->verifier_seconds = rt_json_f64(j, "verifier_time", 600);
}

rt_status rt_recipe_read_answers(rt_run_recipe *r, const json_t *a, rt_err *err)
{
    r->answers = (int)rt_json_i64(a, "n", 4);
    r->new_tokens = rt_json_i64(a, "new_tokens", 128);
    r->task = rt_json_str(a, "task", "answers");
    r->sampling = (rt_sampling){.temperature = rt_json_f64(a, "temperature", 0.8),
                                .top_k = rt_json_i64(a, "top_k", 0),
                                .top_p = rt_json_f64(a, "top_p", 0.95),
                                .min_p = rt_json_f64(a, "min_p", 0),
                                .seed = r->seed};
    read_filter(&r->filter, json_object_get(a, "filter"));
    if (r->n_prompts == 0) {
        return r->n_text == 0 ? rt_fail(err, RT_RECIPE, 0, "'data' needs 'text' to train on, or 'prompts' to answer")
               : r->n_held_out > 0 ? rt_fail(err, RT_RECIPE, 0, "'data.held_out' goes with 'data.prompts'")
                                   : RT_OK;
    }
    if (r->answers > 1 && r->sampling.temperature == 0) {
        return rt_fail(err, RT_RECIPE, 0, "'answers.n' is %d, but at temperature 0 all answers are the same",
                       r->answers);
    }
    if (r->filter.majority && r->answers < 2) {
        return rt_fail(err, RT_RECIPE, 0, "'answers.filter.majority' needs 'answers.n' of 2 at least");
    }
    return check_answer_task(r->task, err);
}
