/* chat.c - conversations in the tokenizer's chat form, as text and as token ids with a mask. */
#include "text/chat.h"

#include <string.h>

#include "text/chat_form.h"
#include "text/tokenizer_impl.h"

const char *rt_chat_form(const rt_tokenizer *t)
{
    return t->chat_form ? t->chat_form->name : NULL;
}

rt_digest rt_chat_hash(const rt_tokenizer *t)
{
    return t->chat_template ? rt_sha256_of(t->chat_template, strlen(t->chat_template)) : (rt_digest){0};
}

/* The first tag names an unknown template to a person, its hash to a machine. */
static rt_status require_form(const rt_tokenizer *t, rt_err *err)
{
    if (t->chat_form) {
        return RT_OK;
    }
    if (!t->chat_template) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "tokenizer has no chat template");
    }
    char hex[65];
    rt_digest_hex(rt_chat_hash(t), hex);
    rt_str known = {0};
    rt_chat_form_list(&known);
    rt_status st = rt_fail(err, RT_UNSUPPORTED, 0, "chat template '%.40s...' (sha256 %.16s) is none of the known: %s",
                           t->chat_template, hex, rt_str_cstr(&known));
    rt_str_release(&known);
    return st;
}

/* Roles become template text, so only those a template means are let in. */
static rt_status check_messages(const rt_chat_message *m, size_t n, rt_err *err)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    if (n == 0) {
        return rt_fail(err, RT_INPUT, 0, "conversation has no messages");
    }
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof roles / sizeof *roles; k++) {
            found = found || strcmp(m[i].role, roles[k]) == 0;
        }
        if (!found) {
            return rt_fail(err, RT_INPUT, 0, "role '%.32s' of message %zu is none of system, user, assistant, tool",
                           m[i].role, i + 1);
        }
    }
    return RT_OK;
}

/* The turn the template puts first when the conversation brings no system turn; false when there is none. */
static bool default_turn(const rt_tokenizer *t, const rt_chat_message *m, rt_chat_message *turn)
{
    *turn = (rt_chat_message){"system", t->chat_system};
    return t->chat_system && strcmp(m[0].role, "system") != 0;
}

static void render_turn(const rt_tokenizer *t, rt_chat_message m, rt_str *out)
{
    rt_str_puts(out, t->chat_form->turn_start);
    rt_str_puts(out, m.role);
    rt_str_putc(out, '\n');
    rt_str_puts(out, m.content);
    rt_str_puts(out, t->chat_form->turn_end);
    rt_str_putc(out, '\n');
}

rt_status rt_chat_render(const rt_tokenizer *t, const rt_chat_message *m, size_t n, bool open_reply, rt_str *out,
                         rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_message first;
    RT_TRY(require_form(t, err));
    RT_TRY(check_messages(m, n, err));
    if (default_turn(t, m, &first)) {
        render_turn(t, first, out);
    }
    for (size_t i = 0; i < n; i++) {
        render_turn(t, m[i], out);
    }
    if (open_reply) {
        rt_str_puts(out, t->chat_form->turn_start);
        rt_str_puts(out, "assistant\n");
    }
    if (out->failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a conversation of %zu messages", n);
    }
out:
    return st;
}

void rt_mask_release(rt_mask *mask)
{
    rt_free(mask->p);
    *mask = (rt_mask){0};
}

/* --- token ids --------------------------------------------------------------------------------------------------- */

typedef struct chat_encoder {
    const rt_tokenizer *t;
    int32_t turn_start, turn_end;
    rt_ids *ids;
    rt_mask *mask; /* NULL: not wanted */
    rt_str text;
} chat_encoder;

/* Gives all ids that have no mask value yet the value `counts`. */
static rt_status extend_mask(chat_encoder *e, bool counts, rt_err *err)
{
    rt_mask *mask = e->mask;
    if (!mask) {
        return RT_OK;
    }
    if (e->ids->n > mask->cap) {
        size_t cap = e->ids->cap;
        uint8_t *p = rt_realloc(mask->p, cap);
        if (!p) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for a loss mask of %zu tokens", cap);
        }
        mask->p = p;
        mask->cap = cap;
    }
    if (e->ids->n > mask->n) {
        memset(mask->p + mask->n, counts, e->ids->n - mask->n);
        mask->n = e->ids->n;
    }
    return RT_OK;
}

static rt_status add_id(chat_encoder *e, int32_t id, bool counts, rt_err *err)
{
    rt_status st = rt_ids_push(e->ids, id, err);
    return st == RT_OK ? extend_mask(e, counts, err) : st;
}

static rt_status add_text(chat_encoder *e, const char *text, size_t n, bool counts, rt_err *err)
{
    rt_status st = rt_encode_text(e->t, text, n, RT_ENCODE_PLAIN, e->ids, err);
    return st == RT_OK ? extend_mask(e, counts, err) : st;
}

/* Role and content are one run of text, as they are to a tokenizer that sees the rendered text. A reply is a run of its
 * own: the ids before it are then those of the open reply it was, or will be, generated from. */
static rt_status add_turn(chat_encoder *e, rt_chat_message m, rt_err *err)
{
    rt_status st = RT_OK;
    bool reply = strcmp(m.role, "assistant") == 0;
    RT_TRY(add_id(e, e->turn_start, false, err));
    rt_str_clear(&e->text);
    rt_str_puts(&e->text, m.role);
    rt_str_putc(&e->text, '\n');
    size_t n_head = e->text.n;
    rt_str_puts(&e->text, m.content);
    if (e->text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a message");
    }
    if (reply) {
        RT_TRY(add_text(e, e->text.p, n_head, false, err));
        RT_TRY(add_text(e, e->text.p + n_head, e->text.n - n_head, true, err));
    } else {
        RT_TRY(add_text(e, e->text.p, e->text.n, false, err));
    }
    RT_TRY(add_id(e, e->turn_end, reply, err));
    RT_TRY(add_text(e, "\n", 1, false, err));
out:
    return st;
}

static rt_status find_marks(chat_encoder *e, rt_err *err)
{
    const rt_chat_form_info *form = e->t->chat_form;
    e->turn_start = rt_tokenizer_find(e->t, form->turn_start);
    e->turn_end = rt_tokenizer_find(e->t, form->turn_end);
    if (e->turn_start < 0 || e->turn_end < 0) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "vocabulary lacks '%s' or '%s', which its chat template needs",
                       form->turn_start, form->turn_end);
    }
    return RT_OK;
}

rt_status rt_chat_encode(const rt_tokenizer *t, const rt_chat_message *m, size_t n, bool open_reply, rt_ids *ids,
                         rt_mask *mask, rt_err *err)
{
    rt_status st = RT_OK;
    chat_encoder e = {.t = t, .ids = ids, .mask = mask};
    size_t n_ids = ids->n, n_mask = mask ? mask->n : 0;
    rt_chat_message first;
    RT_TRY(require_form(t, err));
    RT_TRY(check_messages(m, n, err));
    RT_TRY(find_marks(&e, err));
    RT_TRY(extend_mask(&e, false, err));
    if (default_turn(t, m, &first)) {
        RT_TRY(add_turn(&e, first, err));
    }
    for (size_t i = 0; i < n; i++) {
        RT_TRY(add_turn(&e, m[i], err));
    }
    if (open_reply) {
        RT_TRY(add_id(&e, e.turn_start, false, err));
        RT_TRY(add_text(&e, "assistant\n", 10, false, err));
    }
out:
    if (st != RT_OK) {
        ids->n = n_ids;
        if (mask) {
            mask->n = n_mask;
        }
    }
    rt_str_release(&e.text);
    return st;
}
