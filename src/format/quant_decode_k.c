/* quant_decode_k.c - exact decoding of the blocks of 256: groups of 16 or 32 elements share a small scale, the
 * block a half-precision one. Rounded step by step as in quant_decode.c: no fused multiply-adds. */
#include "format/half.h"
#include "format/quant_block.h"
#include "format/quant_decode.h"

/* x = d (sc & 15) q - dmin (sc >> 4), 16 groups of 16; four 2-bit planes a half */
void rt_decode_q2_k(const void *src, float *restrict dst, int64_t n)
{
    const rt_q2_k *b = src;
    for (int64_t i = 0; i < n; i++) {
        float d = rt_half_decode(b[i].d), dmin = rt_half_decode(b[i].dmin);
        for (int g = 0; g < 16; g++, dst += 16) {
            const uint8_t *q = b[i].qs + 32 * (g / 8) + 16 * (g % 2);
            int shift = g / 2 % 4 * 2;
            float scale = d * (float)(b[i].scales[g] & 15);
            float least = dmin * (float)(b[i].scales[g] >> 4);
            for (int l = 0; l < 16; l++) {
                dst[l] = scale * (float)(q[l] >> shift & 3) - least;
            }
        }
    }
}

/* Six-bit scales: low nibbles in the first eight bytes, the two high bits of all sixteen in the last four. */
static int q3_scale(const uint8_t scales[12], int g)
{
    int low = scales[g & 7] >> (g < 8 ? 0 : 4) & 15;
    int high = scales[8 + (g & 3)] >> 2 * (g >> 2) & 3;
    return (low | high << 4) - 32;
}

/* x = d sc q; a clear bit of hmask takes 4 from the 2-bit q */
void rt_decode_q3_k(const void *src, float *restrict dst, int64_t n)
{
    const rt_q3_k *b = src;
    for (int64_t i = 0; i < n; i++) {
        float d = rt_half_decode(b[i].d);
        for (int g = 0; g < 16; g++, dst += 16) {
            const uint8_t *q = b[i].qs + 32 * (g / 8) + 16 * (g % 2);
            const uint8_t *mask = b[i].hmask + 16 * (g % 2);
            int shift = g / 2 % 4 * 2, bit = g / 2;
            float scale = d * (float)q3_scale(b[i].scales, g);
            for (int l = 0; l < 16; l++) {
                dst[l] = scale * (float)((q[l] >> shift & 3) + (mask[l] >> bit & 1) * 4 - 4);
            }
        }
    }
}

/* Eight six-bit scales and minima in twelve bytes (Q4_K, Q5_K). */
static void k_scale_min(const uint8_t s[12], int g, int *scale, int *min)
{
    if (g < 4) {
        *scale = s[g] & 63;
        *min = s[g + 4] & 63;
    } else {
        *scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
        *min = s[g + 4] >> 4 | s[g] >> 6 << 4;
    }
}

/* x = d sc q - dmin m, 8 groups of 32; a pair of groups shares 32 bytes, low nibbles first */
void rt_decode_q4_k(const void *src, float *restrict dst, int64_t n)
{
    const rt_q4_k *b = src;
    for (int64_t i = 0; i < n; i++) {
        float d = rt_half_decode(b[i].d), dmin = rt_half_decode(b[i].dmin);
        for (int g = 0; g < 8; g++, dst += 32) {
            const uint8_t *q = b[i].qs + 32 * (g / 2);
            int shift = g % 2 * 4, sc, m;
            k_scale_min(b[i].scales, g, &sc, &m);
            float scale = d * (float)sc, least = dmin * (float)m;
            for (int l = 0; l < 32; l++) {
                dst[l] = scale * (float)(q[l] >> shift & 15) - least;
            }
        }
    }
}

/* as Q4_K with bit g of qh on top */
void rt_decode_q5_k(const void *src, float *restrict dst, int64_t n)
{
    const rt_q5_k *b = src;
    for (int64_t i = 0; i < n; i++) {
        float d = rt_half_decode(b[i].d), dmin = rt_half_decode(b[i].dmin);
        for (int g = 0; g < 8; g++, dst += 32) {
            const uint8_t *q = b[i].qs + 32 * (g / 2), *qh = b[i].qh;
            int shift = g % 2 * 4, sc, m;
            k_scale_min(b[i].scales, g, &sc, &m);
            float scale = d * (float)sc, least = dmin * (float)m;
            for (int l = 0; l < 32; l++) {
                dst[l] = scale * (float)((q[l] >> shift & 15) + (qh[l] >> g & 1) * 16) - least;
            }
        }
    }
}

/* x = d sc (q - 32), 16 groups of 16; q has four bits in ql and two in qh */
void rt_decode_q6_k(const void *src, float *restrict dst, int64_t n)
{
    const rt_q6_k *b = src;
    for (int64_t i = 0; i < n; i++) {
        float d = rt_half_decode(b[i].d);
        for (int g = 0; g < 16; g++, dst += 16) {
            int half = g / 8, s = g / 2 % 4, odd = g % 2;
            const uint8_t *ql = b[i].ql + 64 * half + 32 * (s & 1) + 16 * odd;
            const uint8_t *qh = b[i].qh + 32 * half + 16 * odd;
            int low_shift = 4 * (s >> 1), high_shift = 2 * s;
            float scale = d * (float)b[i].scales[g];
            for (int l = 0; l < 16; l++) {
                dst[l] = scale * (float)((ql[l] >> low_shift & 15) + (qh[l] >> high_shift & 3) * 16 - 32);
            }
        }
    }
}

/* x = d (ls - 32) level[q], 8 groups of 32 with six-bit ls */
void rt_decode_iq4_xs(const void *src, float *restrict dst, int64_t n)
{
    static const float level[16] = RT_IQ4_LEVELS;
    const rt_iq4_xs *b = src;
    for (int64_t i = 0; i < n; i++) {
        float d = rt_half_decode(b[i].d);
        for (int g = 0; g < 8; g++, dst += 32) {
            const uint8_t *q = b[i].qs + 16 * g;
            int ls = (b[i].scales_l[g / 2] >> 4 * (g % 2) & 15) | (b[i].scales_h >> 2 * g & 3) << 4;
            float scale = d * (float)(ls - 32);
            for (int l = 0; l < 16; l++) {
                dst[l] = scale * level[q[l] & 15];
                dst[l + 16] = scale * level[q[l] >> 4];
            }
        }
    }
}

/* n bytes of `planes` base-3 digits each, most significant first: digit k of byte l is element k n + l */
static void ternary(float *restrict dst, float d, const uint8_t *q, int n, int planes)
{
    uint8_t power = 1; /* times 3 per plane: brings the digit to the top of the byte, the ones above it fall out */
    for (int k = 0; k < planes; k++, power = (uint8_t)(power * 3)) {
        for (int l = 0; l < n; l++) {
            uint8_t top = (uint8_t)(q[l] * power);
            dst[k * n + l] = d * (float)((top * 3 >> 8) - 1);
        }
    }
}

/* x = d q, q in {-1, 0, 1}: five digits in each of 32 and of 16 bytes, four in each of the last 4 */
void rt_decode_tq1_0(const void *src, float *restrict dst, int64_t n)
{
    const rt_tq1_0 *b = src;
    for (int64_t i = 0; i < n; i++, dst += RT_QKK) {
        float d = rt_half_decode(b[i].d);
        ternary(dst, d, b[i].qs, 32, 5);
        ternary(dst + 160, d, b[i].qs + 32, 16, 5);
        ternary(dst + 240, d, b[i].qh, 4, 4);
    }
}

/* x = d (q - 1), q of two bits; four planes a half */
void rt_decode_tq2_0(const void *src, float *restrict dst, int64_t n)
{
    const rt_tq2_0 *b = src;
    for (int64_t i = 0; i < n; i++) {
        float d = rt_half_decode(b[i].d);
        for (int plane = 0; plane < 8; plane++, dst += 32) {
            const uint8_t *q = b[i].qs + 32 * (plane / 4);
            int shift = plane % 4 * 2;
            for (int l = 0; l < 32; l++) {
                dst[l] = d * (float)((q[l] >> shift & 3) - 1);
            }
        }
    }
}
