/* pretok.h - pre-tokenizers: the named rules that cut text into pieces before byte-pair encoding. */
#ifndef RT_TEXT_PRETOK_H
#define RT_TEXT_PRETOK_H

#include "core/core.h"

/* One rule as data: regexes as they are published and as a tokenizer.json has them, so that it is recognised and
 * written. */
typedef struct rt_pre {
    const char *name;           /* tokenizer.ggml.pre */
    const char *const *aliases; /* other names of the same rule; ends with NULL */
    /* Each cuts what the one before left into its matches and what lies between them; ends with NULL. NULL: no cutting.
     */
    const char *const *steps;
    bool hf_digits;     /* the first step is written as Digits(individual_digits) */
    bool hf_own;        /* the last one is ByteLevel's own regex; else it is a Split like the others */
    bool ignore_merges; /* a piece that is a token is taken whole */
    bool whole_anyway;  /* merging gives the same (tiktoken's vocabularies): ignore_merges in a tokenizer.json is no
                           matter */
    bool adds_bos;      /* default when the file does not say */
} rt_pre;

/* SentencePiece vocabularies: text is not cut. Not found by name, for GGUF files tell them by another key. */
extern const rt_pre rt_pre_whole;
/* NULL when unknown. */
const rt_pre *rt_pre_find(const char *name, size_t n);
/* By the steps of a tokenizer.json: Digits or not, n Splits, ByteLevel's own regex or not. */
const rt_pre *rt_pre_find_hf(bool digits, const char *const *splits, size_t n, bool own, bool ignore_merges);
/* "smollm, gpt-2, ..." for messages; appended. */
void rt_pre_list(rt_str *s);

/* A compiled rule: immutable, shared by threads. */
typedef struct rt_pretok rt_pretok;
RT_MUST_USE rt_status rt_pretok_open(rt_pretok **out, const rt_pre *pre, rt_err *err);
void rt_pretok_close(rt_pretok *p);

/* One walk over a text: each caller has its own. */
#define RT_PRE_MAX_STEPS 5
typedef struct rt_pretok_walk {
    const rt_pretok *rule; /* borrows */
    void *match;
    struct {
        const char *text; /* borrows; well-formed UTF-8 */
        size_t n, at;
        size_t match_end; /* beyond `at`: a match found behind what lay before it */
    } step[RT_PRE_MAX_STEPS];
} rt_pretok_walk;
RT_MUST_USE rt_status rt_pretok_walk_open(rt_pretok_walk *w, const rt_pretok *rule, rt_err *err);
void rt_pretok_walk_start(rt_pretok_walk *w, const char *text, size_t n);
/* *piece = the next piece; empty at the end. */
RT_MUST_USE rt_status rt_pretok_walk_next(rt_pretok_walk *w, rt_slice *piece, rt_err *err);
void rt_pretok_walk_close(rt_pretok_walk *w);

#endif
