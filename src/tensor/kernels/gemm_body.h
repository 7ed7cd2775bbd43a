/* gemm_body.h - the portable GEMM of one output tile: B packed by blocks into f32 panels on the stack, A used in place
 * or, when bf16, widened block by block. K runs in blocks of fixed size from 0 up. */

enum { GEMM_K = 256, GEMM_N = 128, GEMM_M = 64 };

VEC vf load_any(const void *p, rt_dtype type, int64_t at, int64_t c)
{
    return type == RT_BF16 ? vf_load_bf16((const uint16_t *)p + at, c) : vf_load((const float *)p + at, c);
}

static void copy_rows(float *to, int64_t ldto, const void *from, rt_dtype type, int64_t ld, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        FOR_LANES(i, c, n, { vf_store(to + r * ldto + i, load_any(from, type, r * ld + i, c), c); });
    }
}

static inline float load_one(const void *p, rt_dtype type, int64_t at)
{
    if (type == RT_F32) {
        return ((const float *)p)[at];
    }
    uint32_t bits = (uint32_t)((const uint16_t *)p)[at] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* to[k][n] from B stored [n][k]: a vector of columns at a time through a small square. */
static void copy_transposed(float *to, int64_t ldto, const void *from, rt_dtype type, int64_t ld, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < n; j += RT_W) {
        int64_t width = n - j < RT_W ? n - j : RT_W;
        for (int64_t p = 0; p < k; p++) {
            for (int64_t i = 0; i < width; i++) {
                to[p * ldto + j + i] = load_one(from, type, (j + i) * ld + p);
            }
        }
    }
}

/* Rows i0 .. i0 + m of A times the packed panel, into c. */
static void gemm_rows(const rt_gemm *g, int64_t i0, int64_t m, int64_t k0, int64_t k, float *c, int64_t n,
                      const float *panel, bool add)
{
    int64_t at = g->trans_a ? k0 * g->lda + i0 : i0 * g->lda + k0;
    if (g->type == RT_F32) {
        micro_gemm(m, n, k, c, g->ldc, (const float *)g->a + at, g->trans_a ? 1 : g->lda, g->trans_a ? g->lda : 1,
                   panel, GEMM_N, add);
        return;
    }
    float wide[GEMM_M * GEMM_K] __attribute__((aligned(64)));
    const uint16_t *from = (const uint16_t *)g->a + at;
    if (g->trans_a) {
        copy_rows(wide, GEMM_M, from, RT_BF16, g->lda, k, m);
        micro_gemm(m, n, k, c, g->ldc, wide, 1, GEMM_M, panel, GEMM_N, add);
    } else {
        copy_rows(wide, GEMM_K, from, RT_BF16, g->lda, m, k);
        micro_gemm(m, n, k, c, g->ldc, wide, GEMM_K, 1, panel, GEMM_N, add);
    }
}

static void gemm_clear(const rt_gemm *g)
{
    for (int64_t i = 0; i < g->m; i++) {
        memset(g->c + i * g->ldc, 0, (size_t)g->n * sizeof *g->c);
    }
}

static void gemm_tile(const rt_gemm *g)
{
    float panel[GEMM_K * GEMM_N] __attribute__((aligned(64)));
    if (g->k == 0 && !g->accumulate) {
        gemm_clear(g);
    }
    for (int64_t j = 0; j < g->n; j += GEMM_N) {
        int64_t n = g->n - j < GEMM_N ? g->n - j : GEMM_N;
        for (int64_t k0 = 0; k0 < g->k; k0 += GEMM_K) {
            int64_t k = g->k - k0 < GEMM_K ? g->k - k0 : GEMM_K;
            size_t at = (size_t)(g->trans_b ? j * g->ldb + k0 : k0 * g->ldb + j);
            const char *b = (const char *)g->b + at * (g->type == RT_BF16 ? sizeof(uint16_t) : sizeof(float));
            if (g->trans_b) {
                copy_transposed(panel, GEMM_N, b, g->type, g->ldb, k, n);
            } else {
                copy_rows(panel, GEMM_N, b, g->type, g->ldb, k, n);
            }
            for (int64_t i = 0; i < g->m; i += GEMM_M) {
                int64_t m = g->m - i < GEMM_M ? g->m - i : GEMM_M;
                gemm_rows(g, i, m, k0, k, g->c + i * g->ldc + j, n, panel, k0 > 0 || g->accumulate);
            }
        }
    }
}
