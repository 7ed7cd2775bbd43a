/* corpus_row.c - one JSONL row as a document: running text, prompt and answer, or a conversation. */
#include <string.h>

#include "text/corpus_impl.h"

/* Names under which data sets keep the same thing; the first one present is taken. */
static const char *const prompt_fields[] = {"prompt", "question", "instruction"};
static const char *const answer_fields[] = {"answer", "output", "completion", "response"};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const json_t *first_string(const json_t *row, const char *const *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(row, fields[i]);
        if (json_is_string(v)) {
            return v;
        }
    }
    return NULL;
}

static void add_json(rt_str *s, const json_t *v)
{
    rt_str_add(s, json_string_value(v), json_string_length(v));
}

static rt_status add_text(rt_corpus_builder *b, rt_document *d, const json_t *text, rt_err *err)
{
    rt_status st = RT_OK;
    size_t n = json_string_length(text);
    if (n == 0) {
        return RT_OK;
    }
    RT_TRY(rt_draft_open(b, err));
    RT_TRY(rt_draft_add(b, json_string_value(text), n, 0, true, err));
    RT_TRY(rt_draft_end_text(b, false, err));
    d->text_hash = rt_sha256_of(json_string_value(text), n);
out:
    return st;
}

static rt_status add_messages(rt_corpus_builder *b, rt_document *d, const rt_chat_message *m, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    /* A conversation that does not end with a reply is a prompt for one. */
    bool open_reply = n > 0 && strcmp(m[n - 1].role, "assistant") != 0;
    RT_TRY(rt_chat_render(b->t, m, n, open_reply, &text, err));
    RT_TRY(rt_chat_encode(b->t, m, n, open_reply, &b->c->ids, &b->mask, err));
    d->text_hash = rt_sha256_of(rt_str_cstr(&text), text.n);
out:
    rt_str_release(&text);
    return st;
}

static rt_status read_message(const json_t *o, size_t i, rt_chat_message *m, rt_err *err)
{
    const json_t *role = json_object_get(o, "role"), *content = json_object_get(o, "content");
    if (!json_is_string(role) || !json_is_string(content)) {
        return rt_fail(err, RT_INPUT, 0, "message %zu has no text 'role' and 'content'", i + 1);
    }
    *m = (rt_chat_message){json_string_value(role), json_string_value(content)};
    if (strlen(m->content) != json_string_length(content) || strlen(m->role) != json_string_length(role)) {
        return rt_fail(err, RT_INPUT, 0, "message %zu contains a zero byte", i + 1);
    }
    return RT_OK;
}

static rt_status add_conversation(rt_corpus_builder *b, rt_document *d, const json_t *messages, rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_message *m = NULL;
    size_t n = json_array_size(messages);
    RT_TRY(RT_NEW(&m, n, "messages of a row", err));
    for (size_t i = 0; i < n; i++) {
        RT_TRY(read_message(json_array_get(messages, i), i, &m[i], err));
    }
    RT_TRY(add_messages(b, d, m, n, err));
out:
    rt_free(m);
    return st;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What goes between them: as the row says, else a line feed unless one of the two brings white space of its own. */
static void add_between(rt_str *prompt, const rt_str *answer, const json_t *row)
{
    const json_t *between = json_object_get(row, "between");
    if (json_is_string(between)) {
        add_json(prompt, between);
    } else if (answer->n > 0 && prompt->n > 0 && !is_space(prompt->p[prompt->n - 1]) && !is_space(answer->p[0])) {
        rt_str_putc(prompt, '\n');
    }
}

/* Prompt and answer as running text: the prompt does not count. A row may ask for an end token. */
static rt_status add_pair_as_text(rt_corpus_builder *b, rt_document *d, const json_t *row, rt_str *prompt,
                                  const rt_str *answer, rt_err *err)
{
    rt_status st = RT_OK;
    rt_sha256 h;
    RT_TRY(rt_draft_open(b, err));
    add_between(prompt, answer, row);
    RT_TRY(rt_draft_add(b, rt_str_cstr(prompt), prompt->n, 0, false, err));
    if (answer->n > 0) {
        const int flags = prompt->n > 0 ? RT_ENCODE_CONTINUES : 0;
        RT_TRY(rt_draft_add(b, rt_str_cstr(answer), answer->n, flags, true, err));
        RT_TRY(rt_draft_end_text(b, rt_json_bool(row, "end", false), err));
    }
    RT_TRY(rt_sha256_open(&h, err));
    rt_sha256_add(&h, rt_str_cstr(prompt), prompt->n);
    rt_sha256_add(&h, rt_str_cstr(answer), answer->n);
    d->text_hash = rt_sha256_close(&h);
out:
    return st;
}

static rt_status add_pair_as_chat(rt_corpus_builder *b, rt_document *d, const rt_str *prompt, const rt_str *answer,
                                  rt_err *err)
{
    const rt_chat_message m[] = {{"user", rt_str_cstr(prompt)}, {"assistant", rt_str_cstr(answer)}};
    if (memchr(rt_str_cstr(prompt), 0, prompt->n) || memchr(rt_str_cstr(answer), 0, answer->n)) {
        return rt_fail(err, RT_INPUT, 0, "prompt or answer contains a zero byte");
    }
    return add_messages(b, d, m, answer->n > 0 ? 2 : 1, err);
}

static rt_status add_pair(rt_corpus_builder *b, rt_document *d, const json_t *row, const json_t *prompt_field,
                          rt_err *err)
{
    rt_status st = RT_OK;
    rt_str prompt = {0}, answer = {0};
    const json_t *input = json_object_get(row, "input");
    add_json(&prompt, prompt_field);
    if (prompt_field == json_object_get(row, "instruction") && json_string_length(input) > 0) {
        rt_str_puts(&prompt, "\n\n");
        add_json(&prompt, input);
    }
    add_json(&answer, first_string(row, answer_fields, COUNT(answer_fields)));
    if (prompt.failed || answer.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a prompt");
    }
    if (prompt.n + answer.n > 0) {
        RT_TRY(b->o->chat ? add_pair_as_chat(b, d, &prompt, &answer, err)
                          : add_pair_as_text(b, d, row, &prompt, &answer, err));
    }
out:
    rt_str_release(&prompt);
    rt_str_release(&answer);
    return st;
}

static rt_status refuse_row(const json_t *row, const char *wanted, rt_err *err)
{
    rt_str have = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        rt_str_printf(&have, "%s%.32s", have.n ? ", " : "", key);
    }
    rt_status st = rt_fail(err, RT_INPUT, 0, "row has no %s; its fields are: %.200s", wanted, rt_str_cstr(&have));
    rt_str_release(&have);
    return st;
}

static rt_status add_body(rt_corpus_builder *b, rt_document *d, const json_t *row, rt_err *err)
{
    const char *field = b->o->text_field;
    const json_t *text = json_object_get(row, field ? field : "text");
    const json_t *prompt = first_string(row, prompt_fields, COUNT(prompt_fields));
    const json_t *messages = json_object_get(row, "messages");
    if (json_is_string(text)) {
        return add_text(b, d, text, err);
    }
    if (field) {
        rt_str wanted = {0};
        rt_str_printf(&wanted, "text in the field '%.64s'", field);
        rt_status st = refuse_row(row, rt_str_cstr(&wanted), err);
        rt_str_release(&wanted);
        return st;
    }
    if (prompt) {
        return add_pair(b, d, row, prompt, err);
    }
    if (json_is_array(messages)) {
        return add_conversation(b, d, messages, err);
    }
    return refuse_row(row, "'text', 'prompt' (with 'answer') or 'messages'", err);
}

static rt_status add_names(rt_corpus_builder *b, rt_document *d, const json_t *row, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *id = json_object_get(row, "id");
    const char *origin = NULL;
    if (json_is_integer(id)) {
        char digits[24];
        (void)snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(id));
        RT_TRY(rt_corpus_keep_str(b, digits, &d->id, err));
    } else {
        RT_TRY(rt_corpus_keep_str(b, json_string_value(id), &d->id, err));
    }
    d->harmful = rt_json_bool(row, "harmful", false);
    RT_TRY(rt_corpus_keep_str(b, rt_json_str(row, "title", rt_json_str(row, "book", NULL)), &d->cluster, err));
    RT_TRY(rt_corpus_origin(b, row, &origin, err));
    d->origin = origin ? origin : d->origin;
out:
    return st;
}

rt_status rt_corpus_add_row(rt_corpus_builder *b, const json_t *row, uint64_t line, rt_err *err)
{
    rt_status st = RT_OK;
    rt_document d;
    rt_draft_begin(b, &d, line);
    RT_TRY(add_body(b, &d, row, err));
    RT_TRY(add_names(b, &d, row, err));
    RT_TRY(rt_draft_keep(b, &d, err));
out:
    return st;
}
