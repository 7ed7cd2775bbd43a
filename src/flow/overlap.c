/* overlap.c - ids, texts and runs of words as sorted hashes. */
#include "flow/overlap.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "audit/words.h"

enum { FORM_SHARE = 10 };

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
    const rt_status st = RT_GROW(&list->p, list->n, &list->cap, "prints of held-out rows", err);
    if (st != RT_OK) {
        return st;
    }
    list->p[list->n++] = (print){hash, row};
    return RT_OK;
}

static int by_hash(const void *a, const void *b)
{
    const print *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash ? 1 : -1) : (x->row > y->row) - (x->row < y->row);
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A piece between blanks without the punctuation around it; of nothing else all: "+" and "-" are not the same. */
static void put_piece(rt_str *out, const char *p, size_t n)
{
    size_t from = 0, to = n;
    while (from < to && ispunct((unsigned char)p[from])) {
        from++;
    }
    while (to > from && ispunct((unsigned char)p[to - 1])) {
        to--;
    }
    if (from == to) {
        from = 0;
        to = n;
    }
    for (size_t i = from; i < to; i++) {
        rt_str_putc(out, (char)tolower((unsigned char)p[i]));
    }
    rt_str_putc(out, '\n');
}

/* Of a whole text, by which it is the same as another: case, white space and punctuation around its pieces aside. */
static rt_status text_hash(uint64_t *hash, const rt_str *text, rt_err *err)
{
    rt_str all = {0};
    const char *p = rt_str_cstr(text);
    for (size_t at = 0; at < text->n;) {
        size_t end = at;
        while (end < text->n && !is_blank(p[end])) {
            end++;
        }
        if (end > at) {
            put_piece(&all, p + at, end - at);
        }
        at = end + 1;
    }
    const bool failed = all.failed || text->failed;
    *hash = rt_xxh64(rt_str_cstr(&all), all.n);
    rt_str_release(&all);
    return failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the words of a text") : RT_OK;
}

/* What a prompt is known by. */
typedef struct known {
    uint64_t id, text;
    bool has_id;
    rt_str all;     /* the turns */
    rt_words words; /* of one turn: passages lie within a turn */
} known;

/* What is done with the words of a turn. */
typedef rt_status visitor(void *ud, const rt_words *w, rt_err *err);

static rt_status know(known *k, const rt_prompt_row *p, visitor *turn, void *ud, rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_message turns[RT_PROMPT_TURNS];
    const size_t n = rt_prompt_turns(p, turns);
    const char *id = rt_json_str(p->row, "id", NULL);
    k->has_id = id != NULL;
    k->id = id != NULL ? rt_xxh64(id, strlen(id)) : 0;
    for (size_t i = 0; i < n; i++) {
        k->words.n = 0;
        RT_TRY(rt_words_add(&k->words, turns[i].content, strlen(turns[i].content), err));
        RT_TRY(turn(ud, &k->words, err));
        rt_str_puts(&k->all, turns[i].content);
        rt_str_putc(&k->all, '\n');
    }
    RT_TRY(text_hash(&k->text, &k->all, err));
out:
    rt_words_release(&k->words);
    rt_str_release(&k->all);
    return st;
}

/* --- held-out rows ------------------------------------------------------------------------------------------------ */

typedef struct adding {
    prints *runs;
    size_t row;
} adding;

static rt_status add_runs(void *ud, const rt_words *w, rt_err *err)
{
    rt_status st = RT_OK;
    const adding *a = ud;
    for (size_t i = 0; i + RT_WORDS_RUN <= w->n; i++) {
        RT_TRY(add(a->runs, rt_words_hash(w, i, RT_WORDS_RUN), a->row, err));
    }
out:
    return st;
}

static rt_status add_row(rt_overlap *o, const rt_prompt_row *p, size_t row, rt_err *err)
{
    rt_status st = RT_OK;
    known k = {0};
    RT_TRY(know(&k, p, add_runs, &(adding){&o->of[RT_OVERLAP_WORDS], row}, err));
    RT_TRY(add(&o->of[RT_OVERLAP_TEXT], k.text, row, err));
    RT_TRY(k.has_id ? add(&o->of[RT_OVERLAP_ID], k.id, row, err) : RT_OK);
out:
    return st;
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
    const prints *runs;
    const print *found; /* NULL: nothing */
} asking;

static rt_status ask_runs(void *ud, const rt_words *w, rt_err *err)
{
    asking *a = ud;
    (void)err;
    for (size_t i = 0; i + RT_WORDS_RUN <= w->n && a->found == NULL; i++) {
        a->found = find(a->runs, rt_words_hash(w, i, RT_WORDS_RUN));
    }
    return RT_OK;
}

rt_status rt_overlap_prompt(const rt_overlap *o, const rt_prompt_row *p, rt_overlap_how *how, size_t *row, rt_err *err)
{
    asking a = {.runs = &o->of[RT_OVERLAP_WORDS]};
    known k = {0};
    const rt_status st = know(&k, p, ask_runs, &a, err);
    if (st != RT_OK) {
        return st;
    }
    const print *const by[RT_OVERLAP_KINDS] = {
        [RT_OVERLAP_ID] = k.has_id ? find(&o->of[RT_OVERLAP_ID], k.id) : NULL,
        [RT_OVERLAP_TEXT] = find(&o->of[RT_OVERLAP_TEXT], k.text),
        [RT_OVERLAP_WORDS] = a.found,
    };
    *how = RT_OVERLAP_NONE;
    for (int kind = RT_OVERLAP_KINDS - 1; kind > RT_OVERLAP_NONE; kind--) {
        *how = by[kind] != NULL ? (rt_overlap_how)kind : *how;
    }
    if (row != NULL && *how != RT_OVERLAP_NONE) {
        *row = by[*how]->row;
    }
    return RT_OK;
}

rt_status rt_overlap_text(const rt_overlap *o, const char *text, size_t n, rt_overlap_how *how, rt_err *err)
{
    asking a = {.runs = &o->of[RT_OVERLAP_WORDS]};
    rt_words words = {0};
    rt_status st = rt_words_add(&words, text, n, err);
    if (st == RT_OK) {
        st = ask_runs(&a, &words, err);
    }
    rt_words_release(&words);
    *how = a.found != NULL ? RT_OVERLAP_WORDS : RT_OVERLAP_NONE;
    return st;
}
