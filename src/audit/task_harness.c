/* task_harness.c - a result as the two kinds of files that lm-evaluation-harness writes, for its viewers and scripts.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/task.h"
#include "core/hash.h"
#include "format/json.h"

static const char not_kept[] = "[harmful: not kept]"; /* in place of every text of such an item */

/* "acc,none"; a metric with a filter has both in its name. */
static void key_of(char out[48], const rt_task_metric *m, const char *suffix)
{
    const char *comma = strchr(m->name, ',');
    const size_t n = comma != NULL ? (size_t)(comma - m->name) : strlen(m->name);
    snprintf(out, 48, "%.*s%s,%.16s", (int)n, m->name, suffix, comma != NULL ? comma + 1 : "none");
}

static json_t *scores_json(const rt_task_result *r)
{
    char key[48];
    json_t *j = json_pack("{s:s}", "alias", r->task);
    for (size_t k = 0; k < r->n_metrics; k++) {
        const rt_task_metric *m = &r->metrics[k];
        key_of(key, m, "");
        json_object_set_new(j, key, rt_number_json(m->value));
        key_of(key, m, "_stderr");
        json_object_set_new(j, key, isfinite(m->stderr_) ? json_real(m->stderr_) : json_string("N/A"));
    }
    return j;
}

static json_t *directions_json(const rt_task_result *r)
{
    json_t *j = json_object();
    for (size_t k = 0; k < r->n_metrics; k++) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(r->metrics[k].name, ","), r->metrics[k].name);
        json_object_set_new(j, name, json_boolean(r->metrics[k].higher_is_better));
    }
    return j;
}

static json_t *results_json(const rt_task_result *r, const char *model, int64_t limit, const char *date)
{
    const char *t = r->task;
    return json_pack(
        "{s:{s:o}, s:{}, s:{s:{s:s}}, s:{s:s}, s:{s:i}, s:{s:o}, s:{s:{s:I, s:I}}, s:{s:s, s:s, s:o}, s:s, s:n, "
        "s:s}",
        "results", t, scores_json(r), "group_subtasks", "configs", t, "task", t, "versions", t, r->version, "n-shot", t,
        0, "higher_is_better", t, directions_json(r), "n-samples", t, "original", (json_int_t)r->n, "effective",
        (json_int_t)r->n, "config", "model", "retort", "model_args", model, "limit",
        limit > 0 ? json_integer((json_int_t)limit) : json_null(), "date", date, "chat_template", "model_name", model);
}

static json_t *hash_json(const json_t *what)
{
    char hex[65];
    rt_str s = {0};
    if (json_is_string(what)) {
        rt_str_add(&s, json_string_value(what), json_string_length(what));
    } else {
        rt_json_append(&s, what);
    }
    rt_digest_hex(rt_sha256_of(rt_str_cstr(&s), s.n), hex);
    rt_str_release(&s);
    return json_string(hex);
}

/* The harness writes responses as Python's texts of them. */
static json_t *number_text(const json_t *number)
{
    rt_str s = {0};
    rt_json_append_real(&s, json_number_value(number));
    json_t *text = json_string(rt_str_cstr(&s));
    rt_str_release(&s);
    return text;
}

/* [["log-likelihood", "is greedy"], ...], or the answer, where it was kept. */
static json_t *responses_json(const json_t *item)
{
    const json_t *logprobs = json_object_get(item, "loglikelihoods"), *greedy = json_object_get(item, "is_greedy");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(logprobs); i++) {
        json_array_append_new(list, json_pack("[o, s]", number_text(json_array_get(logprobs, i)),
                                              json_is_true(json_array_get(greedy, i)) ? "True" : "False"));
    }
    if (logprobs == NULL) {
        json_t *answer = json_object_get(item, "answer");
        json_array_append_new(list, answer != NULL ? json_incref(answer) : json_string(not_kept));
    }
    return list;
}

/* Every response is the only one to its request. */
static json_t *each_alone(const json_t *responses)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(responses); i++) {
        json_array_append_new(list, json_pack("[O]", json_array_get(responses, i)));
    }
    return list;
}

/* {gen_args_0: {arg_0: context, arg_1: continuation}, ...} */
static json_t *arguments_json(const json_t *arguments, bool secret)
{
    char name[32];
    json_t *all = json_object();
    for (size_t i = 0; i < json_array_size(arguments); i++) {
        const json_t *texts = json_array_get(arguments, i);
        json_t *one = json_object();
        for (size_t k = 0; k < json_array_size(texts); k++) {
            snprintf(name, sizeof name, "arg_%zu", k);
            json_object_set_new(one, name, secret ? json_string(not_kept) : json_incref(json_array_get(texts, k)));
        }
        snprintf(name, sizeof name, "gen_args_%zu", i);
        json_object_set_new(all, name, one);
    }
    return all;
}

/* Hashes are of the texts themselves, kept or not: so one knows the same question again. */
static json_t *sample_json(const json_t *item, const json_t *doc, size_t index)
{
    const bool secret = rt_json_bool(doc, "harmful", false);
    const json_t *arguments = json_object_get(doc, "arguments"), *row = json_object_get(doc, "doc"),
                 *target = json_object_get(doc, "target");
    json_t *names = json_array(), *responses = responses_json(item), *value;
    const char *name;
    json_object_foreach(json_object_get(item, "metrics"), name, value)
    {
        json_array_append_new(names, json_string(name));
    }
    json_t *j = json_pack("{s:I, s:o, s:o, s:o, s:o, s:O, s:s, s:o, s:o, s:o, s:o}", "doc_id", (json_int_t)index, "doc",
                          secret ? json_pack("{s:O, s:b}", "id", json_object_get(item, "id"), "harmful", 1)
                                 : json_incref((json_t *)row),
                          "target", secret ? json_string(not_kept) : json_incref((json_t *)target), "arguments",
                          arguments_json(arguments, secret), "resps", each_alone(responses), "filtered_resps",
                          responses, "filter", "none", "metrics", names, "doc_hash", hash_json(row), "prompt_hash",
                          hash_json(json_array_get(json_array_get(arguments, 0), 0)), "target_hash", hash_json(target));
    json_decref(responses);
    json_object_update(j, json_object_get(item, "metrics"));
    return j;
}

static rt_status save_samples(const rt_task_result *r, const char *path, rt_err *err)
{
    rt_str lines = {0};
    for (size_t i = 0; i < json_array_size(r->items); i++) {
        json_t *sample = sample_json(json_array_get(r->items, i), json_array_get(r->docs, i), i);
        rt_json_append(&lines, sample);
        rt_str_putc(&lines, '\n');
        json_decref(sample);
    }
    const rt_status st = lines.failed ? rt_fail(err, RT_MEMORY, 0, "no memory to write '%s'", path)
                                      : rt_file_write(path, rt_str_cstr(&lines), lines.n, err);
    rt_str_release(&lines);
    return st;
}

/* "2026-11-21T23-41-38", as the harness spells a time in a file's name. */
static void file_time(char out[20], char date[21])
{
    rt_timestamp(date);
    snprintf(out, 20, "%.19s", date);
    for (char *p = out; *p != '\0'; p++) {
        *p = *p == ':' ? '-' : *p;
    }
}

rt_status rt_task_save_harness(const rt_task_result *r, const char *dir, const char *model, int64_t limit, rt_err *err)
{
    rt_status st = RT_OK;
    char date[21], stamp[20], name[128];
    char *path = NULL;
    json_t *results = NULL;
    file_time(stamp, date);
    RT_TRY(rt_mkdirs(dir, err));
    snprintf(name, sizeof name, "samples_%.64s_%s.jsonl", r->task, stamp);
    path = rt_path_join(dir, name);
    results = results_json(r, model, limit, date);
    if (path == NULL || results == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the results");
    }
    RT_TRY(save_samples(r, path, err));
    rt_free(path);
    snprintf(name, sizeof name, "results_%s.json", stamp);
    path = rt_path_join(dir, name);
    if (path == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the results");
    }
    RT_TRY(rt_json_save(results, path, err));
out:
    rt_free(path);
    json_decref(results);
    return st;
}
