/* chat.c - conversations in the tokenizer's chat form, as text and as token ids with a mask. */
#include "text/chat.h"

#include <string.h>

#include "text/chat_form.h"
#include "text/chat_layout.h"
#include "text/tokenizer_impl.h"

const char *rt_chat_form(const rt_tokenizer *t)
{
    return t->chat_form ? t->chat_form->name : NULL;
}

rt_digest rt_chat_hash(const rt_tokenizer *t)
{
    const char *text = t->chat_form_named ? t->chat_form->name : t->chat_template;
    return text ? rt_sha256_of(text, strlen(text)) : (rt_digest){0};
}

/* The first tag names an unknown template to a person, its hash to a machine. */
static rt_status require_form(const rt_tokenizer *t, rt_err *err)
{
    if (t->chat_form) {
        return RT_OK;
    }
    char hex[65];
    rt_digest_hex(rt_chat_hash(t), hex);
    rt_str known = {0};
    rt_chat_form_list(&known);
    const char *of = t->from ? t->from : "the tokenizer", *forms = rt_str_cstr(&known);
    rt_status st =
        !t->chat_template
            ? rt_fail(err, RT_UNSUPPORTED, 0,
                      "'%s' has no chat template; if it was trained on one of these forms, name it with --template (a "
                      "recipe: collect.template): %s",
                      of, forms)
            : rt_fail(err, RT_UNSUPPORTED, 0,
                      "'%s' has chat template '%.40s...' (sha256 %.16s), of none of the known forms; if it is one of "
                      "these, name it with --template (a recipe: collect.template): %s",
                      of, t->chat_template, hex, forms);
    rt_str_release(&known);
    return st;
}

rt_status rt_chat_set_form(rt_tokenizer *t, const char *name, rt_err *err)
{
    const rt_chat_form_info *form = rt_chat_form_by_name(name);
    if (form) {
        t->chat_form = form;
        t->chat_form_named = true;
        rt_free(t->chat_system);
        return rt_chat_form_default(form, t->chat_template, &t->chat_system, err);
    }
    rt_str known = {0};
    rt_chat_form_list(&known);
    rt_status st = rt_fail(err, RT_USAGE, 0, "no chat form is called '%.40s'; known are %s", name, rt_str_cstr(&known));
    rt_str_release(&known);
    return st;
}

rt_status rt_chat_render(const rt_tokenizer *t, const rt_chat_message *m, size_t n, bool open_reply, rt_str *out,
                         rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_layout l = {0};
    RT_TRY(require_form(t, err));
    RT_TRY(rt_chat_lay_out(&l, t, m, n, open_reply, err));
    for (size_t i = 0; i < l.n; i++) {
        rt_str_add(out, l.parts[i].text.p, l.parts[i].text.n);
    }
    if (out->failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a conversation of %zu messages", n);
    }
out:
    rt_chat_layout_release(&l);
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
    rt_ids *ids;
    rt_mask *mask; /* NULL: not wanted */
    rt_str run;    /* text not encoded yet */
    bool after_text;
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

/* Encodes what has gathered. */
static rt_status flush(chat_encoder *e, bool counts, rt_err *err)
{
    rt_status st = RT_OK;
    if (e->run.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a message");
    }
    if (e->run.n > 0) {
        const int flags = RT_ENCODE_PLAIN | (e->after_text ? RT_ENCODE_CONTINUES : 0);
        RT_TRY(rt_encode_text(e->t, e->run.p, e->run.n, flags, e->ids, err));
        RT_TRY(extend_mask(e, counts, err));
        rt_str_clear(&e->run);
        e->after_text = true;
    }
out:
    return st;
}

/* Special tokens in template text become ids, what lies between joins the run. The first one counts when it ends a
 * reply. */
static rt_status add_template(chat_encoder *e, rt_slice text, bool ends_reply, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t from = 0; from < text.n;) {
        size_t at = text.n;
        const rt_special *s = rt_specials_next(&e->t->specials, text.p, text.n, from, &at);
        rt_str_add(&e->run, text.p + from, at - from);
        if (s) {
            RT_TRY(flush(e, false, err));
            RT_TRY(rt_ids_push(e->ids, s->id, err));
            RT_TRY(extend_mask(e, ends_reply, err));
            ends_reply = false;
            e->after_text = false;
        }
        from = at + (s ? s->text.n : 0);
    }
out:
    return st;
}

/* Template text and content are one run of text, as they are to a tokenizer that sees the rendered text. A reply is a
 * run of its own: the ids before it are then those of the open reply it was, or will be, generated from. */
static rt_status encode_parts(chat_encoder *e, const rt_chat_layout *l, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < l->n; i++) {
        const rt_chat_part *p = &l->parts[i];
        const bool was_reply = i > 0 && l->parts[i - 1].kind == RT_PART_REPLY, reply = p->kind == RT_PART_REPLY;
        if (reply != was_reply) {
            RT_TRY(flush(e, was_reply, err));
        }
        if (p->kind == RT_PART_CONTENT || reply) {
            rt_str_add(&e->run, p->text.p, p->text.n);
        } else {
            RT_TRY(add_template(e, p->text, p->kind == RT_PART_END, err));
        }
    }
    RT_TRY(flush(e, l->n > 0 && l->parts[l->n - 1].kind == RT_PART_REPLY, err));
out:
    return st;
}

static rt_status check_marks(const rt_tokenizer *t, rt_err *err)
{
    for (const char *const *mark = t->chat_form->marks; *mark; mark++) {
        const int32_t id = rt_tokenizer_find(t, *mark);
        if (id < 0 || t->vocab.tokens[id].kind == RT_TOKEN_NORMAL) {
            return rt_fail(err, RT_UNSUPPORTED, 0, "vocabulary has no special token '%s', which chat form '%s' needs",
                           *mark, t->chat_form->name);
        }
    }
    return RT_OK;
}

rt_status rt_chat_encode(const rt_tokenizer *t, const rt_chat_message *m, size_t n, bool open_reply, rt_ids *ids,
                         rt_mask *mask, rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_layout l = {0};
    chat_encoder e = {.t = t, .ids = ids, .mask = mask};
    size_t n_ids = ids->n, n_mask = mask ? mask->n : 0;
    RT_TRY(require_form(t, err));
    RT_TRY(rt_chat_lay_out(&l, t, m, n, open_reply, err));
    RT_TRY(check_marks(t, err));
    RT_TRY(extend_mask(&e, false, err));
    RT_TRY(encode_parts(&e, &l, err));
out:
    if (st != RT_OK) {
        ids->n = n_ids;
        if (mask) {
            mask->n = n_mask;
        }
    }
    rt_chat_layout_release(&l);
    rt_str_release(&e.run);
    return st;
}
