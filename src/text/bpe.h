/* bpe.h - pair encoding of one piece of text, of bytes (GPT-2's kind) or of characters (SentencePiece's). */
#ifndef RT_TEXT_BPE_H
#define RT_TEXT_BPE_H

#include "text/tokenizer.h"
#include "text/vocab.h"

/* One merge rule; its index is its rank. */
typedef struct rt_merge {
    int32_t left, right, id;
} rt_merge;

typedef struct rt_bpe { /* zero-initialise; rt_bpe_release frees */
    rt_merge *merges;
    size_t n_merges;
    struct rt_pair_slot *slots; /* (left, right) -> rank and id */
    uint32_t mask;
    bool of_characters;    /* symbols start as characters; those without a token become their bytes */
    int32_t byte_id[256];  /* token of a single byte; -1: the byte is dropped */
    const rt_vocab *vocab; /* borrows */
    uint32_t *score_ranks; /* [vocab] by token, the highest score lowest: any pair whose text is a token may merge, and
                              no merges are listed. NULL: by the list */
    size_t longest;        /* bytes of the longest token's text */
} rt_bpe;

/* Room for n merges; add them in rank order. Byte tokens are looked up in `v`, which decides what symbols start as. */
RT_MUST_USE rt_status rt_bpe_init(rt_bpe *b, const rt_vocab *v, size_t n_merges, rt_err *err);
/* Both parts and their concatenation must be tokens. */
RT_MUST_USE rt_status rt_bpe_add(rt_bpe *b, const rt_vocab *v, rt_slice left, rt_slice right, rt_err *err);
/* Merging by score in place of a list; `scores` are those of `v` in order, none NaN. */
RT_MUST_USE rt_status rt_bpe_set_scores(rt_bpe *b, const rt_vocab *v, const float *scores, rt_err *err);
float rt_bpe_score(const rt_bpe *b, int32_t id); /* as it was set */
void rt_bpe_release(rt_bpe *b);

/* Scratch that grows with the longest piece seen: one a caller, so that threads share nothing. */
typedef struct rt_bpe_work {
    struct rt_symbol *symbols;
    uint64_t *heap;
    size_t cap;
    size_t n_queued; /* pairs queued for the latest piece, the work it took: below 3 a byte */
} rt_bpe_work;
void rt_bpe_work_release(rt_bpe_work *w);

/* Appends the ids of the piece, well-formed UTF-8 where symbols are characters: always the pair of lowest rank first,
 * of equal ranks the leftmost. O(n log n). */
RT_MUST_USE rt_status rt_bpe_encode(const rt_bpe *b, rt_bpe_work *w, const char *piece, size_t n, rt_ids *out,
                                    rt_err *err);

#endif
