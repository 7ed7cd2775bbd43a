/* encode.c - text to ids and back: repair, special tokens, normal form, pieces, merges. */
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

/* What one call to rt_encode_text works with; nothing of it is shared between threads. */
typedef struct encoder {
    const rt_tokenizer *t;
    rt_pretok_walk walk;
    rt_bpe_work work;
    rt_str normal; /* text in normal form C */
    rt_str mapped; /* a piece, or a run of text, in the vocabulary's alphabet */
    rt_ids *ids;
    bool continues; /* the text goes on from other text */
} encoder;

/* *id = the token that is the whole piece, -1 when there is none. */
static rt_status find_whole(encoder *e, rt_slice piece, int32_t *id, rt_err *err)
{
    *id = -1;
    if (!e->t->pre->ignore_merges) {
        return RT_OK;
    }
    rt_str_clear(&e->mapped);
    for (size_t i = 0; i < piece.n; i++) {
        rt_utf8_add(&e->mapped, rt_byte_to_char((uint8_t)piece.p[i]));
    }
    if (e->mapped.failed) {
        return rt_fail(err, RT_MEMORY, 0, "no memory to look up a piece of %zu bytes", piece.n);
    }
    *id = rt_vocab_find(&e->t->vocab, rt_str_cstr(&e->mapped), e->mapped.n);
    return RT_OK;
}

/* The whole run at once, its spaces marked; `first`: it opens the text. */
static rt_status encode_marked(encoder *e, const char *text, size_t n, bool first, rt_err *err)
{
    const rt_space_prefix prefix = first && e->continues ? RT_PREFIX_NEVER : e->t->space_prefix;
    const bool there = e->t->metaspace && text[0] == ' ';
    rt_str_clear(&e->mapped);
    if (!there && (prefix == RT_PREFIX_ALWAYS || (prefix == RT_PREFIX_FIRST && first))) {
        rt_str_puts(&e->mapped, RT_SPACE_MARK);
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] == ' ') {
            rt_str_puts(&e->mapped, RT_SPACE_MARK);
        } else {
            rt_str_putc(&e->mapped, text[i]);
        }
    }
    if (e->mapped.failed) {
        return rt_fail(err, RT_MEMORY, 0, "no memory to mark spaces in %zu bytes of text", n);
    }
    return rt_bpe_encode(&e->t->bpe, &e->work, rt_str_cstr(&e->mapped), e->mapped.n, e->ids, err);
}

/* Text without special tokens. */
static rt_status encode_run(encoder *e, const char *text, size_t n, bool first, rt_err *err)
{
    rt_status st = RT_OK;
    if (e->t->nfc) {
        rt_str_clear(&e->normal);
        RT_TRY(rt_utf8_nfc(&e->normal, text, n, err));
        if (e->normal.failed) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to normalise %zu bytes of text", n);
        }
        text = rt_str_cstr(&e->normal);
        n = e->normal.n;
    }
    if (!e->t->pretok) {
        return n > 0 ? encode_marked(e, text, n, first, err) : RT_OK;
    }
    rt_pretok_walk_start(&e->walk, text, n);
    for (;;) {
        rt_slice piece;
        RT_TRY(rt_pretok_walk_next(&e->walk, &piece, err));
        if (piece.n == 0) {
            break;
        }
        int32_t id;
        RT_TRY(find_whole(e, piece, &id, err));
        if (id >= 0) {
            RT_TRY(rt_ids_push(e->ids, id, err));
        } else {
            RT_TRY(rt_bpe_encode(&e->t->bpe, &e->work, piece.p, piece.n, e->ids, err));
        }
    }
out:
    return st;
}

static rt_status encode_all(encoder *e, const rt_specials *specials, const char *text, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t from = 0; from < n;) {
        size_t at = n;
        const rt_special *s = rt_specials_next(specials, text, n, from, &at);
        RT_TRY(encode_run(e, text + from, at - from, from == 0, err));
        if (s) {
            RT_TRY(rt_ids_push(e->ids, s->id, err));
        }
        from = at + (s ? s->text.n : 0);
    }
out:
    return st;
}

rt_status rt_encode_text(const rt_tokenizer *t, const char *text, size_t n, int flags, rt_ids *ids, rt_err *err)
{
    rt_status st = RT_OK;
    size_t n_before = ids->n;
    rt_str repaired = {0};
    encoder e = {.t = t, .ids = ids, .continues = (flags & RT_ENCODE_CONTINUES) != 0};
    if (t->pretok) {
        RT_TRY(rt_pretok_walk_open(&e.walk, t->pretok, err));
    }
    if (!rt_utf8_valid(text, n)) {
        rt_utf8_repair(&repaired, text, n);
        if (repaired.failed) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to repair %zu bytes of text", n);
        }
        text = rt_str_cstr(&repaired);
        n = repaired.n;
    }
    RT_TRY(encode_all(&e, flags & RT_ENCODE_PLAIN ? &t->user_specials : &t->specials, text, n, err));
out:
    if (st != RT_OK) {
        ids->n = n_before;
    }
    rt_pretok_walk_close(&e.walk);
    rt_bpe_work_release(&e.work);
    rt_str_release(&e.normal);
    rt_str_release(&e.mapped);
    rt_str_release(&repaired);
    return st;
}

rt_status rt_decode_id(const rt_tokenizer *t, int32_t id, rt_str *out, rt_err *err)
{
    return rt_decode_ids(t, &id, 1, out, err);
}

rt_status rt_decode_ids(const rt_tokenizer *t, const int32_t *ids, size_t n, rt_str *out, rt_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= t->vocab.n) {
            return rt_fail(err, RT_INPUT, i, "token id %d is outside the vocabulary of %d", ids[i], t->vocab.n);
        }
        const rt_slice *bytes = &t->vocab.tokens[ids[i]].bytes;
        rt_str_add(out, bytes->p, bytes->n);
    }
    return out->failed ? rt_fail(err, RT_MEMORY, 0, "no memory to decode %zu tokens", n) : RT_OK;
}
