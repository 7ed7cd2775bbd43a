/* rope_body.h - rotary embedding (Su et al. 2021), pairs half a rotation apart. */

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
