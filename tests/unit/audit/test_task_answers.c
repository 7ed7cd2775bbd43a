/* Answers as texts: what counts of one, words in common, and what guessing is worth. */
#include "audit/answer_f1.h"
#include "audit/task_match.h"
#include "format/json.h"
#include "scratch.h"

static rt_slice slice(const char *s)
{
    return (rt_slice){s, strlen(s)};
}

static void words_in_common_are_squad_s(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *gold;
        double f1;
    } cases[] = {
        {"The cat sat.", "a cat sat", 1},
        {"cat cat dog", "cat dog dog", 2.0 / 3},
        {"the big dog", "dog", 2.0 / 3},
        {"fish", "dog", 0},
        {"", "dog", 0},
        {"the", "an", 1}, /* nothing on both sides */
        {"ÉCOLE", "école", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        double f1 = -1;
        assert_ok(rt_answer_f1(&f1, slice(cases[i].answer), slice(cases[i].gold), &err));
        assert_true(f1 > cases[i].f1 - 1e-12 && f1 < cases[i].f1 + 1e-12);
    }
}

static rt_task *open_task(const char *name)
{
    rt_err err = {0};
    rt_task *t = NULL;
    assert_ok(rt_task_open(&t, name, &err));
    return t;
}

static void what_counts_is_taken_as_the_task_says(void **state)
{
    (void)state;
    static const struct {
        const char *task, *answer, *taken;
        bool found;
    } cases[] = {
        {"answers", "  Rome.\n", "rome", true},
        {"answers", "In Rome", "in rome", true},
        {"last_number", "She has 1,200 and 34.", "34", true},
        {"last_number", "So it is $1,234.50", "1234.50", true},
        {"last_number", "5 - 8 = -3", "-3", true},
        {"last_number", "none at all", "[invalid]", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_str s = {0};
        bool found;
        rt_task *t = open_task(cases[i].task);
        assert_ok(rt_task_take(&s, t, slice(cases[i].answer), &found, &err));
        assert_string_equal(rt_str_cstr(&s), cases[i].taken);
        assert_int_equal(found, cases[i].found);
        rt_str_release(&s);
        rt_task_close(t);
    }
}

static void an_answer_ends_with_the_first_stop_text(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str s = {0};
    bool stopped;
    char *path = rt_path_join(scratch, "own.yaml");
    static const char spec[] = "name: own\nlike: answers\nstop: [\"\\n\", \"Q:\"]\n";
    assert_ok(rt_file_write(path, spec, sizeof spec - 1, &err));
    rt_task *t = open_task(path);
    assert_int_equal(rt_task_cut(t, slice("one\ntwo"), &stopped), 4);
    assert_true(stopped);
    assert_int_equal(rt_task_cut(t, slice("one Q: two\n"), &stopped), 6);
    assert_int_equal(rt_task_cut(t, slice("one"), &stopped), 3);
    assert_false(stopped);
    assert_ok(rt_task_take(&s, t, slice("one\ntwo"), NULL, &err));
    assert_string_equal(rt_str_cstr(&s), "one");
    rt_str_release(&s);
    rt_task_close(t);
    rt_free(path);
}

static void the_right_answer_is_a_field_a_number_or_the_last_turn(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"prompt\": \"1+1\", \"answer\": \"#### 2\"}", "2"},
        {"{\"prompt\": \"1+1\", \"answer\": 2}", "2"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"1+1\"}, {\"role\": \"assistant\", \"content\": \"2\"}]}",
         "2"},
        {"{\"prompt\": \"1+1\"}", NULL},
    };
    rt_task *t = open_task("last_number");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rt_err err = {0};
        rt_str s = {0};
        json_t *row = NULL;
        assert_ok(rt_json_parse(&row, rows[i][0], strlen(rows[i][0]), "row", &err));
        const rt_status st = rt_task_gold(&s, t, row, &err);
        if (rows[i][1] != NULL) {
            assert_ok(st);
            assert_string_equal(rt_str_cstr(&s), rows[i][1]);
        } else {
            assert_int_equal(st, RT_INPUT);
            assert_says(err.msg, "answer");
        }
        json_decref(row);
        rt_str_release(&s);
    }
    rt_task_close(t);
}

static void guessing_is_worth_the_best_constant_answer(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_task_result r;
    char *path = rt_path_join(scratch, "rows.jsonl");
    static const char rows[] =
        "{\"prompt\": \"a\", \"answer\": \"no\"}\n{\"prompt\": \"b\", \"answer\": \"Yes.\"}\n"
        "{\"prompt\": \"c\", \"answer\": \"yes\"}\n{\"prompt\": \"d\", \"answer\": \"perhaps yes\"}\n";
    assert_ok(rt_file_write(path, rows, sizeof rows - 1, &err));
    rt_task *t = open_task("answers");
    assert_ok(rt_task_run_constant(&r, t, path, 0, &err));
    assert_int_equal(r.n, 4);
    assert_true(r.chance == 0.5);
    assert_true(rt_task_result_metric(&r, "exact_match")->value == 0.5);
    assert_true(rt_task_result_metric(&r, "f1")->value > 0.66 && rt_task_result_metric(&r, "f1")->value < 0.67);
    rt_task_result_release(&r);
    rt_task_close(t);
    t = open_task("hellaswag");
    assert_int_equal(rt_task_run_constant(&r, t, path, 0, &err), RT_UNSUPPORTED);
    rt_task_close(t);
    rt_free(path);
}

/* The rows that models answer: SHA-256 of "a" and "b" is odd, of "c" and "d" even (Python's
 * hashlib). */
static void the_constant_answers_the_rows_that_the_task_takes(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_task_result r;
    char *path = rt_path_join(scratch, "half.jsonl"), *form = rt_path_join(scratch, "half.yaml");
    static const char rows[] = "{\"id\": \"a\", \"prompt\": \"a\", \"answer\": \"no\"}\n"
                               "{\"id\": \"b\", \"prompt\": \"b\", \"answer\": \"yes\"}\n"
                               "{\"id\": \"c\", \"prompt\": \"c\", \"answer\": \"perhaps\"}\n"
                               "{\"id\": \"d\", \"prompt\": \"d\", \"answer\": \"yes\"}\n";
    static const char spec[] = "name: half\nlike: answers\nrows: even-hash\n";
    assert_ok(rt_file_write(path, rows, sizeof rows - 1, &err));
    assert_ok(rt_file_write(form, spec, sizeof spec - 1, &err));
    rt_task *t = open_task(form);
    assert_ok(rt_task_run_constant(&r, t, path, 0, &err));
    assert_int_equal(r.n, 2);
    assert_string_equal(rt_json_str(json_array_get(r.items, 0), "id", ""), "c");
    rt_task_result_release(&r);
    rt_task_close(t);
    rt_free(path);
    rt_free(form);
}

static void a_conversation_has_no_context_of_the_tasks(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_task *t = NULL;
    char *path = rt_path_join(scratch, "bad.yaml");
    static const char spec[] = "name: bad\nlike: answers\ncontext: \"Q: {prompt}\"\n";
    assert_ok(rt_file_write(path, spec, sizeof spec - 1, &err));
    assert_int_equal(rt_task_open(&t, path, &err), RT_RECIPE);
    assert_says(err.msg, "'chat'");
    rt_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_in_common_are_squad_s),
        cmocka_unit_test(what_counts_is_taken_as_the_task_says),
        cmocka_unit_test(an_answer_ends_with_the_first_stop_text),
        cmocka_unit_test(the_right_answer_is_a_field_a_number_or_the_last_turn),
        cmocka_unit_test(guessing_is_worth_the_best_constant_answer),
        cmocka_unit_test(the_constant_answers_the_rows_that_the_task_takes),
        cmocka_unit_test(a_conversation_has_no_context_of_the_tasks),
    };
    return cmocka_run_group_tests(tests, make_scratch, drop_scratch);
}
