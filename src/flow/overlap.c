/* overlap.c - ids, texts and runs of words as sorted hashes. */
#include "flow/overlap.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { RUN = 13, FORM_SHARE = 10 };

typedef struct print { /* of something in a held-out row */
    uint64_t hash;
    size_t row;
} print;

typedef struct prints {
    print *p;
    size_t n, cap;
} prints;

struct rt_overlap {
    prints of[RT_OVERLAP_KINDS]; /* sorted */
};

const char *rt_overlap_name(rt_overlap_how how)
{
    static const char *const names[RT_OVERLAP_KINDS] = {"none", "id", "text", "words"};
    return names[how];
}

static rt_status add(prints *list, uint64_t hash, size_t row, rt_err *err)
{
    if (list->n == list->cap) {
        const size_t cap = list->cap > 0 ? list->cap * 2 : 256;
        print *grown = rt_realloc(list->p, cap * sizeof *grown);
        if (grown == NULL) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for held-out rows");
        }
        list->p = grown;
        list->cap = cap;
    }
    list->p[list->n++] = (print){hash, row};
    return RT_OK;
}

static int by_hash(const void *a, const void *b)
{
    const print *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash ? 1 : -1) : (x->row > y->row) - (x->row < y->row);
}

/* --- words -------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Lower case, without punctuation around, one line feed behind each; where[i] is the end of word i. */
typedef struct words {
    rt_str text;
    size_t *where;
    size_t n;
} words;

static void add_word(words *w, const char *p, size_t n)
{
    size_t from = 0, to = n;
    while (from < to && ispunct((unsigned char)p[from])) {
        from++;
    }
    while (to > from && ispunct((unsigned char)p[to - 1])) {
        to--;
    }
    if (from == to) { /* nothing else: "+" and "-" are not the same */
        from = 0;
        to = n;
    }
    for (size_t i = from; i < to; i++) {
        rt_str_putc(&w->text, (char)tolower((unsigned char)p[i]));
    }
    rt_str_putc(&w->text, '\n');
    w->where[w->n++] = w->text.n;
}

static rt_status split(words *w, const char *text, size_t n, rt_err *err)
{
    const rt_status st = RT_NEW(&w->where, n / 2 + 1, "words of a text", err);
    if (st != RT_OK) {
        return st;
    }
    for (size_t at = 0; at < n;) {
        size_t end = at;
        while (end < n && !is_blank(text[end])) {
            end++;
        }
        if (end > at) {
            add_word(w, text + at, end - at);
        }
        at = end + 1;
    }
    return w->text.failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the words of a text") : RT_OK;
}

static void release(words *w)
{
    rt_str_release(&w->text);
    rt_free(w->where);
}

static uint64_t hash_of(const words *w, size_t first, size_t count)
{
    const size_t from = first > 0 ? w->where[first - 1] : 0, to = count > 0 ? w->where[first + count - 1] : from;
    return rt_xxh64(rt_str_cstr(&w->text) + from, to - from);
}

/* What is done with the words of a text. */
typedef rt_status (*visitor)(void *ud, const words *w, rt_err *err);

static rt_status with_words(const char *text, size_t n, visitor visit, void *ud, rt_err *err)
{
    words w = {0};
    rt_status st = split(&w, text, n, err);
    if (st == RT_OK) {
        st = visit(ud, &w, err);
    }
    release(&w);
    return st;
}

/* Runs of words lie within a turn; `whole` is all turns. */
static rt_status with_prompt(const rt_prompt_row *p, visitor turn, visitor whole, void *ud, rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_message turns[RT_PROMPT_TURNS];
    rt_str all = {0};
    const size_t n = rt_prompt_turns(p, turns);
    for (size_t i = 0; i < n; i++) {
        RT_TRY(with_words(turns[i].content, strlen(turns[i].content), turn, ud, err));
        rt_str_puts(&all, turns[i].content);
        rt_str_putc(&all, '\n');
    }
    if (all.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(with_words(rt_str_cstr(&all), all.n, whole, ud, err));
out:
    rt_str_release(&all);
    return st;
}

/* --- held-out rows ------------------------------------------------------------------------------------------------ */

static bool id_hash(const rt_prompt_row *p, uint64_t *hash)
{
    const char *id = rt_json_str(p->row, "id", NULL);
    *hash = id != NULL ? rt_xxh64(id, strlen(id)) : 0;
    return id != NULL;
}

typedef struct adding {
    rt_overlap *o;
    size_t row;
} adding;

static rt_status add_runs(void *ud, const words *w, rt_err *err)
{
    rt_status st = RT_OK;
    const adding *a = ud;
    for (size_t i = 0; i + RUN <= w->n; i++) {
        RT_TRY(add(&a->o->of[RT_OVERLAP_WORDS], hash_of(w, i, RUN), a->row, err));
    }
out:
    return st;
}

static rt_status add_text(void *ud, const words *w, rt_err *err)
{
    const adding *a = ud;
    return add(&a->o->of[RT_OVERLAP_TEXT], hash_of(w, 0, w->n), a->row, err);
}

static rt_status add_row(rt_overlap *o, const rt_prompt_row *p, size_t row, rt_err *err)
{
    uint64_t id;
    const rt_status st = with_prompt(p, add_runs, add_text, &(adding){o, row}, err);
    return st == RT_OK && id_hash(p, &id) ? add(&o->of[RT_OVERLAP_ID], id, row, err) : st;
}

/* Leaves out what too many rows have; entries are sorted. */
static void drop_form(prints *list, size_t n_rows)
{
    const size_t most = n_rows / FORM_SHARE > 1 ? n_rows / FORM_SHARE : 1;
    size_t kept = 0;
    for (size_t i = 0, end; i < list->n; i = end) {
        size_t rows = 1;
        for (end = i + 1; end < list->n && list->p[end].hash == list->p[i].hash; end++) {
            rows += list->p[end].row != list->p[end - 1].row;
        }
        if (rows <= most) {
            list->p[kept++] = list->p[i];
        }
    }
    list->n = kept;
}

rt_status rt_overlap_new(rt_overlap **out, const rt_prompts *held_out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_overlap *o = NULL;
    RT_TRY(RT_NEW(&o, 1, "held-out rows", err));
    for (size_t i = 0; i < held_out->n; i++) {
        RT_TRY(add_row(o, &held_out->rows[i], i, err));
    }
    for (int k = 0; k < RT_OVERLAP_KINDS; k++) {
        if (o->of[k].n > 0) {
            qsort(o->of[k].p, o->of[k].n, sizeof *o->of[k].p, by_hash);
        }
    }
    drop_form(&o->of[RT_OVERLAP_WORDS], held_out->n);
    *out = o;
    o = NULL;
out:
    rt_overlap_free(o);
    return st;
}

void rt_overlap_free(rt_overlap *o)
{
    for (int k = 0; o != NULL && k < RT_OVERLAP_KINDS; k++) {
        rt_free(o->of[k].p);
    }
    rt_free(o);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static const print *find(const prints *list, uint64_t hash)
{
    size_t lo = 0, hi = list->n;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (list->p[mid].hash < hash) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < list->n && list->p[lo].hash == hash ? &list->p[lo] : NULL;
}

typedef struct asking {
    const rt_overlap *o;
    const print *text, *run; /* what was found; NULL: nothing */
} asking;

static rt_status ask_runs(void *ud, const words *w, rt_err *err)
{
    asking *a = ud;
    (void)err;
    for (size_t i = 0; i + RUN <= w->n && a->run == NULL; i++) {
        a->run = find(&a->o->of[RT_OVERLAP_WORDS], hash_of(w, i, RUN));
    }
    return RT_OK;
}

static rt_status ask_text(void *ud, const words *w, rt_err *err)
{
    asking *a = ud;
    (void)err;
    a->text = find(&a->o->of[RT_OVERLAP_TEXT], hash_of(w, 0, w->n));
    return RT_OK;
}

rt_status rt_overlap_prompt(const rt_overlap *o, const rt_prompt_row *p, rt_overlap_how *how, size_t *row, rt_err *err)
{
    uint64_t id;
    asking a = {.o = o};
    const rt_status st = with_prompt(p, ask_runs, ask_text, &a, err);
    const print *named = id_hash(p, &id) ? find(&o->of[RT_OVERLAP_ID], id) : NULL;
    const print *found = named != NULL ? named : a.text != NULL ? a.text : a.run;
    *how = found == NULL    ? RT_OVERLAP_NONE
           : named != NULL  ? RT_OVERLAP_ID
           : a.text != NULL ? RT_OVERLAP_TEXT
                            : RT_OVERLAP_WORDS;
    if (row != NULL && found != NULL) {
        *row = found->row;
    }
    return st;
}

rt_status rt_overlap_text(const rt_overlap *o, const char *text, size_t n, rt_overlap_how *how, rt_err *err)
{
    asking a = {.o = o};
    const rt_status st = with_words(text, n, ask_runs, &a, err);
    *how = a.run != NULL ? RT_OVERLAP_WORDS : RT_OVERLAP_NONE;
    return st;
}
