/* cache_codec.h - how token ids and rows of (id, count) become bits. Ids are replaced by ranks of popularity within the
 * shard; a row is the sorted ranks as gaps. A symbol says the gap's number of bits and whether the count exceeds one;
 * its prefix code depends on where in the ranking the row stands and how many draws remain. The end of a row needs no
 * mark: its counts add up to a known total. Books, 50 draws, 20.7 distinct ids a row: 25 bytes a row (docs/cache.md).
 */
#ifndef RT_TEACHER_CACHE_CODEC_H
#define RT_TEACHER_CACHE_CODEC_H

#include "teacher/cache_bits.h"

enum {
    RT_CODEC_MAX_VOCAB = 1 << 21,
    RT_CODEC_MAX_TOTAL = 4096 /* draws, or k of top-k, in a row */
};

/* Encoding goes over the same data three times: rt_encoder_note every id, rank; walk with `out` NULL, make codes; walk
 * again. */
typedef struct rt_encoder rt_encoder;
RT_MUST_USE rt_status rt_encoder_new(rt_encoder **out, int64_t n_vocab, rt_err *err);
void rt_encoder_free(rt_encoder *e);
void rt_encoder_reset(rt_encoder *e); /* for the next shard */
void rt_encoder_note(rt_encoder *e, const int32_t *ids, int64_t n);
void rt_encoder_rank(rt_encoder *e);
void rt_encoder_make_codes(rt_encoder *e);
void rt_encoder_put_book(const rt_encoder *e, rt_bits_out *out);

void rt_encoder_put_ids(rt_encoder *e, rt_bits_out *out, const int32_t *ids, int64_t n);
/* order[j] = index of the j-th entry in rank order. */
void rt_encoder_sort(rt_encoder *e, const int32_t *ids, int n, int32_t *order);
/* counts NULL: all one. They must add up to `total`. */
void rt_encoder_put_row(rt_encoder *e, rt_bits_out *out, const int32_t *ids, const int32_t *counts,
                        const int32_t *order, int n, int total);

typedef struct rt_decoder rt_decoder;
/* Reads the book. Every id it can ever give is below n_vocab, no two ranks give the same. */
RT_MUST_USE rt_status rt_decoder_new(rt_decoder **out, rt_bits_in *book, int64_t n_vocab, rt_err *err);
void rt_decoder_free(rt_decoder *d);
bool rt_decoder_get_ids(const rt_decoder *d, rt_bits_in *in, int32_t *ids, int64_t n);
/* Distinct ids, counts adding up to `total`; room for `max` entries. Number of entries, or -1: the bits are no such
 * row. */
int rt_decoder_get_row(const rt_decoder *d, rt_bits_in *in, int total, int max, int32_t *ids, int32_t *counts);

#endif
