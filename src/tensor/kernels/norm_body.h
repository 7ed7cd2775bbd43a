/* norm_body.h - RMS normalisation (Zhang & Sennrich 2019) of rows, and its gradient. */

static float row_rstd(const float *x, int64_t d, float eps)
{
    return 1.0f / __builtin_sqrtf(dot(x, x, d) / (float)d + eps);
}

VEC void norm_rows(void *y, const rt_dtype ytype, float *rstd, const float *x, const float *w, float w_offset,
                   float eps, int64_t rows, int64_t d)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *xr = x + r * d;
        float s = row_rstd(xr, d, eps);
        if (rstd) {
            rstd[r] = s;
        }
        FOR_LANES(i, c, d, {
            vf scaled = s * vf_load(xr + i, c);
            store_any(y, ytype, r * d + i, scaled * (vf_load(w + i, c) + w_offset), c);
        });
    }
}

static void rmsnorm(void *y, rt_dtype ytype, float *rstd, const float *x, const float *w, float w_offset, float eps,
                    int64_t rows, int64_t d)
{
    if (ytype == RT_BF16) {
        norm_rows(y, RT_BF16, rstd, x, w, w_offset, eps, rows, d);
    } else {
        norm_rows(y, RT_F32, rstd, x, w, w_offset, eps, rows, d);
    }
}

/* With u = x rstd and h = dy (w + offset): dx = rstd (h - u mean(h u)), dw = sum over rows of dy u. */
static void rmsnorm_backward(float *dx, float *dw, const float *dy, const float *x, const float *w, float w_offset,
                             float eps, int64_t rows, int64_t d)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *xr = x + r * d, *dyr = dy + r * d;
        float *dxr = dx + r * d;
        float s = row_rstd(xr, d, eps);
        vf hu = {0};
        FOR_LANES(i, c, d, {
            vf u = s * vf_load(xr + i, c);
            vf g = vf_load(dyr + i, c);
            hu = vf_fma(g * (vf_load(w + i, c) + w_offset), u, hu);
            vf_store(dw + i, vf_fma(g, u, vf_load(dw + i, c)), c);
        });
        vf mean = vf_set(vf_sum(hu) / (float)d);
        FOR_LANES(i, c, d, {
            vf u = s * vf_load(xr + i, c);
            vf h = vf_load(dyr + i, c) * (vf_load(w + i, c) + w_offset);
            vf_store(dxr + i, vf_fma(vf_set(s), h - u * mean, vf_load(dxr + i, c)), c);
        });
    }
}
