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

/* Twelve texts of six books: the second model says half as many different things; of one it said too little. */
static void what_repeats_itself_more_has_lost_variety(void **state)
{
    (void)state;
    enum { N = 12 };
    rt_err err = {0};
    rt_family f = {.name = "variety", .table = "Variety", .model = "student", .reference = "teacher"};
    double teacher[N], student[N], none[N];
    int64_t groups[N];
    for (size_t i = 0; i < N; i++) {
        teacher[i] = 0.9 + 0.005 * (double)i;
        student[i] = 0.45 + 0.01 * (double)(i * 5 % N);
        none[i] = NAN;
        groups[i] = (int64_t)i / 2;
    }
    student[3] = NAN;
    assert_ok(rt_distinct_add(&f, 2, teacher, student, groups, N, 1, &err));
    assert_ok(rt_distinct_add(&f, 3, teacher, none, groups, N, 1, &err));
    assert_ok(rt_family_conclude(&f, &err));
    assert_int_equal(f.n, 1);
    const rt_family_row *r = &f.rows[0];
    assert_string_equal(r->name, "distinct-2");
    assert_int_equal(r->paired.n, N - 1);
    assert_int_equal(r->paired.groups, N / 2);
    assert_true(r->margin == RT_DISTINCT_MARGIN && r->paired.high < -0.3 && r->paired.low > -0.6);
    assert_int_equal(r->verdict, RT_PAIRED_LOST);
    rt_family_release(&f);
    /* the same texts twice, of six groups: too few to say that all is kept */
    f.n = 0;
    assert_ok(rt_distinct_add(&f, 1, teacher, teacher, groups, N, 1, &err));
    assert_ok(rt_family_conclude(&f, &err));
    assert_int_equal(f.rows[0].verdict, RT_PAIRED_OPEN);
    rt_family_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_by_hand),
        cmocka_unit_test(what_is_too_short_has_none),
        cmocka_unit_test(what_repeats_itself_more_has_lost_variety),
    };
    return cmocka_run_group_tests_name("distinct", tests, NULL, NULL);
}
