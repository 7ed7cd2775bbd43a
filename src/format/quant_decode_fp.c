/* quant_decode_fp.c - exact decoding of small floating-point numbers: E2M1 (four bits) under a shared scale, E4M3
 * (eight bits). Worker threads flush subnormals, so no step of the arithmetic may pass through one. */
#include "format/half.h"
#include "format/quant.h"
#include "format/quant_block.h"
#include "format/quant_decode.h"

/* Twice the values of E2M1, which makes them whole; scales carry the half. */
#define E2M1_DOUBLED(scale)                                                                                 \
    {                                                                                                       \
        0 * scale, 1 * scale, 2 * scale, 3 * scale, 4 * scale, 6 * scale, 8 * scale, 12 * scale, 0 * scale, \
            -1 * scale, -2 * scale, -3 * scale, -4 * scale, -6 * scale, -8 * scale, -12 * scale             \
    }
static const float e2m1_doubled[16] = E2M1_DOUBLED(1.0f);

/* The sixteen values under the power of two with the biased exponent `e` (E8M0). The two scales that are subnormal when
 * halved have tables. */
static const float *mx_levels(uint8_t e, float room[16])
{
    static const float least[2][16] = {E2M1_DOUBLED(0x1p-128f), E2M1_DOUBLED(0x1p-127f)};
    if (e < 2) {
        return least[e];
    }
    float scale = rt_f32_from_bits((uint32_t)(e - 1) << 23);
    for (int q = 0; q < 16; q++) {
        room[q] = scale * e2m1_doubled[q];
    }
    return room;
}

void rt_decode_mxfp4(const void *src, float *restrict dst, int64_t n)
{
    const rt_mxfp4 *b = src;
    float room[16];
    for (int64_t i = 0; i < n; i++, dst += RT_QK) {
        const float *level = mx_levels(b[i].e, room);
        for (int j = 0; j < 16; j++) {
            dst[j] = level[b[i].qs[j] & 15];
            dst[j + 16] = level[b[i].qs[j] >> 4];
        }
    }
}

void rt_decode_mxfp4_split(const void *blocks, const void *scales, float *restrict dst, int64_t n)
{
    RT_BUG_IF(n < 0 || n % RT_QK != 0);
    const uint8_t *q = blocks, *e = scales;
    float room[16];
    for (int64_t i = 0; i < n / RT_QK; i++, q += 16, dst += RT_QK) {
        const float *level = mx_levels(e[i], room);
        for (int j = 0; j < 16; j++) {
            dst[2 * j] = level[q[j] & 15];
            dst[2 * j + 1] = level[q[j] >> 4];
        }
    }
}

/* Four exponent bits (bias 7) and three of mantissa, for a code without its sign; all ones counts like the others here.
 */
static inline float e4m3_magnitude(uint32_t code)
{
    uint32_t normal = (code << 20) + (120u << 23), subnormal = rt_f32_bits((float)(int32_t)code * 0x1p-9f);
    return rt_f32_from_bits(code < 8 ? subnormal : normal);
}

/* x = d q, four groups of 16 with an unsigned E4M3 scale each; in a group the low nibbles come first */
void rt_decode_nvfp4(const void *src, float *restrict dst, int64_t n)
{
    const rt_nvfp4 *b = src;
    for (int64_t i = 0; i < n; i++) {
        for (int g = 0; g < 4; g++, dst += 16) {
            const uint8_t *q = b[i].qs + 8 * g, code = b[i].d[g];
            float d = code == 0x7f ? 0.0f : 0.5f * e4m3_magnitude(code & 0x7fu);
            for (int l = 0; l < 8; l++) {
                dst[l] = d * e2m1_doubled[q[l] & 15];
                dst[l + 8] = d * e2m1_doubled[q[l] >> 4];
            }
        }
    }
}

void rt_decode_f8_e4m3(const void *src, float *restrict dst, int64_t n)
{
    const uint32_t nan = 0x7fc00000u;
    const uint8_t *v = src;
    for (int64_t i = 0; i < n; i++) {
        uint32_t code = v[i] & 0x7fu, magnitude = rt_f32_bits(e4m3_magnitude(code));
        dst[i] = rt_f32_from_bits((code == 0x7f ? nan : magnitude) | (uint32_t)(v[i] & 0x80) << 24);
    }
}
