/* words.c - FNV-1a of each word, XXH64 of these over a run (words.h). */
#include "audit/words.h"

static bool is_word(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

rt_status rt_words_add(rt_words *w, const char *text, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < n;) {
        uint64_t hash = 0xcbf29ce484222325u;
        const size_t first = i;
        for (; i < n && is_word((unsigned char)text[i]); i++) {
            const unsigned char c = (unsigned char)text[i];
            hash = (hash ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 0x100000001b3u;
        }
        if (i == first) {
            i++;
            continue;
        }
        RT_TRY(RT_GROW(&w->hash, w->n, &w->cap, "words of a text", err));
        w->hash[w->n++] = hash;
    }
out:
    return st;
}

void rt_words_release(rt_words *w)
{
    rt_free(w->hash);
    *w = (rt_words){0};
}

uint64_t rt_words_hash(const rt_words *w, size_t first, size_t count)
{
    return rt_xxh64(w->hash + first, count * sizeof *w->hash);
}
