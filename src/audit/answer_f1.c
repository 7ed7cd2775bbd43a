/* answer_f1.c - both texts as sorted words, then one walk over the two lists. */
#include "audit/answer_f1.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "audit/task_text.h"

typedef struct words {
    rt_str text;    /* what the words point into */
    rt_slice *word; /* sorted */
    size_t n;
} words;

static int by_text(const void *a, const void *b)
{
    const rt_slice *x = a, *y = b;
    const int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_article(rt_slice w)
{
    return rt_slice_eq(w, "a") || rt_slice_eq(w, "an") || rt_slice_eq(w, "the");
}

static rt_status split(words *w, rt_slice s, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str lower = {0};
    rt_text_lower(&lower, s);
    for (size_t i = 0; i < lower.n; i++) {
        if (!ispunct((unsigned char)lower.p[i])) {
            rt_str_putc(&w->text, lower.p[i]);
        }
    }
    if (lower.failed || w->text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for an answer");
    }
    RT_TRY(RT_NEW(&w->word, w->text.n / 2 + 1, "words of an answer", err));
    for (size_t at = 0; at < w->text.n;) {
        size_t end = at;
        while (end < w->text.n && !is_blank(w->text.p[end])) {
            end++;
        }
        const rt_slice word = {w->text.p + at, end - at};
        if (word.n > 0 && !is_article(word)) {
            w->word[w->n++] = word;
        }
        at = end + 1;
    }
    qsort(w->word, w->n, sizeof *w->word, by_text);
out:
    rt_str_release(&lower);
    return st;
}

static void release(words *w)
{
    rt_str_release(&w->text);
    rt_free(w->word);
}

static size_t common(const words *a, const words *b)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        const int order = by_text(&a->word[i], &b->word[k]);
        n += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    return n;
}

rt_status rt_answer_f1(double *f1, rt_slice answer, rt_slice gold, rt_err *err)
{
    rt_status st = RT_OK;
    words a = {0}, g = {0};
    RT_TRY(split(&a, answer, err));
    RT_TRY(split(&g, gold, err));
    /* 2PR/(P+R) with P = c/a and R = c/g is 2c/(a+g) */
    *f1 = a.n + g.n > 0 ? 2.0 * (double)common(&a, &g) / (double)(a.n + g.n) : 1.0;
out:
    release(&a);
    release(&g);
    return st;
}
