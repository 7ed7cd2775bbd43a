/* What a streamed teacher will take is told from two layers of it. */
#include <math.h>

#include "streamed.h"
#include "teacher/forecast.h"

static rt_model *streamed(void)
{
    rt_err err = {0};
    rt_model *m = NULL;
    char *path = rt_path_join(RT_TEST_GOLDEN, "models/llama");
    /* with room for longer sequences than those asked about: what the process holds wanders by a megabyte or two */
    assert_ok(streamed_open(&m, path, RT_PRECISION_F32, 512, &err));
    rt_free(path);
    return m;
}

static void is_told_from_two_layers(void **state)
{
    (void)state;
    rt_err err = {0};
    double seconds = 0;
    rt_model *m = streamed();
    assert_ok(rt_forecast(&seconds, m, 1000000, 64, 32, &err));
    assert_true(seconds > 0 && isfinite(seconds));
    assert_int_equal(rt_model_streamed(m).layers, 2);
    rt_model_close(m);
}

static void a_teacher_in_memory_is_not_measured(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m = NULL;
    char *path = rt_path_join(RT_TEST_GOLDEN, "models/llama");
    assert_ok(rt_model_open(&m, path, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
    const uint64_t before = rt_mem_get_stats().n_alloc;
    assert_ok(rt_forecast_say(m, 1000000, 64, 32, 0, &err));
    assert_int_equal(rt_mem_get_stats().n_alloc, before);
    rt_model_close(m);
    rt_free(path);
}

static void longer_than_accepted_is_refused_with_the_ways_out(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m = streamed();
    assert_int_equal(rt_forecast_say(m, 1000000, 64, 32, 1e-9, &err), RT_USAGE);
    assert_says(err.msg, "teacher.endpoint");
    assert_says(err.msg, "--accept-time");
    assert_ok(rt_forecast_say(m, 1000000, 64, 32, 1e9, &err));
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_told_from_two_layers),
        cmocka_unit_test(a_teacher_in_memory_is_not_measured),
        cmocka_unit_test(longer_than_accepted_is_refused_with_the_ways_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
