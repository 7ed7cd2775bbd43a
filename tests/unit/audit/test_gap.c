/* Results of two models become paired values: by the metric that tells most, in groups, over the same items only. */
#include "audit/gap.h"

#include <math.h>

#include "rt_test.h"

enum { N = 200 };

/* `right` of the items are right; groups of two where wanted. */
static rt_task_result result(const char *metric, size_t right, bool groups)
{
    rt_task_result r = {.n = N, .n_metrics = 1, .chance = 0.25, .items = json_array()};
    snprintf(r.task, sizeof r.task, "quiz");
    snprintf(r.metrics[0].name, sizeof r.metrics[0].name, "%s", metric);
    for (size_t i = 0; i < N; i++) {
        char id[16], group[16];
        snprintf(id, sizeof id, "q%zu", i);
        snprintf(group, sizeof group, "g%zu", i / 2);
        json_t *item = json_pack("{s:s, s:{s:i}}", "id", id, "metrics", metric, (int)(i < right));
        if (groups) {
            json_object_set_new(item, "group", json_string(group));
        }
        json_array_append_new(r.items, item);
    }
    return r;
}

static rt_status compare(rt_gap *g, rt_task_result teacher, rt_task_result student, rt_err *err)
{
    const rt_status st = rt_gap_compare(g, &teacher, &student, 0.02, 1, err);
    rt_task_result_release(&teacher);
    rt_task_result_release(&student);
    return st;
}

static void losses_are_named(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_gap g[3];
    assert_ok(compare(&g[0], result("acc", 160, false), result("acc", 100, false), &err));
    assert_ok(compare(&g[1], result("acc_norm", 160, true), result("acc_norm", 160, true), &err));
    assert_ok(compare(&g[2], result("exact_match,strict", 30, false), result("exact_match,strict", 24, false), &err));
    assert_int_equal(g[0].paired.verdict, RT_PAIRED_LOST);
    assert_int_equal(g[0].paired.worse, 60);
    assert_int_equal(g[1].paired.verdict, RT_PAIRED_KEPT);
    assert_int_equal(g[1].paired.groups, N / 2);
    assert_string_equal(g[1].metric, "acc_norm");
    assert_string_equal(g[2].metric, "exact_match,strict");
    assert_true(g[2].paired.at_floor);
    assert_true(isnan(g[0].p_adjusted));
    assert_ok(rt_gap_adjust(g, 3, &err));
    assert_true(g[0].p_adjusted == 3 * g[0].paired.p);
    assert_true(g[1].p_adjusted == 1);
    assert_true(g[2].p_adjusted == 2 * rt_mcnemar(6, 0));
    json_t *j = rt_gap_json(&g[0]);
    assert_string_equal(json_string_value(json_object_get(j, "verdict")), "lost");
    assert_string_equal(json_string_value(json_object_get(j, "task")), "quiz");
    json_decref(j);
}

static void unlike_things_are_not_compared(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_gap g;
    assert_int_equal(compare(&g, result("perplexity", 9, false), result("perplexity", 9, false), &err), RT_UNSUPPORTED);
    assert_says(err.msg, "quiz");
    rt_task_result other = result("acc", 9, false);
    json_object_set_new(json_array_get(other.items, 3), "id", json_string("x"));
    assert_int_equal(compare(&g, result("acc", 9, false), other, &err), RT_INPUT);
    assert_says(err.msg, "item 3");
    other = result("acc", 9, false);
    other.n--;
    assert_int_equal(compare(&g, result("acc", 9, false), other, &err), RT_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_named),
        cmocka_unit_test(unlike_things_are_not_compared),
    };
    return cmocka_run_group_tests_name("gap", tests, NULL, NULL);
}
