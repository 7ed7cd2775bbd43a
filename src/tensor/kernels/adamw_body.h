/* adamw_body.h - one AdamW step (Loshchilov & Hutter 2019), in one pass over the five arrays. */

VEC void adamw_lanes(float *w, uint16_t *wb, float *m, float *v, const float *g, const rt_adamw *p, float keep,
                     float step, float inv_root, int64_t c)
{
    vf gi = p->grad_scale * vf_load(g, c);
    vf mi = vf_fma(vf_set(p->beta1), vf_load(m, c), (1.0f - p->beta1) * gi);
    vf vi_ = vf_fma(vf_set(p->beta2), vf_load(v, c), (1.0f - p->beta2) * (gi * gi));
    vf_store(m, mi, c);
    vf_store(v, vi_, c);
    vf denominator = vf_fma(vf_sqrt(vi_), vf_set(inv_root), vf_set(p->eps));
    vf wi = keep * vf_load(w, c) - step * (mi / denominator);
    vf_store(w, wi, c);
    if (wb) {
        vf_store_bf16(wb, wi, c);
    }
}

static void adamw(float *w, uint16_t *wb, float *m, float *v, const float *g, const rt_adamw *p, int64_t n)
{
    float keep = 1.0f - p->lr * p->weight_decay;
    float step = p->lr / p->bias1;
    float inv_root = 1.0f / __builtin_sqrtf(p->bias2);
    FOR_LANES(i, c, n, { adamw_lanes(w + i, wb ? wb + i : NULL, m + i, v + i, g + i, p, keep, step, inv_root, c); });
}
