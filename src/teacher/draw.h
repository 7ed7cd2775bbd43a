/* draw.h - from one row of logits to what a cache keeps of it: draws with replacement, or the k likeliest with the mass
 * of the rest. Pure functions: equal logits, equal result. */
#ifndef RT_TEACHER_DRAW_H
#define RT_TEACHER_DRAW_H

#include "tensor/kernels.h"

/* Scratch of one thread. */
typedef struct rt_draw_scratch {
    float *z;      /* [n_vocab] */
    double *block; /* [n_vocab / 512 + 1] */
    double *u;     /* [draws] */
} rt_draw_scratch;
RT_MUST_USE rt_status rt_draw_scratch_init(rt_draw_scratch *s, int64_t n_vocab, int draws, rt_err *err);
size_t rt_draw_scratch_bytes(int64_t n_vocab, int draws);
void rt_draw_scratch_release(rt_draw_scratch *s);

/* `draws` draws from softmax(z / T) by inversion at sorted uniform numbers that depend on (seed, position) alone. ids
 * ascending, [draws] room in ids and counts. Returns the distinct ids. Overwrites z. *entropy: of the distribution,
 * nats. NaN or infinite logits give one id and a NaN entropy. */
int rt_draw_sample(float *z, int64_t n_vocab, double temperature, int draws, uint64_t seed, uint64_t position,
                   rt_draw_scratch *s, int32_t *ids, int32_t *counts, float *entropy);

/* The k largest in falling order (the lower id first among equals), log p at T, log of the mass outside. Overwrites z.
 */
void rt_draw_topk(float *z, int64_t n_vocab, double temperature, int k, int32_t *ids, float *logp, float *log_tail);

#endif
