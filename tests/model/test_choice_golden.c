/* The real teacher in f32 gives the harness's log-likelihoods, item by item, and its picks. */
#include "audit/choice.h"
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

/* A pick may differ where the harness's two candidates are closer than the tolerance of their scores. */
static void check_pick(const json_t *item, const json_t *want, const char *metric, const double *lengths)
{
    const int64_t a = rt_json_i64(json_object_get(item, "picks"), metric, -1),
                  b = rt_json_i64(json_object_get(want, "picks"), metric, -2);
    if (a == b) {
        return;
    }
    assert_true(a >= 0 && b >= 0);
    const json_t *scores = json_object_get(want, "loglikelihoods");
    const double gap = json_number_value(json_array_get(scores, (size_t)a)) / lengths[a] -
                       json_number_value(json_array_get(scores, (size_t)b)) / lengths[b];
    assert_true(fabs(gap) <= TOLERANCE / lengths[a] + TOLERANCE / lengths[b]);
}

/* Largest difference of a log-likelihood. */
static double check_item(const json_t *item, const json_t *want, const json_t *row, const golden_task *task)
{
    double worst = 0, one[16], length[16];
    size_t i;
    json_t *score;
    assert_string_equal(rt_json_str(item, "id", ""), rt_json_str(want, "id", "?"));
    const json_t *expected = json_object_get(want, "loglikelihoods"),
                 *tokens = json_object_get(want, "continuation_tokens");
    assert_int_equal(json_array_size(json_object_get(item, "loglikelihoods")), json_array_size(expected));
    json_array_foreach(json_object_get(item, "loglikelihoods"), i, score)
    {
        const double difference = fabs(json_number_value(score) - json_number_value(json_array_get(expected, i)));
        if (difference > TOLERANCE) {
            fail_msg("%s choice %zu: %g away", rt_json_str(item, "id", ""), i, difference);
        }
        worst = difference > worst ? difference : worst;
        assert_int_equal(json_integer_value(json_array_get(json_object_get(item, "n_tokens"), i)),
                         json_array_size(json_array_get(tokens, i)));
        one[i] = 1;
        length[i] = (double)json_string_length(json_array_get(json_object_get(row, "choices"), i));
    }
    assert_int_equal(rt_json_i64(item, "gold", -1), rt_json_i64(want, "gold", -2));
    check_pick(item, want, "acc", one);
    if (task->acc_norm) {
        check_pick(item, want, "acc_norm", length);
    }
    return worst;
}

static void run_task(const golden_task *task)
{
    rt_err err = {0};
    rt_choice_result r;
    rt_jsonl answers, rows;
    double worst = 0;
    size_t i;
    json_t *item;
    open_rows(&answers, task->answers);
    const double start = rt_now();
    assert_ok(rt_choice_run(&r, teacher, tokenizer, task->name, task->rows, 0, &err));
    const double seconds = rt_now() - start;
    assert_ok(rt_jsonl_open(&rows, task->rows, &err));
    json_array_foreach(r.items, i, item)
    {
        json_t *want = next_row(&answers), *row = next_row(&rows);
        const double w = check_item(item, want, row, task);
        worst = w > worst ? w : worst;
        json_decref(want);
        json_decref(row);
    }
    assert_int_equal(i, r.n);
    print_message("%s: %lld items, %lld tokens in %.1f s, acc %.4f, acc_norm %.4f, worst difference %.1e\n", task->name,
                  (long long)r.n, (long long)r.tokens, seconds, r.acc.mean, r.acc_norm.mean, worst);
    rt_jsonl_close(&answers);
    rt_jsonl_close(&rows);
    rt_choice_result_release(&r);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellaswag_equals_the_harness),
        cmocka_unit_test(the_other_tasks_equal_the_harness),
    };
    return cmocka_run_group_tests_name("choice_golden", tests, open_teacher, close_teacher);
}
