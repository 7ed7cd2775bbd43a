/* How long a run lasts: a simulated clock in place of a real one. */
#include <math.h>

#include "rt_test.h"
#include "train/plan.h"

static rt_plan new_plan(int64_t total, double budget)
{
    rt_plan p;
    rt_schedule s = {.kind = RT_SCHEDULE_WSD, .lr = 1};
    rt_plan_init(&p, &s, 0.25, -1, total, budget);
    return p;
}

typedef double (*pace_fn)(int64_t step);

static double steady(int64_t step)
{
    (void)step;
    return 0.5;
}

static double slowing(int64_t step)
{
    return step < 60 ? 0.5 : 1.0;
}

static double quickening(int64_t step)
{
    return step < 60 ? 0.5 : 0.25;
}

static double ragged(int64_t step)
{
    return 0.5 * (1 + 0.3 * sin((double)step * 1.7));
}

/* A neighbour takes the machine now and then. */
static double disturbed(int64_t step)
{
    return step % 10 >= 7 ? 2.0 : 0.5;
}

typedef struct outcome {
    int64_t steps;
    double active, last_lr;
    double lr[4000];
} outcome;

/* Runs the plan as a trainer would; the decisions stay in the plan. */
static outcome simulate(rt_plan *p, pace_fn pace)
{
    outcome o = {0};
    for (;;) {
        rt_plan_clock c = {.active = o.active, .reserve = 2};
        while (rt_plan_before(p, o.steps, &c)) {
        }
        if (rt_plan_done(p, o.steps)) {
            break;
        }
        assert_true(o.steps < 4000);
        o.last_lr = o.lr[o.steps] = rt_schedule_lr(&p->schedule, o.steps);
        o.active += pace(o.steps);
        rt_plan_observe(p, pace(o.steps));
        o.steps++;
    }
    return o;
}

static void a_given_length_is_one_decision(void **state)
{
    (void)state;
    rt_plan p = new_plan(40, 0);
    outcome o = simulate(&p, steady);
    assert_int_equal(o.steps, 40);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.list[0].step, 0);
    assert_int_equal(p.list[0].total, 40);
    assert_int_equal(p.list[0].decay_from, 30);
    assert_int_equal(p.list[0].warmup, 4);
}

static void a_budget_is_used_and_kept(void **state)
{
    (void)state;
    static const pace_fn machines[] = {steady, slowing, quickening, ragged, disturbed};
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        rt_plan p = new_plan(RT_STEPS_UNKNOWN, 100);
        outcome o = simulate(&p, machines[i]);
        assert_true(o.active + 2 <= 100 + 1.0);
        assert_true(o.active + 2 >= 100 * 0.93);
        assert_true(o.last_lr < 0.12); /* the fall was completed */
        assert_true(p.n < 40);
    }
}

static void a_steady_machine_is_planned_once(void **state)
{
    (void)state;
    rt_plan p = new_plan(RT_STEPS_UNKNOWN, 100);
    (void)simulate(&p, steady);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.list[0].step, 4); /* the first step does not count, three do */
    assert_string_equal(p.list[0].why, "measured");
}

static void the_rate_never_jumps_while_it_falls(void **state)
{
    (void)state;
    rt_plan p = new_plan(RT_STEPS_UNKNOWN, 100);
    outcome o = simulate(&p, ragged);
    for (int64_t s = p.schedule.warmup + 1; s < o.steps; s++) {
        assert_true(fabs(o.lr[s] - o.lr[s - 1]) < 0.1);
    }
}

/* Nor does it rise where the machine turns out faster than it was. */
static void a_rate_that_falls_from_the_warmup_on_never_rises_again(void **state)
{
    (void)state;
    static const pace_fn machines[] = {slowing, quickening, disturbed};
    static const rt_schedule_kind kinds[] = {RT_SCHEDULE_COSINE, RT_SCHEDULE_LINEAR};
    for (size_t i = 0; i < 2 * sizeof machines / sizeof machines[0]; i++) {
        rt_plan p = new_plan(RT_STEPS_UNKNOWN, 100);
        p.schedule.kind = kinds[i % 2];
        outcome o = simulate(&p, machines[i / 2]);
        assert_true(p.n > 1);
        for (int64_t s = p.schedule.warmup + 1; s < o.steps; s++) {
            assert_true(o.lr[s] <= o.lr[s - 1]);
            assert_true(o.lr[s - 1] - o.lr[s] < 0.1);
        }
    }
}

static void a_tiny_budget_makes_one_step(void **state)
{
    (void)state;
    rt_plan p = new_plan(RT_STEPS_UNKNOWN, 0.1);
    outcome o = simulate(&p, steady);
    assert_int_equal(o.steps, 1);
    assert_string_equal(p.list[p.n - 1].why, "budget spent");
}

static void a_recorded_list_repeats_every_rate(void **state)
{
    (void)state;
    rt_err err;
    rt_plan p = new_plan(RT_STEPS_UNKNOWN, 100);
    outcome first = simulate(&p, quickening);
    json_t *list = rt_plan_to_json(&p);
    assert_non_null(list);
    rt_plan q = new_plan(RT_STEPS_UNKNOWN, 0);
    q.replay = true;
    assert_ok(rt_plan_from_json(&q, list, 0, "list", &err));
    outcome again = simulate(&q, steady);
    assert_int_equal(again.steps, first.steps);
    assert_memory_equal(again.lr, first.lr, sizeof first.lr);
    json_decref(list);
}

/* Recorded was where WSD would have begun to fall. */
static void a_cosine_run_of_before_is_repeated_as_it_was(void **state)
{
    (void)state;
    rt_err err;
    json_t *list;
    static const char old[] = "[{\"step\":0,\"warmup\":4,\"decay_from\":30,\"total\":40}]";
    rt_plan p = new_plan(40, 0), q;
    rt_schedule s = {.kind = RT_SCHEDULE_COSINE, .lr = 1};
    rt_plan_init(&q, &s, 0.25, -1, 40, 0);
    assert_ok(rt_json_parse(&list, old, strlen(old), "list", &err));
    assert_ok(rt_plan_from_json(&p, list, 1, "schedule.json", &err));
    assert_ok(rt_plan_from_json(&q, list, 1, "schedule.json", &err));
    assert_int_equal(p.schedule.decay_from, 30);
    assert_int_equal(q.schedule.decay_from, 4);
    json_decref(list);
}

static void a_stop_ends_the_run_and_is_recorded(void **state)
{
    (void)state;
    rt_plan p = new_plan(40, 0);
    rt_plan_clock c = {0};
    assert_non_null(rt_plan_before(&p, 0, &c));
    const rt_decision *d = rt_plan_stop(&p, 12, "early stop", 3);
    assert_non_null(d);
    assert_int_equal(d->total, 12);
    assert_true(rt_plan_done(&p, 12));
    assert_null(rt_plan_stop(&p, 12, "early stop", 3));
    assert_null(rt_plan_before(&p, 12, &c));
}

static void damaged_lists_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[{\"step\":0}]" /* no warm-up */,
        "[{\"step\":5,\"warmup\":0,\"total\":3}]",
        "[{\"step\":5,\"warmup\":0,\"total\":9},{\"step\":4,\"warmup\":0,\"total\":9}]",
    };
    for (size_t i = 0; i < 4; i++) {
        rt_err err;
        json_t *list;
        rt_plan p = new_plan(10, 0);
        assert_ok(rt_json_parse(&list, bad[i], strlen(bad[i]), "list", &err));
        rt_status st = rt_plan_from_json(&p, list, 0, "schedule.json", &err);
        assert_int_equal(st, RT_INPUT);
        assert_says(err.msg, "schedule.json");
        json_decref(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_given_length_is_one_decision),
        cmocka_unit_test(a_budget_is_used_and_kept),
        cmocka_unit_test(a_steady_machine_is_planned_once),
        cmocka_unit_test(the_rate_never_jumps_while_it_falls),
        cmocka_unit_test(a_rate_that_falls_from_the_warmup_on_never_rises_again),
        cmocka_unit_test(a_tiny_budget_makes_one_step),
        cmocka_unit_test(a_recorded_list_repeats_every_rate),
        cmocka_unit_test(a_cosine_run_of_before_is_repeated_as_it_was),
        cmocka_unit_test(a_stop_ends_the_run_and_is_recorded),
        cmocka_unit_test(damaged_lists_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
