/* Learning rates against reference values, and what moving the end of a run may do to them. */
#include <math.h>

#include "format/safetensors.h"
#include "rt_test.h"
#include "train/schedule.h"

enum { STEPS = 100 };

static void follows_reference(rt_schedule_kind kind)
{
    rt_err err;
    rt_safetensors *file;
    assert_ok(rt_safetensors_open(&file, RT_TEST_GOLDEN "/optim/schedules.safetensors", &err));
    const rt_tensor_info *t = rt_safetensors_find(file, rt_schedule_name(kind));
    assert_non_null(t);
    assert_int_equal(t->dtype, RT_F64);
    assert_int_equal(rt_tensor_info_elements(t), STEPS);
    const int64_t from = kind == RT_SCHEDULE_WSD ? 80 : 10;
    rt_schedule s = {.kind = kind, .lr = 1, .floor = 0.1, .warmup = 10, .decay_from = from, .total = STEPS};
    for (int i = 0; i < STEPS; i++) {
        assert_true(fabs(rt_schedule_lr(&s, i) - ((const double *)t->data)[i]) < 1e-12);
    }
    rt_safetensors_close(file);
}

static void every_schedule_follows_its_reference(void **state)
{
    (void)state;
    for (int k = 0; k < RT_SCHEDULE_COUNT; k++) {
        follows_reference((rt_schedule_kind)k);
    }
}

static void an_unknown_end_keeps_the_peak(void **state)
{
    (void)state;
    for (int k = 0; k < RT_SCHEDULE_COUNT; k++) {
        rt_schedule s = {.kind = (rt_schedule_kind)k,
                         .lr = 2,
                         .warmup = 4,
                         .decay_from = RT_STEPS_UNKNOWN,
                         .total = RT_STEPS_UNKNOWN};
        assert_true(rt_schedule_lr(&s, 0) == 0.5);
        assert_true(rt_schedule_lr(&s, 3) == 2);
        assert_true(rt_schedule_lr(&s, 1000000) == 2);
    }
}

static void the_fall_without_floor_ends_above_zero(void **state)
{
    (void)state;
    rt_schedule s = {.lr = 1, .warmup = 1, .decay_from = 6, .total = 10};
    assert_true(rt_schedule_lr(&s, 6) == 1);
    assert_true(rt_schedule_lr(&s, 9) == 0.25);
}

static void a_fall_not_begun_keeps_its_share_of_the_run(void **state)
{
    (void)state;
    rt_schedule s = {.lr = 1, .warmup = 10, .decay_from = 75, .total = 100};
    rt_schedule_move_end(&s, 50, 200, 0.25);
    assert_int_equal(s.total, 200);
    assert_int_equal(s.decay_from, 150);
    rt_schedule_move_end(&s, 140, 160, 0.25); /* its start would lie in the past */
    assert_int_equal(s.decay_from, 140);
}

static void a_fall_begun_goes_on_from_its_rate(void **state)
{
    (void)state;
    rt_schedule s = {.lr = 1, .floor = 0.1, .warmup = 10, .decay_from = 800, .total = 1000};
    double before = rt_schedule_lr(&s, 900);
    rt_schedule_move_end(&s, 900, 960, 0.2);
    assert_true(fabs(rt_schedule_lr(&s, 900) - before) < 0.02);
    assert_true(rt_schedule_lr(&s, 959) < 0.12);
    before = rt_schedule_lr(&s, 910);
    rt_schedule_move_end(&s, 910, 1100, 0.2);
    assert_true(fabs(rt_schedule_lr(&s, 910) - before) < 0.02);
    assert_int_equal(s.total, 1100);
}

/* Cosine and linear too, whose fall begins with the end of the warm-up. */
static void a_long_fall_goes_on_from_its_rate(void **state)
{
    (void)state;
    static const int64_t ends[] = {725, 1400};
    for (int k = 0; k < 2 * RT_SCHEDULE_COUNT; k++) {
        rt_schedule s = {.kind = (rt_schedule_kind)(k / 2), .lr = 1, .total = RT_STEPS_UNKNOWN, .warmup = 50};
        s.decay_from = RT_STEPS_UNKNOWN;
        rt_schedule_move_end(&s, 0, 1000, 0.95);
        assert_int_equal(s.decay_from, 50);
        const double before = rt_schedule_lr(&s, 525);
        assert_true(fabs(before - 0.5) < 1e-12);
        rt_schedule_move_end(&s, 525, ends[k % 2], 0.95);
        assert_true(fabs(rt_schedule_lr(&s, 525) - before) < 0.005);
        assert_true(rt_schedule_lr(&s, ends[k % 2] - 1) < 0.01);
    }
}

/* The end of a run by the clock is not known at first. */
static void a_fall_begins_at_the_peak_where_its_end_becomes_known(void **state)
{
    (void)state;
    for (int k = 0; k < RT_SCHEDULE_COUNT; k++) {
        rt_schedule s = {.kind = (rt_schedule_kind)k, .lr = 1, .total = RT_STEPS_UNKNOWN, .warmup = 10};
        s.decay_from = RT_STEPS_UNKNOWN;
        rt_schedule_move_end(&s, 40, 80, 0.5);
        assert_int_equal(s.decay_from, 40);
        assert_true(rt_schedule_lr(&s, 40) == 1);
    }
}

static void names_read_back(void **state)
{
    (void)state;
    rt_schedule_kind k;
    assert_true(rt_schedule_from_name("cosine", &k));
    assert_int_equal(k, RT_SCHEDULE_COSINE);
    assert_false(rt_schedule_from_name("cosin", &k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule_follows_its_reference),
        cmocka_unit_test(an_unknown_end_keeps_the_peak),
        cmocka_unit_test(the_fall_without_floor_ends_above_zero),
        cmocka_unit_test(a_fall_not_begun_keeps_its_share_of_the_run),
        cmocka_unit_test(a_fall_begun_goes_on_from_its_rate),
        cmocka_unit_test(a_long_fall_goes_on_from_its_rate),
        cmocka_unit_test(a_fall_begins_at_the_peak_where_its_end_becomes_known),
        cmocka_unit_test(names_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
