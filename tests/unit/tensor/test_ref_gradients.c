/* Backward of every reference op against difference quotients of its forward, in double: for random output
 * weights r, the gradient of sum(r * y) with respect to each input. */
#include <string.h>

#include "tensor/ref.h"
#include "unit/tensor/tensor_test.h"

#define BOUND 1e-7

static double weighted(const double *r, const double *y, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += r[i] * y[i];
    }
    return sum;
}

/* ---- matrix product ---- */

enum { GM = 4, GN = 5, GK = 3, LD = 6 }; /* every leading dimension is larger than the row */

typedef struct matmul_case {
    double a[LD * LD], b[LD * LD], c[LD * LD], r[LD * LD];
    rt_ref_gemm_args_f64 g;
} matmul_case;

static double matmul_value(void *arg)
{
    matmul_case *t = arg;
    memset(t->c, 0, sizeof t->c);
    rt_ref_matmul_f64(&t->g);
    return weighted(t->r, t->c, LD * LD);
}

static void matmul_backward_in_all_four_storages(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(1, "matmul", 0);
    for (int flags = 0; flags < 4; flags++) {
        matmul_case t;
        double da[LD * LD], db[LD * LD], da0[LD * LD], db0[LD * LD];
        fill_normal(t.a, LD * LD, 1.0, &rng);
        fill_normal(t.b, LD * LD, 1.0, &rng);
        fill_normal(t.r, LD * LD, 1.0, &rng);
        fill_normal(da0, LD * LD, 1.0, &rng);
        fill_normal(db0, LD * LD, 1.0, &rng);
        memcpy(da, da0, sizeof da);
        memcpy(db, db0, sizeof db);
        t.g = (rt_ref_gemm_args_f64){.m = GM,
                                     .n = GN,
                                     .k = GK,
                                     .a = t.a,
                                     .b = t.b,
                                     .lda = LD,
                                     .ldb = LD,
                                     .trans_a = flags & 1,
                                     .trans_b = flags & 2,
                                     .c = t.c,
                                     .ldc = LD};
        rt_ref_matmul_backward_f64(&t.g, t.r, da, db);
        for (int i = 0; i < LD * LD; i++) { /* gradients are added to what was there */
            da[i] -= da0[i];
            db[i] -= db0[i];
        }
        assert_gradient("matmul, a", matmul_value, &t, t.a, da, LD * LD, BOUND);
        assert_gradient("matmul, b", matmul_value, &t, t.b, db, LD * LD, BOUND);
    }
}

/* ---- RMSNorm ---- */

enum { ROWS = 3, D = 8 };

typedef struct norm_case {
    double x[ROWS * D], w[D], r[ROWS * D], offset;
} norm_case;

static double norm_value(void *arg)
{
    norm_case *t = arg;
    double y[ROWS * D];
    rt_ref_rmsnorm_f64(y, NULL, t->x, t->w, t->offset, 1e-2, ROWS, D);
    return weighted(t->r, y, ROWS * D);
}

static void rmsnorm_backward(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(2, "norm", 0);
    for (int offset = 0; offset < 2; offset++) {
        norm_case t = {.offset = offset};
        double dx[ROWS * D] = {0}, dw[D] = {0};
        fill_normal(t.x, ROWS * D, 1.0, &rng);
        fill_normal(t.w, D, 1.0, &rng);
        fill_normal(t.r, ROWS * D, 1.0, &rng);
        rt_ref_rmsnorm_backward_f64(dx, dw, t.r, t.x, t.w, offset, 1e-2, ROWS, D);
        assert_gradient("rmsnorm, x", norm_value, &t, t.x, dx, ROWS * D, BOUND);
        assert_gradient("rmsnorm, w", norm_value, &t, t.w, dw, D, BOUND);
    }
}

/* ---- rotary embedding ---- */

enum { HEADS = 2, HD = 6, ROT = 4, ROPE_LD = HEADS * HD + 1 };

typedef struct rope_case {
    double x[ROWS * ROPE_LD], r[ROWS * ROPE_LD], cs[ROWS * ROT];
    void (*rope)(double *x, int64_t ld, int n_head, int head_dim, int n_rot, const double *cs, double sign,
                 int64_t rows);
} rope_case;

static double rope_value(void *arg)
{
    rope_case *t = arg;
    double y[ROWS * ROPE_LD];
    memcpy(y, t->x, sizeof y);
    t->rope(y, ROPE_LD, HEADS, HD, ROT, t->cs, 1.0, ROWS);
    return weighted(t->r, y, ROWS * ROPE_LD);
}

static void rope_backward_is_the_inverse_rotation(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(3, "rope", 0);
    rope_case t;
    double dx[ROWS * ROPE_LD];
    fill_normal(t.x, ROWS * ROPE_LD, 1.0, &rng);
    fill_normal(t.r, ROWS * ROPE_LD, 1.0, &rng);
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < ROT / 2; j++) {
            double angle = (i + 1) * pow(10.0, -j);
            t.cs[i * ROT + j] = cos(angle);
            t.cs[i * ROT + ROT / 2 + j] = sin(angle);
        }
    }
    for (int layout = 0; layout < 2; layout++) {
        t.rope = layout == 0 ? rt_ref_rope_f64 : rt_ref_rope_pairs_f64;
        memcpy(dx, t.r, sizeof dx);
        t.rope(dx, ROPE_LD, HEADS, HD, ROT, t.cs, -1.0, ROWS);
        assert_gradient("rope", rope_value, &t, t.x, dx, ROWS * ROPE_LD, BOUND);
        t.rope(dx, ROPE_LD, HEADS, HD, ROT, t.cs, 1.0, ROWS);
        for (int i = 0; i < ROWS * ROPE_LD; i++) {
            assert_true(fabs(dx[i] - t.r[i]) < 1e-14);
        }
    }
}

/* ---- gated linear units ---- */

typedef struct glu_case {
    double gate[ROWS * D], up[ROWS * D], r[ROWS * D];
    rt_glu unit;
} glu_case;

static double glu_value(void *arg)
{
    glu_case *t = arg;
    double y[ROWS * D];
    rt_ref_glu_f64(y, D, t->gate, t->up, D, &t->unit, ROWS, D);
    return weighted(t->r, y, ROWS * D);
}

static void glu_backward_plain_and_clamped(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(4, "glu", 0);
    const rt_glu units[] = {RT_GLU_PLAIN(RT_ACT_SILU),
                            RT_GLU_PLAIN(RT_ACT_GELU_TANH),
                            {.act = RT_ACT_SILU, .limit = 1.5f, .alpha = 1.702f, .up_offset = 1}};
    for (int i = 0; i < 3; i++) {
        glu_case t = {.unit = units[i]};
        double dgate[ROWS * D], dup[ROWS * D];
        fill_normal(t.gate, ROWS * D, 2.0, &rng);
        fill_normal(t.up, ROWS * D, 1.0, &rng);
        fill_normal(t.r, ROWS * D, 1.0, &rng);
        rt_ref_glu_backward_f64(dgate, dup, D, t.r, D, t.gate, t.up, D, &t.unit, ROWS, D);
        assert_gradient("glu, gate", glu_value, &t, t.gate, dgate, ROWS * D, BOUND);
        assert_gradient("glu, up", glu_value, &t, t.up, dup, ROWS * D, BOUND);
    }
}

/* ---- attention: two query heads share one key/value head ---- */

enum { KV = 7, QH = 2, QLD = QH * HD };

typedef struct attn_case {
    double q[KV * QLD], k[KV * HD], v[KV * HD], r[KV * QLD], o[KV * QLD], lse[QH][KV];
    double dq[KV * QLD], dk[KV * HD], dv[KV * HD], sink[QH], dsink[QH];
    int64_t n_q, window;
    bool sinks;
    int width_v;
} attn_case;

static rt_ref_attn_args_f64 attn_head(attn_case *t, int h)
{
    return (rt_ref_attn_args_f64){.n_q = t->n_q,
                                  .n_kv = KV,
                                  .window = t->window,
                                  .head_dim = HD,
                                  .head_dim_v = t->width_v,
                                  .scale = 0.4,
                                  .q = t->q + h * HD,
                                  .k = t->k,
                                  .v = t->v,
                                  .ldq = QLD,
                                  .ldk = HD,
                                  .ldv = HD,
                                  .o = t->o + h * HD,
                                  .ldo = QLD,
                                  .sink = t->sinks ? t->sink + h : NULL,
                                  .dsink = t->dsink + h,
                                  .lse = t->lse[h],
                                  .do_ = t->r + h * HD,
                                  .dq = t->dq + h * HD,
                                  .dk = t->dk,
                                  .dv = t->dv};
}

static double attn_value(void *arg)
{
    attn_case *t = arg;
    for (int h = 0; h < QH; h++) {
        rt_ref_attn_args_f64 a = attn_head(t, h);
        rt_ref_attn_f64(&a);
    }
    return weighted(t->r, t->o, t->n_q * QLD);
}

static void attention_backward_causal_windowed_after_a_cache_and_with_sinks(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(5, "attention", 0);
    const int64_t n_q[] = {KV, KV, 3, 3}, window[] = {0, 3, 0, 2};
    for (int i = 0; i < 12; i++) {
        attn_case t = {.n_q = n_q[i % 4], .window = window[i % 4], .sinks = i >= 4, .width_v = i < 8 ? HD : HD - 1};
        fill_normal(t.sink, QH, 1.0, &rng);
        fill_normal(t.q, KV * QLD, 1.0, &rng);
        fill_normal(t.k, KV * HD, 1.0, &rng);
        fill_normal(t.v, KV * HD, 1.0, &rng);
        fill_normal(t.r, KV * QLD, 1.0, &rng);
        attn_value(&t);
        for (int h = 0; h < QH; h++) {
            rt_ref_attn_args_f64 a = attn_head(&t, h);
            rt_ref_attn_backward_f64(&a);
        }
        attn_case grads = t;
        assert_gradient("attention, q", attn_value, &t, t.q, grads.dq, t.n_q * QLD, BOUND);
        assert_gradient("attention, k", attn_value, &t, t.k, grads.dk, KV * HD, BOUND);
        assert_gradient("attention, v", attn_value, &t, t.v, grads.dv, KV * HD, BOUND);
        if (t.sinks) {
            assert_gradient("attention, sinks", attn_value, &t, t.sink, grads.dsink, QH, BOUND);
        }
    }
}

static void attention_sees_the_past_within_its_window_and_nothing_else(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(6, "attention", 0);
    /* query row i stands at key i + 4 and sees keys i + 3 and i + 4 */
    attn_case t = {.n_q = 3, .window = 2, .width_v = HD};
    fill_normal(t.q, KV * QLD, 1.0, &rng);
    for (int j = 0; j < KV; j++) {
        t.v[j * HD] = 1 << j; /* equal scores: the output tells which keys were seen */
    }
    rt_ref_attn_args_f64 a = attn_head(&t, 0);
    rt_ref_attn_f64(&a);
    for (int i = 0; i < 3; i++) {
        assert_true(fabs(t.o[i * QLD] - ((1 << (i + 3)) + (1 << (i + 4))) / 2.0) < 1e-12);
        assert_true(fabs(t.lse[0][i] - log(2.0)) < 1e-12);
    }
}

/* ---- embedding ---- */

enum { TOKENS = 5, VOCAB = 4 };
static const int32_t tokens[TOKENS] = {2, 0, 2, 3, 2};

typedef struct embed_case {
    double table[VOCAB * D], r[TOKENS * D];
} embed_case;

static double embed_value(void *arg)
{
    embed_case *t = arg;
    double y[TOKENS * D];
    rt_ref_embed_f64(y, t->table, tokens, TOKENS, D);
    return weighted(t->r, y, TOKENS * D);
}

static void embedding_backward_adds_repeated_tokens(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(7, "embedding", 0);
    embed_case t;
    double dtable[VOCAB * D] = {0};
    fill_normal(t.table, VOCAB * D, 1.0, &rng);
    fill_normal(t.r, TOKENS * D, 1.0, &rng);
    rt_ref_embed_backward_f64(dtable, t.r, tokens, TOKENS, D);
    assert_gradient("embedding", embed_value, &t, t.table, dtable, VOCAB * D, BOUND);
}

/* ---- cross entropy ---- */

static const int32_t labels[ROWS] = {3, -100, 0};

static double cross_entropy_value(void *arg)
{
    return 0.5 * rt_ref_cross_entropy_f64(arg, labels, ROWS, D);
}

static void cross_entropy_backward_skips_rows_without_label(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(8, "cross entropy", 0);
    double z[ROWS * D], dz[ROWS * D];
    fill_normal(z, ROWS * D, 2.0, &rng);
    rt_ref_cross_entropy_backward_f64(dz, z, labels, 0.5, ROWS, D);
    assert_gradient("cross entropy", cross_entropy_value, z, z, dz, ROWS * D, BOUND);
    assert_true(max_abs(dz + D, D) == 0.0);
}

/* ---- router ---- */

enum { EXPERTS = 8, TOP = 3 };

/* Every way of scoring, grouping and weighting; the last is the softmax over the chosen. */
static const rt_routing routings[] = {
    {EXPERTS, TOP, 1, 1, RT_SCORE_SOFTMAX, RT_GROUP_MAX, false, 1.0},
    {EXPERTS, TOP, 4, 2, RT_SCORE_SOFTMAX, RT_GROUP_MAX, false, 16.0},
    {EXPERTS, TOP, 1, 1, RT_SCORE_SIGMOID, RT_GROUP_MAX, true, 1.0},
    {EXPERTS, TOP, 4, 2, RT_SCORE_SIGMOID, RT_GROUP_TOP2, true, 2.5},
    {EXPERTS, TOP, 2, 1, RT_SCORE_SIGMOID, RT_GROUP_TOP2, false, 2.5},
    {EXPERTS, TOP, 1, 1, RT_SCORE_SQRT_SOFTPLUS, RT_GROUP_MAX, true, 1.5},
    {EXPERTS, TOP, 1, 1, RT_SCORE_SOFTMAX, RT_GROUP_MAX, true, 1.0},
};
enum { ROUTINGS = sizeof routings / sizeof routings[0] };

typedef struct router_case {
    double logits[ROWS * EXPERTS], bias[EXPERTS], r[ROWS * TOP];
    int32_t ids[ROWS * TOP];
    const rt_routing *routing;
} router_case;

static double router_value(void *arg)
{
    router_case *t = arg;
    double w[ROWS * TOP];
    rt_ref_router_f64(t->ids, w, t->logits, t->bias, t->routing, ROWS);
    return weighted(t->r, w, ROWS * TOP);
}

static void router_backward_in_every_form(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(9, "router", 0);
    for (int i = 0; i < ROUTINGS; i++) {
        router_case t = {.routing = &routings[i]};
        double dlogits[ROWS * EXPERTS];
        fill_normal(t.logits, ROWS * EXPERTS, 1.5, &rng);
        fill_normal(t.bias, EXPERTS, 0.2, &rng);
        fill_normal(t.r, ROWS * TOP, 1.0, &rng);
        router_value(&t);
        rt_ref_router_backward_f64(dlogits, t.r, t.ids, t.logits, t.routing, ROWS);
        assert_gradient("router", router_value, &t, t.logits, dlogits, ROWS * EXPERTS, BOUND);
    }
}

static void router_takes_the_first_of_equal_experts(void **state)
{
    (void)state;
    const double logits[EXPERTS] = {0, 2, 5, 2, 5, 2, 1, 1};
    const int32_t want[TOP] = {2, 4, 1};
    int32_t ids[TOP];
    double w[TOP];
    rt_ref_router_f64(ids, w, logits, NULL, &routings[ROUTINGS - 1], 1);
    assert_memory_equal(ids, want, sizeof want);
    assert_true(fabs(w[0] + w[1] + w[2] - 1.0) < 1e-15);
    assert_true(w[0] == w[1] && fabs(w[2] / w[0] - exp(-3.0)) < 1e-15);
}

/* Groups {0,1} {2,3} {4,5} {6,7}: by their best the second and the last win, by their two best the first two. The
 * bias moves the choice and leaves the weights alone. */
static void router_keeps_to_the_best_groups(void **state)
{
    (void)state;
    const double p[EXPERTS] = {0.7, 0.6, 0.8, 0.55, 0.5, 0.4, 0.9, 0.1};
    const double bias[EXPERTS] = {[4] = 2.0};
    rt_routing r = {EXPERTS, 2, 4, 2, RT_SCORE_SIGMOID, RT_GROUP_MAX, false, 1.0};
    double logits[EXPERTS], w[2];
    int32_t ids[2];
    for (int e = 0; e < EXPERTS; e++) {
        logits[e] = log(p[e] / (1.0 - p[e]));
    }
    rt_ref_router_f64(ids, w, logits, NULL, &r, 1);
    assert_true(ids[0] == 6 && ids[1] == 2);
    r.group_score = RT_GROUP_TOP2;
    rt_ref_router_f64(ids, w, logits, NULL, &r, 1);
    assert_true(ids[0] == 2 && ids[1] == 0);
    rt_ref_router_f64(ids, w, logits, bias, &r, 1);
    assert_true(ids[0] == 4 && ids[1] == 2);
    assert_true(fabs(w[0] - 0.5) < 1e-15 && fabs(w[1] - 0.8) < 1e-15);
}

/* The engine's router, row by row, against the reference. */
static void router_of_the_engine_equals_the_reference(void **state)
{
    (void)state;
    rt_rng rng = rt_rng_init(10, "router", 0);
    for (int i = 0; i < ROUTINGS; i++) {
        double logits[EXPERTS], bias[EXPERTS], dw[TOP], w[TOP], dlogits[EXPERTS];
        float p[EXPERTS], dp[EXPERTS], bias32[EXPERTS], dw32[TOP], weight[TOP];
        int32_t ids[TOP], expert[TOP];
        fill_normal(logits, EXPERTS, 1.5, &rng);
        fill_normal(bias, EXPERTS, 0.2, &rng);
        fill_normal(dw, TOP, 1.0, &rng);
        rt_ref_router_f64(ids, w, logits, bias, &routings[i], 1);
        rt_ref_router_backward_f64(dlogits, dw, ids, logits, &routings[i], 1);
        for (int e = 0; e < EXPERTS; e++) {
            p[e] = dp[e] = (float)logits[e];
            bias32[e] = (float)bias[e];
        }
        for (int j = 0; j < TOP; j++) {
            dw32[j] = (float)dw[j];
        }
        rt_route(&routings[i], p, bias32, expert, weight);
        rt_route_backward(&routings[i], dp, expert, dw32);
        assert_memory_equal(expert, ids, sizeof ids);
        for (int j = 0; j < TOP; j++) {
            assert_true(fabs(weight[j] - w[j]) <= 1e-6 * routings[i].scale);
        }
        for (int e = 0; e < EXPERTS; e++) {
            assert_true(fabs(dp[e] - dlogits[e]) <= 1e-6 * routings[i].scale);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_backward_in_all_four_storages),
        cmocka_unit_test(rmsnorm_backward),
        cmocka_unit_test(rope_backward_is_the_inverse_rotation),
        cmocka_unit_test(glu_backward_plain_and_clamped),
        cmocka_unit_test(attention_backward_causal_windowed_after_a_cache_and_with_sinks),
        cmocka_unit_test(attention_sees_the_past_within_its_window_and_nothing_else),
        cmocka_unit_test(embedding_backward_adds_repeated_tokens),
        cmocka_unit_test(cross_entropy_backward_skips_rows_without_label),
        cmocka_unit_test(router_backward_in_every_form),
        cmocka_unit_test(router_takes_the_first_of_equal_experts),
        cmocka_unit_test(router_keeps_to_the_best_groups),
        cmocka_unit_test(router_of_the_engine_equals_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
