/* task_reader.c - texts, choices and the right answer of a row, as its task's description names them. */
#include "audit/task_reader.h"

#include <string.h>

#include "audit/task_form.h"
#include "audit/task_text.h"

static rt_status no_memory(rt_err *err)
{
    return rt_fail(err, RT_MEMORY, 0, "no memory for a question");
}

static rt_status missing(const char *name, const char *what, rt_err *err)
{
    return rt_fail(err, RT_INPUT, 0, "field '%s' is missing or no %s", name, what);
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

static rt_status keep(const rt_task_reader *r, rt_slice *out, const char *p, size_t n)
{
    *out = (rt_slice){rt_arena_strndup(r->arena, p, n), n};
    return out->p != NULL ? RT_OK : no_memory(r->err);
}

/* A text as the task wants it cleaned. */
static rt_status keep_clean(const rt_task_reader *r, rt_slice *out, rt_slice text)
{
    rt_str s = {0};
    if (!r->task->clean_hellaswag) {
        return keep(r, out, text.p, text.n);
    }
    rt_text_clean_hellaswag(&s, text);
    const rt_status st = s.failed ? no_memory(r->err) : keep(r, out, rt_str_cstr(&s), s.n);
    rt_str_release(&s);
    return st;
}

rt_status rt_reader_form(const rt_task_reader *r, rt_slice *out, const char *form)
{
    rt_str s = {0};
    rt_status st = rt_form_expand(&s, form, r->row, r->err);
    if (st == RT_OK) {
        st = keep_clean(r, out, (rt_slice){rt_str_cstr(&s), s.n});
    }
    rt_str_release(&s);
    return st;
}

/* A text of the row as it stands. */
rt_status rt_reader_field(const rt_task_reader *r, rt_slice *out, const json_t *text, const char *name)
{
    return json_is_string(text) ? keep(r, out, json_string_value(text), json_string_length(text))
                                : missing(name, "text", r->err);
}

/* --- requests ------------------------------------------------------------------------------------------------------
 */

rt_status rt_reader_requests(const rt_task_reader *r, size_t n)
{
    r->item->n = n;
    r->item->requests = rt_arena_alloc(r->arena, n * sizeof *r->item->requests);
    return r->item->requests != NULL ? RT_OK : no_memory(r->err);
}

rt_status rt_reader_request(const rt_task_reader *r, size_t i, rt_slice context, rt_slice choice)
{
    rt_task_request *q = &r->item->requests[i];
    rt_str s = {0};
    rt_str_puts(&s, r->task->delimiter);
    rt_str_add(&s, choice.p, choice.n);
    *q = (rt_task_request){.context = context, .length = rt_text_length(choice), .bytes = (int64_t)choice.n};
    const rt_status st = choice.n == 0 ? rt_fail(r->err, RT_INPUT, 0, "a choice is empty")
                         : s.failed    ? no_memory(r->err)
                                       : keep(r, &q->continuation, rt_str_cstr(&s), s.n);
    rt_str_release(&s);
    return st;
}

rt_status rt_reader_choices(const rt_task_reader *r, rt_slice context, const rt_slice *choices, size_t n)
{
    rt_status st = RT_OK;
    if (n < 2) {
        RT_FAIL_OUT(r->err, RT_INPUT, 0, "%zu choices: a question has at least two", n);
    }
    RT_TRY(rt_reader_requests(r, n));
    for (size_t i = 0; i < n; i++) {
        RT_TRY(rt_reader_request(r, i, context, choices[i]));
    }
out:
    return st;
}

rt_status rt_reader_contexts(const rt_task_reader *r, const rt_slice *contexts, size_t n, rt_slice continuation)
{
    rt_status st = RT_OK;
    if (n < 2) {
        RT_FAIL_OUT(r->err, RT_INPUT, 0, "%zu choices: a question has at least two", n);
    }
    RT_TRY(rt_reader_requests(r, n));
    for (size_t i = 0; i < n; i++) {
        RT_TRY(rt_reader_request(r, i, contexts[i], continuation));
    }
out:
    return st;
}

/* --- lists ---------------------------------------------------------------------------------------------------------
 */

/* The field that a list in the description names, when it names one; else NULL: the list's own texts are meant. */
const char *rt_reader_field_of(const json_t *list)
{
    const char *only = json_string_value(json_array_get(list, 0));
    return json_array_size(list) == 1 && strchr(only, '{') == NULL ? only : NULL;
}

static rt_status too_many(size_t n, rt_err *err)
{
    return rt_fail(err, RT_INPUT, 0, "%zu choices are more than %d", n, RT_MAX_CHOICES);
}

rt_status rt_reader_texts(const rt_task_reader *r, const json_t *list, rt_slice out[RT_MAX_CHOICES], size_t *n)
{
    rt_status st = RT_OK;
    const char *name = rt_reader_field_of(list);
    const json_t *texts = name != NULL ? rt_form_field(r->row, name) : list;
    *n = json_array_size(texts);
    if (*n > RT_MAX_CHOICES) {
        return too_many(*n, r->err);
    }
    for (size_t i = 0; i < *n; i++) {
        const json_t *text = json_array_get(texts, i);
        if (!json_is_string(text)) {
            RT_FAIL_OUT(r->err, RT_INPUT, 0, "field '%s' is missing or no list of texts",
                        name != NULL ? name : "choices");
        }
        RT_TRY(name != NULL ? keep_clean(r, &out[i], (rt_slice){json_string_value(text), json_string_length(text)})
                            : rt_reader_form(r, &out[i], json_string_value(text)));
    }
    if (!json_is_array(texts)) {
        RT_FAIL_OUT(r->err, RT_INPUT, 0, "field '%s' is missing or no list of texts", name);
    }
out:
    return st;
}

/* Texts of the row as they stand. */
rt_status rt_reader_finished(const rt_task_reader *r, const char *key, rt_slice out[RT_MAX_CHOICES], size_t *n)
{
    rt_status st = RT_OK;
    const json_t *list = json_object_get(r->row, key);
    *n = json_array_size(list);
    if (*n > RT_MAX_CHOICES) {
        return too_many(*n, r->err);
    }
    for (size_t i = 0; i < *n; i++) {
        RT_TRY(rt_reader_field(r, &out[i], json_array_get(list, i), key));
    }
out:
    return st;
}

/* --- the right answer --------------------------------------------------------------------------------------------- */

/* A number, a number in quotes, or a label out of a list. -1: none of these. */
static int64_t gold_of(const json_t *gold, const json_t *labels)
{
    int64_t v;
    rt_slice text = {json_string_value(gold), json_string_length(gold)};
    if (json_is_integer(gold)) {
        return json_integer_value(gold);
    }
    if (!json_is_string(gold)) {
        return -1;
    }
    text = rt_text_strip(text);
    for (size_t i = 0; i < json_array_size(labels); i++) {
        const json_t *label = json_array_get(labels, i);
        if (json_is_string(label) && rt_slice_eq(text, json_string_value(label))) {
            return (int64_t)i;
        }
    }
    return labels == NULL && rt_parse_i64(json_string_value(gold), &v) ? v : -1;
}

/* Of a field, or of a form where there are braces. */
static rt_status read_gold(const rt_task_reader *r, int64_t *gold, const char *name, const json_t *labels)
{
    rt_slice text;
    if (strchr(name, '{') == NULL) {
        *gold = gold_of(rt_form_field(r->row, name), labels);
        return RT_OK;
    }
    const rt_status st = rt_reader_form(r, &text, name);
    json_t *value = st == RT_OK ? json_stringn(text.p, text.n) : NULL;
    *gold = gold_of(value, labels);
    json_decref(value);
    return st;
}

rt_status rt_reader_gold(const rt_task_reader *r, const char *name, const json_t *labels)
{
    rt_status st = RT_OK;
    rt_task_item *item = r->item;
    RT_TRY(read_gold(r, &item->gold, name, labels));
    if (item->gold < 0 || item->gold >= (int64_t)item->n) {
        RT_FAIL_OUT(r->err, RT_INPUT, 0, "field '%s' does not name one of the %zu choices", name, item->n);
    }
    item->right = UINT64_C(1) << item->gold;
out:
    return st;
}

rt_status rt_reader_truths(const rt_task_reader *r)
{
    const json_t *list = rt_form_field(r->row, r->task->truths);
    if (json_array_size(list) != r->item->n) {
        return rt_fail(r->err, RT_INPUT, 0, "field '%s' is no list of %zu numbers", r->task->truths, r->item->n);
    }
    r->item->gold = -1;
    for (size_t i = 0; i < r->item->n; i++) {
        const json_t *truth = json_array_get(list, i);
        r->item->right |= (uint64_t)(json_is_integer(truth) && json_integer_value(truth) == 1) << i;
    }
    return r->item->right != 0 ? RT_OK : rt_fail(r->err, RT_INPUT, 0, "no choice is true in '%s'", r->task->truths);
}

rt_status rt_reader_set_own_gold(const rt_task_reader *r)
{
    const rt_task *t = r->task;
    const char *labels = rt_reader_field_of(t->labels);
    if (t->gold == NULL) {
        r->item->right = 1; /* the first */
        return RT_OK;
    }
    return rt_reader_gold(r, t->gold, labels != NULL ? rt_form_field(r->row, labels) : t->labels);
}

rt_status rt_reader_own_gold(const rt_task_reader *r, int64_t *gold)
{
    const rt_task *t = r->task;
    const char *labels = rt_reader_field_of(t->labels);
    *gold = 0;
    return t->gold == NULL ? RT_OK
                           : read_gold(r, gold, t->gold, labels != NULL ? rt_form_field(r->row, labels) : t->labels);
}
