/* vocab.c - token store with a hash index, and the byte alphabet. */
#include "text/vocab.h"

#include <string.h>

#include "text/utf8.h"

/* The 68 bytes without a printable Latin-1 character are 0-32, 127-160 and 173, in this order from U+0100. */
uint32_t rt_byte_to_char(uint8_t b)
{
    if (b <= 32) {
        return 256u + b;
    }
    if (b >= 127 && b <= 160) {
        return 289u + (b - 127u);
    }
    return b == 173 ? 323u : b;
}

int rt_char_to_byte(uint32_t cp)
{
    if (cp < 256) {
        return rt_byte_to_char((uint8_t)cp) == cp ? (int)cp : -1;
    }
    if (cp <= 288) {
        return (int)(cp - 256);
    }
    if (cp <= 322) {
        return (int)(cp - 289 + 127);
    }
    return cp == 323 ? 173 : -1;
}

rt_status rt_vocab_init(rt_vocab *v, size_t n, rt_alphabet alphabet, rt_err *err)
{
    if (n == 0 || n > INT32_MAX / 4) {
        return rt_fail(err, RT_INPUT, 0, "vocabulary has %zu tokens", n);
    }
    v->n = (int32_t)n;
    v->alphabet = alphabet;
    return RT_NEW(&v->tokens, n, "vocabulary", err);
}

/* Decodes text written in the byte alphabet; text with any other character stands for itself, as in HF's decoder. */
static rt_status decode_bytes(rt_vocab *v, rt_slice text, rt_slice *out, rt_err *err)
{
    char *p = rt_arena_alloc(&v->arena, text.n + 1);
    if (!p) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the vocabulary");
    }
    size_t n = 0, part;
    for (size_t i = 0; i < text.n; i += part) {
        uint32_t cp = 0;
        int b = rt_utf8_char(text.p + i, text.n - i, &part, &cp) ? rt_char_to_byte(cp) : -1;
        if (b < 0) {
            *out = text;
            return RT_OK;
        }
        p[n++] = (char)b;
    }
    *out = (rt_slice){p, n};
    return RT_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int rt_named_byte(rt_slice text)
{
    if (text.n != 6 || memcmp(text.p, "<0x", 3) != 0 || text.p[5] != '>') {
        return -1;
    }
    int high = hex_digit(text.p[3]), low = hex_digit(text.p[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* U+2581 is a space, and a byte token its byte. */
static rt_status decode_spaces(rt_vocab *v, const rt_token *t, rt_slice *out, rt_err *err)
{
    char *p = rt_arena_alloc(&v->arena, t->text.n + 1);
    if (!p) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the vocabulary");
    }
    *out = (rt_slice){p, 0};
    int byte = t->kind == RT_TOKEN_BYTE ? rt_named_byte(t->text) : -1;
    if (byte >= 0) {
        p[0] = (char)byte;
        out->n = 1;
        return RT_OK;
    }
    for (size_t i = 0; i < t->text.n;) {
        bool space = t->text.n - i >= 3 && memcmp(t->text.p + i, RT_SPACE_MARK, 3) == 0;
        p[out->n++] = space ? ' ' : t->text.p[i];
        i += space ? 3 : 1;
    }
    return RT_OK;
}

rt_status rt_vocab_set(rt_vocab *v, int32_t id, rt_slice text, rt_token_kind kind, rt_err *err)
{
    if (id < 0 || id >= v->n) {
        return rt_fail(err, RT_INPUT, 0, "token id %d is outside the vocabulary of %d", id, v->n);
    }
    if (text.n == 0) {
        return rt_fail(err, RT_INPUT, 0, "token %d has an empty text", id);
    }
    if (kind < RT_TOKEN_NORMAL || kind > RT_TOKEN_BYTE) {
        return rt_fail(err, RT_INPUT, 0, "token %d has the unknown type %d", id, (int)kind);
    }
    rt_token *t = &v->tokens[id];
    if (t->text.p) {
        return rt_fail(err, RT_INPUT, 0, "token id %d is given twice", id);
    }
    char *copy = rt_arena_strndup(&v->arena, text.p, text.n);
    if (!copy) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the vocabulary");
    }
    t->text = (rt_slice){copy, text.n};
    t->kind = kind;
    t->bytes = t->text;
    if (v->alphabet == RT_ALPHABET_SPACES) {
        return kind == RT_TOKEN_CONTROL ? RT_OK : decode_spaces(v, t, &t->bytes, err);
    }
    return kind == RT_TOKEN_NORMAL ? decode_bytes(v, t->text, &t->bytes, err) : RT_OK;
}

/* Slot that holds `text`, or the free one where it belongs. */
static uint32_t slot_of(const rt_vocab *v, const char *text, size_t n)
{
    uint32_t i = (uint32_t)rt_xxh64(text, n) & v->mask;
    for (;; i = (i + 1) & v->mask) {
        int32_t id = v->slots[i];
        if (id < 0) {
            return i;
        }
        const rt_slice *s = &v->tokens[id].text;
        if (s->n == n && memcmp(s->p, text, n) == 0) {
            return i;
        }
    }
}

static rt_status fill_hole(rt_vocab *v, int32_t id, rt_err *err)
{
    char name[24];
    int n = snprintf(name, sizeof name, "[PAD%d]", id);
    return rt_vocab_set(v, id, (rt_slice){name, (size_t)n}, RT_TOKEN_UNUSED, err);
}

rt_status rt_vocab_seal(rt_vocab *v, rt_err *err)
{
    rt_status st = RT_OK;
    uint32_t n_slots = 16;
    while (n_slots < (uint32_t)v->n * 2) {
        n_slots *= 2;
    }
    RT_TRY(RT_NEW(&v->slots, n_slots, "index of the vocabulary", err));
    memset(v->slots, 0xFF, n_slots * sizeof *v->slots);
    v->mask = n_slots - 1;
    for (int32_t id = 0; id < v->n; id++) {
        if (!v->tokens[id].text.p) {
            RT_TRY(fill_hole(v, id, err));
        }
        const rt_slice *s = &v->tokens[id].text;
        uint32_t i = slot_of(v, s->p, s->n);
        if (v->slots[i] >= 0) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "tokens %d and %d have the same text '%.64s'", v->slots[i], id, s->p);
        }
        v->slots[i] = id;
    }
out:
    return st;
}

void rt_vocab_release(rt_vocab *v)
{
    rt_free(v->tokens);
    rt_free(v->slots);
    rt_arena_release(&v->arena);
    *v = (rt_vocab){0};
}

int32_t rt_vocab_find(const rt_vocab *v, const char *text, size_t n)
{
    return v->slots[slot_of(v, text, n)];
}

int32_t rt_vocab_n_used(const rt_vocab *v)
{
    int32_t n = v->n;
    while (n > 0 && v->tokens[n - 1].kind == RT_TOKEN_UNUSED) {
        n--;
    }
    return n;
}
