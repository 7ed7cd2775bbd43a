/* figure.c - figures with their intervals, and the models they belong to. */
#include "report/figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool rt_figure_known(rt_figure f)
{
    return isfinite(f.mean);
}

rt_figure rt_figure_minus(rt_figure a, rt_figure b)
{
    return (rt_figure){.mean = a.mean - b.mean, .half = sqrt(a.half * a.half + b.half * b.half)};
}

bool rt_figure_beyond_error(rt_figure d)
{
    return isfinite(d.mean) && isfinite(d.half) && fabs(d.mean) > d.half;
}

const char *rt_figure_verdict(rt_figure d)
{
    return !isfinite(d.half) ? "of unknown error" : rt_figure_beyond_error(d) ? "beyond error" : "within error";
}

rt_num rt_figure_size(rt_figure d)
{
    return isfinite(d.half) ? rt_num_pm(fabs(d.mean), d.half) : rt_num_plain(fabs(d.mean));
}

rt_num rt_figure_points(rt_figure d)
{
    return rt_num_points_pm(fabs(d.mean), d.half);
}

static const struct {
    const char *id, *name;
} roles[RT_ROLE_COUNT] = {
    [RT_ROLE_TEACHER] = {"teacher", "teacher"},
    [RT_ROLE_STUDENT] = {"student", "student"},
    [RT_ROLE_TWIN] = {"twin", "twin, text only"},
    [RT_ROLE_CUT] = {"cut", "cut, untrained"},
};

const char *rt_role_id(rt_role r)
{
    return roles[r].id;
}

const char *rt_role_name(rt_role r)
{
    return roles[r].name;
}

const json_t *rt_role_model(const json_t *facts, rt_role r)
{
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(facts, "models"), i, m)
    {
        if (strcmp(rt_json_str(m, "id", ""), roles[r].id) == 0) {
            return m;
        }
    }
    return NULL;
}

rt_figure rt_figure_fidelity(const json_t *model, const char *measure)
{
    const json_t *stat = json_object_get(json_object_get(model, "fidelity"), measure);
    if (rt_json_f64(stat, "n", 1) <= 0) {
        return (rt_figure){NAN, NAN};
    }
    return (rt_figure){rt_json_f64(stat, "mean", NAN), RT_INTERVAL_95 * rt_json_f64(stat, "stderr", NAN)};
}

const json_t *rt_figure_task_entry(const json_t *model, const char *task)
{
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(model, "tasks"), i, t)
    {
        if (strcmp(rt_json_str(t, "task", ""), task) == 0) {
            return t;
        }
    }
    return NULL;
}

/* The metric that stands for a task: acc_norm where it has one, then acc, then its first exact match. */
static const char *metric_of(const json_t *task)
{
    const char *name;
    json_t *m;
    if (isfinite(rt_json_f64(task, "acc_norm", NAN))) {
        return "acc_norm";
    }
    json_object_foreach(json_object_get(task, "metrics"), name, m)
    {
        if (strncmp(name, "exact_match", 11) == 0) {
            return name;
        }
    }
    return "acc";
}

rt_figure rt_figure_task(const json_t *model, const char *task, const char **metric)
{
    const json_t *t = rt_figure_task_entry(model, task);
    const char *name = metric_of(t);
    if (metric) {
        *metric = name;
    }
    if (strncmp(name, "acc", 3) == 0) {
        return (rt_figure){rt_json_f64(t, name, NAN),
                           RT_INTERVAL_95 *
                               rt_json_f64(t, strcmp(name, "acc") == 0 ? "stderr" : "acc_norm_stderr", NAN)};
    }
    const json_t *m = json_object_get(json_object_get(t, "metrics"), name);
    return (rt_figure){rt_json_f64(m, "value", NAN), RT_INTERVAL_95 * rt_json_f64(m, "stderr", NAN)};
}

/* An earlier model, or an earlier entry of this one, was given the same task. */
static bool seen_before(const json_t *models, size_t model, size_t entry, const char *task)
{
    for (size_t m = 0; m <= model; m++) {
        const json_t *tasks = json_object_get(json_array_get(models, m), "tasks");
        size_t n = m == model ? entry : json_array_size(tasks);
        for (size_t i = 0; i < n; i++) {
            if (strcmp(rt_json_str(json_array_get(tasks, i), "task", ""), task) == 0) {
                return true;
            }
        }
    }
    return false;
}

const char *rt_figure_task_name(const json_t *facts, size_t i)
{
    const json_t *models = json_object_get(facts, "models");
    for (size_t m = 0; m < json_array_size(models); m++) {
        const json_t *tasks = json_object_get(json_array_get(models, m), "tasks");
        for (size_t k = 0; k < json_array_size(tasks); k++) {
            const char *task = rt_json_str(json_array_get(tasks, k), "task", "");
            const bool has_figure = rt_figure_known(rt_figure_task(json_array_get(models, m), task, NULL));
            if (*task && has_figure && !seen_before(models, m, k, task) && i-- == 0) {
                return task;
            }
        }
    }
    return NULL;
}

void rt_texts_join(rt_str *out, const json_t *texts, const char *between)
{
    size_t i;
    json_t *t;
    json_array_foreach(texts, i, t)
    {
        rt_str_puts(out, i > 0 ? between : "");
        if (json_is_string(t)) {
            rt_str_add(out, json_string_value(t), json_string_length(t));
        } else {
            rt_str_puts(out, "?");
        }
    }
}

bool rt_gap_is_share(const json_t *row)
{
    return strcmp(rt_json_str(row, "unit", "share"), "share") == 0;
}

rt_num rt_gap_value(const json_t *row, const char *key)
{
    const double v = rt_json_f64(row, key, NAN);
    return rt_gap_is_share(row) ? rt_num_share(v) : rt_num_plain(v);
}

rt_num rt_gap_change(const json_t *row)
{
    const double d = rt_json_f64(row, "estimate", NAN), half = rt_json_f64(row, "half_width", NAN);
    rt_num size = rt_gap_is_share(row) ? rt_num_points_pm(fabs(d), half) : rt_num_pm(fabs(d), half), out;
    snprintf(out.s, sizeof out.s, "%s%.90s", d < 0 ? "\u2212" : d > 0 ? "+" : "", size.s);
    return isfinite(d) ? out : (rt_num){"unknown"};
}

rt_figure rt_figure_slice(const json_t *slice, const char *measure)
{
    const json_t *stat = json_object_get(slice, measure);
    return (rt_figure){rt_json_f64(stat, "mean", NAN), RT_INTERVAL_95 * rt_json_f64(stat, "stderr", NAN)};
}
