/* gap_items.c - items of two results side by side (gap_items.h). */
#include "audit/gap_items.h"

#include <math.h>
#include <string.h>

rt_status rt_gap_check(const rt_family *f, const rt_task_result *reference, const rt_task_result *model, rt_err *err)
{
    if (reference->n != model->n || strcmp(reference->task, model->task) != 0) {
        return rt_fail(err, RT_INPUT, 0, "%s: %lld items of the %s beside %lld of the %s", reference->task,
                       (long long)reference->n, f->reference, (long long)model->n, f->model);
    }
    for (size_t i = 0; i < (size_t)reference->n; i++) {
        const json_t *a = json_array_get(reference->items, i), *b = json_array_get(model->items, i);
        if (strcmp(rt_json_str(a, "id", ""), rt_json_str(b, "id", "")) != 0) {
            return rt_fail(err, RT_INPUT, i, "%s: item %zu is not the same for both models", reference->task, i);
        }
    }
    return RT_OK;
}

bool rt_gap_same_model(const rt_task_result *a, const rt_task_result *b)
{
    return a->model[0] != '\0' && strcmp(a->model, b->model) == 0 && strcmp(a->precision, b->precision) == 0;
}

rt_status rt_gap_groups(int64_t *groups, const json_t *items, rt_err *err)
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

void rt_gap_values(double *out, const rt_task_result *r, const char *metric)
{
    size_t i;
    json_t *item;
    json_array_foreach(r->items, i, item)
    {
        out[i] = rt_json_f64(json_object_get(item, "metrics"), metric, NAN);
    }
}
