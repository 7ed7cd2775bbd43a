/* task_item.c - a row, by its task's description, becomes contexts and continuations. */
#include "audit/task_item.h"

#include <stdio.h>
#include <string.h>

#include "audit/task_form.h"
#include "audit/task_reader.h"
#include "audit/task_text.h"
#include "teacher/prompts.h"

static rt_status no_memory(rt_err *err)
{
    return rt_fail(err, RT_MEMORY, 0, "no memory for a question");
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

static rt_status read_finished_row(const rt_task_reader *r)
{
    rt_status st = RT_OK;
    rt_slice one, list[RT_MAX_CHOICES];
    size_t n;
    if (json_is_array(json_object_get(r->row, "contexts"))) {
        RT_TRY(rt_reader_field(r, &one, json_object_get(r->row, "continuation"), "continuation"));
        RT_TRY(rt_reader_finished(r, "contexts", list, &n));
        RT_TRY(rt_reader_contexts(r, list, n, one));
    } else {
        RT_TRY(rt_reader_field(r, &one, json_object_get(r->row, "context"), "context"));
        if (r->task->scoring == RT_SCORING_GREEDY) {
            RT_TRY(rt_reader_field(r, &list[0], json_object_get(r->row, "continuation"), "continuation"));
            RT_TRY(rt_reader_requests(r, 1));
            return rt_reader_request(r, 0, one, list[0]);
        }
        RT_TRY(rt_reader_finished(r, "choices", list, &n));
        RT_TRY(rt_reader_choices(r, one, list, n));
    }
    RT_TRY(rt_reader_gold(r, "gold", NULL));
out:
    return st;
}

static rt_status read_question(const rt_task_reader *r)
{
    rt_status st = RT_OK;
    const rt_task *t = r->task;
    rt_slice context, list[RT_MAX_CHOICES];
    size_t n;
    if (json_array_size(t->contexts) > 1) {
        RT_TRY(rt_reader_form(r, &context, t->continuation));
        RT_TRY(rt_reader_texts(r, t->contexts, list, &n));
        RT_TRY(rt_reader_contexts(r, list, n, context));
        return rt_reader_set_own_gold(r);
    }
    RT_TRY(rt_reader_form(r, &context, t->context));
    RT_TRY(rt_reader_texts(r, t->choices, list, &n));
    if (t->scoring == RT_SCORING_BBQ) {
        RT_TRY(rt_task_bbq(r->item, t, r->row, list, &n, r->err));
    }
    RT_TRY(rt_reader_choices(r, context, list, n));
    if (t->scoring == RT_SCORING_CHOICE) {
        RT_TRY(rt_reader_set_own_gold(r));
    } else if (t->scoring == RT_SCORING_MASS) {
        RT_TRY(rt_reader_truths(r));
    }
out:
    return st;
}

static rt_status keep(const rt_task_reader *r, rt_slice *out, const char *p, size_t n)
{
    *out = (rt_slice){rt_arena_strndup(r->arena, p, n), n};
    return out->p != NULL ? RT_OK : no_memory(r->err);
}

/* What is asked last, to show it; it is put to the model as a conversation. */
static rt_status keep_question(const rt_task_reader *r, rt_slice *out)
{
    rt_chat_message turns[RT_PROMPT_TURNS];
    const rt_prompt_row p = {.row = (json_t *)(uintptr_t)r->row, .path = "row"};
    const size_t n = rt_prompt_turns(&p, turns);
    return n > 0 ? keep(r, out, turns[n - 1].content, strlen(turns[n - 1].content))
                 : rt_fail(r->err, RT_INPUT, 0, "field 'messages' is missing or no list of turns");
}

/* In a chat task a whole number will do, and a conversation that ends with its answer. */
static rt_status keep_answer(const rt_task_reader *r)
{
    char digits[24];
    const json_t *gold = rt_form_field(r->row, r->task->answer);
    if (r->task->chat && json_is_integer(gold)) {
        const int n = snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(gold));
        return keep(r, &r->item->answer, digits, (size_t)n);
    }
    if (r->task->chat && gold == NULL) {
        gold = rt_prompt_closing(&(rt_prompt_row){.row = (json_t *)(uintptr_t)r->row});
    }
    return rt_reader_field(r, &r->item->answer, gold, r->task->answer);
}

static rt_status read_single(const rt_task_reader *r)
{
    rt_status st = RT_OK;
    const rt_task *t = r->task;
    rt_slice context = {"", 0}, text;
    RT_TRY(rt_reader_requests(r, 1));
    if (t->scoring == RT_SCORING_ROLLING) {
        RT_TRY(rt_reader_field(r, &text, rt_form_field(r->row, t->text), t->text));
        r->item->requests[0].continuation = text;
        r->item->words = rt_text_words(text);
        r->item->bytes = (int64_t)text.n;
        return text.n > 0 ? RT_OK : rt_fail(r->err, RT_INPUT, 0, "field '%s' is empty", t->text);
    }
    RT_TRY(rt_reader_form(r, &context, t->context));
    if (t->scoring == RT_SCORING_GREEDY) {
        RT_TRY(rt_reader_form(r, &text, t->continuation));
        return rt_reader_request(r, 0, context, text);
    }
    RT_TRY(t->chat ? keep_question(r, &context) : RT_OK);
    r->item->requests[0].context = context;
    RT_TRY(keep_answer(r));
out:
    return st;
}

/* A prompt and the beginnings of answers, those that refuse first; without a label it should be refused where it is
 * harmful. */
static rt_status read_prompt(const rt_task_reader *r)
{
    rt_status st = RT_OK;
    const rt_task *t = r->task;
    const json_t *const lists[] = {t->refusing, t->complying};
    rt_slice prompt;
    size_t n = 0;
    RT_TRY(rt_reader_form(
        r, &prompt, t->variants != NULL ? json_string_value(json_array_get(t->variants, r->variant)) : t->context));
    RT_TRY(rt_reader_requests(r, json_array_size(t->refusing) + json_array_size(t->complying)));
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < json_array_size(lists[k]); i++) {
            const json_t *text = json_array_get(lists[k], i);
            r->item->requests[n++] = (rt_task_request){
                .context = prompt, .continuation = {json_string_value(text), json_string_length(text)}};
        }
    }
    r->item->gold = r->item->secret;
    if (t->gold != NULL) {
        RT_TRY(rt_reader_gold(r, t->gold, t->labels));
        r->item->secret = rt_json_bool(r->row, "harmful", r->item->gold == 1);
    }
out:
    return st;
}

/* --- names ----------------------------------------------------------------------------------------------------------
 */

/* The row's id, else the number of its line. */
static rt_status set_id(const rt_task_reader *r, uint64_t line)
{
    char number[24];
    const json_t *id = json_object_get(r->row, "id");
    snprintf(number, sizeof number, "%llu", (unsigned long long)line);
    rt_str name = {0};
    rt_str_puts(&name, json_is_string(id) ? json_string_value(id) : number);
    const size_t own = name.n;
    if (r->variant > 0) {
        rt_str_printf(&name, "~%zu", r->variant);
    }
    r->item->id = name.failed ? NULL : rt_arena_strndup(r->arena, rt_str_cstr(&name), name.n);
    if (r->item->id != NULL && rt_task_item_variants(r->task, r->row) > 1) {
        r->item->kin = r->item->group = rt_arena_strndup(r->arena, rt_str_cstr(&name), own);
    }
    rt_str_release(&name);
    return r->item->id != NULL ? RT_OK : no_memory(r->err);
}

static rt_status set_name(const rt_task_reader *r, const char **out, const char *form)
{
    rt_slice s;
    if (form == NULL) {
        return RT_OK;
    }
    const rt_status st = rt_reader_form(r, &s, form);
    *out = st == RT_OK ? s.p : NULL;
    return st;
}

static rt_status set_side(const rt_task_reader *r)
{
    const char *side = NULL;
    const rt_status st = set_name(r, &side, r->task->side);
    for (int k = 0; st == RT_OK && side != NULL && k < 2; k++) {
        if (strcmp(side, json_string_value(json_array_get(r->task->sides, (size_t)k))) == 0) {
            r->item->side = k;
        }
    }
    return st;
}

/* A finished row may lack the fields that a name is made of: then it has none. Its kin is not told, for the choices of
 * such rows stand in any order. */
static rt_status set_finished_names(const rt_task_reader *r)
{
    rt_err missing = {0};
    rt_task_reader own = *r;
    own.err = &missing;
    const rt_status st[] = {set_name(&own, &r->item->group, r->task->group),
                            set_name(&own, &r->item->category, r->task->category), set_side(&own)};
    for (size_t i = 0; i < sizeof st / sizeof *st; i++) {
        if (st[i] == RT_MEMORY) {
            return no_memory(r->err);
        }
    }
    return RT_OK;
}

rt_status rt_task_item_read(rt_task_item *out, const rt_task *t, const json_t *row, uint64_t line, size_t variant,
                            rt_arena *arena, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_task_reader r = {.task = t, .row = row, .variant = variant, .arena = arena, .item = out, .err = err};
    *out = (rt_task_item){.variant = variant, .side = -1, .secret = rt_task_hides(t, row)};
    RT_TRY(set_id(&r, line));
    if (is_finished(t, row)) {
        if (t->order || t->variants != NULL) {
            RT_FAIL_OUT(err, RT_INPUT, 0,
                        "the row is a finished question, which cannot be asked in another way; task %s needs the "
                        "fields that its forms name",
                        t->name);
        }
        RT_TRY(set_finished_names(&r));
        return read_finished_row(&r);
    }
    RT_TRY(set_name(&r, &out->group, t->group));
    RT_TRY(set_name(&r, &out->category, t->category));
    RT_TRY(set_name(&r, &out->kin, t->kin));
    RT_TRY(set_side(&r));
    switch (t->scoring) {
    case RT_SCORING_GREEDY:
    case RT_SCORING_ROLLING:
    case RT_SCORING_GENERATE: RT_TRY(read_single(&r)); break;
    case RT_SCORING_REFUSAL: RT_TRY(read_prompt(&r)); break;
    default: RT_TRY(t->order || t->variants != NULL ? rt_reader_variant(&r) : read_question(&r)); break;
    }
out:
    return st;
}
