/* The optimiser over a model's parameters: reference trajectory, grid, decay, bf16 copies. */
#include <math.h>

#include "format/format.h"
#include "rt_test.h"
#include "train/optim.h"

enum { STEPS = 20, NW = 17 * 13, NB = 13, N = NW + NB };

/* Two parameters made by hand: a matrix that decays and a vector that does not. */
typedef struct two {
    rt_model m;
    rt_param p[2];
    float w[N];
    uint16_t wb[NW];
} two;

static void two_init(two *t)
{
    memset(t, 0, sizeof *t);
    t->p[0] =
        (rt_param){.name = "w", .role = RT_ROLE_ATTN_Q, .n_dims = 2, .dims = {17, 13}, .n = NW, .w = t->w, .wb = t->wb};
    t->p[1] = (rt_param){
        .name = "b", .role = RT_ROLE_ATTN_NORM, .n_dims = 1, .dims = {NB, 1}, .n = NB, .offset = NW, .w = t->w + NW};
    t->m = (rt_model){.params = t->p, .n_params = 2, .n_elements = N, .trainable = true, .weights = t->w};
}

static const double *golden(const rt_safetensors *f, const char *name)
{
    const rt_tensor_info *t = rt_safetensors_find(f, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, RT_F64);
    return t->data;
}

static void to_f32(float *dst, const double *src, int n)
{
    for (int i = 0; i < n; i++) {
        dst[i] = (float)src[i];
    }
}

static void near_all(const float *got, const double *want, int n)
{
    for (int i = 0; i < n; i++) {
        if (!(fabs((double)got[i] - want[i]) <= 2e-6)) {
            fail_msg("element %d: %.9g, reference %.9g", i, (double)got[i], want[i]);
        }
    }
}

static void the_trajectory_follows_the_reference(void **state)
{
    (void)state;
    rt_err err;
    rt_safetensors *f;
    rt_optim o;
    two t;
    assert_ok(rt_safetensors_open(&f, RT_TEST_GOLDEN "/optim/adamw.safetensors", &err));
    two_init(&t);
    to_f32(t.w, golden(f, "w0"), NW);
    to_f32(t.w + NW, golden(f, "b0"), NB);
    rt_optim_options options = rt_optim_default();
    assert_ok(rt_optim_init(&o, &t.m, &options, &err));
    for (int s = 0; s < STEPS; s++) {
        to_f32(o.grads, golden(f, "grads_w") + s * NW, NW);
        to_f32(o.grads + NW, golden(f, "grads_b") + s * NB, NB);
        double norm = rt_optim_norm(&o);
        assert_true(fabs(norm - golden(f, "grad_norm")[s]) < 1e-5 * norm);
        rt_optim_update(&o, golden(f, "lr")[s], norm);
        near_all(t.w, golden(f, "w") + s * NW, NW);
        near_all(t.w + NW, golden(f, "b") + s * NB, NB);
    }
    near_all(o.m, golden(f, "m_w"), NW);
    near_all(o.v + NW, golden(f, "v_b"), NB);
    for (int i = 0; i < NW; i++) {
        assert_int_equal(t.wb[i], rt_f32_to_bf16(t.w[i]));
    }
    for (int i = 0; i < N; i++) {
        assert_true(o.grads[i] == 0);
    }
    rt_optim_release(&o);
    rt_safetensors_close(f);
}

/* One parameter of several tasks and a ragged last one. */
enum { BIG = 64 * 1024 * 3 + 77 };

static void fill(float *x, int64_t n, const char *stream)
{
    rt_rng r = rt_rng_init(7, stream, 0);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)rt_rng_normal(&r);
    }
}

static void run_big(float *w, double *norm, int threads)
{
    rt_err err;
    rt_optim o;
    rt_param p = {.name = "w", .role = RT_ROLE_ATTN_Q, .n_dims = 2, .dims = {BIG, 1}, .n = BIG, .w = w};
    rt_model m = {.params = &p, .n_params = 1, .n_elements = BIG, .trainable = true, .weights = w};
    rt_optim_options options = rt_optim_default();
    rt_team_set_threads(threads);
    fill(w, BIG, "weights");
    assert_ok(rt_optim_init(&o, &m, &options, &err));
    for (int s = 0; s < 3; s++) {
        fill(o.grads, BIG, s ? "later" : "first");
        *norm = rt_optim_norm(&o);
        rt_optim_update(&o, 1e-2, *norm);
    }
    rt_optim_release(&o);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    float *one = rt_malloc(BIG * sizeof *one), *three = rt_malloc(BIG * sizeof *three);
    double a, b;
    run_big(one, &a, 1);
    run_big(three, &b, 3);
    assert_true(a == b);
    assert_memory_equal(one, three, BIG * sizeof *one);
    rt_free(one);
    rt_free(three);
}

static void memory_is_what_was_predicted(void **state)
{
    (void)state;
    rt_err err;
    rt_optim o;
    two t;
    two_init(&t);
    rt_optim_options options = rt_optim_default();
    size_t before = rt_mem_get_stats().live_bytes;
    assert_ok(rt_optim_init(&o, &t.m, &options, &err));
    size_t took = rt_mem_get_stats().live_bytes - before;
    assert_true(took >= rt_optim_bytes(&t.m, &options) && took < rt_optim_bytes(&t.m, &options) + 4096);
    rt_optim_release(&o);
    assert_int_equal(rt_mem_get_stats().live_bytes, before);
}

/* Not even decay moves what is frozen; the rest is trained as ever. */
static void frozen_parameters_keep_their_bits(void **state)
{
    (void)state;
    rt_err err;
    rt_optim o;
    rt_optim_options options = rt_optim_default();
    two t;
    float before[N];
    two_init(&t);
    t.p[0].frozen = true;
    fill(t.w, N, "weights");
    memcpy(before, t.w, sizeof before);
    assert_ok(rt_optim_init(&o, &t.m, &options, &err));
    fill(o.grads + NW, NB, "gradients");
    rt_optim_update(&o, 0.1, rt_optim_norm(&o));
    assert_memory_equal(t.w, before, NW * sizeof *before);
    for (int i = NW; i < N; i++) {
        assert_true(t.w[i] != before[i]);
    }
    rt_optim_release(&o);
}

static void a_frozen_model_is_refused(void **state)
{
    (void)state;
    rt_err err;
    rt_optim o;
    two t;
    two_init(&t);
    t.m.trainable = false;
    rt_optim_options options = rt_optim_default();
    assert_int_equal(rt_optim_init(&o, &t.m, &options, &err), RT_USAGE);
}

static void failing_memory_leaks_nothing(void **state)
{
    (void)state;
    rt_err err;
    rt_optim o;
    two t;
    two_init(&t);
    rt_optim_options options = rt_optim_default();
    size_t before = rt_mem_get_stats().live_bytes;
    for (uint64_t n = 1;; n++) {
        rt_mem_fail_after(n);
        rt_status st = rt_optim_init(&o, &t.m, &options, &err);
        rt_mem_fail_after(0);
        if (st == RT_OK) {
            assert_int_equal(n, 6);
            rt_optim_release(&o);
            break;
        }
        assert_int_equal(st, RT_MEMORY);
        assert_int_equal(rt_mem_get_stats().live_bytes, before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trajectory_follows_the_reference), cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(memory_is_what_was_predicted),         cmocka_unit_test(a_frozen_model_is_refused),
        cmocka_unit_test(frozen_parameters_keep_their_bits),    cmocka_unit_test(failing_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
