/* pretok.h - pre-tokenizers: the named rules that cut text into pieces before byte-pair encoding. */
#ifndef RT_TEXT_PRETOK_H
#define RT_TEXT_PRETOK_H

#include "core/core.h"

/* One rule as data. `hf_*` say how a tokenizer.json spells the same rule, so that it is recognised and written. */
typedef struct rt_pre {
    const char *name;           /* tokenizer.ggml.pre */
    const char *const *aliases; /* other names of the same rule; ends with NULL */
    const char *pattern;        /* one piece per match, and every character is in some match; NULL: not cut */
    bool hf_digits;             /* a Digits(individual_digits) step comes first */
    const char *hf_split;       /* regex of a Split step before ByteLevel; NULL: ByteLevel's own regex */
    bool ignore_merges;         /* a piece that is a token is taken whole */
    bool adds_bos;              /* default when the file does not say */
} rt_pre;

/* SentencePiece vocabularies: text is not cut. Not found by name, for GGUF files tell them by another key. */
extern const rt_pre rt_pre_whole;
/* NULL when unknown. */
const rt_pre *rt_pre_find(const char *name, size_t n);
const rt_pre *rt_pre_find_hf(bool digits, const char *split, bool ignore_merges);
/* "smollm, gpt-2, ..." for messages; appended. */
void rt_pre_list(rt_str *s);

/* A compiled rule: immutable, shared by threads. */
typedef struct rt_pretok rt_pretok;
RT_MUST_USE rt_status rt_pretok_open(rt_pretok **out, const rt_pre *pre, rt_err *err);
void rt_pretok_close(rt_pretok *p);

/* One walk over a text: each caller has its own. */
typedef struct rt_pretok_walk {
    const rt_pretok *rule; /* borrows */
    void *match;
    const char *text; /* borrows; well-formed UTF-8 */
    size_t n, at;
} rt_pretok_walk;
RT_MUST_USE rt_status rt_pretok_walk_open(rt_pretok_walk *w, const rt_pretok *rule, rt_err *err);
void rt_pretok_walk_start(rt_pretok_walk *w, const char *text, size_t n);
/* *piece = the next piece; empty at the end. */
RT_MUST_USE rt_status rt_pretok_walk_next(rt_pretok_walk *w, rt_slice *piece, rt_err *err);
void rt_pretok_walk_close(rt_pretok_walk *w);

#endif
