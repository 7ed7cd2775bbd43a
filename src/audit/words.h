/* words.h - a text as words: letters and digits, in lower case, punctuation and white space between them; of anything
 * beyond ASCII every byte is part of a word. Two texts share a passage when RT_WORDS_RUN words in a row are the same:
 * the one rule by which items are looked for in the training text, and held-out rows among prompts. */
#ifndef RT_AUDIT_WORDS_H
#define RT_AUDIT_WORDS_H

#include "core/core.h"

enum { RT_WORDS_RUN = 13 };

typedef struct rt_words { /* zero-initialise; release in every case */
    uint64_t *hash;       /* [n] */
    size_t n, cap;
} rt_words;

/* Appends the words of a text. */
RT_MUST_USE rt_status rt_words_add(rt_words *w, const char *text, size_t n, rt_err *err);
void rt_words_release(rt_words *w);
/* Of `count` words in a row from `first` on. */
uint64_t rt_words_hash(const rt_words *w, size_t first, size_t count);

#endif
