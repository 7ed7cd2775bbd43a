/* quant_encode.c - reference encoders, equal to gguf-py's quantize for finite values. Values that are not finite
 * give some block without undefined behaviour; the GGUF writer refuses them before they get here. */
#include <math.h>
#include <string.h>

#include "format/half.h"
#include "format/quant.h"
#include "format/quant_block.h"

uint16_t rt_f32_to_f16(float f)
{
    return rt_half_encode(f);
}

uint16_t rt_f32_to_bf16(float f)
{
    uint32_t bits = rt_f32_bits(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 64u);
    }
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static void encode_f16(const float *src, void *dst, int64_t n)
{
    rt_f16_cell *c = dst;
    for (int64_t i = 0; i < n; i++) {
        c[i].h = rt_half_encode(src[i]);
    }
}

static void encode_bf16(const float *src, void *dst, int64_t n)
{
    rt_bf16_cell *c = dst;
    for (int64_t i = 0; i < n; i++) {
        c[i].b = rt_f32_to_bf16(src[i]);
    }
}

/* 1/d, or 0 where that is no number to multiply by */
static float inverse(float d)
{
    float id = 1.0f / d;
    return isfinite(id) ? id : 0.0f;
}

/* half away from zero, for |v| <= 127 and a little more; 0 for NaN */
static int8_t round_away(float v)
{
    float a = fabsf(v);
    a = a < 128.0f ? a : 0.0f;
    int whole = (int)a;
    int q = whole + (a - (float)whole >= 0.5f);
    return (int8_t)(v < 0.0f ? -q : q);
}

/* truncated to 0..15; 0 for NaN */
static uint8_t nibble(float v)
{
    if (!(v > 0.0f)) {
        return 0;
    }
    return v < 15.0f ? (uint8_t)(int)v : 15;
}

static void encode_q8_0(const float *src, void *dst, int64_t n)
{
    rt_q8_0 *b = dst;
    for (int64_t i = 0; i < n; i++, src += RT_QK) {
        float largest = 0.0f;
        for (int j = 0; j < RT_QK; j++) {
            largest = fabsf(src[j]) > largest ? fabsf(src[j]) : largest;
        }
        float d = largest / 127.0f, id = inverse(d);
        b[i].d = rt_half_encode(d);
        for (int j = 0; j < RT_QK; j++) {
            b[i].qs[j] = round_away(src[j] * id);
        }
    }
}

/* The value of largest magnitude, with its sign, becomes level -8 exactly. */
static void encode_q4_0(const float *src, void *dst, int64_t n)
{
    rt_q4_0 *b = dst;
    for (int64_t i = 0; i < n; i++, src += RT_QK) {
        float extreme = src[0];
        for (int j = 1; j < RT_QK; j++) {
            extreme = fabsf(src[j]) > fabsf(extreme) ? src[j] : extreme;
        }
        float d = extreme / -8.0f, id = inverse(d);
        b[i].d = rt_half_encode(d);
        for (int j = 0; j < 16; j++) {
            uint32_t low = nibble(src[j] * id + 8.5f), high = nibble(src[j + 16] * id + 8.5f);
            b[i].qs[j] = (uint8_t)(low | high << 4);
        }
    }
}

static void encode_q4_1(const float *src, void *dst, int64_t n)
{
    rt_q4_1 *b = dst;
    for (int64_t i = 0; i < n; i++, src += RT_QK) {
        float least = src[0], most = src[0];
        for (int j = 1; j < RT_QK; j++) {
            least = src[j] < least ? src[j] : least;
            most = src[j] > most ? src[j] : most;
        }
        float d = (most - least) / 15.0f, id = inverse(d);
        b[i].d = rt_half_encode(d);
        b[i].m = rt_half_encode(least);
        for (int j = 0; j < 16; j++) {
            uint32_t low = nibble((src[j] - least) * id + 0.5f), high = nibble((src[j + 16] - least) * id + 0.5f);
            b[i].qs[j] = (uint8_t)(low | high << 4);
        }
    }
}

/* The nearest of 0, 0.5, 1, 1.5, 2, 3, 4, 6 with its sign; 0 for NaN. */
static uint32_t e2m1(float v)
{
    static const float above[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
    uint32_t code = 0;
    for (int i = 0; i < 7; i++) {
        code += fabsf(v) > above[i];
    }
    return code | (v < 0.0f && code > 0 ? 8u : 0u);
}

/* The largest magnitude of a block comes to lie in [4, 8). */
void rt_encode_mxfp4_split(const float *src, void *blocks, void *scales, int64_t n)
{
    RT_BUG_IF(n < 0 || n % RT_QK != 0);
    uint8_t *q = blocks, *e = scales;
    for (int64_t i = 0; i < n / RT_QK; i++, q += 16, src += RT_QK) {
        int exponent = 0;
        float largest = 0.0f;
        for (int j = 0; j < RT_QK; j++) {
            largest = fabsf(src[j]) > largest ? fabsf(src[j]) : largest;
        }
        (void)frexpf(largest, &exponent);
        exponent -= 3;
        exponent = exponent < -127 ? -127 : exponent > 127 ? 127 : exponent;
        e[i] = (uint8_t)(exponent + 127);
        for (int j = 0; j < 16; j++) {
            q[j] = (uint8_t)(e2m1(ldexpf(src[2 * j], -exponent)) | e2m1(ldexpf(src[2 * j + 1], -exponent)) << 4);
        }
    }
}

bool rt_dtype_can_encode(rt_dtype t)
{
    return t == RT_F32 || t == RT_F16 || t == RT_BF16 || t == RT_Q8_0 || t == RT_Q4_0 || t == RT_Q4_1;
}

void rt_encode(rt_dtype t, const float *src, void *dst, int64_t n)
{
    RT_BUG_IF(!rt_dtype_can_encode(t) || n < 0 || n % rt_dtype_block(t) != 0);
    int64_t blocks = n / rt_dtype_block(t);
    switch (t) {
    case RT_F16: encode_f16(src, dst, blocks); break;
    case RT_BF16: encode_bf16(src, dst, blocks); break;
    case RT_Q8_0: encode_q8_0(src, dst, blocks); break;
    case RT_Q4_0: encode_q4_0(src, dst, blocks); break;
    case RT_Q4_1: encode_q4_1(src, dst, blocks); break;
    default:
        if (n > 0) {
            memcpy(dst, src, (size_t)n * sizeof *src);
        }
    }
}
