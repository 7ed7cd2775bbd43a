/* pair_body.h - products of bf16 operands with f32 sums: C[m,n] (+)= A[m,k] B[k,n]. Both factors are read in pairs of
 * neighbours along k, one pair a 32-bit word with the earlier value in the low half, so one instruction takes two steps
 * of the sum (vdpbf16ps). A's pairs are broadcast and so may have any strides; B is [k/2][n], its rows vectors.
 * Each element of C is one chain in the order of k, whatever the blocking. */

typedef uint32_t pair;

/* acc + low halves' product + high halves' product, lane by lane. */
VEC vf vf_dot_pairs(vf acc, vu a, vu b)
{
#ifdef __AVX512BF16__
    return (vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#else
    acc = vf_fma((vf)(a << 16), (vf)(b << 16), acc);
    return vf_fma((vf)(a & 0xffff0000u), (vf)(b & 0xffff0000u), acc);
#endif
}

VEC vu vu_load(const pair *p)
{
    vu a;
    memcpy(&a, p, sizeof a);
    return a;
}

VEC void vu_store(pair *p, vu a)
{
    memcpy(p, &a, sizeof a);
}

/* Two rows of floats rounded: `a` and `b` one behind the other, and as pairs with `a` in the low halves. */
typedef struct pair_rows {
    vh a, b;
    vu pairs;
} pair_rows;

VEC pair_rows vf_round_pairs(vf a, vf b)
{
#ifdef __AVX512BF16__
    static const uint16_t interleave[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                            8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
    return (pair_rows){(vh)_mm512_castsi512_si256(both), (vh)_mm512_extracti64x4_epi64(both, 1),
                       (vu)_mm512_permutexvar_epi16(_mm512_loadu_si512(interleave), both)};
#else
    const vh ha = vf_to_bf16(a), hb = vf_to_bf16(b);
    return (pair_rows){ha, hb, __builtin_convertvector(ha, vu) | __builtin_convertvector(hb, vu) << 16};
#endif
}

VEC void pair_tile(const int rows, const int vecs, float *c, int64_t ldc, const pair *a, int64_t row, int64_t col,
                   const pair *b, int64_t ldb, int64_t k2, bool add, const int64_t lanes)
{
    vf sum[MICRO_ROWS][MICRO_VECS];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) {
            sum[i][j] = add ? vf_load(c + i * ldc + j * RT_W, j == vecs - 1 ? lanes : RT_W) : (vf){0};
        }
    }
    for (int64_t p = 0; p < k2; p++) {
        vu bp[MICRO_VECS];
        UNROLL
        for (int j = 0; j < vecs; j++) {
            bp[j] = vu_load(b + p * ldb + j * RT_W);
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            vu ai = a[i * row + p * col] - (vu){0};
            UNROLL
            for (int j = 0; j < vecs; j++) {
                sum[i][j] = vf_dot_pairs(sum[i][j], ai, bp[j]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) {
            vf_store(c + i * ldc + j * RT_W, sum[i][j], j == vecs - 1 ? lanes : RT_W);
        }
    }
}

/* A whole block of MICRO_ROWS rows, or one row; two vectors wide, or one of which `lanes` are in use. */
typedef void (*pair_fn)(float *c, int64_t ldc, const pair *a, int64_t row, int64_t col, const pair *b, int64_t ldb,
                        int64_t k2, bool add, int64_t lanes);

#define PAIR_TILE(name, rows, vecs)                                                                              \
    static void name(float *c, int64_t ldc, const pair *a, int64_t row, int64_t col, const pair *b, int64_t ldb, \
                     int64_t k2, bool add, int64_t lanes)                                                        \
    {                                                                                                            \
        if (lanes == RT_W) {                                                                                     \
            pair_tile(rows, vecs, c, ldc, a, row, col, b, ldb, k2, add, RT_W);                                   \
        } else {                                                                                                 \
            pair_tile(rows, vecs, c, ldc, a, row, col, b, ldb, k2, add, lanes);                                  \
        }                                                                                                        \
    }
PAIR_TILE(pair_block_1, MICRO_ROWS, 1)
PAIR_TILE(pair_block_2, MICRO_ROWS, 2)
PAIR_TILE(pair_row_1, 1, 1)
PAIR_TILE(pair_row_2, 1, 2)
#undef PAIR_TILE

/* B's rows are whole vectors, zeros beyond n; C's are not. */
static void pair_gemm(int64_t m, int64_t n, int64_t k2, float *c, int64_t ldc, const pair *a, int64_t row, int64_t col,
                      const pair *b, int64_t ldb, bool add)
{
    static const pair_fn blocks[MICRO_VECS] = {pair_block_1, pair_block_2}, rows[MICRO_VECS] = {pair_row_1, pair_row_2};
    for (int64_t j = 0; j < n; j += MICRO_VECS * RT_W) {
        const int64_t width = n - j < MICRO_VECS * RT_W ? n - j : MICRO_VECS * RT_W;
        const int64_t vecs = (width + RT_W - 1) / RT_W, lanes = width - (vecs - 1) * RT_W;
        int64_t i = 0;
        for (; i + MICRO_ROWS <= m; i += MICRO_ROWS) {
            blocks[vecs - 1](c + i * ldc + j, ldc, a + i * row, row, col, b + j, ldb, k2, add, lanes);
        }
        for (; i < m; i++) {
            rows[vecs - 1](c + i * ldc + j, ldc, a + i * row, row, col, b + j, ldb, k2, add, lanes);
        }
    }
}
