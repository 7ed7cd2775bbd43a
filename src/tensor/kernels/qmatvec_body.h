/* qmatvec_body.h - rows rounded to int8 times a matrix of codes (qmatrix.h). The products of a block of 32 are summed
 * in integers, exactly; then one chain of f32 sums runs over the blocks in order. Bits of a row do not depend on the
 * rows beside it. */

enum {
    Q_PARTS = RT_Q_LANES / RT_W, /* vectors of floats a panel */
    Q_GROUPS = RT_Q_BLOCK / 4,
    Q_VECTOR = 4 * RT_Q_LANES,    /* bytes */
    Q_ROWS = RT_W == 16 ? 16 : 4, /* rows at a time */
};

/* --- what a level does with four codes a lane ------------------------------------------------------------------- */

#if RT_W > 4
VEC int32_t load_four(const int8_t *x) /* where x lies: copies of the block would pass through the stack */
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return four;
}
#endif

#if RT_W == 16
typedef __m512i vq;
VEC vq vq_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}
VEC vq vq_low(vq a)
{
    return _mm512_and_si512(a, _mm512_set1_epi8(15));
}
VEC vq vq_high(vq a)
{
    return vq_low(_mm512_srli_epi16(a, 4));
}
VEC vq vq_spread(const int8_t *x)
{
    return _mm512_set1_epi32(load_four(x));
}
VEC vf vf_from_half(const uint16_t *h)
{
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)h));
}
#ifndef __AVX512VNNI__
VEC vq vq_pairs(vq codes, vq x, vq sum)
{
    return _mm512_add_epi16(sum, _mm512_maddubs_epi16(codes, x));
}
VEC vi vq_lanes(vq pairs)
{
    return (vi)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
}
#endif
#elif RT_W == 8
typedef __m256i vq;
VEC vq vq_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
VEC vq vq_low(vq a)
{
    return _mm256_and_si256(a, _mm256_set1_epi8(15));
}
VEC vq vq_high(vq a)
{
    return vq_low(_mm256_srli_epi16(a, 4));
}
VEC vq vq_spread(const int8_t *x)
{
    return _mm256_set1_epi32(load_four(x));
}
VEC vf vf_from_half(const uint16_t *h)
{
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)h));
}
VEC vq vq_pairs(vq codes, vq x, vq sum)
{
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, x));
}
VEC vi vq_lanes(vq pairs)
{
    return (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
typedef uint8_t vq __attribute__((vector_size(16)));
typedef int8_t vq_signed __attribute__((vector_size(16)));
VEC vq vq_load(const uint8_t *p)
{
    vq a;
    memcpy(&a, p, sizeof a);
    return a;
}
VEC vq vq_low(vq a)
{
    return a & 15;
}
VEC vq vq_high(vq a)
{
    return a >> 4;
}
VEC vf vf_from_half(const uint16_t *h)
{
    return (vf){rt_half_decode(h[0]), rt_half_decode(h[1]), rt_half_decode(h[2]), rt_half_decode(h[3])};
}
#endif

/* Sums over a block, a lane an output. Without an instruction for it codes go in four bits: eight products of pairs,
 * each at most 2 x 15 x 127, fit into sixteen bits. They are added one after the other (the empty statements tell the
 * compiler to): as a tree they would need more registers than AVX2 has. */
VEC vi q_block(const int bits, const vq *codes, const int8_t *x)
{
#if RT_W == 4
    (void)bits;
    vi sum = {0};
    for (int g = 0; g < Q_GROUPS; g++) {
        for (int e = 0; e < 16; e++) {
            sum[e / 4] += (int32_t)codes[g][e] * x[4 * g + e % 4];
        }
    }
    return sum;
#elif defined(__AVX512VNNI__)
    (void)bits;
    vq sum = {0};
    UNROLL
    for (int g = 0; g < Q_GROUPS; g++) {
        sum = _mm512_dpbusd_epi32(sum, codes[g], vq_spread(x + 4 * g));
    }
    return (vi)sum;
#else
    vq low = {0}, high = {0};
    UNROLL
    for (int g = 0; g < Q_GROUPS; g++) {
        const vq xg = vq_spread(x + 4 * g);
        low = vq_pairs(bits == 8 ? vq_low(codes[g]) : codes[g], xg, low);
        __asm__("" : "+v"(low));
        if (bits == 8) {
            high = vq_pairs(vq_high(codes[g]), xg, high);
            __asm__("" : "+v"(high));
        }
    }
    return bits == 8 ? vq_lanes(low) + vq_lanes(high) * 16 : vq_lanes(low);
#endif
}

/* --- a few rows times a panel ----------------------------------------------------------------------------------- */

/* Codes of block `at` as eight vectors of bytes. */
VEC void q_unpack(const int bits, vq *codes, const uint8_t *at)
{
    UNROLL
    for (int v = 0; v < Q_GROUPS * bits / 8; v++) {
        const vq a = vq_load(at + v * Q_VECTOR);
        codes[v] = bits == 8 ? a : vq_low(a);
        if (bits == 4) {
            codes[v + Q_GROUPS / 2] = vq_high(a);
        }
    }
}

VEC void q_tile(const int rows, const rt_dtype type, float *y, int64_t ldy, int64_t lanes, const rt_q8_rows *x,
                int64_t row, const uint8_t *panel)
{
    const int bits = type == RT_Q8_0 ? 8 : 4;
    const int64_t blocks = x->k / RT_Q_BLOCK, code_bytes = rt_qmatrix_code_bytes(type);
    const uint8_t *scales = panel + blocks * code_bytes;
    UNROLL
    for (int part = 0; part < Q_PARTS; part++) {
        vf sum[Q_ROWS] = {0};
        for (int64_t b = 0; b < blocks; b++) {
            const uint16_t *scale = (const uint16_t *)(const void *)(scales + b * rt_qmatrix_scale_bytes(type));
            const vf d = vf_from_half(scale + part * RT_W);
            const vf m = type == RT_Q4_1 ? vf_from_half(scale + RT_Q_LANES + part * RT_W)
                                         : d * (type == RT_Q8_0 ? -128.0f : -8.0f);
            vq codes[Q_GROUPS];
            q_unpack(bits, codes, panel + b * code_bytes + part * 4 * RT_W);
            UNROLL
            for (int r = 0; r < rows; r++) {
                const float *xs = x->scales + ((row + r) * blocks + b) * 2;
                const vi dot = q_block(bits, codes, x->codes + (row + r) * x->k + b * RT_Q_BLOCK);
                sum[r] = vf_fma(__builtin_convertvector(dot, vf) * d, vf_set(xs[0]), sum[r]);
                sum[r] = vf_fma(m, vf_set(xs[1]), sum[r]);
            }
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            const int64_t left = lanes - part * RT_W;
            if (left > 0) {
                vf_store(y + r * ldy + part * RT_W, sum[r], left < RT_W ? left : RT_W);
            }
        }
    }
}

typedef void (*q_tile_fn)(float *y, int64_t ldy, int64_t lanes, const rt_q8_rows *x, int64_t row, const uint8_t *panel);

#define Q_TILE(rows, type)                                                                                     \
    static void q_tile_##rows##_##type(float *y, int64_t ldy, int64_t lanes, const rt_q8_rows *x, int64_t row, \
                                       const uint8_t *panel)                                                   \
    {                                                                                                          \
        q_tile(rows, RT_##type, y, ldy, lanes, x, row, panel);                                                 \
    }
#define Q_TILES(rows) Q_TILE(rows, Q4_0) Q_TILE(rows, Q4_1) Q_TILE(rows, Q8_0)
#define Q_STEP(rows)                                                                                             \
    {                                                                                                            \
        rows,                                                                                                    \
        {                                                                                                        \
            [RT_Q4_0] = q_tile_##rows##_Q4_0, [RT_Q4_1] = q_tile_##rows##_Q4_1, [RT_Q8_0] = q_tile_##rows##_Q8_0 \
        }                                                                                                        \
    }
Q_TILES(1)
Q_TILES(2)
Q_TILES(4)
#if RT_W == 16
Q_TILES(8)
Q_TILES(16)
#endif

static const struct {
    int rows;
    q_tile_fn fn[RT_Q8_0 + 1];
} q_steps[] = {
#if RT_W == 16
    Q_STEP(16), Q_STEP(8),
#endif
    Q_STEP(4),  Q_STEP(2), Q_STEP(1),
};
#undef Q_STEP
#undef Q_TILES
#undef Q_TILE

/* Panels outside: their codes are read from memory once and stay near while the rows pass. */
static void qmatvec(float *y, int64_t ldy, const rt_q8_rows *x, int64_t n_rows, const rt_qmatrix *w, int64_t panel,
                    int64_t end)
{
    for (; panel < end; panel++) {
        const int64_t j = panel * RT_Q_LANES, lanes = w->n_out - j < RT_Q_LANES ? w->n_out - j : RT_Q_LANES;
        int64_t r = 0;
        for (size_t s = 0; s < sizeof q_steps / sizeof q_steps[0]; s++) {
            for (; r + q_steps[s].rows <= n_rows; r += q_steps[s].rows) {
                q_steps[s].fn[w->type](y + r * ldy + j, ldy, lanes, x, r, w->panels + (size_t)panel * w->panel_bytes);
            }
        }
    }
}

/* --- rows to codes ---------------------------------------------------------------------------------------------- */

/* Largest magnitude to 127, to nearest even; a block with an infinity or a NaN becomes NaN. */
static void q8_rows(const rt_q8_rows *to, int64_t row, const float *x, int64_t ldx, int64_t n_rows)
{
    enum { VECS = RT_Q_BLOCK / RT_W };
    const vf to_int = vf_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    const int64_t blocks = to->k / RT_Q_BLOCK;
    for (int64_t i = 0; i < n_rows * blocks; i++) {
        const float *from = x + i / blocks * ldx + i % blocks * RT_Q_BLOCK;
        int8_t *codes = to->codes + row * to->k + i * RT_Q_BLOCK;
        vf v[VECS], top = {0}, poison = {0};
        UNROLL
        for (int j = 0; j < VECS; j++) {
            v[j] = vf_load(from + j * RT_W, RT_W);
            top = vf_max(vf_max(v[j], -v[j]), top);
            poison += v[j] * 0.0f;
        }
        const float largest = vf_largest(top),
                    inverse = largest > 1e-30f && largest < __builtin_inff() ? 127.0f / largest : 0.0f;
        vi sum = {0};
        UNROLL
        for (int j = 0; j < VECS; j++) {
            const vi q = inverse > 0.0f ? (vi)vf_fma(v[j], vf_set(inverse), to_int) - (vi)to_int : (vi){0};
            typedef int8_t bytes __attribute__((vector_size(RT_W)));
            const bytes b = __builtin_convertvector(q, bytes);
            memcpy(codes + j * RT_W, &b, sizeof b);
            sum += q;
        }
        int32_t total = 0;
        for (int j = 0; j < RT_W; j++) {
            total += sum[j];
        }
        float *scale = to->scales + (row * blocks + i) * 2;
        scale[0] = largest / 127.0f + vf_sum(poison);
        scale[1] = scale[0] * (float)total;
    }
}
