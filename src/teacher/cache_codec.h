/* cache_codec.h - how token ids and rows of (id, count) become bits. Ids are replaced by ranks of popularity within the
 * shard; a row is the sorted ranks as gaps. Rows come in kinds, and the ids a kind is fond of come first in its
 * ranking. A symbol says how long the gap is and whether the count exceeds one; its prefix code depends on where
 * in the ranking the row stands and on the entries and draws that remain. The id of the text after a row is told by
 * its place in the row. Numbers: docs/cache.md. */
#ifndef RT_TEACHER_CACHE_CODEC_H
#define RT_TEACHER_CACHE_CODEC_H

#include "teacher/cache_kinds.h"

enum {
    RT_CODEC_MAX_VOCAB = 1 << 21,
    RT_CODEC_MAX_TOTAL = 4096 /* draws, or k of top-k, in a row */
};

/* One row as it is coded. */
typedef struct rt_coded_row {
    int32_t token; /* id of the text it stands at */
    int kind;
    bool sample; /* an entropy and counts that add up to `total`; else `total` entries of count one */
    int entropy; /* in steps of 1 / RT_MODEL_ENTROPY_STEPS nats */
    int total, n;
    int32_t *ids, *counts; /* [n] by ascending rank in the kind */
} rt_coded_row;

/* Encoding goes over the same data three times: rt_encoder_note every id, rank, find kinds; walk with `out` NULL, make
 * codes; walk again. */
typedef struct rt_encoder rt_encoder;
RT_MUST_USE rt_status rt_encoder_new(rt_encoder **out, int64_t n_vocab, rt_err *err);
void rt_encoder_free(rt_encoder *e);
void rt_encoder_reset(rt_encoder *e); /* for the next shard */
void rt_encoder_note(rt_encoder *e, const int32_t *ids, int64_t n);
void rt_encoder_rank(rt_encoder *e);
/* kind [rows->n]: in, the id of the text each row stands at tells rows apart at first; out, the kind of each. */
RT_MUST_USE rt_status rt_encoder_find_kinds(rt_encoder *e, const rt_kind_rows *rows, const int32_t *tokens,
                                            uint8_t *kind, rt_err *err);
void rt_encoder_make_codes(rt_encoder *e);
void rt_encoder_put_book(rt_encoder *e, rt_bits_out *out);

void rt_encoder_begin_sequence(rt_encoder *e);
/* order[j] = index of the j-th entry in a row of this kind. */
void rt_encoder_sort(rt_encoder *e, int kind, const int32_t *ids, int n, int32_t *order);
void rt_encoder_put_row(rt_encoder *e, rt_bits_out *out, const rt_coded_row *row);
/* The next id of the text; `before`: the row in front of it, NULL: none. */
void rt_encoder_put_id(rt_encoder *e, rt_bits_out *out, const rt_coded_row *before, int32_t id);

typedef struct rt_decoder rt_decoder;
/* Reads the book. Every id it can ever give is below n_vocab, no two ranks of a kind give the same. */
RT_MUST_USE rt_status rt_decoder_new(rt_decoder **out, rt_bits_in *book, int64_t n_vocab, int version, rt_err *err);
void rt_decoder_free(rt_decoder *d);
/* kind_after [n_vocab]: the same in all calls for a sequence, zero at its beginning. In: token, sample, total, room for
 * `room` entries. False: the bits are no such row. */
bool rt_decoder_get_row(const rt_decoder *d, rt_bits_in *in, uint8_t *kind_after, int room, rt_coded_row *row);
bool rt_decoder_get_id(const rt_decoder *d, rt_bits_in *in, const rt_coded_row *before, int32_t *id);

/* Ids without rows between them. */
bool rt_decoder_get_ids(const rt_decoder *d, rt_bits_in *in, int32_t *ids, int64_t n);

/* Version 1 of the format: rows of one kind. Number of entries, or -1: the bits are no such row. */
int rt_decoder_get_row_v1(const rt_decoder *d, rt_bits_in *in, int total, int room, int32_t *ids, int32_t *counts);

#endif
