/* qmatrix.h - a weight matrix in the codes of its file, re-arranged once so that vector lanes are outputs: sixteen rows
 * side by side, four neighbours along k at a time. A weight is d q + m with an unsigned code q and the f16 numbers d, m
 * of its block of 32; Q4_0 and Q8_0, whose codes are signed, have m = -8 d and m = -128 d and store no m.
 * Multiplied with rows rounded to int8 a block (kernels.h: q8_rows, qmatvec). */
#ifndef RT_TENSOR_QMATRIX_H
#define RT_TENSOR_QMATRIX_H

#include "core/core.h"

#define RT_Q_LANES 16 /* outputs of a panel */
#define RT_Q_BLOCK 32 /* weights, and elements of a row, that share a scale */

/* Panel: codes of block 0, 1, ..., then scales of block 0, 1, ...
 * Codes of a block: element e of lane j in byte 4 j + e % 4 of vector e / 4, vectors of 64 bytes; of four bits,
 * elements e and e + 16 share a byte, the first in its low half. Scales of a block: d of the lanes, then m of the
 * lanes. */
typedef struct rt_qmatrix {
    rt_dtype type; /* Q4_0, Q4_1 or Q8_0 */
    int64_t n_out, k;
    size_t panel_bytes;
    size_t row_bytes; /* in the file */
    uint8_t *panels;  /* [rt_qmatrix_panels], 64-byte aligned; borrowed */
} rt_qmatrix;

/* Rows of activations as codes: x ~ d q in each block. */
typedef struct rt_q8_rows {
    int64_t k;
    int8_t *codes; /* [n][k] */
    float *scales; /* [n][2 k / 32]: of each block d and d times the sum of its codes */
} rt_q8_rows;

/* Whether rows of k weights of this type can be kept as they are. */
bool rt_qmatrix_serves(rt_dtype type, int64_t k);
size_t rt_qmatrix_bytes(rt_dtype type, int64_t n_out, int64_t k);
/* `block`: rt_qmatrix_bytes of zeros, which are rows of zeros. */
rt_qmatrix rt_qmatrix_over(void *block, rt_dtype type, int64_t n_out, int64_t k);
/* Row `i` from the blocks of a file. */
void rt_qmatrix_put_row(const rt_qmatrix *q, int64_t i, const void *blocks);

static inline int64_t rt_qmatrix_panels(int64_t n_out)
{
    return (n_out + RT_Q_LANES - 1) / RT_Q_LANES;
}

/* Bytes of codes, and of scales, of a block of a panel. */
static inline int64_t rt_qmatrix_code_bytes(rt_dtype type)
{
    return RT_Q_LANES * RT_Q_BLOCK / (type == RT_Q8_0 ? 1 : 2);
}

static inline int64_t rt_qmatrix_scale_bytes(rt_dtype type)
{
    return RT_Q_LANES * (type == RT_Q4_1 ? 4 : 2);
}

#endif
