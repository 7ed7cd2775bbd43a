/* half.h - IEEE half <-> float without tables, branches in loops, or float subnormals: worker threads run with
 * denormals-are-zero, so a half's subnormals must not pass through a float's. */
#ifndef RT_FORMAT_HALF_H
#define RT_FORMAT_HALF_H

#include <stdint.h>

static inline float rt_f32_from_bits(uint32_t bits)
{
    union {
        uint32_t u;
        float f;
    } x = {.u = bits};
    return x.f;
}

static inline uint32_t rt_f32_bits(float f)
{
    union {
        float f;
        uint32_t u;
    } x = {.f = f};
    return x.u;
}

static inline float rt_half_decode(uint16_t h)
{
    const uint32_t rebias = 112u << 23; /* 127 - 15 */
    uint32_t magnitude = h & 0x7fffu;
    uint32_t normal = (magnitude << 13) + rebias;
    uint32_t special = normal + rebias; /* exponent 31 becomes 255 */
    uint32_t subnormal = rt_f32_bits((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t bits = magnitude >= 0x7c00u ? special : magnitude < 0x0400u ? subnormal : normal;
    return rt_f32_from_bits(bits | (uint32_t)(h & 0x8000u) << 16);
}

/* v / 2^shift, ties to even; shift in 1..31 */
static inline uint32_t rt_shift_round_even(uint32_t v, uint32_t shift)
{
    return (v + (1u << (shift - 1)) - 1 + (v >> shift & 1u)) >> shift;
}

static inline uint16_t rt_half_encode(float f)
{
    uint32_t bits = rt_f32_bits(f);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t a = bits & 0x7fffffffu;
    uint32_t h;
    if (a > 0x7f800000u) {
        h = 0x7e00u | (a >> 13 & 0x3ffu);
    } else if (a >= 0x477ff000u) { /* 65520 and above round to infinity */
        h = 0x7c00u;
    } else if (a >= 0x38800000u) { /* 2^-14, the smallest normal half */
        h = rt_shift_round_even(a - (112u << 23), 13);
    } else if (a > 0x33000000u) { /* above 2^-25, the last tie to zero */
        h = rt_shift_round_even((a & 0x7fffffu) | 0x800000u, 126u - (a >> 23));
    } else {
        h = 0;
    }
    return (uint16_t)(sign | h);
}

#endif
