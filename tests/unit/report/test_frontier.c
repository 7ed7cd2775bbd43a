/* test_frontier.c - a run is on the frontier when no other of its scale is as quick and as near; what has no common
 * scale is never put on one picture. */
#include "report/frontier.h"

#include <math.h>

#include "markup.h"

#include "format/json.h"

static json_t *facts(const char *teacher, double seconds, double kl)
{
    return json_pack(
        "{s:{s:s, s:s, s:i}, s:{s:i, s:i}, s:{s:i}, s:{s:i}, s:{s:f}, s:[{s:s, s:{s:i, s:f}}, {s:s, s:{s:i, "
        "s:f, s:{s:f, s:f, s:i}}}]}",
        "teacher", "name", teacher, "sha256", teacher, "parameters", 100, "student", "parameters", 10, "bytes", 40,
        "train", "tokens", 1000, "collect", "tokens", 500, "cost", "seconds", seconds, "models", "id", "teacher",
        "fidelity", "positions", 64, "perplexity", 8.0, "id", "student", "fidelity", "positions", 64, "perplexity",
        12.0, "kl", "mean", kl, "stderr", 0.01, "n", 64);
}

static void add(json_t *frontier, const char *name, const char *teacher, double seconds, double kl)
{
    json_t *f = facts(teacher, seconds, kl);
    rt_frontier_add(frontier, name, f);
    json_decref(f);
}

/* By time 10, 20, 30, 30, 40 the distances 2, 1, 1, 0.5, 3. */
static json_t *five_runs_and_another(void)
{
    rt_err err = {0};
    json_t *f = rt_frontier_new(), *bare = json_object();
    add(f, "last", "big", 40, 3);
    add(f, "near", "big", 30, 0.5);
    add(f, "tie", "big", 30, 1);
    add(f, "quick", "big", 10, 2);
    add(f, "middle", "big", 20, 1);
    add(f, "<b>elsewhere", "other", 15, 0.1);
    rt_frontier_add(f, "bare", bare);
    json_decref(bare);
    rt_frontier_leave_out(f, "running", "it has no report yet");
    assert_ok(rt_frontier_conclude(f, &err));
    return f;
}

static void no_other_run_beats_the_frontier_in_both(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool on;
    } want[] = {{"quick", true}, {"middle", true}, {"near", true}, {"tie", false}, {"last", false}};
    json_t *f = five_runs_and_another();
    const json_t *groups = json_object_get(f, "groups"), *runs = json_object_get(json_array_get(groups, 0), "runs");
    assert_int_equal(json_array_size(groups), 2);
    assert_int_equal(json_array_size(runs), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *run = json_array_get(runs, i);
        assert_string_equal(rt_json_str(run, "name", ""), want[i].name);
        assert_int_equal(rt_json_bool(run, "on_frontier", !want[i].on), want[i].on);
    }
    const json_t *run = json_array_get(runs, 0);
    assert_true(rt_json_f64(run, "flop", 0) == 6 * 10 * 1000 + 2 * 100 * 500);
    assert_true(rt_json_f64(run, "perplexity_ratio", 0) == 1.5);
    assert_true(fabs(rt_json_f64(run, "kl_half", 0) - 0.0196) < 1e-12);
    json_decref(f);
}

static void what_cannot_be_placed_is_named(void **state)
{
    (void)state;
    json_t *f = five_runs_and_another();
    const json_t *list = json_object_get(f, "left_out");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(rt_json_str(json_array_get(list, 0), "name", ""), "bare");
    assert_string_equal(rt_json_str(json_array_get(list, 1), "why", ""), "it has no report yet");
    json_decref(f);
}

static void page_and_markdown_show_every_run(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str page = {0}, text = {0};
    json_t *f = five_runs_and_another();
    assert_ok(rt_frontier_html(&page, f, &err));
    assert_ok(rt_frontier_markdown(&text, f, &err));
    check_markup(page.p);
    assert_int_equal(count_of(page.p, "<svg "), 2 * 2); /* a group for desk and phone */
    assert_int_equal(count_of(page.p, "role=\"img\""), 2 * 2);
    assert_int_equal(count_of(page.p, "<title>quick</title>"), 2); /* its mark */
    assert_int_equal(count_of(page.p, "<small>on the frontier</small>"), 4);
    assert_says(page.p, "&lt;b&gt;elsewhere");
    assert_says(page.p, "running: it has no report yet");
    assert_says(text.p, "| quick | 10\u00a0s | 1,000 |");
    assert_null(strstr(text.p, "<b>"));
    assert_null(strstr(page.p, ">nan"));
    rt_str_release(&page);
    rt_str_release(&text);
    json_decref(f);
}

static void no_runs_are_said_to_be_none(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str page = {0};
    json_t *f = rt_frontier_new();
    assert_ok(rt_frontier_conclude(f, &err));
    assert_ok(rt_frontier_html(&page, f, &err));
    check_markup(page.p);
    assert_says(page.p, "No run has a report");
    rt_str_release(&page);
    json_decref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_other_run_beats_the_frontier_in_both),
        cmocka_unit_test(what_cannot_be_placed_is_named),
        cmocka_unit_test(page_and_markdown_show_every_run),
        cmocka_unit_test(no_runs_are_said_to_be_none),
    };
    return cmocka_run_group_tests_name("frontier", tests, NULL, NULL);
}
