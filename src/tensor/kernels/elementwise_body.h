/* elementwise_body.h - conversions, sums of vectors, dot products. */

static void f32_to_bf16(uint16_t *y, const float *x, int64_t n)
{
    FOR_LANES(i, c, n, { vf_store_bf16(y + i, vf_load(x + i, c), c); });
}

static void bf16_to_f32(float *y, const uint16_t *x, int64_t n)
{
    FOR_LANES(i, c, n, { vf_store(y + i, vf_load_bf16(x + i, c), c); });
}

/* By ytype: row of f32 or bf16. */
VEC void store_any(void *y, rt_dtype type, int64_t at, vf a, int64_t c)
{
    if (type == RT_BF16) {
        vf_store_bf16((uint16_t *)y + at, a, c);
    } else {
        vf_store((float *)y + at, a, c);
    }
}

static void add(float *y, const float *x, int64_t n)
{
    FOR_LANES(i, c, n, { vf_store(y + i, vf_load(y + i, c) + vf_load(x + i, c), c); });
}

static void axpy(float *y, float a, const float *x, int64_t n)
{
    vf av = vf_set(a);
    FOR_LANES(i, c, n, { vf_store(y + i, vf_fma(av, vf_load(x + i, c), vf_load(y + i, c)), c); });
}

static void scale(float *y, float a, int64_t n)
{
    FOR_LANES(i, c, n, { vf_store(y + i, a * vf_load(y + i, c), c); });
}

/* Four chains hide the latency of the fused multiply-add. */
static float dot(const float *x, const float *y, int64_t n)
{
    vf s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    int64_t i = 0;
    for (; i + 4 * RT_W <= n; i += 4 * RT_W) {
        s0 = vf_fma(vf_load(x + i, RT_W), vf_load(y + i, RT_W), s0);
        s1 = vf_fma(vf_load(x + i + RT_W, RT_W), vf_load(y + i + RT_W, RT_W), s1);
        s2 = vf_fma(vf_load(x + i + 2 * RT_W, RT_W), vf_load(y + i + 2 * RT_W, RT_W), s2);
        s3 = vf_fma(vf_load(x + i + 3 * RT_W, RT_W), vf_load(y + i + 3 * RT_W, RT_W), s3);
    }
    FOR_LANES(j, c, n - i, { s0 = vf_fma(vf_load(x + i + j, c), vf_load(y + i + j, c), s0); });
    return vf_sum((s0 + s1) + (s2 + s3));
}

/* In double: gradients' squares leave the range of float before their norm does. */
static double sum_squares(const float *x, int64_t n)
{
    typedef double vd __attribute__((vector_size(4 * RT_W)));
    typedef float vs __attribute__((vector_size(2 * RT_W), aligned(4), may_alias));
    enum { LANES = RT_W / 2 };
    vd s[4] = {{0}};
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        UNROLL
        for (int j = 0; j < 4; j++) {
            vd a = __builtin_convertvector(*(const vs *)(x + i + j * LANES), vd);
            s[j] += a * a;
        }
    }
    double sum = 0;
    for (; i < n; i++) {
        sum += (double)x[i] * x[i];
    }
    vd all = (s[0] + s[1]) + (s[2] + s[3]);
    for (int j = 0; j < LANES; j++) {
        sum += all[j];
    }
    return sum;
}
