/* The prediction of what a drafter gives, by cases worked by hand. */
#include <math.h>

#include "audit/speedup.h"
#include "rt_test.h"

enum { DRAFT = 4 };

static void constant_alpha_is_the_theorem(void **state)
{
    (void)state;
    const rt_stat alpha[DRAFT] = {{.mean = 0.8}, {.mean = 0.8}, {.mean = 0.8}, {.mean = 0.8}};
    const rt_speedup cheap = rt_speedup_predict(alpha, DRAFT, 0.1, 1, false);
    assert_float_equal(cheap.value, (1 - pow(0.8, 5)) / ((1 - 0.8) * (4 * 0.1 + 1)), 1e-12);
    assert_int_equal(cheap.best, DRAFT);
    assert_float_equal(cheap.best_value, cheap.value, 0);
    /* 1.8/1.3, 2.44/1.6, 2.952/1.9, 3.3616/2.2 */
    const rt_speedup dear = rt_speedup_predict(alpha, DRAFT, 0.3, 1, false);
    assert_float_equal(dear.value, 3.3616 / 2.2, 1e-12);
    assert_int_equal(dear.best, 3);
    assert_float_equal(dear.best_value, 2.952 / 1.9, 1e-12);
}

static void verifying_costs_by_row(void **state)
{
    (void)state;
    const rt_stat alpha[2] = {{.mean = 0.9}, {.mean = 0.5}};
    const rt_speedup s = rt_speedup_predict(alpha, 2, 0.1, 3, false); /* 1.9/(0.1 + 2), 2.35/(0.2 + 3) */
    assert_float_equal(s.value, 2.35 / 3.2, 1e-12);
    assert_int_equal(s.best, 0);
    assert_float_equal(s.best_value, 1, 0);
    const rt_speedup t = rt_speedup_predict(alpha, 2, 0.1, 1.8, false); /* 1.9/(0.1 + 1.4), 2.35/(0.2 + 1.8) */
    assert_int_equal(t.best, 1);
    assert_float_equal(t.best_value, 1.9 / 1.5, 1e-12);
}

static void a_draft_wholly_kept_costs_one_step_more(void **state)
{
    (void)state;
    const rt_stat alpha[2] = {{.mean = 0.9}, {.mean = 0.5}};
    assert_float_equal(rt_speedup_predict(alpha, 2, 0.1, 1.8, true).value, 2.35 / (0.2 + 0.9 * 0.5 * 0.1 + 1.8), 1e-12);
}

static void places_that_no_token_got_to_add_nothing(void **state)
{
    (void)state;
    const rt_stat alpha[2] = {{.mean = 0}, {.mean = NAN}};
    assert_float_equal(rt_speedup_predict(alpha, 2, 0.25, 1, true).value, 1 / 1.5, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_alpha_is_the_theorem),
        cmocka_unit_test(verifying_costs_by_row),
        cmocka_unit_test(a_draft_wholly_kept_costs_one_step_more),
        cmocka_unit_test(places_that_no_token_got_to_add_nothing),
    };
    return cmocka_run_group_tests_name("speedup", tests, NULL, NULL);
}
