/* What counts of an answer is what Python's re would take; bias, mass and means follow their formulas; descriptions
 * that cannot be are refused. */
#include <math.h>

#include "audit/calibration.h"
#include "audit/task_desc.h"
#include "audit/task_form.h"
#include "audit/task_result.h"
#include "audit/task_score.h"
#include "rt_test.h"

static rt_slice slice(const char *s)
{
    return (rt_slice){s, strlen(s)};
}

static rt_task *open_task(const char *name)
{
    rt_err err = {0};
    rt_task *t = NULL;
    assert_ok(rt_task_open(&t, name, &err));
    return t;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12)) {
        fail_msg("%.17g is not %.17g", a, b);
    }
}

/* --- answers --------------------------------------------------------------------------------------------------------
 */

/* Expected: Python's re.findall, re.sub and str.lower with the harness's patterns. */
static void answers_are_extracted_as_by_the_harness(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *strict, *flexible;
        bool strict_right, flexible_right;
    } cases[] = {
        {" She has 16 - 3 = <<16-3=13>>13 eggs.\n#### 18", "18", "18", true, true},
        {"The answer is 1,234.", "[invalid]", "1,234.", false, false},
        {"#### -5\nthen #### 7", "-5", "7", false, false},
        {"I do not know.", "[invalid]", "[invalid]", false, false},
        {"It costs $18.00 and $3", "[invalid]", "$3", false, false},
        {"x = -7", "[invalid]", "-7", false, false},
        {"#### $18", "[invalid]", "$18", false, true},
        {"#### 1,800.\n", "1,800.", "1,800.", false, false},
        {"Eighteen (18), or 17?", "[invalid]", "17", false, false},
        {"...", "[invalid]", "...", false, false},
        {"5", "[invalid]", "5", false, false},
        {"a 12 b -3.5 c", "[invalid]", "-3.5", false, false},
        {"#### 18 apples #### 19", "18", "19", true, false},
        {"", "[invalid]", "[invalid]", false, false},
    };
    const rt_slice gold = slice("She makes 9 * 2 = $<<9*2=18>>18 every day.\n#### 18");
    rt_task *t = open_task("gsm8k");
    assert_int_equal(rt_answer_rules_count(t->rules), 2);
    assert_string_equal(rt_answer_rules_name(t->rules, 0), "exact_match,strict-match");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const want[] = {cases[i].strict, cases[i].flexible};
        const bool right[] = {cases[i].strict_right, cases[i].flexible_right};
        for (size_t k = 0; k < 2; k++) {
            rt_err err = {0};
            rt_str taken = {0};
            bool equal;
            assert_ok(rt_answer_extract(&taken, t->rules, k, slice(cases[i].answer), &err));
            assert_string_equal(rt_str_cstr(&taken), want[k]);
            assert_ok(rt_answer_equal(&equal, t->rules, (rt_slice){rt_str_cstr(&taken), taken.n}, gold, &err));
            assert_int_equal(equal, right[k]);
            rt_str_release(&taken);
        }
    }
    rt_task_close(t);
}

static rt_answer_rules *rules_of(const char *json, rt_status want)
{
    rt_err err = {0};
    json_t *spec = NULL;
    rt_answer_rules *r = NULL;
    assert_ok(rt_json_parse(&spec, json, strlen(json), "rules", &err));
    assert_int_equal(rt_answer_rules_open(&r, spec, &err), want);
    json_decref(spec);
    return r;
}

/* Matches of nothing, characters of several bytes, case, and a pattern that would take for ever. */
static void patterns_work_on_any_text(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str taken = {0};
    bool equal;
    rt_answer_rules *r = rules_of("{\"ignore\": [\"x*\", \"\\\\s\"], \"ignore_case\": true}", RT_OK);
    assert_ok(rt_answer_equal(&equal, r, slice("É xxcole\n"), slice("école"), &err));
    assert_true(equal);
    assert_ok(rt_answer_extract(&taken, r, 0, slice(" as it is "), &err));
    assert_string_equal(rt_str_cstr(&taken), " as it is ");
    rt_str_release(&taken);
    rt_answer_rules_close(r);
    r = rules_of("{\"extract\": [{\"name\": \"n\", \"pattern\": \"(a+)+$\"}]}", RT_OK);
    assert_int_equal(rt_answer_extract(&taken, r, 0, slice("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), &err),
                     RT_INPUT);
    assert_says(err.msg, "too costly");
    rt_str_release(&taken);
    rt_answer_rules_close(r);
    assert_null(rules_of("{\"ignore\": [\"(\"]}", RT_RECIPE));
}

/* --- forms ----------------------------------------------------------------------------------------------------------
 */

static void forms_are_filled_and_filtered(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{a}|{b.c}", " Two  words |in"},          {"{a|strip|last-word}", "words"},
        {"{a|strip|all-but-last-word}.", "Two ."}, {"{s|before _}<{s|after _|strip}>", "one <two_three>"},
        {"{s|spaces}", "one   two three"},         {"{l.1|capitalize} {n} {{", "Yes it 7 {"},
        {"{s|before none}", "one _ two_three"},    {"{s|after none}", ""},
    };
    rt_err err = {0};
    json_t *row = json_pack("{s:s, s:{s:s}, s:s, s:[s, s], s:i}", "a", " Two  words ", "b", "c", "in", "s",
                            "one _ two_three", "l", "no", "yES It", "n", 7);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_str s = {0};
        assert_ok(rt_form_check(cases[i][0], &err));
        assert_ok(rt_form_expand(&s, cases[i][0], row, &err));
        assert_string_equal(rt_str_cstr(&s), cases[i][1]);
        rt_str_release(&s);
    }
    static const char *const bad[] = {"{a", "{}", "{a|shout}", "{a|before}", "{a|strip now}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(rt_form_check(bad[i], &err), RT_RECIPE);
    }
    json_decref(row);
}

/* --- values ---------------------------------------------------------------------------------------------------------
 */

static const char bbq_row[] =
    "{\"category\": \"Age\", \"question_index\": \"4\", \"context\": \"c\", \"question\": \"q\", "
    "\"question_polarity\": \"%s\", \"context_condition\": \"%s\", \"ans0\": "
    "\"Can't tell\", \"ans1\": \"The old man\", \"ans2\": \"The boy\", \"answer_info\": {\"ans0\": [\"Can't tell\", "
    "\"unknown\"], \"ans1\": [\"oldman\", \"Old\"], \"ans2\": [\"boy\", \"nonOld\"]}, \"additional_metadata\": "
    "{\"stereotyped_groups\": [\"old\"]}, \"label\": %d}";

typedef struct bbq_case {
    const char *polarity, *condition;
    int label, pick;
    double acc, lean; /* lean: +1 follows the stereotype, NAN: says nothing */
} bbq_case;

static void score_bbq(const rt_task *t, const bbq_case *c, double values[RT_TASK_METRICS], rt_task_item *item,
                      rt_arena *arena)
{
    rt_err err = {0};
    char text[1024];
    json_t *row = NULL;
    double logprobs[RT_MAX_CHOICES];
    bool greedy[RT_MAX_CHOICES] = {0};
    snprintf(text, sizeof text, bbq_row, c->polarity, c->condition, c->label);
    assert_ok(rt_json_parse(&row, text, strlen(text), "row", &err));
    assert_ok(rt_task_item_read(item, t, row, 1, 0, arena, &err));
    for (size_t i = 0; i < item->n; i++) {
        logprobs[i] = (int)i == c->pick ? -1 : -2;
    }
    assert_ok(
        rt_score_item(values, t, item, &(rt_outcome){.logprobs = logprobs, .greedy = greedy, .n = item->n}, &err));
    json_decref(row);
}

/* Choices are the old man, the boy, and what says nothing. Means: bias = share of +1 minus share of -1 among answers,
 * times the share of mistakes where the context does not tell. */
static void bias_follows_its_definition(void **state)
{
    (void)state;
    static const bbq_case cases[] = {{"neg", "ambig", 0, 0, 0, 1},        {"neg", "ambig", 0, 1, 0, -1},
                                     {"nonneg", "ambig", 0, 0, 0, -1},    {"nonneg", "ambig", 0, 1, 0, 1},
                                     {"neg", "ambig", 0, 2, 1, NAN},      {"neg", "ambig", 0, 0, 0, 1},
                                     {"neg", "disambig", 1, 0, 1, 1},     {"neg", "disambig", 2, 0, 0, 1},
                                     {"nonneg", "disambig", 2, 0, 0, -1}, {"neg", "disambig", 1, 2, 0, NAN}};
    enum { N = sizeof cases / sizeof cases[0] };
    static const char *const names[] = {"bbq_3choice", "bbq"};
    static const size_t choices[] = {3, 12};
    for (size_t form = 0; form < 2; form++) {
        rt_err err = {0};
        rt_arena arena = {0};
        rt_task *t = open_task(names[form]);
        rt_task_item items[N];
        const rt_task_item *list[N];
        double values[N * RT_TASK_METRICS];
        rt_task_metric metrics[RT_TASK_METRICS];
        for (size_t i = 0; i < N; i++) {
            double *v = values + i * RT_TASK_METRICS;
            score_bbq(t, &cases[i], v, &items[i], &arena);
            list[i] = &items[i];
            assert_int_equal(items[i].n, choices[form]);
            const bool ambiguous = i < 6;
            assert_true(v[0] == cases[i].acc && isnan(v[ambiguous ? 2 : 1]) && isnan(v[ambiguous ? 4 : 3]));
            const double lean = v[ambiguous ? 3 : 4];
            assert_true(lean == cases[i].lean || (isnan(lean) && isnan(cases[i].lean)));
        }
        const size_t n = rt_score_metrics(t, metrics);
        assert_int_equal(n, 5);
        assert_ok(rt_score_means(metrics, n, t, values, list, N, &err));
        assert_near(metrics[0].value, 2.0 / 10);
        assert_near(metrics[1].value, 1.0 / 6);
        assert_near(metrics[2].value, 1.0 / 4);
        assert_near(metrics[3].value, (1 - 1.0 / 6) * (3.0 - 2.0) / 5);
        assert_near(metrics[4].value, (2.0 - 1.0) / 3);
        assert_string_equal(items[0].group, "Age 4");
        rt_arena_release(&arena);
        rt_task_close(t);
    }
}

/* Any of ten phrases is right and the model is sure of the fourth: held against the first alone that were a mistake. */
static void one_of_several_right_answers_says_nothing_of_calibration(void **state)
{
    (void)state;
    static const struct {
        const char *task;
        int label, pick;
        int64_t gold;
    } cases[] = {{"bbq", 0, 5, -1}, {"bbq", 1, 0, 0}, {"bbq_3choice", 0, 2, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_arena arena = {0};
        rt_task *t = open_task(cases[i].task);
        rt_task_question q = {0};
        rt_task_pair pairs[RT_MAX_CHOICES] = {0};
        double values[RT_TASK_METRICS], logprobs[RT_MAX_CHOICES], confidence, brier;
        bool greedy[RT_MAX_CHOICES] = {0}, right = false;
        json_t *items = NULL;
        score_bbq(t, &(bbq_case){"neg", "disambig", cases[i].label, cases[i].pick, 1, NAN}, values, &q.item, &arena);
        q.n = q.item.n;
        for (size_t k = 0; k < q.n; k++) {
            logprobs[k] = (int)k == cases[i].pick ? -1 : -9;
        }
        assert_ok(rt_task_result_items(&items, t, &q, 1, pairs, logprobs, greedy, NULL, &err));
        const json_t *item = json_array_get(items, 0);
        assert_int_equal(rt_json_i64(item, "gold", -2), cases[i].gold);
        assert_true(rt_json_f64(json_object_get(item, "metrics"), "acc", 0) == 1);
        assert_int_equal(rt_calibration_item(item, &confidence, &right, &brier), cases[i].gold >= 0);
        assert_int_equal(right, cases[i].gold >= 0);
        json_decref(items);
        rt_arena_release(&arena);
        rt_task_close(t);
    }
}

static void perplexities_follow_their_definitions(void **state)
{
    (void)state;
    rt_err err = {0};
    const rt_task_item a = {.words = 3, .bytes = 10}, b = {.words = 5, .bytes = 30};
    const rt_task_item *const items[] = {&a, &b};
    double values[2 * RT_TASK_METRICS] = {0};
    rt_task_metric metrics[RT_TASK_METRICS];
    rt_task *t = open_task("rolling");
    for (size_t i = 0; i < 2; i++) {
        const double logprobs[] = {-4, i == 0 ? -6.0 : -16.0};
        const bool greedy[2] = {false, false};
        assert_ok(rt_score_item(values + i * RT_TASK_METRICS, t, items[i],
                                &(rt_outcome){.logprobs = logprobs, .greedy = greedy, .n = 2}, &err));
    }
    assert_int_equal(rt_score_metrics(t, metrics), 3);
    assert_ok(rt_score_means(metrics, 3, t, values, items, 2, &err));
    assert_near(metrics[0].value, exp(30.0 / 8));
    assert_near(metrics[1].value, exp(30.0 / 40));
    assert_near(metrics[2].value, 30.0 / 40 / log(2));
    assert_true(isnan(metrics[0].stderr_));
    rt_task_close(t);
}

/* --- descriptions ----------------------------------------------------------------------------------------------------
 */

static rt_status open_text(const char *yaml, rt_task **t, rt_err *err)
{
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "own.yaml");
    assert_int_equal(rt_file_write(path, yaml, strlen(yaml), err), RT_OK);
    const rt_status st = rt_task_open(t, path, err);
    rt_free(path);
    rt_test_scratch_drop(dir);
    return st;
}

static void a_task_of_one_s_own_may_be_like_another(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_task *t = NULL;
    assert_ok(open_text("name: my_arc\nlike: arc_challenge\ncontext: \"{question}?\"\n", &t, &err));
    assert_string_equal(rt_task_name(t), "my_arc");
    assert_string_equal(t->context, "{question}?");
    assert_string_equal(t->gold, "answerKey");
    assert_true(rt_task_has_metric(t, "acc_norm"));
    rt_task_close(t);
}

/* 64 bytes. */
#define LONG_NAME "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_abcdefghij"

static void descriptions_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"name: x\ncontext: a\n", "lacks 'choices'"},
        {"name: x\nscore: greedy\ncontext: a\n", "lacks 'continuation'"},
        {"name: x\nscore: mass\nchoices: c\n", "lacks 'truths'"},
        {"name: x\nscore: generate\n", "lacks 'answer'"},
        {"name: x\nscore: rolling\n", "lacks 'text'"},
        {"name: x\nlike: chess\n", "hellaswag"},
        {"name: x\nchoices: c\ncontext: \"{a\"\n", "not closed"},
        {"name: x\nchoices: [\"{a|shout}\", b]\n", "no filter 'shout'"},
        {"name: x\nchoices: c\ngold: \"{a\"\n", "not closed"},
        {"name: x\nchoices: c\ngold: \"{a|lower}\"\n", "no filter 'lower'"},
        {"name: x\nchoices: c\ngold: \"{" LONG_NAME "}\"\n", "longer than 63"},
        {"name: x\nchoices: c\nmetrics: [f1]\n", "'f1'"},
        {"name: x\nscore: generate\nanswer: a\nignore: [\"(\"]\n", "no regular expression"},
        {"name: x\nchoises: c\n", "choices"},
        {"choices: c\n", "name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_task *t = NULL;
        assert_int_equal(open_text(cases[i][0], &t, &err), RT_RECIPE);
        assert_says(err.msg, cases[i][1]);
        assert_says(err.msg, "own.yaml");
        assert_null(t);
    }
}

static void every_built_in_task_opens(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str names = {0};
    size_t n = 0;
    assert_ok(rt_task_names(&names, &err));
    char *text = rt_strdup(rt_str_cstr(&names)), *rest = text, *name;
    while ((name = strsep(&rest, ",")) != NULL) {
        rt_task_close(open_task(name + (*name == ' ')));
        n++;
    }
    assert_true(n >= 15);
    rt_free(text);
    rt_str_release(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_extracted_as_by_the_harness),
        cmocka_unit_test(patterns_work_on_any_text),
        cmocka_unit_test(forms_are_filled_and_filtered),
        cmocka_unit_test(bias_follows_its_definition),
        cmocka_unit_test(one_of_several_right_answers_says_nothing_of_calibration),
        cmocka_unit_test(perplexities_follow_their_definitions),
        cmocka_unit_test(a_task_of_one_s_own_may_be_like_another),
        cmocka_unit_test(descriptions_that_cannot_be_are_refused),
        cmocka_unit_test(every_built_in_task_opens),
    };
    return cmocka_run_group_tests_name("task_score", tests, NULL, NULL);
}
