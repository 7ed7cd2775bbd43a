/* test_dtype.c - the table of element types. */
#include "rt_test.h"

static void every_type_maps_to_its_number_and_back(void **state)
{
    (void)state;
    for (int i = 0; i < RT_DTYPE_COUNT; i++) {
        rt_dtype t = (rt_dtype)i, back;
        assert_true(rt_dtype_from_name(rt_dtype_name(t), &back));
        assert_int_equal(back, t);
        if (rt_dtype_to_ggml(t) >= 0) {
            assert_true(rt_dtype_from_ggml(rt_dtype_to_ggml(t), &back));
            assert_int_equal(back, t);
        }
        assert_true(rt_dtype_block(t) >= 1 && rt_dtype_block_bytes(t) >= 1);
    }
}

static void names_ignore_case_and_strangers_are_refused(void **state)
{
    (void)state;
    rt_dtype t;
    assert_true(rt_dtype_from_name("q4_1", &t) && t == RT_Q4_1);
    assert_true(rt_dtype_from_name("bf16", &t) && t == RT_BF16);
    assert_false(rt_dtype_from_name("q4", &t));
    assert_false(rt_dtype_from_name("", &t));
    assert_false(rt_dtype_from_ggml(4, &t)); /* a type GGUF has withdrawn */
    assert_false(rt_dtype_from_ggml(-1, &t));
    assert_false(rt_dtype_from_ggml(INT64_C(1) << 32, &t));
}

static void sizes_follow_the_blocks(void **state)
{
    (void)state;
    size_t n;
    assert_true(rt_dtype_bytes(RT_F32, 10, &n) && n == 40);
    assert_true(rt_dtype_bytes(RT_Q4_1, 64, &n) && n == 40);
    assert_true(rt_dtype_bytes(RT_Q6_K, 512, &n) && n == 420);
    assert_true(rt_dtype_bytes(RT_F32, 0, &n) && n == 0);
    assert_false(rt_dtype_bytes(RT_Q4_1, 33, &n));
    assert_false(rt_dtype_bytes(RT_F64, UINT64_MAX / 4, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_maps_to_its_number_and_back),
        cmocka_unit_test(names_ignore_case_and_strangers_are_refused),
        cmocka_unit_test(sizes_follow_the_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
