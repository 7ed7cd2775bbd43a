/* softmax_body.h - log-sum-exp, softmax and argmax over one long row (the vocabulary). */

static float row_max(const float *z, int64_t n)
{
    vf m0 = vf_set(z[0]), m1 = m0;
    int64_t i = 0;
    for (; i + 2 * RT_W <= n; i += 2 * RT_W) {
        m0 = vf_max(vf_load(z + i, RT_W), m0);
        m1 = vf_max(vf_load(z + i + RT_W, RT_W), m1);
    }
    float m = vf_largest(vf_max(m0, m1));
    for (; i < n; i++) {
        m = z[i] > m ? z[i] : m;
    }
    return m;
}

/* Lanes past the end hold -infinity: their exponential is 0. */
VEC vf load_logits(const float *z, int64_t c)
{
    if (c == RT_W) {
        return vf_load(z, RT_W);
    }
    vf a = vf_set(-__builtin_inff());
    memcpy(&a, z, (size_t)c * sizeof *z);
    return a;
}

static float logsumexp(const float *z, int64_t n, float inv_t, float *max_out)
{
    float top = n > 0 ? row_max(z, n) * inv_t : -__builtin_inff();
    if (max_out) {
        *max_out = top;
    }
    /* infinity - infinity would make NaN of an infinite answer */
    float shift = __builtin_isinf(top) ? 0 : top;
    vf s0 = {0}, s1 = {0};
    vf minus_shift = vf_set(-shift), t = vf_set(inv_t);
    int64_t i = 0;
    for (; i + 2 * RT_W <= n; i += 2 * RT_W) {
        s0 += vf_exp(vf_fma(vf_load(z + i, RT_W), t, minus_shift));
        s1 += vf_exp(vf_fma(vf_load(z + i + RT_W, RT_W), t, minus_shift));
    }
    FOR_LANES(j, c, n - i, { s0 += vf_exp(vf_fma(load_logits(z + i + j, c), t, minus_shift)); });
    s0 += s1;
    double sum = 0;
    for (int j = 0; j < RT_W; j++) {
        sum += s0[j];
    }
    return shift + (float)log(sum);
}

static void softmax_scale(float *z, int64_t n, float inv_t, float lse, float w)
{
    vf t = vf_set(inv_t), minus_lse = vf_set(-lse);
    FOR_LANES(i, c, n, { vf_store(z + i, w * vf_exp(vf_fma(vf_load(z + i, c), t, minus_lse)), c); });
}

static int64_t argmax(const float *z, int64_t n)
{
    if (n <= 0) {
        return 0;
    }
    float top = row_max(z, n);
    int64_t i = 0;
    for (; i + RT_W <= n; i += RT_W) {
        vi equal = vf_load(z + i, RT_W) == top;
        int any = 0;
        for (int j = 0; j < RT_W; j++) {
            any |= equal[j];
        }
        if (any) {
            break;
        }
    }
    for (; i < n; i++) {
        if (z[i] == top) {
            return i;
        }
    }
    return 0;
}
