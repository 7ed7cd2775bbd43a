/* vec.h - vectors of RT_W floats for the kernel bodies: GCC's vector extensions, and intrinsics for the few things
 * these cannot say. RT_W is 16 (AVX-512), 8 (AVX2) or 4 (any machine); one translation unit is one level.
 * `c` below is a count of lanes in use: RT_W, known to the compiler, in the body of a loop and less at its end. */
#ifndef RT_TENSOR_KERNELS_VEC_H
#define RT_TENSOR_KERNELS_VEC_H

#include <stdint.h>
#include <string.h>

#if RT_W > 4
#include <immintrin.h>
#endif

typedef float vf __attribute__((vector_size(4 * RT_W)));
typedef int32_t vi __attribute__((vector_size(4 * RT_W)));
typedef uint32_t vu __attribute__((vector_size(4 * RT_W)));
typedef uint16_t vh __attribute__((vector_size(2 * RT_W)));
typedef float vf_any __attribute__((vector_size(4 * RT_W), aligned(4), may_alias));
typedef uint16_t vh_any __attribute__((vector_size(2 * RT_W), aligned(2), may_alias));

#define VEC static inline __attribute__((always_inline))

/* Runs the statements for lanes i .. i + c of n, a vector at a time. */
#define FOR_LANES(i, c, n, ...)                                \
    do {                                                       \
        int64_t i = 0;                                         \
        for (; i + RT_W <= (n); i += RT_W) {                   \
            enum { c = RT_W };                                 \
            __VA_ARGS__                                        \
        }                                                      \
        if (i < (n)) {                                         \
            const int64_t c = (n) - i;                         \
            __VA_ARGS__                                        \
        }                                                      \
    } while (0)

/* Loops whose trip count is known and whose arrays must end up in registers. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

VEC vf vf_set(float a)
{
    return a - (vf){0};
}

/* 0, 1, ... RT_W - 1 */
VEC vi vi_lane_numbers(void)
{
    vi a = {0};
    UNROLL
    for (int i = 0; i < RT_W; i++) {
        a[i] = i;
    }
    return a;
}

#if RT_W == 16

VEC vf vf_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
/* Of NaN and a number, the second operand: so is a NaN in `b` kept. */
VEC vf vf_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
VEC vf vf_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
VEC vf vf_sqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }

VEC __mmask16 vf_first(int64_t c)
{
    return (__mmask16)((1u << c) - 1);
}

VEC vf vf_load(const float *p, int64_t c)
{
    return (vf)(c == RT_W ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(vf_first(c), p));
}

VEC void vf_store(float *p, vf a, int64_t c)
{
    if (c == RT_W) {
        *(vf_any *)p = a;
    } else {
        _mm512_mask_storeu_ps(p, vf_first(c), (__m512)a);
    }
}

VEC float vf_sum(vf a)
{
    return _mm512_reduce_add_ps((__m512)a);
}

#else

#if RT_W == 8
VEC vf vf_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
VEC vf vf_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
VEC vf vf_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
VEC vf vf_sqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
#else
VEC vf vf_pick(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
VEC vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
VEC vf vf_max(vf a, vf b) { return vf_pick(a > b, a, b); }
VEC vf vf_min(vf a, vf b) { return vf_pick(a < b, a, b); }

VEC vf vf_sqrt(vf a)
{
    UNROLL
    for (int i = 0; i < RT_W; i++) {
        a[i] = __builtin_sqrtf(a[i]);
    }
    return a;
}
#endif

VEC vf vf_load(const float *p, int64_t c)
{
    if (c == RT_W) {
        return *(const vf_any *)p;
    }
    vf a = {0};
    memcpy(&a, p, (size_t)c * sizeof *p);
    return a;
}

VEC void vf_store(float *p, vf a, int64_t c)
{
    if (c == RT_W) {
        *(vf_any *)p = a;
    } else {
        memcpy(p, &a, (size_t)c * sizeof *p);
    }
}

/* Halves are added until one lane is left. */
VEC float vf_sum(vf a)
{
#if RT_W == 8
    __m128 s = _mm_add_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
#else
    return (a[0] + a[2]) + (a[1] + a[3]);
#endif
}

#endif

VEC float vf_largest(vf a)
{
    float m = a[0];
    for (int i = 1; i < RT_W; i++) {
        m = a[i] > m ? a[i] : m;
    }
    return m;
}

/* c[i] = lanes[i] < RT_W ? a[lanes[i]] : b[lanes[i] - RT_W] */
VEC vu vu_pick(vu a, vu b, vi lanes)
{
#ifdef __clang__
    vu c = {0};
    UNROLL
    for (int i = 0; i < RT_W; i++) {
        c[i] = lanes[i] < RT_W ? a[lanes[i]] : b[lanes[i] - RT_W];
    }
    return c;
#else
    return __builtin_shuffle(a, b, lanes);
#endif
}

/* RT_W rows of a square become its columns: two of its quarters change places, then two of each one's. */
VEC void vu_turn(vu r[RT_W])
{
    const vi i = vi_lane_numbers();
    UNROLL
    for (int half = RT_W / 2; half > 0; half /= 2) {
        const vi upper = (i & half) != 0; /* -1 in the upper halves */
        const vi left = i + (upper & (RT_W - half)), right = i + half + (upper & (RT_W - half));
        UNROLL
        for (int j = 0; j < RT_W; j++) {
            if ((j & half) == 0) {
                const vu a = r[j], b = r[j + half];
                r[j] = vu_pick(a, b, left);
                r[j + half] = vu_pick(a, b, right);
            }
        }
    }
}

/* --- bf16 --- */

VEC vf vf_from_bf16(vh h)
{
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

/* To nearest even; NaN stays NaN. The instruction takes denormals for 0. */
VEC vh vf_to_bf16(vf a)
{
#ifdef __AVX512BF16__
    return (vh)_mm512_cvtneps_pbh((__m512)a);
#else
    vu u = (vu)a;
    vu rounded = u + 0x7fff + ((u >> 16) & 1);
    vu nan = (vu)(a != a);
    vu wide = ((nan & (u | 0x400000)) | (~nan & rounded)) >> 16;
#if RT_W == 8
    return (vh)_mm_packus_epi32(_mm256_castsi256_si128((__m256i)wide), _mm256_extracti128_si256((__m256i)wide, 1));
#else
    return __builtin_convertvector(wide, vh);
#endif
#endif
}

VEC vf vf_load_bf16(const uint16_t *p, int64_t c)
{
    if (c == RT_W) {
        return vf_from_bf16(*(const vh_any *)p);
    }
    vh h = {0};
    memcpy(&h, p, (size_t)c * sizeof *p);
    return vf_from_bf16(h);
}

VEC void vf_store_bf16(uint16_t *p, vf a, int64_t c)
{
    vh h = vf_to_bf16(a);
    if (c == RT_W) {
        *(vh_any *)p = h;
    } else {
        memcpy(p, &h, (size_t)c * sizeof *p);
    }
}

/* --- exp --- */

/* e^a to 2e-6 relative (1e-7 of the polynomial, the rest rounding); exact 0 where the result would be denormal,
 * infinity above 88.73, NaN from NaN. a = n ln 2 + r; e^r = 1 + r + r^2 p(r), p a minimax fit on |r| <= ln(2)/2. */
VEC vf vf_exp(vf a)
{
    const vf to_int = vf_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    const vf lowest = vf_set(-87.3365f);
    vf x = vf_min(vf_set(89.0f), vf_max(vf_set(-88.0f), a));
    vf t = vf_fma(x, vf_set(1.44269504f), to_int);
    vf n = t - to_int;
    vf r = vf_fma(n, vf_set(-0.693145752f), x);
    r = vf_fma(n, vf_set(-1.42860677e-6f), r);
    vf p = vf_fma(r, vf_set(0.00831250101f), vf_set(0.0418903306f));
    p = vf_fma(p, r, vf_set(0.166671157f));
    p = vf_fma(p, r, vf_set(0.499992311f));
    p = vf_fma(p, r * r, r) + 1.0f;
#if RT_W == 16
    __mmask16 keep = _mm512_cmp_ps_mask((__m512)a, (__m512)lowest, _CMP_NLT_UQ);
    return (vf)_mm512_maskz_scalef_ps(keep, (__m512)p, (__m512)n);
#else
    /* 2^n in two factors: n reaches 128, beyond one exponent field. */
    vi k = (vi)t - (vi)to_int;
    vi half = k >> 1;
    p = p * (vf)((half + 127) << 23) * (vf)((k - half + 127) << 23);
    return (vf)(~(a < lowest) & (vi)p);
#endif
}

/* 2^a for a below 127, to 2e-7 relative (what rounding a costs not counted); exact 0 at -127 and below, a denormal up
 * to -126, NaN from NaN. a = n + r; 2^r = 1 + r p(r), p a minimax fit on |r| <= 1/2; n goes straight into the
 * exponent. */
VEC vf vf_exp2(vf a)
{
    const vf to_int = vf_set(12582912.0f); /* as above */
    const vf x = vf_max(vf_set(-127.0f), a);
    const vf t = x + to_int, r = x - (t - to_int);
    vf p = vf_fma(r, vf_set(0.00132647273f), vf_set(0.00967151299f));
    p = vf_fma(p, r, vf_set(0.0555073358f));
    p = vf_fma(p, r, vf_set(0.240222424f));
    p = vf_fma(p, r, vf_set(0.693147004f));
    return (vf)((vu)vf_fma(p, r, vf_set(1.0f)) + ((vu)t << 23));
}

VEC vf vf_sigmoid(vf a)
{
    return 1.0f / (1.0f + vf_exp(-a));
}

#endif
