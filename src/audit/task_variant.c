/* task_variant.c - one row as several items: other words around it, its options turned, an opinion in front. */
#include "audit/task_form.h"
#include "audit/task_reader.h"

size_t rt_task_item_variants(const rt_task *t, const json_t *row)
{
    const char *name = t->order ? rt_reader_field_of(t->choices) : NULL;
    const size_t n = name != NULL ? json_array_size(rt_form_field(row, name)) : json_array_size(t->variants);
    return n > 0 ? n : 1;
}

/* The row with what a variant's context may ask for: {wrong}, the choice behind the right one, and {lettered}, the
 * options by letters, turned by the number of the variant. */
static rt_status with_helpers(const rt_task_reader *r, json_t **out, const rt_slice *choices, size_t n)
{
    rt_status st = RT_OK;
    rt_str lettered = {0};
    int64_t gold;
    RT_TRY(rt_reader_own_gold(r, &gold));
    if (gold < 0 || gold >= (int64_t)n || n > 26) {
        RT_FAIL_OUT(r->err, RT_INPUT, 0, "the right one of %zu choices cannot be told", n);
    }
    for (size_t i = 0; i < n; i++) {
        const rt_slice c = choices[(i + r->variant) % n];
        rt_str_printf(&lettered, "%s%c. %.*s", i > 0 ? "\n" : "", (char)('A' + (int)i), (int)c.n, c.p);
    }
    const rt_slice wrong = choices[((size_t)gold + 1) % n];
    *out = json_copy((json_t *)(uintptr_t)r->row);
    if (lettered.failed || *out == NULL || json_object_set_new(*out, "wrong", json_stringn(wrong.p, wrong.n)) != 0 ||
        json_object_set_new(*out, "lettered", json_stringn(rt_str_cstr(&lettered), lettered.n)) != 0) {
        RT_FAIL_OUT(r->err, RT_MEMORY, 0, "no memory for a question");
    }
out:
    rt_str_release(&lettered);
    return st;
}

rt_status rt_reader_variant(const rt_task_reader *r)
{
    rt_status st = RT_OK;
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const rt_task *t = r->task;
    rt_slice context, list[RT_MAX_CHOICES];
    json_t *row = NULL;
    rt_task_reader own = *r;
    size_t n;
    int64_t gold;
    RT_TRY(rt_reader_texts(r, t->choices, list, &n));
    RT_TRY(with_helpers(r, &row, list, n));
    own.row = row;
    RT_TRY(rt_reader_form(&own, &context,
                          t->order ? t->context : json_string_value(json_array_get(t->variants, r->variant))));
    RT_TRY(rt_reader_own_gold(r, &gold));
    if (t->order) {
        r->item->turned = r->variant;
        gold = (gold + (int64_t)(n - r->variant)) % (int64_t)n;
        for (size_t i = 0; i < n; i++) {
            list[i] = (rt_slice){letters + i, 1};
        }
    }
    RT_TRY(rt_reader_choices(r, context, list, n));
    r->item->gold = gold;
    r->item->right = UINT64_C(1) << gold;
out:
    json_decref(row);
    return st;
}
