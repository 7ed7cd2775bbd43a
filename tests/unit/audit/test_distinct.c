/* Distinct n-grams counted by hand. */
#include "audit/distinct.h"

#include <math.h>

#include "rt_test.h"

static void shares_are_by_hand(void **state)
{
    (void)state;
    const int32_t ids[] = {1, 2, 1, 2, 3}; /* 1 2 3; 12 21 12 23; 121 212 123 */
    assert_true(rt_distinct(ids, 5, 1) == 3.0 / 5);
    assert_true(rt_distinct(ids, 5, 2) == 3.0 / 4);
    assert_true(rt_distinct(ids, 5, 3) == 1);
    const int32_t same[] = {7, 7, 7, 7};
    assert_true(rt_distinct(same, 4, 2) == 1.0 / 3);
}

static void what_is_too_short_has_none(void **state)
{
    (void)state;
    const int32_t ids[] = {1};
    assert_true(isnan(rt_distinct(ids, 1, 2)) && isnan(rt_distinct(ids, 0, 1)) && isnan(rt_distinct(ids, 1, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_by_hand),
        cmocka_unit_test(what_is_too_short_has_none),
    };
    return cmocka_run_group_tests_name("distinct", tests, NULL, NULL);
}
