/* task_item.c - a row, by its task's description, becomes contexts and continuations. */
#include "audit/task_item.h"

#include <stdio.h>
#include <string.h>

#include "audit/task_form.h"
#include "audit/task_text.h"

/* What reading one row needs. */
typedef struct reader {
    const rt_task *task;
    const json_t *row;
    rt_arena *arena;
    rt_task_item *item;
    rt_err *err;
} reader;

static rt_status no_memory(rt_err *err)
{
    return rt_fail(err, RT_MEMORY, 0, "no memory for a question");
}

static rt_status missing(const char *name, const char *what, rt_err *err)
{
    return rt_fail(err, RT_INPUT, 0, "field '%s' is missing or no %s", name, what);
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

static rt_status keep(const reader *r, rt_slice *out, const char *p, size_t n)
{
    *out = (rt_slice){rt_arena_strndup(r->arena, p, n), n};
    return out->p != NULL ? RT_OK : no_memory(r->err);
}

/* A text as the task wants it cleaned. */
static rt_status keep_clean(const reader *r, rt_slice *out, rt_slice text)
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

static rt_status keep_form(const reader *r, rt_slice *out, const char *form)
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
static rt_status keep_field(const reader *r, rt_slice *out, const json_t *text, const char *name)
{
    return json_is_string(text) ? keep(r, out, json_string_value(text), json_string_length(text))
                                : missing(name, "text", r->err);
}

/* --- requests ------------------------------------------------------------------------------------------------------
 */

static rt_status new_requests(const reader *r, size_t n)
{
    r->item->n = n;
    r->item->requests = rt_arena_alloc(r->arena, n * sizeof *r->item->requests);
    return r->item->requests != NULL ? RT_OK : no_memory(r->err);
}

static rt_status set_request(const reader *r, size_t i, rt_slice context, rt_slice choice)
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

static rt_status set_choices(const reader *r, rt_slice context, const rt_slice *choices, size_t n)
{
    rt_status st = RT_OK;
    if (n < 2) {
        RT_FAIL_OUT(r->err, RT_INPUT, 0, "%zu choices: a question has at least two", n);
    }
    RT_TRY(new_requests(r, n));
    for (size_t i = 0; i < n; i++) {
        RT_TRY(set_request(r, i, context, choices[i]));
    }
out:
    return st;
}

static rt_status set_contexts(const reader *r, const rt_slice *contexts, size_t n, rt_slice continuation)
{
    rt_status st = RT_OK;
    if (n < 2) {
        RT_FAIL_OUT(r->err, RT_INPUT, 0, "%zu choices: a question has at least two", n);
    }
    RT_TRY(new_requests(r, n));
    for (size_t i = 0; i < n; i++) {
        RT_TRY(set_request(r, i, contexts[i], continuation));
    }
out:
    return st;
}

/* --- lists ---------------------------------------------------------------------------------------------------------
 */

/* The field that a list in the description names, when it names one; else NULL: the list's own texts are meant. */
static const char *field_of(const json_t *list)
{
    const char *only = json_string_value(json_array_get(list, 0));
    return json_array_size(list) == 1 && strchr(only, '{') == NULL ? only : NULL;
}

static rt_status too_many(size_t n, rt_err *err)
{
    return rt_fail(err, RT_INPUT, 0, "%zu choices are more than %d", n, RT_MAX_CHOICES);
}

static rt_status read_texts(const reader *r, const json_t *list, rt_slice out[RT_MAX_CHOICES], size_t *n)
{
    rt_status st = RT_OK;
    const char *name = field_of(list);
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
                            : keep_form(r, &out[i], json_string_value(text)));
    }
    if (!json_is_array(texts)) {
        RT_FAIL_OUT(r->err, RT_INPUT, 0, "field '%s' is missing or no list of texts", name);
    }
out:
    return st;
}

/* Texts of the row as they stand. */
static rt_status read_finished(const reader *r, const char *key, rt_slice out[RT_MAX_CHOICES], size_t *n)
{
    rt_status st = RT_OK;
    const json_t *list = json_object_get(r->row, key);
    *n = json_array_size(list);
    if (*n > RT_MAX_CHOICES) {
        return too_many(*n, r->err);
    }
    for (size_t i = 0; i < *n; i++) {
        RT_TRY(keep_field(r, &out[i], json_array_get(list, i), key));
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

static rt_status set_gold(const reader *r, const char *name, const json_t *labels)
{
    rt_task_item *item = r->item;
    item->gold = gold_of(rt_form_field(r->row, name), labels);
    if (item->gold < 0 || item->gold >= (int64_t)item->n) {
        return rt_fail(r->err, RT_INPUT, 0, "field '%s' does not name one of the %zu choices", name, item->n);
    }
    item->right = UINT64_C(1) << item->gold;
    return RT_OK;
}

static rt_status set_truths(const reader *r)
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

static rt_status set_own_gold(const reader *r)
{
    const rt_task *t = r->task;
    const char *labels = field_of(t->labels);
    if (t->gold == NULL) {
        r->item->right = 1; /* the first */
        return RT_OK;
    }
    return set_gold(r, t->gold, labels != NULL ? rt_form_field(r->row, labels) : t->labels);
}

/* --- kinds of rows --------------------------------------------------------------------------------------------------
 */

/* Finished strings: {context, choices[], gold}, {contexts[], continuation, gold}, {context, continuation}. */
static bool is_finished(const rt_task *t, const json_t *row)
{
    const bool context = json_is_string(json_object_get(row, "context"));
    switch (t->scoring) {
    case RT_SCORING_CHOICE:
        return json_is_array(json_object_get(row, "contexts")) ||
               (context && json_is_array(json_object_get(row, "choices")));
    case RT_SCORING_GREEDY: return context && json_is_string(json_object_get(row, "continuation"));
    default: return false;
    }
}

static rt_status read_finished_row(const reader *r)
{
    rt_status st = RT_OK;
    rt_slice one, list[RT_MAX_CHOICES];
    size_t n;
    if (json_is_array(json_object_get(r->row, "contexts"))) {
        RT_TRY(keep_field(r, &one, json_object_get(r->row, "continuation"), "continuation"));
        RT_TRY(read_finished(r, "contexts", list, &n));
        RT_TRY(set_contexts(r, list, n, one));
    } else {
        RT_TRY(keep_field(r, &one, json_object_get(r->row, "context"), "context"));
        if (r->task->scoring == RT_SCORING_GREEDY) {
            RT_TRY(keep_field(r, &list[0], json_object_get(r->row, "continuation"), "continuation"));
            RT_TRY(new_requests(r, 1));
            return set_request(r, 0, one, list[0]);
        }
        RT_TRY(read_finished(r, "choices", list, &n));
        RT_TRY(set_choices(r, one, list, n));
    }
    RT_TRY(set_gold(r, "gold", NULL));
out:
    return st;
}

static rt_status read_question(const reader *r)
{
    rt_status st = RT_OK;
    const rt_task *t = r->task;
    rt_slice context, list[RT_MAX_CHOICES];
    size_t n;
    if (json_array_size(t->contexts) > 1) {
        RT_TRY(keep_form(r, &context, t->continuation));
        RT_TRY(read_texts(r, t->contexts, list, &n));
        RT_TRY(set_contexts(r, list, n, context));
        return set_own_gold(r);
    }
    RT_TRY(keep_form(r, &context, t->context));
    RT_TRY(read_texts(r, t->choices, list, &n));
    if (t->scoring == RT_SCORING_BBQ) {
        RT_TRY(rt_task_bbq(r->item, t, r->row, list, &n, r->err));
    }
    RT_TRY(set_choices(r, context, list, n));
    if (t->scoring == RT_SCORING_CHOICE) {
        RT_TRY(set_own_gold(r));
    } else if (t->scoring == RT_SCORING_MASS) {
        RT_TRY(set_truths(r));
    }
out:
    return st;
}

static rt_status read_single(const reader *r)
{
    rt_status st = RT_OK;
    const rt_task *t = r->task;
    rt_slice context = {"", 0}, text;
    RT_TRY(new_requests(r, 1));
    if (t->scoring == RT_SCORING_ROLLING) {
        RT_TRY(keep_field(r, &text, rt_form_field(r->row, t->text), t->text));
        r->item->requests[0].continuation = text;
        r->item->words = rt_text_words(text);
        r->item->bytes = (int64_t)text.n;
        return text.n > 0 ? RT_OK : rt_fail(r->err, RT_INPUT, 0, "field '%s' is empty", t->text);
    }
    RT_TRY(keep_form(r, &context, t->context));
    if (t->scoring == RT_SCORING_GREEDY) {
        RT_TRY(keep_form(r, &text, t->continuation));
        return set_request(r, 0, context, text);
    }
    r->item->requests[0].context = context;
    RT_TRY(keep_field(r, &r->item->answer, rt_form_field(r->row, t->answer), t->answer));
out:
    return st;
}

/* A prompt and the beginnings of answers, those that refuse first; without a label it should be refused. */
static rt_status read_prompt(const reader *r)
{
    rt_status st = RT_OK;
    const rt_task *t = r->task;
    const json_t *const lists[] = {t->refusing, t->complying};
    rt_slice prompt;
    size_t n = 0;
    RT_TRY(keep_form(r, &prompt, t->context));
    RT_TRY(new_requests(r, json_array_size(t->refusing) + json_array_size(t->complying)));
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < json_array_size(lists[k]); i++) {
            const json_t *text = json_array_get(lists[k], i);
            r->item->requests[n++] = (rt_task_request){
                .context = prompt, .continuation = {json_string_value(text), json_string_length(text)}};
        }
    }
    r->item->gold = 1;
    if (t->gold != NULL) {
        RT_TRY(set_gold(r, t->gold, t->labels));
    }
out:
    return st;
}

/* --- names ----------------------------------------------------------------------------------------------------------
 */

/* The row's id, else the number of its line. */
static rt_status set_id(const reader *r, uint64_t line)
{
    char number[24];
    const json_t *id = json_object_get(r->row, "id");
    snprintf(number, sizeof number, "%llu", (unsigned long long)line);
    const char *name = json_is_string(id) ? json_string_value(id) : number;
    r->item->id = rt_arena_strndup(r->arena, name, strlen(name));
    return r->item->id != NULL ? RT_OK : no_memory(r->err);
}

static rt_status set_name(const reader *r, const char **out, const char *form)
{
    rt_slice s;
    if (form == NULL) {
        return RT_OK;
    }
    const rt_status st = keep_form(r, &s, form);
    *out = st == RT_OK ? s.p : NULL;
    return st;
}

rt_status rt_task_item_read(rt_task_item *out, const rt_task *t, const json_t *row, uint64_t line, rt_arena *arena,
                            rt_err *err)
{
    rt_status st = RT_OK;
    const reader r = {.task = t, .row = row, .arena = arena, .item = out, .err = err};
    *out = (rt_task_item){.gold = 0};
    RT_TRY(set_id(&r, line));
    if (is_finished(t, row)) {
        return read_finished_row(&r);
    }
    RT_TRY(set_name(&r, &out->group, t->group));
    RT_TRY(set_name(&r, &out->category, t->category));
    switch (t->scoring) {
    case RT_SCORING_GREEDY:
    case RT_SCORING_ROLLING:
    case RT_SCORING_GENERATE: RT_TRY(read_single(&r)); break;
    case RT_SCORING_REFUSAL: RT_TRY(read_prompt(&r)); break;
    default: RT_TRY(read_question(&r)); break;
    }
out:
    return st;
}
