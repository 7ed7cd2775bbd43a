/* The real teacher in f32 gives the harness's log-likelihoods, item by item, and its picks. */
#include "audit/task.h"
#include "unit/audit/audit_fixture.h"

#define TOLERANCE 1e-3

static rt_model *teacher;
static rt_tokenizer *tokenizer;

static int open_teacher(void **state)
{
    (void)state;
    rt_err err = {0};
    teacher = teacher_open(RT_PRECISION_F32);
    assert_ok(rt_tokenizer_open(&tokenizer, teacher_path(), &err));
    return 0;
}

static int close_teacher(void **state)
{
    (void)state;
    rt_model_close(teacher);
    rt_tokenizer_close(tokenizer);
    return 0;
}

/* Every metric of an item is the harness's, where its two best choices are not closer than the tolerance. */
static void check_metrics(const json_t *item, const json_t *want, bool close)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(item, "metrics"), name, value)
    {
        const json_t *expected = json_object_get(want, name);
        if (expected != NULL && !close && fabs(json_number_value(value) - json_number_value(expected)) > TOLERANCE) {
            fail_msg("%s: %s is %g, not %g", rt_json_str(item, "id", ""), name, json_number_value(value),
                     json_number_value(expected));
        }
    }
}

static double number_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

/* Are two scores so close that the pick among them is open? Lengths NULL: sums count. */
static bool is_close(const json_t *scores, const json_t *choices)
{
    for (size_t a = 0; a < json_array_size(scores); a++) {
        for (size_t b = 0; b < a; b++) {
            const size_t la = json_string_length(json_array_get(choices, a)),
                         lb = json_string_length(json_array_get(choices, b));
            if (fabs(number_at(scores, a) - number_at(scores, b)) <= 2 * TOLERANCE ||
                (la > 0 && lb > 0 &&
                 fabs(number_at(scores, a) / (double)la - number_at(scores, b) / (double)lb) <=
                     TOLERANCE / (double)la + TOLERANCE / (double)lb)) {
                return true;
            }
        }
    }
    return false;
}

/* Largest difference of a log-likelihood. */
static double check_item(const json_t *item, const json_t *want, const json_t *row)
{
    double worst = 0;
    const json_t *scores = json_object_get(item, "loglikelihoods"), *expected = json_object_get(want, "loglikelihoods"),
                 *tokens = json_object_get(want, "continuation_tokens");
    assert_string_equal(rt_json_str(item, "id", ""), rt_json_str(want, "id", "?"));
    assert_int_equal(json_array_size(scores), json_array_size(expected));
    for (size_t i = 0; i < json_array_size(scores); i++) {
        const double difference = fabs(number_at(scores, i) - number_at(expected, i));
        if (difference > TOLERANCE) {
            fail_msg("%s choice %zu: %g away", rt_json_str(item, "id", ""), i, difference);
        }
        worst = difference > worst ? difference : worst;
        assert_int_equal(json_integer_value(json_array_get(json_object_get(item, "n_tokens"), i)),
                         json_array_size(json_array_get(tokens, i)));
    }
    assert_true(json_equal(json_object_get(item, "is_greedy"), json_object_get(want, "is_greedy")));
    if (json_object_get(want, "gold") != NULL) {
        assert_int_equal(rt_json_i64(item, "gold", -1), rt_json_i64(want, "gold", -2));
    }
    check_metrics(item, want, is_close(expected, json_object_get(row, "choices")));
    return worst;
}

static rt_task_result run(const char *name, const char *rows)
{
    rt_err err = {0};
    rt_task *t = NULL;
    rt_task_result r;
    assert_ok(rt_task_open(&t, name, &err));
    assert_ok(rt_task_run(&r, t, teacher, tokenizer, rows, NULL, &err));
    rt_task_close(t);
    return r;
}

static void run_task(const golden_task *task)
{
    rt_err err = {0};
    rt_jsonl answers, rows;
    double worst = 0;
    size_t i;
    json_t *item;
    open_rows(&answers, task->answers);
    rt_task_result r = run(task->name, task->rows);
    assert_ok(rt_jsonl_open(&rows, task->rows, &err));
    json_array_foreach(r.items, i, item)
    {
        json_t *want = next_row(&answers), *row = next_row(&rows);
        const double w = check_item(item, want, row);
        worst = w > worst ? w : worst;
        json_decref(want);
        json_decref(row);
    }
    assert_int_equal(i, r.n);
    print_message("%s: %lld items, %lld tokens, %s %.4f, worst difference %.1e\n", task->name, (long long)r.n,
                  (long long)r.tokens, r.metrics[0].name, r.metrics[0].value, worst);
    rt_jsonl_close(&answers);
    rt_jsonl_close(&rows);
    rt_task_result_release(&r);
}

static void hellaswag_equals_the_harness(void **state)
{
    (void)state;
    run_task(&golden_tasks[0]);
}

static void the_other_tasks_equal_the_harness(void **state)
{
    (void)state;
    for (size_t i = 1; i < N_GOLDEN_TASKS; i++) {
        run_task(&golden_tasks[i]);
    }
}

/* The harness's own way over the first 20,000 characters of WikiText-2's validation text: -13338.95996 nats, summed in
 * float32. */
static void a_text_s_log_likelihood_is_the_harness_s(void **state)
{
    (void)state;
    rt_task_result r = run("rolling", TASKS "rolling-1.rows.jsonl");
    const json_t *item = json_array_get(r.items, 0);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(item, "n_tokens"), 0)), 5153);
    assert_true(fabs(number_at(json_object_get(item, "loglikelihoods"), 0) + 13338.9599609375) <= 1e-5 * 5153);
    assert_true(fabs(rt_task_result_metric(&r, "bits_per_byte")->value - 0.9600903704979532) <= 1e-5);
    rt_task_result_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellaswag_equals_the_harness),
        cmocka_unit_test(the_other_tasks_equal_the_harness),
        cmocka_unit_test(a_text_s_log_likelihood_is_the_harness_s),
    };
    return cmocka_run_group_tests_name("choice_golden", tests, open_teacher, close_teacher);
}
