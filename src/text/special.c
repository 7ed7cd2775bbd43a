/* special.c - the sorted list of special tokens walked like a trie: all texts with a common prefix are neighbours, so
 * each further byte of the input narrows a range. */
#include "text/special.h"

#include <stdlib.h>
#include <string.h>

rt_status rt_specials_init(rt_specials *s, size_t cap, rt_err *err)
{
    return cap > 0 ? RT_NEW(&s->list, cap, "special tokens", err) : RT_OK;
}

void rt_specials_add(rt_specials *s, rt_slice text, int32_t id)
{
    s->list[s->n++] = (rt_special){text, id};
    s->opens[(uint8_t)text.p[0]] = true;
}

static int by_text(const void *pa, const void *pb)
{
    const rt_slice *a = &((const rt_special *)pa)->text, *b = &((const rt_special *)pb)->text;
    int order = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

void rt_specials_seal(rt_specials *s)
{
    if (s->n > 0) {
        qsort(s->list, s->n, sizeof *s->list, by_text);
    }
}

void rt_specials_release(rt_specials *s)
{
    rt_free(s->list);
    *s = (rt_specials){0};
}

/* First entry of [lo, hi) whose byte number `depth` is at least `byte`; an entry that ends there comes before all. */
static size_t lower_bound(const rt_specials *s, size_t lo, size_t hi, size_t depth, int byte)
{
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const rt_slice *t = &s->list[mid].text;
        int here = t->n > depth ? (uint8_t)t->p[depth] : -1;
        if (here < byte) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static const rt_special *longest_at(const rt_specials *s, const char *text, size_t n)
{
    const rt_special *found = NULL;
    size_t lo = 0, hi = s->n;
    for (size_t depth = 0; depth < n; depth++) {
        int byte = (uint8_t)text[depth];
        lo = lower_bound(s, lo, hi, depth, byte);
        hi = lower_bound(s, lo, hi, depth, byte + 1);
        if (lo == hi) {
            break;
        }
        if (s->list[lo].text.n == depth + 1) {
            found = &s->list[lo];
        }
    }
    return found;
}

const rt_special *rt_specials_next(const rt_specials *s, const char *text, size_t n, size_t from, size_t *at)
{
    if (s->n == 0) {
        return NULL;
    }
    for (size_t i = from; i < n; i++) {
        const rt_special *found = s->opens[(uint8_t)text[i]] ? longest_at(s, text + i, n - i) : NULL;
        if (found) {
            *at = i;
            return found;
        }
    }
    return NULL;
}
