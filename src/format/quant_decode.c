/* quant_decode.c - exact decoding: simple types and blocks of 32. Products and sums are rounded one by one, as
 * gguf-py does, so this file must not be compiled to fused multiply-adds. Inner loops have constant trip counts
 * and no tables (but IQ4's sixteen levels) so that the compiler turns them into vector code. */
#include <string.h>

#include "format/half.h"
#include "format/quant.h"
#include "format/quant_block.h"
#include "format/quant_decode.h"

float rt_f16_to_f32(uint16_t h)
{
    return rt_half_decode(h);
}

static void decode_f32(const void *src, float *restrict dst, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void decode_f64(const void *src, float *restrict dst, int64_t n)
{
    const uint8_t *p = src;
    for (int64_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, p + (size_t)i * sizeof v, sizeof v);
        dst[i] = (float)v;
    }
}

static void decode_f16(const void *src, float *restrict dst, int64_t n)
{
    const rt_f16_cell *c = src;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int j = 0; j < 16; j++) {
            dst[i + j] = rt_half_decode(c[i + j].h);
        }
    }
    for (; i < n; i++) {
        dst[i] = rt_half_decode(c[i].h);
    }
}

static void decode_bf16(const void *src, float *restrict dst, int64_t n)
{
    const rt_bf16_cell *c = src;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int j = 0; j < 16; j++) {
            dst[i + j] = rt_bf16_to_f32(c[i + j].b);
        }
    }
    for (; i < n; i++) {
        dst[i] = rt_bf16_to_f32(c[i].b);
    }
}

/* x = d (q - 8); the low nibbles are elements 0..15, the high ones 16..31, here and below */
static void decode_q4_0(const void *src, float *restrict dst, int64_t n)
{
    const rt_q4_0 *b = src;
    for (int64_t i = 0; i < n; i++, dst += RT_QK) {
        float d = rt_half_decode(b[i].d);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)((b[i].qs[j] & 15) - 8);
            dst[j + 16] = d * (float)((b[i].qs[j] >> 4) - 8);
        }
    }
}

/* x = d q + m */
static void decode_q4_1(const void *src, float *restrict dst, int64_t n)
{
    const rt_q4_1 *b = src;
    for (int64_t i = 0; i < n; i++, dst += RT_QK) {
        float d = rt_half_decode(b[i].d), m = rt_half_decode(b[i].m);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)(b[i].qs[j] & 15) + m;
            dst[j + 16] = d * (float)(b[i].qs[j] >> 4) + m;
        }
    }
}

/* bit j of qh is bit 4 of element j */
static inline int q5_low(uint8_t q, uint32_t qh, int j)
{
    return (int)((q & 15u) | (qh >> j & 1u) << 4);
}

static inline int q5_high(uint8_t q, uint32_t qh, int j)
{
    return (int)((uint32_t)q >> 4 | (qh >> (j + 16) & 1u) << 4);
}

static void decode_q5_0(const void *src, float *restrict dst, int64_t n)
{
    const rt_q5_0 *b = src;
    for (int64_t i = 0; i < n; i++, dst += RT_QK) {
        float d = rt_half_decode(b[i].d);
        uint32_t qh = b[i].qh;
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)(q5_low(b[i].qs[j], qh, j) - 16);
            dst[j + 16] = d * (float)(q5_high(b[i].qs[j], qh, j) - 16);
        }
    }
}

static void decode_q5_1(const void *src, float *restrict dst, int64_t n)
{
    const rt_q5_1 *b = src;
    for (int64_t i = 0; i < n; i++, dst += RT_QK) {
        float d = rt_half_decode(b[i].d), m = rt_half_decode(b[i].m);
        uint32_t qh = b[i].qh;
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)q5_low(b[i].qs[j], qh, j) + m;
            dst[j + 16] = d * (float)q5_high(b[i].qs[j], qh, j) + m;
        }
    }
}

static void decode_q8_0(const void *src, float *restrict dst, int64_t n)
{
    const rt_q8_0 *b = src;
    for (int64_t i = 0; i < n; i++, dst += RT_QK) {
        float d = rt_half_decode(b[i].d);
        for (int j = 0; j < RT_QK; j++) {
            dst[j] = d * (float)b[i].qs[j];
        }
    }
}

static void decode_iq4_nl(const void *src, float *restrict dst, int64_t n)
{
    static const float level[16] = RT_IQ4_LEVELS;
    const rt_iq4_nl *b = src;
    for (int64_t i = 0; i < n; i++, dst += RT_QK) {
        float d = rt_half_decode(b[i].d);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * level[b[i].qs[j] & 15];
            dst[j + 16] = d * level[b[i].qs[j] >> 4];
        }
    }
}

/* Tables of small whole numbers: exact below 2^24. */
static void decode_i32(const void *src, float *restrict dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t v;
        memcpy(&v, (const char *)src + i * 4, sizeof v);
        dst[i] = (float)v;
    }
}

static void decode_i64(const void *src, float *restrict dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t v;
        memcpy(&v, (const char *)src + i * 8, sizeof v);
        dst[i] = (float)v;
    }
}

static rt_decode_fn decoder(rt_dtype t)
{
    switch (t) {
    case RT_F32: return decode_f32;
    case RT_F64: return decode_f64;
    case RT_I32: return decode_i32;
    case RT_I64: return decode_i64;
    case RT_F16: return decode_f16;
    case RT_BF16: return decode_bf16;
    case RT_Q4_0: return decode_q4_0;
    case RT_Q4_1: return decode_q4_1;
    case RT_Q5_0: return decode_q5_0;
    case RT_Q5_1: return decode_q5_1;
    case RT_Q8_0: return decode_q8_0;
    case RT_Q2_K: return rt_decode_q2_k;
    case RT_Q3_K: return rt_decode_q3_k;
    case RT_Q4_K: return rt_decode_q4_k;
    case RT_Q5_K: return rt_decode_q5_k;
    case RT_Q6_K: return rt_decode_q6_k;
    case RT_IQ4_NL: return decode_iq4_nl;
    case RT_IQ4_XS: return rt_decode_iq4_xs;
    case RT_TQ1_0: return rt_decode_tq1_0;
    case RT_TQ2_0: return rt_decode_tq2_0;
    case RT_MXFP4: return rt_decode_mxfp4;
    case RT_NVFP4: return rt_decode_nvfp4;
    case RT_F8_E4M3: return rt_decode_f8_e4m3;
    default: return NULL;
    }
}

bool rt_dtype_can_decode(rt_dtype t)
{
    return decoder(t) != NULL;
}

void rt_decode(rt_dtype t, const void *src, float *dst, int64_t n)
{
    rt_decode_fn fn = decoder(t);
    RT_BUG_IF(!fn || n < 0 || n % rt_dtype_block(t) != 0);
    if (n > 0) {
        fn(src, dst, n / rt_dtype_block(t));
    }
}
