/* A timeline holds as much as the model's context allows, and forgets what it is rewound past. */
#include "infer_fixture.h"

static void a_timeline_is_bounded_by_the_context(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    rt_err err = {0};
    rt_kv kv;
    assert_int_equal(rt_kv_init(&kv, m, m->rope_rows + 1, &err), RT_USAGE);
    assert_says(err.msg, "context of the model");
    assert_int_equal(rt_kv_init(&kv, m, 0, &err), RT_USAGE);
    rt_kv_release(&kv);
    assert_ok(rt_kv_init(&kv, m, m->rope_rows, &err));
    rt_kv_release(&kv);
    rt_kv_release(&kv);
    rt_model_close(m);
}

static void rewinding_leaves_no_trace(void **state)
{
    (void)state;
    for (int i = 0; i < N_TINY; i++) {
        rt_model *m = tiny_open(&tiny_models[i], RT_PRECISION_F32);
        const int64_t d = m->hp.d_model;
        const int32_t ids[] = {3, 1, 4, 1, 5}, other[] = {9, 2, 6};
        rt_err err = {0};
        rt_kv kv;
        rt_acts *a = NULL;
        float *first = rt_calloc((size_t)d, sizeof *first);
        assert_ok(rt_kv_init(&kv, m, 8, &err));
        assert_ok(rt_acts_new(&a, m, 5, 8, RT_NET_FORWARD, &err));
        const rt_batch context = {.ids = ids, .n_rows = 4, .n_spans = 1, .spans = &(rt_span){.n = 4, .kv = &kv}};
        const rt_batch next = {.ids = ids + 4, .n_rows = 1, .n_spans = 1, .spans = &(rt_span){.n = 1, .kv = &kv}};
        const rt_batch detour = {.ids = other, .n_rows = 3, .n_spans = 1, .spans = &(rt_span){.n = 3, .kv = &kv}};
        rt_net_forward(m, a, &context);
        rt_kv_mark(&kv, m);
        rt_net_forward(m, a, &next);
        assert_int_equal(kv.n, 5);
        memcpy(first, rt_acts_x(a), (size_t)d * sizeof *first);
        rt_kv_rewind(&kv, m);
        rt_net_forward(m, a, &detour);
        assert_memory_not_equal(first, rt_acts_x(a), (size_t)d * sizeof *first);
        rt_kv_rewind(&kv, m);
        rt_net_forward(m, a, &next);
        assert_memory_equal(first, rt_acts_x(a), (size_t)d * sizeof *first);
        rt_free(first);
        rt_acts_free(a);
        rt_kv_release(&kv);
        rt_model_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeline_is_bounded_by_the_context),
        cmocka_unit_test(rewinding_leaves_no_trace),
    };
    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
