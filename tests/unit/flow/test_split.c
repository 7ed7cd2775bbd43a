/* The plan of a run: what it is made from, and what it refuses before any time is spent. */
#include <math.h>

#include "flow/inputs.h"
#include "flow/own_text.h"
#include "rt_test.h"

static rt_err err;

/* A teacher nobody asks for more than its shape. */
static rt_flow flow_with(rt_model *teacher, int64_t sequence)
{
    *teacher = (rt_model){.rope_rows = 128};
    teacher->hp.n_layer = 30;
    rt_flow f = {.teacher = teacher};
    f.recipe.shape.layers = 8;
    f.recipe.init = "prune";
    f.recipe.teacher = f.recipe.from = "teacher.gguf";
    f.recipe.sequence = sequence;
    f.recipe.batch_tokens = 1024;
    f.recipe.n_exports = 1;
    f.recipe.precision = "auto";
    return f;
}

static void test_a_sequence_longer_than_the_teachers_context_is_refused(void **state)
{
    (void)state;
    rt_model teacher;
    rt_flow f = flow_with(&teacher, 256);
    assert_int_equal(rt_flow_split(&f, &err), RT_RECIPE);
    assert_says(err.msg, "'train.sequence' is 256, the teacher's context is 128");
}

static void test_more_layers_than_the_teacher_has_are_refused(void **state)
{
    (void)state;
    rt_model teacher;
    rt_flow f = flow_with(&teacher, 64);
    f.recipe.shape.layers = 31;
    assert_int_equal(rt_flow_split(&f, &err), RT_RECIPE);
    assert_says(err.msg, "a student cannot have 31 layers: its teacher has 30");
}

/* A cache of all documents is none of those that are left when some are held out. */
static void test_what_is_collected_depends_on_where_held_out_text_comes_from(void **state)
{
    (void)state;
    rt_model teacher;
    rt_flow f = flow_with(&teacher, 64);
    char out_of_text[65], from_file[65];
    assert_ok(rt_inputs_digest("", "collect", rt_inputs_collect(&f), out_of_text, &err));
    f.recipe.valid[f.recipe.n_valid++] = "valid.jsonl";
    assert_ok(rt_inputs_digest("", "collect", rt_inputs_collect(&f), from_file, &err));
    assert_string_not_equal(out_of_text, from_file);
}

static void digest_of(const rt_flow *f, char hex[65])
{
    assert_ok(rt_inputs_digest("", "plan", rt_inputs_plan(f), hex, &err));
}

static void test_a_plan_depends_on_budget_and_lengths_but_not_on_the_size_of_the_audit(void **state)
{
    (void)state;
    rt_model teacher;
    rt_flow f = flow_with(&teacher, 64);
    char first[65], other[65];
    f.recipe.budget = 60;
    digest_of(&f, first);
    f.recipe.audit_tokens = 5000;
    digest_of(&f, other);
    assert_string_equal(first, other);
    f.recipe.budget = 61;
    digest_of(&f, other);
    assert_string_not_equal(first, other);
    f.recipe.budget = 60;
    f.recipe.collect_tokens = 1000;
    digest_of(&f, other);
    assert_string_not_equal(first, other);
}

static void test_a_phase_on_own_text_takes_its_part_of_the_time_that_training_has(void **state)
{
    (void)state;
    rt_model teacher;
    rt_flow f = flow_with(&teacher, 64);
    assert_true(rt_flow_own_share(&f, 100, 5000).seconds == 0);
    f.recipe.own_text.wanted = true;
    f.split.own_token_seconds = 0.01;
    const rt_own_share fifth = rt_flow_own_share(&f, 100, 0);
    assert_true(fabs(fifth.seconds - 20) < 1e-9);
    assert_int_equal(fifth.tokens, 2000);
    const rt_own_share tenth = rt_flow_own_share(&f, 0, 5000);
    assert_int_equal(tenth.tokens, 501);
    assert_true(fabs(tenth.seconds - 5.01) < 1e-9);
    f.recipe.own_text.tokens = 3000;
    assert_true(fabs(rt_flow_own_share(&f, 100, 0).seconds - 30) < 1e-9);
    assert_true(fabs(rt_flow_own_share(&f, 40, 0).seconds - 20) < 1e-9); /* half of it at most */
    assert_int_equal(rt_flow_own_share(&f, 40, 0).tokens, 3000);
}

static void test_a_plan_in_json_is_read_back_as_it_was(void **state)
{
    (void)state;
    const rt_split s = {.inputs = "abc",
                        .teacher_tokens_per_s = 700.25,
                        .step_tokens_per_s = 650.5,
                        .measured_seconds = 3.125,
                        .student_share = 0.1,
                        .collect_tokens = 12345,
                        .train_seconds = 61.7,
                        .settled = true,
                        .own_token_seconds = 0.0125,
                        .audit_tokens = 4000,
                        .audit_limit = 20};
    rt_split back;
    json_t *j = rt_split_json(&s);
    assert_true(rt_split_parse(j, &back));
    json_t *again = rt_split_json(&back);
    assert_true(json_equal(j, again));
    assert_true(back.settled);
    assert_true(back.train_seconds == s.train_seconds);
    json_decref(j);
    json_decref(again);
    assert_false(rt_split_parse(NULL, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sequence_longer_than_the_teachers_context_is_refused),
        cmocka_unit_test(test_more_layers_than_the_teacher_has_are_refused),
        cmocka_unit_test(test_what_is_collected_depends_on_where_held_out_text_comes_from),
        cmocka_unit_test(test_a_plan_depends_on_budget_and_lengths_but_not_on_the_size_of_the_audit),
        cmocka_unit_test(test_a_phase_on_own_text_takes_its_part_of_the_time_that_training_has),
        cmocka_unit_test(test_a_plan_in_json_is_read_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
