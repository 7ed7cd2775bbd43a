/* pieces.h - attention cut into tasks by the lengths of spans alone, so that the last task is short beside the whole
 * whatever the number of heads and threads. Private to model. */
#ifndef RT_MODEL_PIECES_H
#define RT_MODEL_PIECES_H

#include "model/net.h"
#include "tensor/kernels.h"

/* Queries [q0, q1) of one head of a span against its keys [k0, k1), rows of the span. Forward: all up to q1. */
typedef struct rt_attn_piece {
    const rt_span *span;
    int64_t head, q0, q1, k0, k1;
} rt_attn_piece;
typedef void (*rt_attn_piece_fn)(void *ud, const rt_attn_piece *piece, int thread);

void rt_attn_pieces(const rt_batch *b, int64_t heads, rt_attn_piece_fn fn, void *ud);
/* In waves: no two pieces that run together share queries or keys of a head, so all may add to dq, dk and dv, each of
 * which gets its terms in one order. The first wave, k0 == q0, meets every query and every key once. */
void rt_attn_pieces_backward(const rt_batch *b, int64_t heads, int64_t window, rt_attn_piece_fn fn, void *ud);

/* `whole`, a head over its span, narrowed to a piece of it. */
rt_attn rt_attn_of_piece(rt_attn whole, const rt_attn_piece *piece);

#endif
