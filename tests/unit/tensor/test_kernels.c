/* test_kernels.c - every kernel on rows and elements, at every level of this machine, against the reference ops:
 * odd lengths, guarded ends, denormals, large and infinite values. `test_kernels --bench` times them instead. */
#include "kernel_test.h"

#include "kernel_bench.h"

static const int64_t lengths[] = {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 129, 576, 1000};
#define N_LENGTHS ((int)(sizeof lengths / sizeof lengths[0]))
enum { ROWS_TESTED = 3 };

/* --- elements --- */

static float from_bf16(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The nearer of the two neighbours, at a tie the even one; beyond the largest, infinity is one step further. */
static uint16_t nearest_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint16_t below = (uint16_t)(bits >> 16), above = (uint16_t)(below + 1);
    double top = isinf(from_bf16(above)) ? copysign(ldexp(1, 128), x) : from_bf16(above);
    double down = fabs((double)x - from_bf16(below)), up = fabs(top - (double)x);
    return isinf(x) || down < up || (down == up && below % 2 == 0) ? below : above;
}

static void check_bf16(const rt_kernels *k)
{
    enum { N = 4099 };
    float *x = new_floats(N), *back = new_floats(N);
    uint16_t *y = rt_malloc((N + 1) * sizeof *y);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t bits = i * 2654435761u;
        bits = i % 3 == 0 ? (bits & 0xffff0000u) | 0x8000u : bits; /* ties */
        memcpy(&x[i], &bits, sizeof bits);
        if (isnan(x[i])) {
            x[i] = i % 2 ? INFINITY : 3.4e38f;
        }
    }
    y[N] = 0xabcd;
    k->f32_to_bf16(y, x, N);
    k->bf16_to_f32(back, y, N);
    assert_int_equal(y[N], 0xabcd);
    for (int i = 0; i < N; i++) {
        bool flushed = fabsf(x[i]) < 1.1754944e-38f && (y[i] & 0x7fff) == 0;
        assert_true(flushed || y[i] == nearest_bf16(x[i]));
        assert_true(back[i] == from_bf16(y[i]));
    }
    float nan = NAN;
    k->f32_to_bf16(y, &nan, 1);
    assert_true(isnan(from_bf16(y[0])));
    drop_floats(x, N);
    drop_floats(back, N);
    rt_free(y);
}

static void check_elements(const rt_kernels *k)
{
    for (int l = 0; l < N_LENGTHS; l++) {
        int64_t n = lengths[l];
        float *x = new_random(n, 1), *y = new_random(n, 2), *got = new_copy(y, n), *want = new_floats(n);
        double dot = 0, squares = 0, size = 0;
        for (int64_t i = 0; i < n; i++) {
            dot += (double)x[i] * y[i];
            size += fabs((double)x[i] * y[i]);
            squares += (double)x[i] * x[i];
            want[i] = y[i] + x[i];
        }
        k->add(got, x, n);
        assert_near("add", k->name, got, want, n, 0, 0);
        for (int64_t i = 0; i < n; i++) {
            want[i] = (float)(y[i] + 0.37f * (double)x[i]);
        }
        memcpy(got, y, (size_t)n * sizeof *y);
        k->axpy(got, 0.37f, x, n);
        assert_near("axpy", k->name, got, want, n, 1e-7, 1e-7);
        for (int64_t i = 0; i < n; i++) {
            want[i] = -2.5f * y[i];
        }
        memcpy(got, y, (size_t)n * sizeof *y);
        k->scale(got, -2.5f, n);
        assert_near("scale", k->name, got, want, n, 0, 0);
        assert_true(fabs(k->dot(x, y, n) - dot) <= 1e-6 * size);
        assert_true(fabs(k->sum_squares(x, n) - squares) <= 1e-14 * squares);
        drop_floats(x, n);
        drop_floats(y, n);
        drop_floats(got, n);
        drop_floats(want, n);
    }
    float large[] = {1e30f, -1e30f, 1e30f};
    assert_true(fabs(k->sum_squares(large, 3) / 3e60 - 1) < 1e-6);
}

/* --- rows --- */

/* y in the type asked for, read back as f32. */
static float *widened(const rt_kernels *k, const void *y, rt_dtype type, int64_t n)
{
    float *x = new_floats(n);
    if (type == RT_BF16) {
        k->bf16_to_f32(x, y, n);
    } else {
        memcpy(x, y, (size_t)n * sizeof *x);
    }
    return x;
}

static double step_of(rt_dtype type)
{
    return type == RT_BF16 ? 4.2e-3 : 3e-6; /* half a bf16 step, with room for a tie that falls the other way */
}

static void check_rmsnorm(const rt_kernels *k)
{
    for (int l = 0; l < N_LENGTHS; l++) {
        int64_t d = lengths[l], n = d * ROWS_TESTED;
        float *x = new_random(n, 3), *w = new_random(d, 4), *dy = new_random(n, 5);
        float *want = new_floats(n), rstd[ROWS_TESTED], want_rstd[ROWS_TESTED];
        float offset = l % 2 ? 1.0f : 0.0f;
        rt_ref_rmsnorm_f32(want, want_rstd, x, w, offset, 1e-5, ROWS_TESTED, d);
        for (int t = 0; t < 2; t++) {
            rt_dtype type = t ? RT_BF16 : RT_F32;
            float *y = new_floats(n);
            k->rmsnorm(y, type, t ? NULL : rstd, x, w, offset, 1e-5f, ROWS_TESTED, d);
            float *got = widened(k, y, type, n);
            assert_near("rmsnorm", k->name, got, want, n, step_of(type), 1e-30);
            drop_floats(y, n);
            drop_floats(got, n);
        }
        assert_near("rstd", k->name, rstd, want_rstd, ROWS_TESTED, 1e-6, 0);
        float *dx = new_random(n, 6), *dw = new_random(d, 7), *want_dx = new_copy(dx, n), *want_dw = new_copy(dw, d);
        k->rmsnorm_backward(dx, dw, dy, x, w, offset, 1e-5f, ROWS_TESTED, d);
        rt_ref_rmsnorm_backward_f32(want_dx, want_dw, dy, x, w, offset, 1e-5, ROWS_TESTED, d);
        /* at length 1 the gradient cancels to nothing: only the size of its two terms, about 10, says what is near */
        assert_near("rmsnorm dx", k->name, dx, want_dx, n, 1e-5, d == 1 ? 1e-3 : 2e-5);
        assert_near("rmsnorm dw", k->name, dw, want_dw, d, 1e-5, 2e-6);
        float *all[] = {x, dy, want, dx, want_dx};
        for (int i = 0; i < 5; i++) {
            drop_floats(all[i], n);
        }
        drop_floats(w, d);
        drop_floats(dw, d);
        drop_floats(want_dw, d);
    }
}

static void check_rope(const rt_kernels *k)
{
    static const struct {
        int head_dim, n_rot;
    } shapes[] = {{64, 64}, {16, 16}, {18, 18}, {80, 32}, {10, 6}, {128, 128}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        int hd = shapes[s].head_dim, n_rot = shapes[s].n_rot, n_head = 3;
        int64_t ld = n_head * hd + 5, rows = 4, n = rows * ld;
        float *x = new_random(n, 8), *pairs = new_copy(x, n), *cs = new_random(rows * n_rot, 9), *want = new_copy(x, n),
              *first = new_copy(x, n);
        for (int64_t r = 0; r < rows; r++) {
            for (int i = 0; i < n_rot / 2; i++) {
                double angle = (double)(r + 1) * (i + 1);
                cs[r * n_rot + i] = (float)cos(angle);
                cs[r * n_rot + n_rot / 2 + i] = (float)sin(angle);
            }
        }
        k->rope(x, ld, n_head, hd, n_rot, cs, 1.0f, rows);
        rt_ref_rope_f32(want, ld, n_head, hd, n_rot, cs, 1.0, rows);
        assert_near("rope", k->name, x, want, n, 1e-6, 1e-6);
        k->rope(x, ld, n_head, hd, n_rot, cs, -1.0f, rows);
        assert_near("rope and back", k->name, x, first, n, 1e-6, 1e-6);
        memcpy(want, first, (size_t)n * sizeof *want);
        k->rope_pairs(pairs, ld, n_head, hd, n_rot, cs, 1.0f, rows);
        rt_ref_rope_pairs_f32(want, ld, n_head, hd, n_rot, cs, 1.0, rows);
        assert_near("rope of pairs", k->name, pairs, want, n, 1e-6, 1e-6);
        k->rope_pairs(pairs, ld, n_head, hd, n_rot, cs, -1.0f, rows);
        assert_near("rope of pairs and back", k->name, pairs, first, n, 1e-6, 1e-6);
        drop_floats(pairs, n);
        drop_floats(x, n);
        drop_floats(cs, rows * n_rot);
        drop_floats(want, n);
        drop_floats(first, n);
    }
}

static void check_glu(const rt_kernels *k)
{
    static const float gates[] = {0, -0.0f, 1e-40f, 88.5f, -88.5f, -104, 104, 1e4f, -1e4f, 1e30f, -1e30f, 30.5f, -17};
    static const rt_glu units[] = {RT_GLU_PLAIN(RT_ACT_SILU),
                                   RT_GLU_PLAIN(RT_ACT_GELU_TANH),
                                   {.act = RT_ACT_SILU, .limit = 2.5f, .alpha = 1.702f, .up_offset = 1}};
    for (int l = 0; l < N_LENGTHS * 6; l++) {
        const rt_glu *unit = &units[l % 3];
        rt_dtype type = l & 1 ? RT_BF16 : RT_F32;
        int64_t f = lengths[l / 6], ld = f + 3, n = ROWS_TESTED * ld;
        float *gate = new_random(n, 10), *up = new_random(n, 11), *dy = new_random(n, 12);
        for (int64_t i = 0; i < n; i++) {
            gate[i] = i % 5 == 0 ? gates[i / 5 % 13] : 3 * gate[i];
        }
        float *want = new_floats(n), *want_dg = new_floats(n), *want_du = new_floats(n);
        float *y = new_floats(n), *dg = new_floats(n), *du = new_floats(n);
        rt_ref_glu_f32(want, ld, gate, up, ld, unit, ROWS_TESTED, f);
        rt_ref_glu_backward_f32(want_dg, want_du, ld, dy, ld, gate, up, ld, unit, ROWS_TESTED, f);
        k->glu(y, type, ld, gate, up, ld, unit, ROWS_TESTED, f);
        k->glu_backward(dg, du, type, ld, dy, ld, gate, up, ld, unit, ROWS_TESTED, f);
        float *got[] = {y, dg, du}, *expected[] = {want, want_dg, want_du};
        for (int g = 0; g < 3; g++) {
            float *wide = widened(k, got[g], type, n);
            for (int64_t r = 0; r < ROWS_TESTED; r++) {
                /* far out on the left the result falls below what f32 can tell from 0 beside 1 */
                assert_near("glu", k->name, wide + r * ld, expected[g] + r * ld, f, step_of(type), 1e-6);
            }
            drop_floats(wide, n);
        }
        float *all[] = {gate, up, dy, want, want_dg, want_du, y, dg, du};
        for (int i = 0; i < 9; i++) {
            drop_floats(all[i], n);
        }
    }
}

static void check_adamw(const rt_kernels *k)
{
    for (int l = 0; l < N_LENGTHS; l++) {
        int64_t n = lengths[l];
        float *w = new_random(n, 13), *m = new_random(n, 14), *v = new_random(n, 15), *g = new_random(n, 16);
        for (int64_t i = 0; i < n; i++) {
            v[i] *= v[i];
        }
        float *want_w = new_copy(w, n), *want_m = new_copy(m, n), *want_v = new_copy(v, n), *wide = new_floats(n);
        uint16_t *wb = rt_malloc((size_t)n * sizeof *wb);
        rt_adamw p = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.271f, 0.142625f, 0.7f};
        rt_ref_adamw exact = {p.lr, p.beta1, p.beta2, p.eps, p.weight_decay, p.bias1, p.bias2, p.grad_scale};
        k->adamw(w, l % 2 ? wb : NULL, m, v, g, &p, n);
        rt_ref_adamw_f32(want_w, want_m, want_v, g, &exact, n);
        assert_near("adamw m", k->name, m, want_m, n, 1e-6, 1e-7);
        assert_near("adamw v", k->name, v, want_v, n, 1e-6, 1e-8);
        assert_near("adamw w", k->name, w, want_w, n, 1e-6, 2e-7);
        if (l % 2) {
            k->bf16_to_f32(wide, wb, n);
            assert_near("adamw bf16", k->name, wide, w, n, 1.0 / 256, 0);
        }
        float *all[] = {w, m, v, g, want_w, want_m, want_v, wide};
        for (int i = 0; i < 8; i++) {
            drop_floats(all[i], n);
        }
        rt_free(wb);
    }
}

/* --- long rows --- */

static void check_softmax(const rt_kernels *k)
{
    static const double spreads[] = {1, 30, 3000};
    for (int l = 0; l < N_LENGTHS * 3; l++) {
        int64_t n = lengths[l / 3] * (l % 2 ? 1 : 49);
        float *z = new_random(n, 17 + (uint64_t)l), *want = new_floats(n), top, want_top;
        for (int64_t i = 0; i < n; i++) {
            z[i] *= (float)spreads[l % 3];
        }
        if (n > 3) {
            z[n / 2] = -INFINITY;
        }
        memcpy(want, z, (size_t)n * sizeof *z);
        double lse = rt_ref_logsumexp_f32(z, n, 0.8, &want_top);
        float got = k->logsumexp(z, n, 0.8f, &top);
        assert_true(fabs(top - want_top) <= 1e-6 * fabs(want_top));
        assert_true(fabs(got - lse) <= 1e-6 + 2e-7 * fabs(lse));
        k->softmax_scale(z, n, 0.8f, (float)lse, 3.0f);
        rt_ref_softmax_scale_f32(want, n, (double)0.8f, (float)lse, 3.0);
        /* the exponent is rounded to f32 before exp: its size times 2^-24 comes on top of exp's own 2e-6 */
        assert_near("softmax", k->name, z, want, n, 3e-6 + 1.2e-7 * fabs(lse), 1e-37);
        drop_floats(z, n);
        drop_floats(want, n);
    }
}

/* exp seen through softmax_scale with lse 0: 2e-6 where the result is normal, exact 0 where not. */
static void check_exp(const rt_kernels *k)
{
    enum { N = 20001 };
    float *z = new_floats(N), *x = new_floats(N);
    for (int i = 0; i < N; i++) {
        x[i] = z[i] = (float)(-110.0 + 198.7 * i / (N - 1));
    }
    k->softmax_scale(z, N, 1.0f, 0.0f, 1.0f);
    for (int i = 0; i < N; i++) {
        double want = exp((double)x[i]);
        if (x[i] < -87.3366f) {
            assert_true(z[i] == 0.0f);
        } else if (!(fabs(z[i] / want - 1) < 2e-6)) {
            fail_msg("exp (%s): of %.9g is %.9g, expected %.9g", k->name, x[i], z[i], want);
        }
    }
    float special[] = {-INFINITY, INFINITY, NAN, 89.5f, 0.0f, -1e30f};
    k->softmax_scale(special, 6, 1.0f, 0.0f, 1.0f);
    assert_true(special[0] == 0.0f && isinf(special[1]) && isnan(special[2]) && isinf(special[3]));
    assert_true(special[4] == 1.0f && special[5] == 0.0f);
    drop_floats(z, N);
    drop_floats(x, N);
}

static void check_extreme_rows(const rt_kernels *k)
{
    for (int64_t n = 1; n < 40; n++) {
        float *z = new_floats(n);
        for (int64_t i = 0; i < n; i++) {
            z[i] = -INFINITY;
        }
        assert_true(k->logsumexp(z, n, 1.0f, NULL) == -INFINITY);
        z[n - 1] = 1e30f;
        assert_true(k->logsumexp(z, n, 1.0f, NULL) == 1e30f);
        z[n / 2] = NAN; /* a broken row must show */
        assert_true(isnan(k->logsumexp(z, n, 1.0f, NULL)));
        drop_floats(z, n);
    }
}

static void check_argmax(const rt_kernels *k)
{
    for (int l = 0; l < N_LENGTHS; l++) {
        int64_t n = lengths[l];
        float *z = new_random(n, 18);
        for (int64_t at = 0; at < n; at += 1 + n / 7) {
            float *row = new_copy(z, n);
            row[at] = 50;
            assert_int_equal(k->argmax(row, n), at);
            row[n - 1] = 50; /* first of equals */
            assert_int_equal(k->argmax(row, n), at);
            drop_floats(row, n);
        }
        for (int64_t i = 0; i < n; i++) {
            z[i] = -INFINITY;
        }
        assert_int_equal(k->argmax(z, n), 0);
        drop_floats(z, n);
    }
}

/* --- matrix times a few rows --- */

static void check_matvec(const rt_kernels *k)
{
    enum { MAX_ROWS = 32 };
    static const int64_t outs[] = {1, 3, 4, 6, 17}, ks[] = {1, 7, 16, 33, 64, 576, 1001};
    for (int c = 0; c < 2 * 5 * 7; c++) {
        int64_t n_out = outs[c / 2 % 5], kk = ks[c / 10], ldw = kk + 3, ldx = kk + 1, ldy = n_out + 2;
        float *w = new_random(n_out * ldw, 19), *x = new_random(MAX_ROWS * ldx, 20);
        uint16_t *wb = rt_malloc((size_t)(n_out * ldw) * sizeof *wb);
        k->f32_to_bf16(wb, w, n_out * ldw);
        if (c % 2) {
            k->bf16_to_f32(w, wb, n_out * ldw);
        }
        const void *weights = c % 2 ? (void *)wb : w;
        rt_dtype type = c % 2 ? RT_BF16 : RT_F32;
        float *all = new_floats(MAX_ROWS * ldy), *one = new_floats(n_out);
        k->matvec(all, ldy, x, ldx, MAX_ROWS, weights, type, ldw, n_out, kk);
        for (int64_t r = 0; r < MAX_ROWS; r++) {
            k->matvec(one, n_out, x + r * ldx, ldx, 1, weights, type, ldw, n_out, kk);
            assert_memory_equal(one, all + r * ldy, (size_t)n_out * sizeof *one);
            assert_true(all[r * ldy + n_out] == GUARD_VALUE);
            for (int64_t j = 0; j < n_out; j++) {
                double sum = 0, size = 0;
                for (int64_t i = 0; i < kk; i++) {
                    sum += (double)x[r * ldx + i] * w[j * ldw + i];
                    size += fabs((double)x[r * ldx + i] * w[j * ldw + i]);
                }
                assert_true(fabs(one[j] - sum) <= 2e-6 * size + 1e-37);
            }
        }
        drop_floats(w, n_out * ldw);
        drop_floats(x, MAX_ROWS * ldx);
        drop_floats(all, MAX_ROWS * ldy);
        drop_floats(one, n_out);
        rt_free(wb);
    }
}

#define LEVELS(name, check)         \
    static void name(void **unused) \
    {                               \
        (void)unused;               \
        at_every_level(check);      \
    }
LEVELS(bf16_is_the_nearest_even, check_bf16)
LEVELS(sums_and_scalings_match, check_elements)
LEVELS(rmsnorm_matches_forward_and_backward, check_rmsnorm)
LEVELS(rope_matches_and_turns_back, check_rope)
LEVELS(glu_matches_forward_and_backward, check_glu)
LEVELS(adamw_matches, check_adamw)
LEVELS(softmax_matches, check_softmax)
LEVELS(exp_is_good_to_2e_6, check_exp)
LEVELS(extreme_rows_stay_themselves, check_extreme_rows)
LEVELS(argmax_is_the_first_of_equals, check_argmax)
LEVELS(matvec_has_the_same_bits_alone_and_among_others, check_matvec)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        at_every_level(bench_kernels);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_is_the_nearest_even),
        cmocka_unit_test(sums_and_scalings_match),
        cmocka_unit_test(rmsnorm_matches_forward_and_backward),
        cmocka_unit_test(rope_matches_and_turns_back),
        cmocka_unit_test(glu_matches_forward_and_backward),
        cmocka_unit_test(adamw_matches),
        cmocka_unit_test(softmax_matches),
        cmocka_unit_test(exp_is_good_to_2e_6),
        cmocka_unit_test(extreme_rows_stay_themselves),
        cmocka_unit_test(argmax_is_the_first_of_equals),
        cmocka_unit_test(matvec_has_the_same_bits_alone_and_among_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
