/* quant.h - block layouts of quantised weights: exact decoding (bit for bit as gguf-py) and reference encoding. */
#ifndef RT_FORMAT_QUANT_H
#define RT_FORMAT_QUANT_H

#include "core/core.h"

float rt_f16_to_f32(uint16_t h);
uint16_t rt_f32_to_f16(float f); /* round to nearest even */
static inline float rt_bf16_to_f32(uint16_t b)
{
    union {
        uint32_t u;
        float f;
    } x = {.u = (uint32_t)b << 16};
    return x.f;
}
uint16_t rt_f32_to_bf16(float f); /* round to nearest even, NaN made quiet */

bool rt_dtype_can_decode(rt_dtype t);
bool rt_dtype_can_encode(rt_dtype t);
/* n elements (a multiple of the block) from `src`, any decodable type; cannot fail: check with rt_dtype_can_decode
 * first. */
void rt_decode(rt_dtype t, const void *src, float *dst, int64_t n);
/* The same for MXFP4 as safetensors files keep it: 16 bytes a block of 32, byte i holding elements 2i (low) and 2i + 1,
 * and one E8M0 scale a block in a tensor of its own. */
void rt_decode_mxfp4_split(const void *blocks, const void *scales, float *dst, int64_t n);
/* Into that form: exact for values that came out of it, else the nearest of each block's levels. */
void rt_encode_mxfp4_split(const float *src, void *blocks, void *scales, int64_t n);
void rt_encode(rt_dtype t, const float *src, void *dst, int64_t n);

#endif
