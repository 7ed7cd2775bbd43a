/* gap.c - items of two results as rows of a family (gap.h). */
#include "audit/gap.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/heldout.h"

static const rt_task_metric *metric_of(const rt_task_result *r)
{
    const rt_task_metric *norm = rt_task_result_metric(r, "acc_norm"), *acc = rt_task_result_metric(r, "acc");
    for (size_t k = 0; norm == NULL && acc == NULL && k < r->n_metrics; k++) {
        acc = strncmp(r->metrics[k].name, "exact_match", 11) == 0 ? &r->metrics[k] : NULL;
    }
    return norm != NULL ? norm : acc;
}

/* Items without a group are groups of their own, and those of one name are one. */
static rt_status read_groups(int64_t *groups, const json_t *items, rt_err *err)
{
    json_t *known = json_object(), *item;
    size_t i;
    bool fits = known != NULL;
    json_array_foreach(items, i, item)
    {
        const char *name = rt_json_str(item, "group", NULL);
        const json_t *first = name != NULL ? json_object_get(known, name) : NULL;
        groups[i] = first != NULL ? (int64_t)json_integer_value(first) : (int64_t)i;
        if (name != NULL && first == NULL) {
            fits &= json_object_set_new(known, name, json_integer((json_int_t)i)) == 0;
        }
    }
    json_decref(known);
    return fits ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for groups of items");
}

static rt_status read_values(double *t, double *s, const rt_task_result *teacher, const rt_task_result *student,
                             const char *metric, rt_err *err)
{
    for (size_t i = 0; i < (size_t)teacher->n; i++) {
        const json_t *a = json_array_get(teacher->items, i), *b = json_array_get(student->items, i);
        if (strcmp(rt_json_str(a, "id", ""), rt_json_str(b, "id", "")) != 0) {
            return rt_fail(err, RT_INPUT, i, "%s: item %zu is not the same for both models", teacher->task, i);
        }
        t[i] = rt_json_f64(json_object_get(a, "metrics"), metric, NAN);
        s[i] = rt_json_f64(json_object_get(b, "metrics"), metric, NAN);
    }
    return RT_OK;
}

/* The values that `use` takes, and their groups, closed up; how many. */
static size_t choose(double *t, double *s, int64_t *groups, size_t n, const bool *use)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (use == NULL || use[i]) {
            t[kept] = t[i];
            s[kept] = s[i];
            groups[kept++] = groups[i];
        }
    }
    return kept;
}

rt_status rt_gap_add(rt_family *f, const rt_task_result *reference, const rt_task_result *model,
                     const rt_gap_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    double *t = NULL, *s = NULL;
    int64_t *groups = NULL;
    const size_t n = (size_t)reference->n;
    const rt_task_metric *m = metric_of(reference);
    if (m == NULL) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "task %s has no share of right answers to compare", reference->task);
    }
    if (reference->n != model->n || strcmp(reference->task, model->task) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "%s: %lld items of the %s beside %lld of the %s", reference->task,
                    (long long)reference->n, f->reference, (long long)model->n, f->model);
    }
    RT_TRY(RT_NEW(&t, n, "values of items", err));
    RT_TRY(RT_NEW(&s, n, "values of items", err));
    RT_TRY(RT_NEW(&groups, n, "groups of items", err));
    RT_TRY(read_values(t, s, reference, model, m->name, err));
    RT_TRY(read_groups(groups, reference->items, err));
    RT_TRY(rt_family_add(
        f,
        &(rt_family_label){
            .name = o->name != NULL ? o->name : reference->task, .metric = m->name, .kind = reference->skill},
        t, s, choose(t, s, groups, n, o->use),
        &(rt_paired_options){.margin = o->margin, .chance = reference->chance, .groups = groups, .seed = o->seed},
        err));
out:
    rt_free(t);
    rt_free(s);
    rt_free(groups);
    return st;
}
