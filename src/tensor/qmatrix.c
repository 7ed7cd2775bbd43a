/* qmatrix.c - from rows of a file's blocks to panels. */
#include "tensor/qmatrix.h"

#include <string.h>

#include "format/quant_block.h"

bool rt_qmatrix_serves(rt_dtype type, int64_t k)
{
    return (type == RT_Q4_0 || type == RT_Q4_1 || type == RT_Q8_0) && k % RT_Q_BLOCK == 0;
}

static size_t panel_bytes(rt_dtype type, int64_t k)
{
    const size_t block = (size_t)(rt_qmatrix_code_bytes(type) + rt_qmatrix_scale_bytes(type));
    return ((size_t)(k / RT_Q_BLOCK) * block + 63) & ~(size_t)63;
}

size_t rt_qmatrix_bytes(rt_dtype type, int64_t n_out, int64_t k)
{
    return (size_t)rt_qmatrix_panels(n_out) * panel_bytes(type, k);
}

rt_qmatrix rt_qmatrix_over(void *block, rt_dtype type, int64_t n_out, int64_t k)
{
    return (rt_qmatrix){.type = type,
                        .n_out = n_out,
                        .k = k,
                        .panel_bytes = panel_bytes(type, k),
                        .row_bytes = (size_t)(k / RT_Q_BLOCK) * (size_t)rt_dtype_block_bytes(type),
                        .panels = block};
}

/* Where a block of a row goes: its part of each vector of codes, its scale. */
typedef struct place {
    uint8_t *codes;
    uint16_t *scale;
} place;

static void put_four_bits(const place *to, const uint8_t *qs)
{
    for (int v = 0; v < 4; v++) {
        memcpy(to->codes + v * 4 * RT_Q_LANES, qs + 4 * v, 4);
    }
}

static void put_eight_bits(const place *to, const int8_t *qs)
{
    for (int e = 0; e < RT_Q_BLOCK; e++) {
        to->codes[e / 4 * 4 * RT_Q_LANES + e % 4] = (uint8_t)(qs[e] + 128);
    }
}

void rt_qmatrix_put_row(const rt_qmatrix *q, int64_t i, const void *blocks)
{
    const int64_t n = q->k / RT_Q_BLOCK, lane = i % RT_Q_LANES;
    uint8_t *panel = q->panels + (size_t)(i / RT_Q_LANES) * q->panel_bytes;
    uint8_t *scales = panel + n * rt_qmatrix_code_bytes(q->type);
    for (int64_t b = 0; b < n; b++) {
        const place to = {.codes = panel + b * rt_qmatrix_code_bytes(q->type) + 4 * lane,
                          .scale = (uint16_t *)(void *)(scales + b * rt_qmatrix_scale_bytes(q->type)) + lane};
        if (q->type == RT_Q8_0) {
            const rt_q8_0 *from = (const rt_q8_0 *)blocks + b;
            put_eight_bits(&to, from->qs);
            *to.scale = from->d;
        } else if (q->type == RT_Q4_0) {
            const rt_q4_0 *from = (const rt_q4_0 *)blocks + b;
            put_four_bits(&to, from->qs);
            *to.scale = from->d;
        } else {
            const rt_q4_1 *from = (const rt_q4_1 *)blocks + b;
            put_four_bits(&to, from->qs);
            to.scale[0] = from->d;
            to.scale[RT_Q_LANES] = from->m;
        }
    }
}
