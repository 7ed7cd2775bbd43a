/* Safeguards are compared by the figures their tasks report; what was removed is named, and a model beside itself
 * differs by exactly nothing. */
#include "audit/safeguard.h"

#include <math.h>

#include "audit/gap.h"
#include "rt_test.h"

enum { N = 200 };

static rt_task_result result(const char *task, const char *const *metrics, size_t n)
{
    rt_task_result r = {.n = N, .n_metrics = n, .chance = NAN, .items = json_array()};
    snprintf(r.task, sizeof r.task, "%s", task);
    for (size_t k = 0; k < n; k++) {
        snprintf(r.metrics[k].name, sizeof r.metrics[k].name, "%s", metrics[k]);
        r.metrics[k].n = N;
    }
    return r;
}

static json_t *value_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static void add_item(rt_task_result *r, size_t i, json_t *metrics)
{
    char id[16];
    snprintf(id, sizeof id, "q%zu", i);
    json_array_append_new(r->items, json_pack("{s:s, s:b, s:o}", "id", id, "harmful", i % 2 == 0, "metrics", metrics));
}

/* Every second prompt is harmful; `shift` is what the margin of those lies higher by. */
static rt_task_result refusals(double shift, uint64_t seed)
{
    static const char *const names[] = {"refused", "over_refused", "margin_auroc"};
    rt_task_result r = result("xstest", names, 3);
    rt_rng rng = rt_rng_init(seed, "margins", 0);
    for (size_t i = 0; i < N; i++) {
        const bool harmful = i % 2 == 0;
        const double margin = rt_rng_normal(&rng) + (harmful ? shift : 0);
        add_item(&r, i,
                 json_pack("{s:o, s:o, s:f}", "refused", value_or_null(harmful ? margin > 1 : NAN), "over_refused",
                           value_or_null(harmful ? NAN : margin > 1), "margin_auroc", margin));
    }
    return r;
}

/* `harmful` prompts among N, told from the others without a mistake. */
static rt_task_result told_apart(size_t harmful, const char *model)
{
    static const char *const names[] = {"margin_auroc"};
    rt_task_result r = result("xstest", names, 1);
    snprintf(r.model, sizeof r.model, "%s", model);
    for (size_t i = 0; i < N; i++) {
        char id[16];
        snprintf(id, sizeof id, "q%zu", i);
        json_array_append_new(r.items,
                              json_pack("{s:s, s:b, s:{s:f}}", "id", id, "harmful", (int)(i < harmful), "metrics",
                                        "margin_auroc", i < harmful ? 1.0 + (double)i : -1.0 - (double)i));
    }
    return r;
}

static const rt_family_row *row_of(const rt_family *f, const char *metric)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->rows[i].metric, metric) == 0) {
            return &f->rows[i];
        }
    }
    fail_msg("no row for %s", metric);
    return NULL;
}

static void a_model_beside_itself_differs_by_nothing(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family f = {.name = "safeguards", .model = "student", .reference = "teacher"};
    rt_task_result t = refusals(3, 1), s = refusals(3, 1);
    snprintf(t.model, sizeof t.model, "one");
    snprintf(s.model, sizeof s.model, "one");
    assert_ok(rt_safeguard_add(&f, &t, &s, 1, &err));
    assert_ok(rt_family_conclude(&f, &err));
    assert_int_equal(f.n, 3);
    for (size_t i = 0; i < f.n; i++) {
        const rt_paired *p = &f.rows[i].paired;
        assert_true(p->difference == 0 && p->low == 0 && p->high == 0 && p->p == 1);
        assert_int_equal(f.rows[i].verdict, RT_PAIRED_KEPT);
    }
    assert_int_equal(row_of(&f, "refused")->paired.n, N / 2);
    assert_int_equal(row_of(&f, "margin_auroc")->paired.n, N);
    rt_family_release(&f);
    rt_task_result_release(&t);
    rt_task_result_release(&s);
}

static void a_safeguard_that_was_removed_is_named(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family f = {.name = "safeguards", .model = "student", .reference = "teacher"};
    rt_task_result t = refusals(3, 1), s = refusals(0, 1);
    assert_ok(rt_safeguard_add(&f, &t, &s, 1, &err));
    assert_ok(rt_family_conclude(&f, &err));
    assert_int_equal(row_of(&f, "refused")->verdict, RT_PAIRED_LOST);
    assert_int_equal(row_of(&f, "margin_auroc")->verdict, RT_PAIRED_LOST);
    assert_true(row_of(&f, "margin_auroc")->paired.teacher > 0.95);
    assert_true(fabs(row_of(&f, "margin_auroc")->paired.student - 0.5) < 0.1);
    assert_int_equal(row_of(&f, "over_refused")->verdict, RT_PAIRED_KEPT); /* the same benign margins */
    assert_true(row_of(&f, "over_refused")->lower_is_better);
    rt_family_release(&f);
    rt_task_result_release(&t);
    rt_task_result_release(&s);
}

/* Leans of k unambiguous and of the ambiguous answers; a quarter of the ambiguous is right. */
static rt_task_result leanings(size_t follow)
{
    static const char *const names[] = {"accuracy_amb", "amb_bias_score", "disamb_bias_score"};
    rt_task_result r = result("bbq", names, 3);
    for (size_t i = 0; i < N; i++) {
        const bool ambiguous = i % 2 == 0, right = i % 8 == 0;
        const double lean = right && ambiguous ? NAN : i % 10 < follow ? 1 : -1;
        add_item(&r, i,
                 json_pack("{s:o, s:o, s:o}", "accuracy_amb", value_or_null(ambiguous ? right : NAN), "amb_bias_score",
                           value_or_null(ambiguous ? lean : NAN), "disamb_bias_score",
                           value_or_null(ambiguous ? NAN : lean)));
    }
    return r;
}

/* i odd: 1 3 5 7 9 of ten; follow = 8 has four of five lean: (4 - 1) / 5. Even ones that are wrong are 75 of 100; those
 * with a last digit of 8 are 1 of 5: 60 lean of 75 would be .6, less what the right ones take. */
static void bias_is_a_distance_from_none(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family f = {.name = "safeguards", .model = "student", .reference = "teacher"};
    rt_task_result t = leanings(8), s = leanings(2);
    double sum = 0, n = 0;
    for (size_t i = 0; i < N; i += 2) {
        n += i % 8 != 0;
        sum += i % 8 == 0 ? 0 : i % 10 < 8 ? 1 : -1;
    }
    assert_ok(rt_safeguard_add(&f, &t, &s, 1, &err));
    assert_true(fabs(row_of(&f, "disamb_bias_score")->paired.teacher - 0.6) < 1e-12);
    assert_true(fabs(row_of(&f, "disamb_bias_score")->paired.student - 0.6) < 1e-12); /* the other way: the same bias */
    assert_true(fabs(row_of(&f, "amb_bias_score")->paired.teacher - 0.75 * sum / n) < 1e-12);
    assert_int_equal(row_of(&f, "disamb_bias_score")->paired.verdict, RT_PAIRED_OPEN);
    rt_family_release(&f);
    rt_task_result_release(&t);
    rt_task_result_release(&s);
}

/* Of N unambiguous answers the first `named` name somebody, as the stereotype has it. */
static rt_task_result naming(size_t named)
{
    static const char *const names[] = {"disamb_bias_score"};
    rt_task_result r = result("bbq", names, 1);
    for (size_t i = 0; i < N; i++) {
        add_item(&r, i, json_pack("{s:o}", "disamb_bias_score", value_or_null(i < named ? 1 : NAN)));
    }
    return r;
}

/* Resamples see no lean turn, and the more answers say nothing the less that means; one that turns moves it by 2 / k.
 */
static void bias_rests_on_the_answers_that_name_somebody(void **state)
{
    (void)state;
    static const struct {
        size_t teacher, student;
        rt_paired_verdict verdict;
    } cases[] = {{3, 3, RT_PAIRED_OPEN}, {N, 3, RT_PAIRED_OPEN}, {100, 100, RT_PAIRED_OPEN}, {N, N, RT_PAIRED_KEPT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_family f = {.name = "safeguards", .model = "student", .reference = "teacher"};
        rt_task_result t = naming(cases[i].teacher), s = naming(cases[i].student);
        assert_ok(rt_safeguard_add(&f, &t, &s, 1, &err));
        assert_int_equal(f.n, 1);
        const rt_paired *p = &f.rows[0].paired;
        const double unseen = 1 - pow(0.05, 1.0 / (double)cases[i].student);
        assert_int_equal(p->groups, cases[i].student);
        assert_true(p->difference == 0 && fabs(p->high - 2 * unseen) < 1e-12);
        assert_int_equal(p->verdict, cases[i].verdict);
        if (p->verdict == RT_PAIRED_KEPT) {
            assert_true(fabs(p->p_verdict - pow(1 - 0.05 / 2, N)) < 1e-12);
        }
        rt_family_release(&f);
        rt_task_result_release(&t);
        rt_task_result_release(&s);
    }
}

/* Who never names anybody where the context does not tell is known to have no bias there. */
static void right_answers_are_no_bias_of_mistakes(void **state)
{
    (void)state;
    static const char *const names[] = {"accuracy_amb", "amb_bias_score"};
    rt_err err = {0};
    rt_family f = {.name = "safeguards", .model = "student", .reference = "teacher"};
    rt_task_result r[2] = {result("bbq", names, 2), result("bbq", names, 2)};
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < 2; k++) { /* the teacher names somebody in ten */
            const bool right = k == 1 || i >= 10;
            add_item(
                &r[k], i,
                json_pack("{s:i, s:o}", "accuracy_amb", (int)right, "amb_bias_score", value_or_null(right ? NAN : 1)));
        }
    }
    assert_ok(rt_safeguard_add(&f, &r[0], &r[1], 1, &err));
    const rt_paired *p = &row_of(&f, "amb_bias_score")->paired;
    assert_int_equal(p->groups, N);
    assert_true(fabs(p->teacher - 10.0 / N) < 1e-12 && p->student == 0);
    rt_family_release(&f);
    rt_task_result_release(&r[0]);
    rt_task_result_release(&r[1]);
}

/* Values of the teacher for the first `teacher` items, of the student for the last `student`. */
static void what_no_item_says_of_both_is_no_row(void **state)
{
    (void)state;
    static const char *const names[] = {"yields", "disamb_bias_score"};
    static const struct {
        size_t teacher, student, yields, bias; /* items in common, groups */
    } cases[] = {{N / 2, N / 2, 0, N / 2}, {N / 2, N / 2 + 1, 1, N / 2}, {N, 0, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_family f = {.name = "safeguards", .model = "student", .reference = "teacher"};
        rt_task_result t = result("quiz", names, 2), s = result("quiz", names, 2);
        for (size_t k = 0; k < N; k++) {
            const double of_teacher = k < cases[i].teacher ? 1 : NAN, of_student = k >= N - cases[i].student ? 1 : NAN;
            add_item(&t, k,
                     json_pack("{s:o, s:o}", "yields", value_or_null(of_teacher), "disamb_bias_score",
                               value_or_null(of_teacher)));
            add_item(&s, k,
                     json_pack("{s:o, s:o}", "yields", value_or_null(of_student), "disamb_bias_score",
                               value_or_null(of_student)));
        }
        assert_ok(rt_safeguard_add(&f, &t, &s, 1, &err));
        assert_int_equal(f.n, (cases[i].yields > 0) + (cases[i].bias > 0));
        if (cases[i].yields > 0) {
            assert_int_equal(row_of(&f, "yields")->paired.n, cases[i].yields);
        }
        if (cases[i].bias > 0) {
            assert_int_equal(row_of(&f, "disamb_bias_score")->paired.groups, cases[i].bias);
        }
        rt_family_release(&f);
        rt_task_result_release(&t);
        rt_task_result_release(&s);
    }
}

/* Two choices; the pick has probability `sure`, and is right four times of five. */
static rt_task_result confident(double sure)
{
    static const char *const names[] = {"acc"};
    rt_err err = {0};
    rt_task_result r = result("quiz", names, 1);
    for (size_t i = 0; i < N; i++) {
        char id[16];
        snprintf(id, sizeof id, "q%zu", i);
        json_array_append_new(r.items, json_pack("{s:s, s:[f, f], s:i, s:{s:i}, s:{s:i}}", "id", id, "loglikelihoods",
                                                 log(sure), log(1 - sure), "gold", i % 5 == 0, "picks", "acc", 0,
                                                 "metrics", "acc", i % 5 != 0));
    }
    assert_ok(rt_calibration_of_items(&r.calibration, r.items, &err));
    return r;
}

static void calibration_that_was_lost_is_named(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family f = {.name = "calibration", .model = "student", .reference = "teacher"};
    rt_task_result t = confident(0.8), s = confident(0.99);
    assert_ok(rt_calibration_add(&f, &t, &s, 1, &err));
    assert_true(row_of(&f, "ece")->paired.teacher < 1e-9);
    assert_true(fabs(row_of(&f, "ece")->paired.student - 0.19) < 1e-9);
    assert_int_equal(row_of(&f, "ece")->paired.verdict, RT_PAIRED_LOST);
    assert_true(fabs(row_of(&f, "brier")->paired.teacher - 2 * (0.8 * 0.04 + 0.2 * 0.64)) < 1e-9);
    assert_true(fabs(row_of(&f, "surest_half")->paired.difference) < 1e-9);
    rt_family_release(&f);
    rt_task_result_release(&t);
    rt_task_result_release(&s);
}

/* Right throughout the surest half, and no resample reaches the rest: 1 - 0.05^(1/100) is above the margin, of all
 * items it were below. */
static void the_surest_half_rests_on_half_of_the_items(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family f = {.name = "calibration", .model = "student", .reference = "teacher"};
    rt_task_result r[2] = {confident(0.8), confident(0.8)};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < N; i++) {
            const bool surest = i < 3 * N / 4;
            const double sure = surest ? 0.9 : 0.6;
            json_t *item = json_array_get(r[k].items, i);
            json_object_set_new(item, "loglikelihoods", json_pack("[f, f]", log(sure), log(1 - sure)));
            json_object_set_new(item, "gold", json_integer(!surest && i % 2 == k));
        }
        assert_ok(rt_calibration_of_items(&r[k].calibration, r[k].items, &err));
    }
    assert_ok(rt_calibration_add(&f, &r[0], &r[1], 1, &err));
    const rt_paired *p = &row_of(&f, "surest_half")->paired;
    assert_true(p->teacher == 1 && p->student == 1);
    assert_int_equal(p->groups, N / 2);
    assert_true(fabs(p->high - (1 - pow(0.05, 2.0 / N))) < 1e-12);
    assert_int_equal(p->verdict, RT_PAIRED_OPEN);
    assert_int_equal(row_of(&f, "ece")->paired.groups, N);
    rt_family_release(&f);
    rt_task_result_release(&r[0]);
    rt_task_result_release(&r[1]);
}

/* Of neither model. */
static void an_item_with_several_right_choices_leaves_no_calibration(void **state)
{
    (void)state;
    for (int of = 0; of < 2; of++) {
        rt_err err = {0};
        rt_family f = {.name = "calibration", .model = "student", .reference = "teacher"};
        rt_task_result r[2] = {confident(0.8), confident(0.99)};
        json_object_set_new(json_array_get(r[of].items, 7), "gold", json_integer(-1));
        assert_ok(rt_calibration_of_items(&r[of].calibration, r[of].items, &err));
        assert_true(r[of].calibration.n == 0 && r[of].calibration.temperature.n == 0);
        assert_ok(rt_calibration_add(&f, &r[0], &r[1], 1, &err));
        assert_int_equal(f.n, 0);
        rt_family_release(&f);
        rt_task_result_release(&r[0]);
        rt_task_result_release(&r[1]);
    }
}

/* Agreement with every second statement; of side 0 all, of side 1 half: half apart, and the same the other way round.
 */
static rt_task_result sides(int favoured)
{
    static const char *const names[] = {"asymmetry"};
    rt_task_result r = result("political", names, 1);
    for (size_t i = 0; i < N; i++) {
        const int side = i % 2 == 1;
        add_item(&r, i, json_pack("{s:i}", "asymmetry", side == favoured || i % 4 < 2));
        json_object_set_new(json_array_get(r.items, i), "side", json_integer(side));
    }
    return r;
}

static void neither_side_is_right(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_family f = {.name = "safeguards", .model = "student", .reference = "teacher"};
    rt_task_result t = sides(0), s = sides(1);
    assert_ok(rt_safeguard_add(&f, &t, &s, 1, &err));
    assert_int_equal(f.n, 1);
    assert_true(fabs(f.rows[0].paired.teacher - 0.5) < 1e-12);
    assert_true(fabs(f.rows[0].paired.difference) < 1e-12);
    rt_family_release(&f);
    rt_task_result_release(&t);
    rt_task_result_release(&s);
}

/* No resample sees a mistake; three harmful prompts among 200 are three all the same. */
static void auroc_rests_on_the_rarer_kind(void **state)
{
    (void)state;
    static const struct {
        size_t harmful;
        const char *other;
        rt_paired_verdict verdict;
    } cases[] = {{3, "b", RT_PAIRED_OPEN}, {100, "b", RT_PAIRED_KEPT}, {3, "a", RT_PAIRED_KEPT}};
    for (size_t i = 0; i < 3; i++) {
        rt_err err = {0};
        rt_family f = {.name = "safeguards", .table = "", .model = "student", .reference = "teacher"};
        rt_task_result t = told_apart(cases[i].harmful, "a"), s = told_apart(cases[i].harmful, cases[i].other);
        assert_ok(rt_safeguard_add(&f, &t, &s, 1, &err));
        assert_int_equal(f.n, 1);
        const rt_paired *p = &f.rows[0].paired;
        assert_int_equal(p->groups, cases[i].harmful);
        assert_int_equal(p->n, N);
        assert_true(p->difference == 0 && p->verdict == cases[i].verdict);
        if (cases[i].other[0] == 'b') {
            assert_true(fabs(p->high - (1 - pow(0.05, 1.0 / (double)cases[i].harmful))) < 1e-12);
        }
        rt_family_release(&f);
        rt_task_result_release(&t);
        rt_task_result_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_beside_itself_differs_by_nothing),
        cmocka_unit_test(a_safeguard_that_was_removed_is_named),
        cmocka_unit_test(bias_is_a_distance_from_none),
        cmocka_unit_test(bias_rests_on_the_answers_that_name_somebody),
        cmocka_unit_test(right_answers_are_no_bias_of_mistakes),
        cmocka_unit_test(what_no_item_says_of_both_is_no_row),
        cmocka_unit_test(neither_side_is_right),
        cmocka_unit_test(calibration_that_was_lost_is_named),
        cmocka_unit_test(the_surest_half_rests_on_half_of_the_items),
        cmocka_unit_test(an_item_with_several_right_choices_leaves_no_calibration),
        cmocka_unit_test(auroc_rests_on_the_rarer_kind),
    };
    return cmocka_run_group_tests_name("safeguard", tests, NULL, NULL);
}
