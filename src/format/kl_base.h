/* kl_base.h - llama.cpp's logits file (`llama-perplexity --kl-divergence-base`): the ids of a text in chunks of n_ctx,
 * then for the positions of each chunk's second half what a model says there, 16 bits an entry. Little-endian:
 *   "_logits_", uint32 n_ctx, int32 n_vocab, int32 n_chunk, int32 ids[n_chunk][n_ctx],
 *   per scored position: float scale, float least, uint16 q[n_vocab], padded to an even number;
 * ln p(v) = scale q[v] + least; a logit that lies more than 16 below the largest is raised to that. The position with
 * index i predicts the chunk's id i + 1; scored are n_ctx/2 .. n_ctx - 2. Read from front to back, so a pipe will do.
 */
#ifndef RT_FORMAT_KL_BASE_H
#define RT_FORMAT_KL_BASE_H

#include <stdio.h>

#include "core/core.h"

typedef struct rt_kl_base_shape {
    int64_t n_ctx, n_vocab, n_chunk;
} rt_kl_base_shape;

static inline int64_t rt_kl_base_first(const rt_kl_base_shape *s)
{
    return s->n_ctx / 2;
}
/* Positions a chunk has answers for. */
static inline int64_t rt_kl_base_scored(const rt_kl_base_shape *s)
{
    return s->n_ctx - 1 - s->n_ctx / 2;
}
/* Bytes of one position. */
size_t rt_kl_base_row_bytes(int64_t n_vocab);

/* --- reading ---------------------------------------------------------------------------------------------------- */

typedef struct rt_kl_base rt_kl_base;
/* Reads header and ids; a file whose size is not what they say is refused, a pipe is believed until it ends. */
RT_MUST_USE rt_status rt_kl_base_open(rt_kl_base **out, const char *path, rt_err *err);
/* From an open stream, which stays the caller's; `name` for errors. */
RT_MUST_USE rt_status rt_kl_base_read(rt_kl_base **out, FILE *f, const char *name, rt_err *err);
void rt_kl_base_close(rt_kl_base *b); /* accepts NULL */
rt_kl_base_shape rt_kl_base_shape_of(const rt_kl_base *b);
const int32_t *rt_kl_base_ids(const rt_kl_base *b); /* [n_chunk][n_ctx], each below n_vocab */
/* The next n positions, into rows[n][rt_kl_base_row_bytes]. RT_INPUT where the file ends before, or holds no numbers.
 */
RT_MUST_USE rt_status rt_kl_base_next(rt_kl_base *b, void *rows, int64_t n, rt_err *err);

typedef struct rt_kl_base_row {
    float scale, least;
    const uint16_t *q; /* [n_vocab] */
} rt_kl_base_row;
rt_kl_base_row rt_kl_base_row_at(const void *rows, int64_t n_vocab, int64_t i);
static inline float rt_kl_base_logp(const rt_kl_base_row *r, int64_t id)
{
    return r->scale * (float)r->q[id] + r->least;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

RT_MUST_USE rt_status rt_kl_base_write_head(FILE *f, const rt_kl_base_shape *s, const int32_t *ids, const char *path,
                                            rt_err *err);
/* A position's bytes from its logits. */
void rt_kl_base_encode(void *row, const float *logits, int64_t n_vocab);

#endif
