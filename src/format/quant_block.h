/* quant_block.h - blocks of quantised weights as they lie in a file: little-endian, byte-aligned, frozen.
 * Element formulas are beside the decoders (quant_decode.c, quant_decode_k.c). */
#ifndef RT_FORMAT_QUANT_BLOCK_H
#define RT_FORMAT_QUANT_BLOCK_H

#include <stdint.h>

#include "core/dtype.h"

/* Blocks are read in place from maps of any alignment. */
#define RT_BLOCK __attribute__((packed, may_alias))

#define RT_QK 32   /* elements in a simple block */
#define RT_QKK 256 /* elements in a K block */

typedef struct RT_BLOCK rt_f16_cell {
    uint16_t h;
} rt_f16_cell;
typedef struct RT_BLOCK rt_bf16_cell {
    uint16_t b;
} rt_bf16_cell;
typedef struct RT_BLOCK rt_q4_0 {
    uint16_t d;
    uint8_t qs[16];
} rt_q4_0;
typedef struct RT_BLOCK rt_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
} rt_q4_1;
typedef struct RT_BLOCK rt_q5_0 {
    uint16_t d;
    uint32_t qh;
    uint8_t qs[16];
} rt_q5_0;
typedef struct RT_BLOCK rt_q5_1 {
    uint16_t d, m;
    uint32_t qh;
    uint8_t qs[16];
} rt_q5_1;
typedef struct RT_BLOCK rt_q8_0 {
    uint16_t d;
    int8_t qs[32];
} rt_q8_0;
typedef struct RT_BLOCK rt_q2_k {
    uint8_t scales[16], qs[64];
    uint16_t d, dmin;
} rt_q2_k;
typedef struct RT_BLOCK rt_q3_k {
    uint8_t hmask[32], qs[64], scales[12];
    uint16_t d;
} rt_q3_k;
typedef struct RT_BLOCK rt_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12], qs[128];
} rt_q4_k;
typedef struct RT_BLOCK rt_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12], qh[32], qs[128];
} rt_q5_k;
typedef struct RT_BLOCK rt_q6_k {
    uint8_t ql[128], qh[64];
    int8_t scales[16];
    uint16_t d;
} rt_q6_k;
typedef struct RT_BLOCK rt_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
} rt_iq4_nl;
typedef struct RT_BLOCK rt_iq4_xs {
    uint16_t d, scales_h;
    uint8_t scales_l[4], qs[128];
} rt_iq4_xs;
typedef struct RT_BLOCK rt_tq1_0 {
    uint8_t qs[48], qh[4];
    uint16_t d;
} rt_tq1_0;
typedef struct RT_BLOCK rt_tq2_0 {
    uint8_t qs[64];
    uint16_t d;
} rt_tq2_0;
typedef struct RT_BLOCK rt_mxfp4 {
    uint8_t e, qs[16];
} rt_mxfp4;
typedef struct RT_BLOCK rt_nvfp4 {
    uint8_t d[4], qs[32];
} rt_nvfp4;

enum {
#define RT_DTYPE(name, ggml, block, bytes, st) RT_BLOCK_BYTES_##name = bytes, RT_BLOCK_ELEMENTS_##name = block,
#include "core/dtype.def"
#undef RT_DTYPE
};

#define RT_BLOCK_IS(struct_name, name, elements)                                  \
    _Static_assert(sizeof(struct_name) == RT_BLOCK_BYTES_##name, #name " bytes"); \
    _Static_assert(elements == RT_BLOCK_ELEMENTS_##name, #name " elements")
RT_BLOCK_IS(float, F32, 1);
RT_BLOCK_IS(double, F64, 1);
RT_BLOCK_IS(rt_f16_cell, F16, 1);
RT_BLOCK_IS(rt_bf16_cell, BF16, 1);
RT_BLOCK_IS(int8_t, I8, 1);
RT_BLOCK_IS(int16_t, I16, 1);
RT_BLOCK_IS(int32_t, I32, 1);
RT_BLOCK_IS(int64_t, I64, 1);
RT_BLOCK_IS(uint8_t, U8, 1);
RT_BLOCK_IS(uint8_t, BOOL, 1);
RT_BLOCK_IS(rt_q4_0, Q4_0, RT_QK);
RT_BLOCK_IS(rt_q4_1, Q4_1, RT_QK);
RT_BLOCK_IS(rt_q5_0, Q5_0, RT_QK);
RT_BLOCK_IS(rt_q5_1, Q5_1, RT_QK);
RT_BLOCK_IS(rt_q8_0, Q8_0, RT_QK);
RT_BLOCK_IS(rt_iq4_nl, IQ4_NL, RT_QK);
RT_BLOCK_IS(rt_q2_k, Q2_K, RT_QKK);
RT_BLOCK_IS(rt_q3_k, Q3_K, RT_QKK);
RT_BLOCK_IS(rt_q4_k, Q4_K, RT_QKK);
RT_BLOCK_IS(rt_q5_k, Q5_K, RT_QKK);
RT_BLOCK_IS(rt_q6_k, Q6_K, RT_QKK);
RT_BLOCK_IS(rt_iq4_xs, IQ4_XS, RT_QKK);
RT_BLOCK_IS(rt_tq1_0, TQ1_0, RT_QKK);
RT_BLOCK_IS(rt_tq2_0, TQ2_0, RT_QKK);
RT_BLOCK_IS(rt_mxfp4, MXFP4, RT_QK);
RT_BLOCK_IS(rt_nvfp4, NVFP4, 64);
RT_BLOCK_IS(uint8_t, F8_E4M3, 1);
#undef RT_BLOCK_IS

/* Files are little-endian and read in place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "retort needs a little-endian machine");

/* The sixteen levels of IQ4_NL and IQ4_XS. */
#define RT_IQ4_LEVELS                                                            \
    {                                                                            \
        -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 \
    }

#endif
