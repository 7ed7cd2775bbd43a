/* A loss that sits in one kind of item is found on one half of them and confirmed on the other; where nothing was lost
 * nothing is confirmed. */
#include "audit/slice_search.h"

#include "format/json.h"
#include "rt_test.h"

enum { N = 600 };

/* Every third item has a number in it. */
static json_t *texts(void)
{
    json_t *docs = json_array();
    for (size_t i = 0; i < N; i++) {
        json_array_append_new(docs, json_pack("{s:[[s, s]], s:s}", "arguments",
                                              i % 3 == 0 ? "How many are 7 and 8?" : "Who is it?", " x", "category",
                                              i % 2 ? "odd" : "even"));
    }
    return docs;
}

/* Right on nine of ten; with `lost`, wrong on every second item with a number. `group` items are one group, 0: none. */
static rt_task_result result(bool lost, size_t group)
{
    rt_task_result r = {.task = "quiz", .n = N, .n_metrics = 1, .metrics = {{.name = "acc"}}, .chance = 0.25};
    r.items = json_array();
    for (size_t i = 0; i < N; i++) {
        char id[16], name[16];
        snprintf(id, sizeof id, "q%zu", i);
        snprintf(name, sizeof name, "g%zu", group > 0 ? i / group : 0);
        json_array_append_new(r.items, json_pack("{s:s, s:s*, s:{s:i}}", "id", id, "group", group > 0 ? name : NULL,
                                                 "metrics", "acc", (int)(i % 10 != 0 && !(lost && i % 6 == 3))));
    }
    return r;
}

static void search(rt_family *f, size_t *searched, bool lost, size_t group)
{
    rt_err err = {0};
    json_t *docs = texts();
    rt_task_result t = result(false, group), s = result(lost, group);
    const json_t *list[] = {docs};
    assert_ok(rt_slice_search(f, searched,
                              &(rt_gap_input){.teacher = {"teacher", &t},
                                              .student = {"student", &s},
                                              .n_tasks = 1,
                                              .margin = 0.02,
                                              .seed = 1,
                                              .docs = list},
                              &err));
    rt_task_result_release(&t);
    rt_task_result_release(&s);
    json_decref(docs);
}

static void a_loss_in_one_slice_is_found_and_confirmed(void **state)
{
    (void)state;
    rt_family f = {.name = "slices", .table = "", .model = "student", .reference = "teacher"};
    size_t searched, numbers = 0;
    search(&f, &searched, true, 0);
    assert_true(searched > 5 && f.n > 0);
    for (size_t i = 0; i < f.n; i++) {
        numbers += strstr(f.rows[i].name, "numbers in it") != NULL && f.rows[i].verdict == RT_PAIRED_LOST;
        assert_true(f.rows[i].paired.n < N * 0.6); /* the half that was not searched */
    }
    assert_true(numbers > 0);
    rt_family_release(&f);
}

static void where_nothing_was_lost_nothing_is_judged(void **state)
{
    (void)state;
    rt_family f = {.name = "slices", .table = "", .model = "student", .reference = "teacher"};
    size_t searched;
    search(&f, &searched, false, 0);
    assert_true(searched > 5);
    assert_int_equal(f.n, 0);
    rt_family_release(&f);
}

/* Ten groups: those that judge are fewer, for the search has had the others. */
static void a_group_is_on_one_half(void **state)
{
    (void)state;
    rt_family f = {.name = "slices", .table = "", .model = "student", .reference = "teacher"};
    size_t searched;
    search(&f, &searched, true, N / 10);
    assert_true(searched > 0 && f.n > 0);
    for (size_t i = 0; i < f.n; i++) {
        assert_true(f.rows[i].paired.groups < 10);
    }
    rt_family_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_in_one_slice_is_found_and_confirmed),
        cmocka_unit_test(a_group_is_on_one_half),
        cmocka_unit_test(where_nothing_was_lost_nothing_is_judged),
    };
    return cmocka_run_group_tests_name("slice search", tests, NULL, NULL);
}
