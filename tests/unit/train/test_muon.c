/* The optimiser with Muon: which parameters it moves, along which trajectory, and what it leaves to AdamW. */
#include <math.h>

#include "format/format.h"
#include "rt_test.h"
#include "train/optim.h"

enum { STEPS = 5, TALL = 24 * 16, WIDE = 16 * 40, SQUARE = 16 * 16, EMBED = 30 * 16, ROUTER = 4 * 16, NORM = 16 };
enum { MATRICES = 3, PARAMS = 6, N = TALL + WIDE + SQUARE + EMBED + ROUTER + NORM };

typedef struct made {
    rt_model m;
    rt_param p[PARAMS];
    float w[N];
    uint16_t wb[N];
} made;

/* Three matrices from the reference's start, and what is none of Muon's. */
static void make(made *t, const rt_safetensors *f)
{
    memset(t, 0, sizeof *t);
    t->p[0] = (rt_param){.name = "tall", .role = RT_ROLE_FFN_GATE, .n_dims = 2, .dims = {24, 16}, .n = TALL};
    t->p[1] = (rt_param){.name = "wide", .role = RT_ROLE_FFN_DOWN, .n_dims = 2, .dims = {16, 40}, .n = WIDE};
    t->p[2] = (rt_param){.name = "square", .role = RT_ROLE_ATTN_Q, .n_dims = 2, .dims = {16, 16}, .n = SQUARE};
    t->p[3] = (rt_param){.name = "embed", .role = RT_ROLE_EMBED, .n_dims = 2, .dims = {30, 16}, .n = EMBED};
    t->p[4] = (rt_param){.name = "router", .role = RT_ROLE_ROUTER, .n_dims = 2, .dims = {4, 16}, .n = ROUTER};
    t->p[5] = (rt_param){.name = "norm", .role = RT_ROLE_FFN_NORM, .n_dims = 1, .dims = {NORM, 1}, .n = NORM};
    t->m = (rt_model){.params = t->p, .n_params = PARAMS, .trainable = true, .weights = t->w};
    for (int i = 0; i < PARAMS; i++) {
        rt_param *p = &t->p[i];
        p->offset = t->m.n_elements;
        p->w = t->w + p->offset;
        p->wb = p->n_dims == 2 ? t->wb + p->offset : NULL;
        t->m.n_elements += p->n;
        for (int64_t k = 0; k < p->n; k++) {
            p->w[k] = (float)(k % 7) * 0.1f;
        }
        if (i < MATRICES) {
            char name[32];
            snprintf(name, sizeof name, "%s.p0", p->name);
            memcpy(p->w, rt_safetensors_find(f, name)->data, (size_t)p->n * sizeof(float));
        }
    }
}

static rt_safetensors *reference(void)
{
    rt_err err;
    rt_safetensors *f;
    assert_ok(rt_safetensors_open(&f, RT_TEST_SOURCE "/tests/golden/muon.safetensors", &err));
    return f;
}

/* Decay and rate of the reference, which does not clip. */
static rt_optim_options options_of(rt_optim_kind kind)
{
    rt_optim_options o = rt_optim_default();
    o.kind = kind;
    o.clip = 0;
    return o;
}

static void set_gradients(rt_optim *o, const made *t, const rt_safetensors *f, int step)
{
    for (int i = 0; i < PARAMS; i++) {
        const rt_param *p = &t->p[i];
        float *g = o->grads + p->offset;
        for (int64_t k = 0; k < p->n; k++) {
            g[k] = (float)((k + step) % 5) - 2;
        }
        if (i < MATRICES) {
            char name[32];
            snprintf(name, sizeof name, "%s.grads", p->name);
            memcpy(g, (const float *)rt_safetensors_find(f, name)->data + step * p->n, (size_t)p->n * sizeof(float));
        }
    }
}

static void run(made *t, const rt_safetensors *f, rt_optim_kind kind, int threads)
{
    rt_err err;
    rt_optim o;
    const rt_optim_options options = options_of(kind);
    rt_team_set_threads(threads);
    make(t, f);
    assert_ok(rt_optim_init(&o, &t->m, &options, &err));
    for (int s = 0; s < STEPS; s++) {
        set_gradients(&o, t, f, s);
        rt_optim_update(&o, 0.02, rt_optim_norm(&o));
    }
    for (int i = 0; i < N; i++) {
        assert_true(o.grads[i] == 0);
    }
    for (int i = 0; i < MATRICES; i++) { /* no second moment is made of what is Muon's */
        const float v = o.v[t->p[i].offset];
        assert_true(kind == RT_OPTIM_MUON ? v == 0 : v > 0);
    }
    rt_optim_release(&o);
}

static void matrices_follow_the_reference(void **state)
{
    (void)state;
    static made t;
    rt_safetensors *f = reference();
    run(&t, f, RT_OPTIM_MUON, 1);
    for (int i = 0; i < MATRICES; i++) {
        const rt_param *p = &t.p[i];
        char name[64];
        snprintf(name, sizeof name, "%s.match_rms_adamw", p->name);
        const double *want = rt_safetensors_find(f, name)->data;
        for (int64_t k = 0; k < p->n; k++) {
            if (!(fabs(p->w[k] - want[k]) <= 1e-4)) {
                fail_msg("%s, element %lld: %.9g, reference %.9g", p->name, (long long)k, (double)p->w[k], want[k]);
            }
            assert_int_equal(p->wb[k], rt_f32_to_bf16(p->w[k]));
        }
    }
    rt_safetensors_close(f);
}

static void embedding_router_and_norms_stay_with_adamw(void **state)
{
    (void)state;
    static made muon, adamw;
    rt_safetensors *f = reference();
    run(&muon, f, RT_OPTIM_MUON, 1);
    run(&adamw, f, RT_OPTIM_ADAMW, 1);
    for (int i = 0; i < PARAMS; i++) {
        const size_t bytes = (size_t)muon.p[i].n * sizeof(float);
        if (i < MATRICES) {
            assert_memory_not_equal(muon.p[i].w, adamw.p[i].w, bytes);
        } else {
            assert_memory_equal(muon.p[i].w, adamw.p[i].w, bytes);
        }
    }
    rt_safetensors_close(f);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    static made one, three;
    rt_safetensors *f = reference();
    run(&one, f, RT_OPTIM_MUON, 1);
    run(&three, f, RT_OPTIM_MUON, 3);
    assert_memory_equal(one.w, three.w, sizeof one.w);
    rt_safetensors_close(f);
}

static void frozen_matrices_keep_their_bits(void **state)
{
    (void)state;
    rt_err err;
    rt_optim o;
    static made t;
    float before[TALL];
    rt_safetensors *f = reference();
    const rt_optim_options options = options_of(RT_OPTIM_MUON);
    make(&t, f);
    t.p[0].frozen = true;
    memcpy(before, t.w, sizeof before);
    assert_ok(rt_optim_init(&o, &t.m, &options, &err));
    set_gradients(&o, &t, f, 0);
    rt_optim_update(&o, 0.02, rt_optim_norm(&o));
    assert_memory_equal(t.w, before, sizeof before);
    rt_optim_release(&o);
    rt_safetensors_close(f);
}

static void memory_is_predicted_and_its_lack_leaks_nothing(void **state)
{
    (void)state;
    rt_err err;
    rt_optim o;
    static made t;
    rt_safetensors *f = reference();
    const rt_optim_options options = options_of(RT_OPTIM_MUON);
    make(&t, f);
    const size_t before = rt_mem_get_stats().live_bytes, predicted = rt_optim_bytes(&t.m, &options);
    rt_status st = RT_MEMORY;
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_mem_fail_after(n);
        st = rt_optim_init(&o, &t.m, &options, &err);
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || (st == RT_MEMORY && rt_mem_get_stats().live_bytes == before));
    }
    const size_t took = rt_mem_get_stats().live_bytes - before;
    assert_true(took >= predicted && took < predicted + 4096);
    rt_optim_release(&o);
    assert_int_equal(rt_mem_get_stats().live_bytes, before);
    rt_safetensors_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_follow_the_reference),
        cmocka_unit_test(embedding_router_and_norms_stay_with_adamw),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(frozen_matrices_keep_their_bits),
        cmocka_unit_test(memory_is_predicted_and_its_lack_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
