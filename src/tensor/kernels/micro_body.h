/* micro_body.h - the one register-blocked product under attention and the portable GEMM:
 * C[m,n] (+)= A[m,k] B[k,n], where A's elements are broadcast and so may have any strides, and B's and C's rows are
 * contiguous vectors. Each element of C is one chain of sums in the order of k, whatever the blocking. */

typedef void (*micro_fn)(float *c, int64_t ldc, const float *a, int64_t row, int64_t col, const float *b, int64_t ldb,
                         int64_t k, bool add, int64_t lanes);

/* `rows` x `vecs` vectors of C, of which the last vector has `lanes` in use. A[i,p] = a[i * row + p * col]. */
VEC void micro_tile(const int rows, const int vecs, float *c, int64_t ldc, const float *a, int64_t row, int64_t col,
                    const float *b, int64_t ldb, int64_t k, bool add, const int64_t lanes)
{
    vf sum[MICRO_ROWS][MICRO_VECS] = {0};
    for (int64_t p = 0; p < k; p++) {
        vf bp[MICRO_VECS];
        UNROLL
        for (int j = 0; j < vecs; j++) {
            bp[j] = vf_load(b + p * ldb + j * RT_W, j == vecs - 1 ? lanes : RT_W);
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            vf ai = vf_set(a[i * row + p * col]);
            UNROLL
            for (int j = 0; j < vecs; j++) {
                sum[i][j] = vf_fma(ai, bp[j], sum[i][j]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) {
            float *to = c + i * ldc + j * RT_W;
            const int64_t used = j == vecs - 1 ? lanes : RT_W;
            vf_store(to, add ? vf_load(to, used) + sum[i][j] : sum[i][j], used);
        }
    }
}

#define MICRO(rows, vecs)                                                                                          \
    static void micro_##rows##x##vecs(float *c, int64_t ldc, const float *a, int64_t row, int64_t col,            \
                                      const float *b, int64_t ldb, int64_t k, bool add, int64_t lanes)            \
    {                                                                                                              \
        if (lanes == RT_W) {                                                                                       \
            micro_tile(rows, vecs, c, ldc, a, row, col, b, ldb, k, add, RT_W);                                     \
        } else {                                                                                                   \
            micro_tile(rows, vecs, c, ldc, a, row, col, b, ldb, k, add, lanes);                                    \
        }                                                                                                          \
    }
#if MICRO_ROWS == 8
MICRO(8, 2)
MICRO(8, 1)
#elif MICRO_ROWS == 6
MICRO(6, 2)
MICRO(6, 1)
#endif
MICRO(4, 2)
MICRO(4, 1)
MICRO(2, 2)
MICRO(2, 1)
MICRO(1, 2)
MICRO(1, 1)
#undef MICRO

static const struct {
    int rows;
    micro_fn fn[MICRO_VECS];
} micro_steps[] = {
#if MICRO_ROWS == 8
    {8, {micro_8x1, micro_8x2}},
#elif MICRO_ROWS == 6
    {6, {micro_6x1, micro_6x2}},
#endif
    {4, {micro_4x1, micro_4x2}},
    {2, {micro_2x1, micro_2x2}},
    {1, {micro_1x1, micro_1x2}},
};

/* Columns outside, so that B's MICRO_VECS columns stay near while A passes. */
static void micro_gemm(int64_t m, int64_t n, int64_t k, float *c, int64_t ldc, const float *a, int64_t row,
                       int64_t col, const float *b, int64_t ldb, bool add)
{
    for (int64_t j = 0; j < n; j += MICRO_VECS * RT_W) {
        int64_t width = n - j < MICRO_VECS * RT_W ? n - j : MICRO_VECS * RT_W;
        int64_t vecs = (width + RT_W - 1) / RT_W;
        int64_t i = 0;
        for (size_t s = 0; s < sizeof micro_steps / sizeof micro_steps[0]; s++) {
            for (; i + micro_steps[s].rows <= m; i += micro_steps[s].rows) {
                micro_steps[s].fn[vecs - 1](c + i * ldc + j, ldc, a + i * row, row, col, b + j, ldb, k, add,
                                            width - (vecs - 1) * RT_W);
            }
        }
    }
}
