/* Results of two models become rows of a family, and what the family says is what was made true: one ability taken
 * away is named, a model beside itself differs by nothing, a student worse everywhere is competitive in nothing. */
#include "audit/gap.h"

#include <math.h>

#include "audit/claim.h"
#include "format/json.h"
#include "rt_test.h"

enum { N = 400 };

/* The first `right` items are right, but for every `miss`-th of these; groups of two where wanted. */
static rt_task_result result(const char *task, const char *metric, size_t right, size_t miss, bool groups)
{
    rt_task_result r = {.n = N, .n_metrics = 1, .chance = 0.25, .items = json_array()};
    snprintf(r.task, sizeof r.task, "%s", task);
    snprintf(r.metrics[0].name, sizeof r.metrics[0].name, "%s", metric);
    for (size_t i = 0; i < N; i++) {
        char id[16], group[16];
        snprintf(id, sizeof id, "q%zu", i);
        snprintf(group, sizeof group, "g%zu", i / 2);
        json_t *item =
            json_pack("{s:s, s:{s:i}}", "id", id, "metrics", metric, (int)(i < right && (miss == 0 || i % miss != 0)));
        if (groups) {
            json_object_set_new(item, "group", json_string(group));
        }
        json_array_append_new(r.items, item);
    }
    return r;
}

static rt_status add(rt_family *f, rt_task_result teacher, rt_task_result student, rt_err *err)
{
    const rt_status st = rt_gap_add(f, &teacher, &student, &(rt_gap_options){.margin = 0.02, .seed = 1}, err);
    rt_task_result_release(&teacher);
    rt_task_result_release(&student);
    return st;
}

static rt_family family(void)
{
    return (rt_family){.name = "tasks", .table = "Tasks", .model = "student", .reference = "teacher"};
}

static void rows_hold_metric_groups_and_verdict(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family f = family();
    assert_ok(add(&f, result("a", "acc", 320, 0, false), result("a", "acc", 200, 0, false), &err));
    assert_ok(add(&f, result("b", "acc_norm", 320, 0, true), result("b", "acc_norm", 320, 0, true), &err));
    assert_ok(add(&f, result("c", "exact_match,strict", 60, 0, false), result("c", "exact_match,strict", 54, 0, false),
                  &err));
    assert_int_equal(f.n, 3);
    assert_true(isnan(f.rows[0].p_adjusted));
    assert_ok(rt_family_conclude(&f, &err));
    assert_int_equal(f.rows[0].verdict, RT_PAIRED_LOST);
    assert_int_equal(f.rows[0].paired.worse, 120);
    assert_int_equal(f.rows[1].verdict, RT_PAIRED_KEPT);
    assert_int_equal(f.rows[1].paired.groups, N / 2);
    assert_string_equal(f.rows[1].metric, "acc_norm");
    assert_string_equal(f.rows[2].metric, "exact_match,strict");
    assert_int_equal(f.rows[2].verdict, RT_PAIRED_FLOOR);
    assert_true(isnan(f.rows[2].paired.retention[0]) && isnan(f.rows[2].p_adjusted));
    assert_true(f.rows[0].p_adjusted == 2 * f.rows[0].paired.p); /* the floor does not count */
    json_t *j = rt_family_json(&f), *row = json_array_get(json_object_get(j, "rows"), 2);
    assert_string_equal(rt_json_str(row, "verdict", ""), "teacher at floor, not measurable");
    assert_true(json_is_null(json_object_get(json_object_get(row, "retention"), "value")));
    assert_true(rt_json_f64(j, "half_width", 0) > 0);
    json_decref(j);
    rt_family_release(&f);
}

/* One of 20 rows is worse by what its own interval just shows, the others are open: that is no finding. */
static void a_chance_finding_does_not_stand_in_a_family(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family alone = family(), many = family();
    assert_ok(add(&alone, result("a", "acc", 300, 0, false), result("a", "acc", 302, 24, false), &err));
    assert_ok(add(&many, result("a", "acc", 300, 0, false), result("a", "acc", 302, 24, false), &err));
    for (int i = 0; i < 19; i++) {
        assert_ok(add(&many, result("b", "acc", 300, 0, false), result("b", "acc", 306, 40, false), &err));
    }
    assert_ok(rt_family_conclude(&alone, &err));
    assert_ok(rt_family_conclude(&many, &err));
    assert_int_equal(alone.rows[0].verdict, RT_PAIRED_WORSE);
    assert_int_equal(many.rows[0].paired.verdict, RT_PAIRED_WORSE);
    assert_int_equal(many.rows[0].verdict, RT_PAIRED_OPEN);
    rt_family_release(&alone);
    rt_family_release(&many);
}

/* --- students with a known truth ---------------------------------------------------------------------------------- */

enum { TASKS = 3 };
static const char *const names[TASKS] = {"headline", "sums", "guessed"};
static const size_t teacher_right[TASKS] = {320, 300, 104};

static void fill(rt_task_result results[TASKS], const size_t right[TASKS])
{
    for (size_t i = 0; i < TASKS; i++) {
        results[i] = result(names[i], "acc", right[i], 0, false);
    }
}

static json_t *report(const size_t student_right[TASKS], rt_domain of_headline, bool with_baseline)
{
    rt_err err = {0};
    rt_task_result results[3][TASKS];
    json_t *out = NULL;
    fill(results[0], teacher_right);
    fill(results[1], student_right);
    fill(results[2], (const size_t[TASKS]){200, 100, 100});
    for (size_t i = 0; student_right == teacher_right && i < TASKS; i++) { /* a model beside itself */
        snprintf(results[0][i].model, sizeof results[0][i].model, "one");
        snprintf(results[1][i].model, sizeof results[1][i].model, "one");
    }
    const rt_gap_model baseline = {"cut", results[2]};
    const rt_domain domain[TASKS] = {of_headline};
    assert_ok(rt_gap_report(&out,
                            &(rt_gap_input){.teacher = {"teacher", results[0]},
                                            .student = {"student", results[1]},
                                            .baselines = &baseline,
                                            .n_baselines = with_baseline,
                                            .n_tasks = TASKS,
                                            .margin = 0.02,
                                            .seed = 1,
                                            .domain = domain},
                            &err));
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < TASKS; i++) {
            rt_task_result_release(&results[k][i]);
        }
    }
    return out;
}

static const char *claim(const json_t *r)
{
    return rt_json_str(json_object_get(r, "claims"), "statement", "");
}

static void an_ability_taken_away_is_named(void **state)
{
    (void)state;
    json_t *r = report((const size_t[TASKS]){320, 110, 104}, RT_DOMAIN_NAME, true);
    assert_string_equal(claim(r), "competitive on headline, lacking sums");
    const json_t *floor = json_object_get(json_object_get(r, "claims"), "not_measurable");
    assert_int_equal(json_array_size(floor), 1);
    assert_string_equal(json_string_value(json_array_get(floor, 0)), "guessed");
    assert_string_equal(rt_json_str(rt_gap_loss(r), "name", ""), "sums");
    /* what it was trained for it kept whole; of the other it kept 0.025 of 0.5 above guessing */
    const json_t *seen = json_object_get(r, "seen");
    assert_true(fabs(rt_json_f64(seen, "difference", 0) - 0.95) < 1e-12);
    assert_true(rt_json_f64(seen, "low", 0) > 0.5);
    const json_t *trained_for = json_array_get(json_object_get(r, "trained_for"), 0);
    assert_string_equal(rt_json_str(trained_for, "task", ""), "headline");
    assert_string_equal(rt_json_str(trained_for, "how", ""), "file name");
    /* the cut beside the teacher, and what the student has over the cut */
    const json_t *families = json_object_get(r, "families");
    assert_int_equal(json_array_size(families), 3);
    const json_t *over = json_array_get(json_object_get(json_array_get(families, 2), "rows"), 0);
    assert_string_equal(rt_json_str(json_array_get(families, 2), "reference", ""), "cut");
    assert_string_equal(rt_json_str(over, "verdict", ""), "gained");
    json_decref(r);
}

static void a_model_beside_itself_has_lost_nothing(void **state)
{
    (void)state;
    size_t i;
    json_t *row, *r = report(teacher_right, RT_DOMAIN_OTHER, false);
    assert_string_equal(claim(r), "competitive on headline, sums");
    assert_null(rt_gap_loss(r));
    json_array_foreach(json_object_get(json_array_get(json_object_get(r, "families"), 0), "rows"), i, row)
    {
        assert_true(rt_json_f64(row, "estimate", 1) == 0 && rt_json_f64(row, "half_width", 1) == 0);
    }
    assert_true(json_is_null(json_object_get(r, "seen")));
    assert_true(json_is_array(json_object_get(r, "trained_for")));
    assert_int_equal(json_array_size(json_object_get(r, "trained_for")), 0);
    json_decref(r);
}

static void a_student_worse_everywhere_is_competitive_in_nothing(void **state)
{
    (void)state;
    json_t *r = report((const size_t[TASKS]){280, 250, 100}, RT_DOMAIN_OTHER, false);
    const json_t *claims = json_object_get(r, "claims");
    assert_says(claim(r), "competitive in nothing");
    assert_true(rt_json_bool(claims, "worse_everywhere", false));
    assert_int_equal(json_array_size(json_object_get(claims, "competitive")), 0);
    json_decref(r);
}

static void a_gain_over_a_teacher_that_guesses_is_no_competitiveness(void **state)
{
    (void)state;
    json_t *r = report((const size_t[TASKS]){320, 300, 250}, RT_DOMAIN_OTHER, false);
    const json_t *row = json_array_get(json_object_get(json_array_get(json_object_get(r, "families"), 0), "rows"), 2);
    assert_string_equal(rt_json_str(row, "verdict", ""), "gained");
    assert_string_equal(claim(r), "competitive on headline, sums");
    json_decref(r);
}

static void unlike_things_are_not_compared(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family f = family();
    assert_int_equal(
        add(&f, result("quiz", "perplexity", 9, 0, false), result("quiz", "perplexity", 9, 0, false), &err),
        RT_UNSUPPORTED);
    assert_says(err.msg, "quiz");
    rt_task_result other = result("quiz", "acc", 9, 0, false);
    json_object_set_new(json_array_get(other.items, 3), "id", json_string("x"));
    assert_int_equal(add(&f, result("quiz", "acc", 9, 0, false), other, &err), RT_INPUT);
    assert_says(err.msg, "item 3");
    other = result("quiz", "acc", 9, 0, false);
    other.n--;
    assert_int_equal(add(&f, result("quiz", "acc", 9, 0, false), other, &err), RT_INPUT);
    assert_int_equal(f.n, 0);
    rt_family_release(&f);
}

/* --- what stands beside a comparison ------------------------------------------------------------------------------ */

static rt_gap_input one_task(rt_task_result *teacher, rt_task_result *student)
{
    return (rt_gap_input){
        .teacher = {"teacher", teacher}, .student = {"student", student}, .n_tasks = 1, .margin = 0.02, .seed = 1};
}

static void results_not_measured_alike_are_refused_unless_said(void **state)
{
    (void)state;
    rt_err err = {0};
    json_t *out = NULL;
    rt_task_result t = result("quiz", "acc", 300, 0, false), s = result("quiz", "acc", 300, 0, false);
    snprintf(t.precision, sizeof t.precision, "bf16");
    snprintf(s.precision, sizeof s.precision, "f32");
    s.items_hash = 1;
    rt_gap_input in = one_task(&t, &s);
    assert_int_equal(rt_gap_report(&out, &in, &err), RT_INPUT);
    assert_says(err.msg, "quiz: precision bf16 of the teacher, f32 of the student");
    assert_says(err.msg, "--unlike");
    in.unlike = true;
    assert_ok(rt_gap_report(&out, &in, &err));
    const json_t *list = json_object_get(out, "unlike");
    assert_int_equal(json_array_size(list), 2);
    assert_says(json_string_value(json_array_get(list, 1)), "texts");
    json_decref(out);
    rt_task_result_release(&t);
    rt_task_result_release(&s);
}

/* Right by heart on a quarter of the items, wrong on most others. */
static void a_score_without_contaminated_items_stands_beside_it(void **state)
{
    (void)state;
    rt_err err = {0};
    json_t *out = NULL;
    bool hit[N] = {false};
    rt_task_result t = result("quiz", "acc", 300, 0, false), s = result("quiz", "acc", 150, 0, false);
    for (size_t i = 0; i < 100; i++) {
        hit[i] = true;
    }
    const rt_contamination contaminated = {.items = N, .checked = N, .found = 100, .hit = hit};
    rt_gap_input in = one_task(&t, &s);
    in.contaminated = &contaminated;
    assert_ok(rt_gap_report(&out, &in, &err));
    const json_t *clean = json_array_get(json_object_get(out, "families"), 1),
                 *row = json_array_get(json_object_get(clean, "rows"), 0);
    assert_string_equal(rt_json_str(clean, "family", ""), "clean");
    assert_int_equal(rt_json_i64(row, "n", 0), N - 100);
    assert_true(fabs(rt_json_f64(row, "student", 0) - 50.0 / 300) < 1e-12);
    assert_true(rt_json_f64(json_array_get(json_object_get(out, "contamination"), 0), "share", 0) == 0.25);
    json_decref(out);
    rt_task_result_release(&t);
    rt_task_result_release(&s);
}

/* Differences of -0.25, -0.15 and -0.05. */
static void the_spread_over_seeds_stands_beside_the_comparison(void **state)
{
    (void)state;
    rt_err err = {0};
    json_t *out = NULL;
    rt_task_result t = result("quiz", "acc", 300, 0, false), s = result("quiz", "acc", 200, 0, false),
                   more[2] = {result("quiz", "acc", 240, 0, false), result("quiz", "acc", 280, 0, false)};
    const rt_gap_model seeds[2] = {{"student-2", &more[0]}, {"student-3", &more[1]}};
    rt_gap_input in = one_task(&t, &s);
    in.seeds = seeds;
    in.n_seeds = 2;
    assert_ok(rt_gap_report(&out, &in, &err));
    const json_t *spread = json_object_get(out, "seeds"), *row = json_array_get(json_object_get(spread, "rows"), 0);
    assert_int_equal(rt_json_i64(spread, "n", 0), 3);
    assert_true(fabs(rt_json_f64(row, "mean", 0) + 0.15) < 1e-12 && fabs(rt_json_f64(row, "sd", 0) - 0.1) < 1e-12);
    assert_true(rt_json_f64(row, "least", 0) == -0.25 && fabs(rt_json_f64(row, "most", 0) + 0.05) < 1e-12);
    json_decref(out);
    rt_task_result_release(&t);
    rt_task_result_release(&s);
    rt_task_result_release(&more[0]);
    rt_task_result_release(&more[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_hold_metric_groups_and_verdict),
        cmocka_unit_test(a_chance_finding_does_not_stand_in_a_family),
        cmocka_unit_test(an_ability_taken_away_is_named),
        cmocka_unit_test(a_model_beside_itself_has_lost_nothing),
        cmocka_unit_test(a_student_worse_everywhere_is_competitive_in_nothing),
        cmocka_unit_test(a_gain_over_a_teacher_that_guesses_is_no_competitiveness),
        cmocka_unit_test(unlike_things_are_not_compared),
        cmocka_unit_test(results_not_measured_alike_are_refused_unless_said),
        cmocka_unit_test(a_score_without_contaminated_items_stands_beside_it),
        cmocka_unit_test(the_spread_over_seeds_stands_beside_the_comparison),
    };
    return cmocka_run_group_tests_name("gap", tests, NULL, NULL);
}
