/* task_save.c - a result with all its items in one file, and back. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/task.h"
#include "format/json.h"

#define FORMAT "retort task result 1"

rt_status rt_task_result_save(const rt_task_result *r, const char *path, rt_err *err)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, r->items_hash);
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "format", FORMAT, "task", r->task, "version",
                  r->version, "skill", r->skill, "harness", r->harness, "chat", r->chat, "precision", r->precision,
                  "items_hash", hash, "model_sha256", r->model, "chance", rt_number_json(r->chance));
    json_t *scores = rt_task_json(r);
    if (j == NULL || scores == NULL || json_object_set(j, "metrics", json_object_get(scores, "metrics")) != 0 ||
        json_object_set(j, "items", r->items) != 0) {
        json_decref(j);
        json_decref(scores);
        return rt_fail(err, RT_MEMORY, 0, "no memory for a result");
    }
    const rt_status st = rt_json_save(j, path, err);
    json_decref(j);
    json_decref(scores);
    return st;
}

static void read_text(char *to, size_t size, const json_t *j, const char *key)
{
    snprintf(to, size, "%s", rt_json_str(j, key, ""));
}

static rt_status read_items(rt_task_result *r, json_t *items, rt_err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        if (rt_json_str(item, "id", NULL) == NULL || !json_is_object(json_object_get(item, "metrics"))) {
            return rt_fail(err, RT_INPUT, i, "item %zu has no id or no metrics", i);
        }
    }
    r->items = json_incref(items);
    r->n = (int64_t)json_array_size(items);
    return r->n > 0 ? rt_calibration_of_items(&r->calibration, r->items, err)
                    : rt_fail(err, RT_INPUT, 0, "it has no items");
}

static rt_status read_result(rt_task_result *r, json_t *j, rt_err *err)
{
    const char *name;
    json_t *metric;
    if (strcmp(rt_json_str(j, "format", ""), FORMAT) != 0) {
        return rt_fail(err, RT_INPUT, 0, "it is no '%s'; retort audit --save writes them", FORMAT);
    }
    read_text(r->task, sizeof r->task, j, "task");
    read_text(r->version, sizeof r->version, j, "version");
    read_text(r->skill, sizeof r->skill, j, "skill");
    read_text(r->harness, sizeof r->harness, j, "harness");
    read_text(r->chat, sizeof r->chat, j, "chat");
    read_text(r->precision, sizeof r->precision, j, "precision");
    read_text(r->model, sizeof r->model, j, "model_sha256");
    if (sscanf(rt_json_str(j, "items_hash", ""), "%16" SCNx64, &r->items_hash) != 1) {
        return rt_fail(err, RT_INPUT, 0, "it does not say which items it is about");
    }
    r->chance = rt_json_f64(j, "chance", NAN);
    json_object_foreach(json_object_get(j, "metrics"), name, metric)
    {
        if (r->n_metrics < RT_TASK_METRICS) {
            rt_task_metric *m = &r->metrics[r->n_metrics++];
            *m = (rt_task_metric){.higher_is_better = rt_json_bool(metric, "higher_is_better", true),
                                  .value = rt_json_f64(metric, "value", NAN),
                                  .stderr_ = rt_json_f64(metric, "stderr", NAN),
                                  .n = rt_json_i64(metric, "n", 0)};
            snprintf(m->name, sizeof m->name, "%s", name);
        }
    }
    return read_items(r, json_object_get(j, "items"), err);
}

rt_status rt_task_result_load(rt_task_result *out, const char *path, rt_err *err)
{
    json_t *j = NULL;
    *out = (rt_task_result){0};
    rt_status st = rt_json_load(&j, path, err);
    if (st == RT_OK) {
        st = read_result(out, j, err);
        if (st != RT_OK) {
            rt_task_result_release(out);
            st = rt_err_wrap(err, st, "'%s'", path);
        }
    }
    json_decref(j);
    return st;
}
