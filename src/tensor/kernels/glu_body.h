/* glu_body.h - gated linear unit: act(gate) * up (Shazeer 2020), and its gradient. Both activations are
 * x sigmoid(t): t = alpha x for SiLU, t = 2 sqrt(2/pi) (x + 0.044715 x^3) for GELU by tanh. */

/* *slope = d t / d x */
VEC vf act_argument(vf x, const rt_glu unit, vf *slope)
{
    if (unit.act == RT_ACT_SILU) {
        *slope = vf_set(unit.alpha);
        return unit.alpha * x;
    }
    /* beyond 30 the sigmoid is 0 or 1 and the cube may overflow */
    x = vf_min(vf_set(30.0f), vf_max(vf_set(-30.0f), x));
    vf xx = x * x;
    *slope = vf_fma(vf_set(0.2140644488f), xx, vf_set(1.5957691216f));
    return x * vf_fma(vf_set(0.0713548163f), xx, vf_set(1.5957691216f));
}

/* The gate and the other factor as they enter the product. */
VEC vf gate_of(vf x, const rt_glu unit)
{
    return unit.limit > 0 ? vf_min(vf_set(unit.limit), x) : x;
}

VEC vf factor_of(vf x, const rt_glu unit)
{
    x = unit.limit > 0 ? vf_min(vf_set(unit.limit), vf_max(vf_set(-unit.limit), x)) : x;
    return unit.up_offset != 0 ? x + unit.up_offset : x;
}

VEC void glu_rows(void *y, const rt_dtype ytype, int64_t ldy, const float *gate, const float *up, int64_t ldx,
                  const rt_glu unit, int64_t rows, int64_t f)
{
    for (int64_t r = 0; r < rows; r++) {
        FOR_LANES(i, c, f, {
            vf slope;
            vf x = gate_of(vf_load(gate + r * ldx + i, c), unit);
            vf s = vf_sigmoid(act_argument(x, unit, &slope));
            store_any(y, ytype, r * ldy + i, x * s * factor_of(vf_load(up + r * ldx + i, c), unit), c);
        });
    }
}

static bool is_plain_silu(const rt_glu *unit)
{
    return unit->act == RT_ACT_SILU && unit->limit == 0 && unit->alpha == 1 && unit->up_offset == 0;
}

static void glu(void *y, rt_dtype ytype, int64_t ldy, const float *gate, const float *up, int64_t ldx,
                const rt_glu *unit, int64_t rows, int64_t f)
{
    if (is_plain_silu(unit) && ytype == RT_BF16) {
        glu_rows(y, RT_BF16, ldy, gate, up, ldx, RT_GLU_PLAIN(RT_ACT_SILU), rows, f);
    } else if (is_plain_silu(unit)) {
        glu_rows(y, RT_F32, ldy, gate, up, ldx, RT_GLU_PLAIN(RT_ACT_SILU), rows, f);
    } else {
        glu_rows(y, ytype, ldy, gate, up, ldx, *unit, rows, f);
    }
}

/* d act = s + x s (1 - s) t'. Far out x may be huge where s (1 - s) is 0, hence the bound on that x. */
VEC void glu_backward_rows(void *dgate, void *dup, const rt_dtype dtype, int64_t ldd, const float *dy, int64_t lddy,
                           const float *gate, const float *up, int64_t ldx, const rt_glu unit, int64_t rows, int64_t f)
{
    for (int64_t r = 0; r < rows; r++) {
        FOR_LANES(i, c, f, {
            vf slope;
            vf raw_gate = vf_load(gate + r * ldx + i, c), raw_up = vf_load(up + r * ldx + i, c);
            vf x = gate_of(raw_gate, unit);
            vf s = vf_sigmoid(act_argument(x, unit, &slope));
            vf g = vf_load(dy + r * lddy + i, c);
            vf d = g * factor_of(raw_up, unit) * vf_fma(x * s, (1.0f - s) * slope, s);
            vf du = g * x * s;
            if (unit.limit > 0) {
                d = (vf)((vi)d & (raw_gate <= unit.limit));
                du = (vf)((vi)du & (raw_up <= unit.limit) & (raw_up >= -unit.limit));
            }
            store_any(dup, dtype, r * ldd + i, du, c);
            store_any(dgate, dtype, r * ldd + i, d, c);
        });
    }
}

static void glu_backward(void *dgate, void *dup, rt_dtype dtype, int64_t ldd, const float *dy, int64_t lddy,
                         const float *gate, const float *up, int64_t ldx, const rt_glu *unit, int64_t rows, int64_t f)
{
    if (is_plain_silu(unit) && dtype == RT_BF16) {
        glu_backward_rows(dgate, dup, RT_BF16, ldd, dy, lddy, gate, up, ldx, RT_GLU_PLAIN(RT_ACT_SILU), rows, f);
    } else if (is_plain_silu(unit)) {
        glu_backward_rows(dgate, dup, RT_F32, ldd, dy, lddy, gate, up, ldx, RT_GLU_PLAIN(RT_ACT_SILU), rows, f);
    } else {
        glu_backward_rows(dgate, dup, dtype, ldd, dy, lddy, gate, up, ldx, *unit, rows, f);
    }
}
