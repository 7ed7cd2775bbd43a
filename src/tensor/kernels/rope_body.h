/* rope_body.h - rotary embedding (Su et al. 2021): pairs half a rotation apart, and pairs of neighbours. */

static void rope(float *x, int64_t ld, int n_head, int head_dim, int n_rot, const float *cs, float sign, int64_t rows)
{
    int64_t half = n_rot / 2;
    for (int64_t r = 0; r < rows; r++) {
        const float *cosines = cs + r * n_rot, *sines = cosines + half;
        for (int h = 0; h < n_head; h++) {
            float *lo = x + r * ld + (int64_t)h * head_dim, *hi = lo + half;
            FOR_LANES(i, c, half, {
                vf a = vf_load(lo + i, c);
                vf b = vf_load(hi + i, c);
                vf co = vf_load(cosines + i, c);
                vf si = sign * vf_load(sines + i, c);
                vf_store(lo + i, a * co - b * si, c);
                vf_store(hi + i, b * co + a * si, c);
            });
        }
    }
}

static void rope_pairs(float *x, int64_t ld, int n_head, int head_dim, int n_rot, const float *cs, float sign,
                       int64_t rows)
{
    int64_t half = n_rot / 2;
    for (int64_t r = 0; r < rows; r++) {
        const float *cosines = cs + r * n_rot, *sines = cosines + half;
        for (int h = 0; h < n_head; h++) {
            float *p = x + r * ld + (int64_t)h * head_dim;
            for (int64_t i = 0; i < half; i++) {
                float a = p[2 * i], b = p[2 * i + 1], si = sign * sines[i];
                p[2 * i] = a * cosines[i] - b * si;
                p[2 * i + 1] = b * cosines[i] + a * si;
            }
        }
    }
}
