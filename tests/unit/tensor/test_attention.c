/* test_attention.c - attention of one head at every level, forward and backward, against the reference in double:
 * full, causal with a cache, windowed; any head width, values of another width than keys; strides; guarded ends. */
#include "kernel_test.h"

/* The kernels with bf16 operands take the same inputs, rounded beforehand so that only what they round themselves is
 * measured: probabilities and their gradients, to 2^-9 of each term. */
static bool bf16_operands;

static void round_inputs(float *x, int64_t n)
{
    uint16_t *h = rt_malloc((size_t)n * sizeof *h);
    rt_kernels_get()->f32_to_bf16(h, x, n);
    rt_kernels_get()->bf16_to_f32(x, h, n);
    rt_free(h);
}

typedef struct head {
    rt_attn a;
    int64_t nq, nk; /* floats of a query-shaped and of a key-shaped array */
    float *o, *dq, *dk, *dv, *lse;
    float *q, *k, *v, *d_o;
} head;

static head new_head(int64_t n_q, int64_t n_kv, int64_t window, int head_dim, int head_dim_v, float spread)
{
    int widest = head_dim > head_dim_v ? head_dim : head_dim_v;
    int64_t ldq = widest + 7, ldk = widest + 3;
    head h = {.nq = n_q * ldq, .nk = n_kv * ldk};
    h.q = new_random(h.nq, 1);
    h.k = new_random(h.nk, 2);
    h.v = new_random(h.nk, 3);
    h.d_o = new_random(h.nq, 4);
    h.dk = new_random(h.nk, 5);
    h.dv = new_random(h.nk, 6);
    h.o = new_floats(h.nq);
    h.dq = new_floats(h.nq);
    h.lse = new_floats(n_q);
    rt_kernels_get()->scale(h.q, spread, h.nq);
    if (bf16_operands) {
        round_inputs(h.q, h.nq);
        round_inputs(h.k, h.nk);
        round_inputs(h.v, h.nk);
        round_inputs(h.d_o, h.nq);
    }
    h.a = (rt_attn){.n_q = n_q,
                    .n_kv = n_kv,
                    .window = window,
                    .head_dim = head_dim,
                    .head_dim_v = head_dim_v,
                    .scale = 1.0f / sqrtf((float)head_dim),
                    .q = h.q,
                    .k = h.k,
                    .v = h.v,
                    .ldq = ldq,
                    .ldk = ldk,
                    .ldv = ldk,
                    .o = h.o,
                    .ldo = ldq,
                    .lse = h.lse,
                    .do_ = h.d_o,
                    .dq = h.dq,
                    .dk = h.dk,
                    .dv = h.dv};
    return h;
}

static void drop_head(head *h)
{
    float *queries[] = {h->q, h->d_o, h->o, h->dq}, *keys[] = {h->k, h->v, h->dk, h->dv};
    for (int i = 0; i < 4; i++) {
        drop_floats(queries[i], h->nq);
        drop_floats(keys[i], h->nk);
    }
    drop_floats(h->lse, h->a.n_q);
}

static double *doubled(const float *x, int64_t n)
{
    double *y = rt_malloc((size_t)n * sizeof *y);
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i];
    }
    return y;
}

/* Rows of `width` at stride ld, each to `bound` of the largest element of the array; the gaps are untouched. */
static void assert_rows(const char *what, const char *level, const float *got, const float *before, const double *want,
                        int64_t rows, int64_t width, int64_t ld, double bound)
{
    double scale = 0.3; /* gradients that cancel to 0 keep the rounding of their terms, of order 1 */
    for (int64_t r = 0; r < rows; r++) {
        scale = fmax(scale, max_abs(want + r * ld, width));
    }
    for (int64_t i = 0; i < rows * ld; i++) {
        if (i % ld >= width) {
            assert_true(got[i] == (before ? before[i] : GUARD_VALUE));
        } else if (!(fabs(got[i] - want[i]) <= bound * scale)) {
            fail_msg("%s (%s): row %lld column %lld is %.9g, expected %.9g", what, level, (long long)(i / ld),
                     (long long)(i % ld), got[i], want[i]);
        }
    }
}

static void check_attention(const rt_kernels *k, int64_t n_q, int64_t n_kv, int64_t window, int head_dim,
                            int head_dim_v, float spread, const float *sink)
{
    head h = new_head(n_q, n_kv, window, head_dim, head_dim_v, spread);
    const rt_attn *a = &h.a;
    double *d[9], *lse = doubled(h.lse, n_q);
    const float *f[] = {h.q, h.k, h.v, h.o, h.d_o, h.dq, h.dk, h.dv};
    for (int i = 0; i < 8; i++) {
        d[i] = doubled(f[i], i == 1 || i == 2 || i >= 6 ? h.nk : h.nq);
    }
    rt_ref_attn_args_f64 ref = {.n_q = n_q,
                                .n_kv = n_kv,
                                .window = window,
                                .head_dim = head_dim,
                                .head_dim_v = head_dim_v,
                                .scale = a->scale,
                                .q = d[0],
                                .k = d[1],
                                .v = d[2],
                                .ldq = a->ldq,
                                .ldk = a->ldk,
                                .ldv = a->ldv,
                                .o = d[3],
                                .ldo = a->ldo,
                                .lse = lse,
                                .do_ = d[4],
                                .dq = d[5],
                                .dk = d[6],
                                .dv = d[7]};
    float *dk = new_copy(h.dk, h.nk), *dv = new_copy(h.dv, h.nk);
    float dsink = GUARD_VALUE;
    double sink_f64 = sink ? *sink : 0, dsink_f64 = 0;
    h.a.sink = sink;
    h.a.dsink = &dsink;
    ref.sink = sink ? &sink_f64 : NULL;
    ref.dsink = &dsink_f64;
    size_t n_scratch = rt_attn_scratch_floats(n_kv, head_dim > head_dim_v ? head_dim : head_dim_v);
    h.a.scratch = new_floats((int64_t)n_scratch);

    k->attn(a);
    rt_ref_attn_f64(&ref);
    double bound = (bf16_operands ? 4e-3 : 5e-6) * fmax(1, spread);
    assert_rows("attn", k->name, h.o, NULL, d[3], n_q, head_dim_v, a->ldo, bound);
    for (int64_t i = 0; i < n_q; i++) {
        assert_true(fabs(h.lse[i] - lse[i]) <= bound * fmax(1, fabs(lse[i])));
    }
    k->attn_backward(a);
    rt_ref_attn_backward_f64(&ref);
    assert_rows("attn dq", k->name, h.dq, NULL, d[5], n_q, head_dim, a->ldq, 2 * bound);
    assert_rows("attn dk", k->name, h.dk, dk, d[6], n_kv, head_dim, a->ldk, 2 * bound);
    assert_rows("attn dv", k->name, h.dv, dv, d[7], n_kv, head_dim_v, a->ldv, 2 * bound);

    assert_true(sink ? fabs(dsink - dsink_f64) <= 2 * bound * fmax(1, fabs(dsink_f64)) : dsink == GUARD_VALUE);

    drop_floats(h.a.scratch, (int64_t)n_scratch);
    drop_floats(dk, h.nk);
    drop_floats(dv, h.nk);
    for (int i = 0; i < 8; i++) {
        rt_free(d[i]);
    }
    rt_free(lse);
    drop_head(&h);
}

static void check_head(const rt_kernels *k, int64_t n_q, int64_t n_kv, int64_t window, int head_dim, float spread)
{
    check_attention(k, n_q, n_kv, window, head_dim, head_dim, spread, NULL);
}

/* Sinks that take little, a share and nearly all of the attention; blocks of queries and single ones. */
static void check_sinks(const rt_kernels *k)
{
    static const float sinks[] = {-50, -1, 0.5f, 3, 20};
    for (size_t i = 0; i < sizeof sinks / sizeof sinks[0]; i++) {
        check_attention(k, 45, 45, 0, 64, 64, 1, &sinks[i]);
        check_attention(k, 70, 150, 33, 24, 24, 4, &sinks[i]);
        check_attention(k, 3, 70, 0, 64, 48, 1, &sinks[i]);
        check_attention(k, 70, 700, 240, 32, 32, 1, &sinks[i]);
        check_attention(k, 1, 150, 16, 32, 32, 4, &sinks[i]);
    }
}

/* The expanded and the absorbed heads of latent attention, and a value wider than its key. */
static void check_value_widths(const rt_kernels *k)
{
    static const int widths[][2] = {{192, 128}, {24, 16}, {40, 32}, {16, 33}};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        check_attention(k, 45, 45, 0, widths[i][0], widths[i][1], 1, NULL);
        check_attention(k, 2, 45, 7, widths[i][0], widths[i][1], 1, NULL);
    }
}

static void check_widths(const rt_kernels *k)
{
    static const int widths[] = {64, 16, 18, 24, 8, 96, 128, 1, 33, 256};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        check_head(k, 45, 45, 0, widths[i], 1);
    }
}

static void check_lengths(const rt_kernels *k)
{
    static const int64_t lengths[] = {1, 2, 4, 5, 31, 32, 33, 64, 65, 97, 200};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        check_head(k, lengths[i], lengths[i], 0, 64, 1);
        check_head(k, lengths[i], lengths[i] + 41, 0, 32, 1);
    }
}

static void check_windows(const rt_kernels *k)
{
    static const int64_t windows[] = {1, 2, 7, 16, 32, 33, 64, 500};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        check_head(k, 130, 130, windows[i], 64, 1);
        check_head(k, 70, 150, windows[i], 24, 1);
        check_head(k, 1, 150, windows[i], 64, 1);
    }
}

/* More keys than are taken together. */
static void check_chunks(const rt_kernels *k)
{
    check_head(k, 150, 300, 0, 256, 1);
    check_head(k, 150, 300, 100, 192, 1);
    check_head(k, 40, 600, 0, 64, 1);
    check_head(k, 40, 600, 70, 64, 1);
    check_head(k, 70, 700, 280, 48, 1);
    check_head(k, 300, 600, 0, 32, 40); /* one key takes all, early or late */
    check_head(k, 32, 32, 0, 512, 1);   /* keys are fewer than the least chunk */
}

/* One key takes all: the other probabilities are exact zeros. */
static void check_sharp(const rt_kernels *k)
{
    check_head(k, 70, 70, 0, 64, 40);
    check_head(k, 3, 70, 0, 64, 40);
}

/* A query's output has the same bits whatever other heads or segments were run before in the same scratch. */
static void check_scratch(const rt_kernels *k)
{
    head h = new_head(100, 100, 0, 64, 64, 1);
    int64_t n = (int64_t)rt_attn_scratch_floats(100, 64);
    h.a.scratch = new_floats(n);
    k->attn(&h.a);
    k->attn_backward(&h.a);
    float *o = new_copy(h.o, h.nq), *dq = new_copy(h.dq, h.nq);
    for (int64_t i = 0; i < n; i++) {
        h.a.scratch[i] = NAN;
    }
    k->attn(&h.a);
    k->attn_backward(&h.a);
    assert_memory_equal(o, h.o, (size_t)h.nq * sizeof *o);
    assert_memory_equal(dq, h.dq, (size_t)h.nq * sizeof *dq);
    drop_floats(o, h.nq);
    drop_floats(dq, h.nq);
    drop_floats(h.a.scratch, n);
    drop_head(&h);
}

/* Squares of queries and keys, a call each, add up to what one call gives. */
static void check_squares(const rt_kernels *k)
{
    enum { N = 150, SIDE = 64, HEAD = 32 };
    static const int64_t windows[] = {0, 40, 100};
    const float sink = 0.5f;
    for (size_t c = 0; c < sizeof windows / sizeof windows[0]; c++) {
        head whole = new_head(N, N, windows[c], HEAD, HEAD, 1), parts = new_head(N, N, windows[c], HEAD, HEAD, 1);
        float whole_sink = 0, parts_sink = 0, one = 0;
        float *scratch = rt_malloc(rt_attn_scratch_floats(N, HEAD) * sizeof *scratch);
        whole.a.scratch = parts.a.scratch = scratch;
        whole.a.sink = parts.a.sink = &sink;
        whole.a.dsink = &whole_sink;
        k->attn(&whole.a);
        k->attn(&parts.a);
        k->attn_backward(&whole.a);
        for (int64_t q0 = 0; q0 < N; q0 += SIDE) {
            for (int64_t k0 = q0; k0 >= 0; k0 -= SIDE) {
                rt_attn a = parts.a;
                a.n_q = q0 + SIDE < N ? SIDE : N - q0;
                a.n_kv = k0 + SIDE < N ? SIDE : N - k0;
                a.ahead = q0 + a.n_q - (k0 + a.n_kv);
                a.more = k0 != q0;
                a.dsink = &one;
                a.q += q0 * a.ldq;
                a.dq += q0 * a.ldq;
                a.o += q0 * a.ldo;
                a.do_ += q0 * a.ldo;
                a.lse += q0;
                a.k += k0 * a.ldk;
                a.dk += k0 * a.ldk;
                a.v += k0 * a.ldv;
                a.dv += k0 * a.ldv;
                k->attn_backward(&a);
                parts_sink += a.more ? 0 : one;
            }
        }
        const float *got[] = {parts.dq, parts.dk, parts.dv}, *want[] = {whole.dq, whole.dk, whole.dv};
        for (int i = 0; i < 3; i++) {
            for (int64_t j = 0; j < whole.nk; j++) {
                assert_true(fabsf(got[i][j] - want[i][j]) <= 1e-5f * fmaxf(1, fabsf(want[i][j])));
            }
        }
        assert_true(fabsf(parts_sink - whole_sink) <= 1e-5f * fmaxf(1, fabsf(whole_sink)));
        rt_free(scratch);
        drop_head(&whole);
        drop_head(&parts);
    }
}

static void (*check_in_turn)(const rt_kernels *k);

static void check_both(const rt_kernels *k)
{
    check_in_turn(k);
    rt_kernels pairs = *k;
    pairs.attn = k->attn_bf16;
    pairs.attn_backward = k->attn_bf16_backward;
    bf16_operands = true;
    check_in_turn(&pairs);
    bf16_operands = false;
}

#define LEVELS(name, check)         \
    static void name(void **unused) \
    {                               \
        (void)unused;               \
        check_in_turn = check;      \
        at_every_level(check_both); \
    }
LEVELS(any_head_width_matches, check_widths)
LEVELS(values_may_have_another_width, check_value_widths)
LEVELS(any_length_and_cache_matches, check_lengths)
LEVELS(any_window_matches, check_windows)
LEVELS(any_number_of_chunks_matches, check_chunks)
LEVELS(squares_add_up_to_the_whole, check_squares)
LEVELS(sinks_match, check_sinks)
LEVELS(sharp_distributions_match, check_sharp)
LEVELS(scratch_content_does_not_matter, check_scratch)

/* Heads of a group, together and one by one. */
static void check_group(const rt_kernels *k)
{
    enum { HEAD = 64, GROUP = 5 };
    static const int64_t keys[] = {1, 2, 17, 300};
    for (int c = 0; c < 8; c++) {
        const int64_t n_kv = keys[c / 2], n = GROUP * HEAD;
        float *q = new_random(n, 1), *kv = new_random(n_kv * HEAD, 2), *v = new_random(n_kv * HEAD, 3);
        float *together = new_floats(n), *apart = new_floats(n);
        const float sinks[GROUP] = {0.5f, -1, 2, 0, 1};
        rt_attn a = {.n_q = 1,
                     .sink = c % 3 ? sinks : NULL,
                     .n_kv = n_kv,
                     .window = c % 2 ? 9 : 0,
                     .head_dim = HEAD,
                     .head_dim_v = HEAD,
                     .group = GROUP,
                     .scale = 0.125f,
                     .q = q,
                     .k = kv,
                     .v = v,
                     .ldq = n,
                     .ldk = HEAD,
                     .ldv = HEAD,
                     .o = together,
                     .ldo = n,
                     .scratch = rt_malloc(rt_attn_scratch_floats(n_kv, HEAD) * sizeof(float))};
        k->attn(&a);
        for (a.group = 0, a.o = apart; a.o < apart + n; a.q += HEAD, a.o += HEAD, a.sink += a.sink != NULL) {
            k->attn(&a);
        }
        assert_memory_equal(together, apart, (size_t)n * sizeof *apart);
        rt_free(a.scratch);
        drop_floats(q, n);
        drop_floats(kv, n_kv * HEAD);
        drop_floats(v, n_kv * HEAD);
        drop_floats(together, n);
        drop_floats(apart, n);
    }
}

static void a_group_of_heads_has_the_bits_of_each_alone(void **state)
{
    (void)state;
    at_every_level(check_group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_head_width_matches),
        cmocka_unit_test(values_may_have_another_width),
        cmocka_unit_test(any_length_and_cache_matches),
        cmocka_unit_test(any_window_matches),
        cmocka_unit_test(any_number_of_chunks_matches),
        cmocka_unit_test(squares_add_up_to_the_whole),
        cmocka_unit_test(sinks_match),
        cmocka_unit_test(sharp_distributions_match),
        cmocka_unit_test(scratch_content_does_not_matter),
        cmocka_unit_test(a_group_of_heads_has_the_bits_of_each_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
