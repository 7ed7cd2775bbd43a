/* mla.h - what the parts of latent attention share: shapes, the cached form and the indexer. Private to model.
 * Letters: R = rotated channels, KVL = width of the latent; a key/value row is [latent KVL | rotated R]. */
#ifndef RT_MODEL_MLA_H
#define RT_MODEL_MLA_H

#include "model/blocks.h"

typedef struct rt_mla_shape {
    int64_t n, d, heads;
    int64_t hd, rot, plain, v; /* widths of a head: query and key = plain + rot, value */
    int64_t ql, kvl, kva;      /* latents; kva = kvl + rot */
    int64_t q, kvb, o;         /* rows of all heads: queries, plain keys and values, outputs */
} rt_mla_shape;
rt_mla_shape rt_mla_shape_of(const rt_block_run *r);

/* Latent rows of a span, past and present, and how many precede its first row. */
typedef struct rt_mla_rows {
    const float *kv;      /* [past + n][kva] */
    const float *index_k; /* [past + n][index width] */
    int64_t past;
} rt_mla_rows;
rt_mla_rows rt_mla_rows_of(const rt_block_run *r, const rt_mla_shape *s, const rt_span *sp);

/* Attention in the latent's space (absorbed form), where a head's key projection is applied to its query and its value
 * projection to its output: one head, queries [q0, q0 + nq) of a span, at most RT_MLA_BLOCK, over `n_kv` latent rows
 * that end with that of the last query. */
#define RT_MLA_BLOCK 32
void rt_mla_absorbed(const rt_block_run *r, const rt_mla_shape *s, const rt_span *sp, int64_t head, int64_t q0,
                     int64_t nq, const float *kv, int64_t n_kv, int thread);

/* Scratch floats of a thread for the above and for attention to chosen keys, spans up to max_span. */
size_t rt_mla_absorbed_floats(const rt_hparams *hp, int64_t max_span);

/* Keys and queries of the indexer for all rows of the batch: the normed input as operand lies in a->op_d, the normed
 * query latent in a->mla.op_q. */
void rt_mla_index(const rt_block_run *r, const rt_mla_shape *s);
/* Attention of all rows to the keys their indexer leaves them. */
void rt_mla_attend_indexed(const rt_block_run *r, const rt_mla_shape *s);

#endif
