/* Rows of data become the harness's texts and token ids; rows that cannot are refused by file and line. */
#include "audit/task.h"

#include "audit/task_item.h"
#include "audit/task_pair.h"
#include "audit/task_text.h"
#include "audit_fixture.h"

static rt_tokenizer *smollm2(void)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    assert_ok(rt_tokenizer_open(&t, RT_TEST_GOLDEN "/tokenizer/smollm2-vocab.gguf", &err));
    return t;
}

static rt_slice slice(const char *s)
{
    return (rt_slice){s, strlen(s)};
}

static void assert_text(rt_slice s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
}

/* Expected texts: Python's own. */
static void hellaswag_text_is_cleaned_as_by_the_harness(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"  [header] How to bake bread [title] Mix it. [step] Stir   well. ",
         " How to bake bread. Mix it. Stir  well."},
        {"a[b\n]c [d]", "a[b\n]c "},
        {"x [title] [title]y", "x. . y"},
        {"[[a]] b", "] b"},
        {"\u00a0\u3000wide\u2003", "wide"},
        {"[open", "[open"},
        {"a    b", "a  b"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_str s = {0};
        rt_text_clean_hellaswag(&s, slice(cases[i][0]));
        assert_string_equal(rt_str_cstr(&s), cases[i][1]);
        rt_str_release(&s);
    }
}

static void capitals_and_lengths_are_python_s(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"hE IS", "He is"}, {"éCOLE ÀÉ", "École àé"}, {"ǆ x", "ǅ x"}, {"", ""}, {"the Man", "The man"}};
    static const int64_t lengths[] = {5, 8, 3, 0, 7};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_str s = {0};
        rt_text_capitalize(&s, slice(cases[i][0]));
        assert_string_equal(rt_str_cstr(&s), cases[i][1]);
        assert_int_equal(rt_text_length(slice(cases[i][0])), lengths[i]);
        rt_str_release(&s);
    }
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static rt_status read_item(rt_task_item *item, const char *task, const char *json, rt_arena *arena, rt_err *err)
{
    json_t *row = NULL;
    rt_task *t = NULL;
    assert_int_equal(rt_json_parse(&row, json, strlen(json), "row", err), RT_OK);
    assert_int_equal(rt_task_open(&t, task, err), RT_OK);
    const rt_status st = rt_task_item_read(item, t, row, 7, 0, arena, err);
    json_decref(row);
    rt_task_close(t);
    return st;
}

static void original_rows_become_the_harness_s_texts(void **state)
{
    (void)state;
    static const struct {
        const char *task, *json, *context, *last;
        size_t n;
        int64_t gold, length;
    } cases[] = {
        {"hellaswag",
         "{\"ind\": 4, \"activity_label\": \"Roof [x] work\", \"ctx_a\": \"A man sits.\", \"ctx_b\": \"he IS\", "
         "\"endings\": [\"a\", \"b\", \"c\", "
         "\" r\\u00fcde [substeps] end \"], \"label\": \"3\"}",
         "Roof work: A man sits. He is", " rüde end", 4, 3, 8},
        {"hellaswag",
         "{\"activity_label\": \"Food\", \"ctx_a\": \"Stir.\", \"ctx_b\": \"\", \"endings\": [\"a\", \"b\"], "
         "\"label\": 1}",
         "Food: Stir.", " b", 2, 1, 1},
        {"arc_easy",
         "{\"id\": \"q\", \"question\": \"Why?\", \"choices\": {\"text\": [\"x\", \"yy\", \"zzz\"], \"label\": [\"1\", "
         "\"2\", \"3\"]}, \"answerKey\": \"2\"}",
         "Question: Why?\nAnswer:", " zzz", 3, 1, 3},
        {"piqa", "{\"goal\": \"Rest\", \"sol1\": \"sit\", \"sol2\": \"sleep\", \"label\": 0}",
         "Question: Rest\nAnswer:", " sleep", 2, 0, 5},
        {"openbookqa",
         "{\"question_stem\": \"Oaks\", \"choices\": {\"text\": [\"x\", \"y\"], \"label\": [\"A\", \"B\"]}, "
         "\"answerKey\": \"B\"}",
         "Oaks", " y", 2, 1, 1},
        {"winogrande",
         "{\"sentence\": \"Ann beat Eve as _ was fit. \", \"option1\": \"Ann\", \"option2\": \"Eve\", \"answer\": "
         "\"1\"}",
         "Ann beat Eve as Eve", " was fit.", 2, 0, 8},
        {"boolq", "{\"passage\": \"P.\", \"question\": \"is it\", \"label\": 1}",
         "P.\nQuestion: is it?\nAnswer:", " yes", 2, 1, 3},
        {"mmlu",
         "{\"subject\": \"high_school_physics\", \"question\": \" Why? \", \"choices\": [\"a\", \"b\", \"c\", \"d\"], "
         "\"answer\": 2}",
         "The following are multiple choice questions (with answers) about high school physics.\n\nWhy?\nA. a\nB. "
         "b\nC. "
         "c\nD. d\nAnswer:",
         " D", 4, 2, 1},
        {"lambada_openai", "{\"text\": \"He saw the  dog\"}", "He saw the ", " dog", 1, 0, 3},
        {"crows_pairs", "{\"sent_more\": \"A b.\", \"sent_less\": \"C d.\"}", "", "C d.", 2, 0, 4},
        {"truthfulqa_mc2", "{\"question\": \"Q\", \"mc2_choices\": [\"x\", \"y\"], \"mc2_labels\": [1, 0]}", NULL, " y",
         2, -1, 1},
        {"misconceptions", "{\"statement\": \"Houseflies live a day.\", \"label\": 1}",
         "Is the following statement true or false? Output T for true and F for false.\nQ: Houseflies live a day.\nA:",
         " F", 2, 1, 1},
        {"misconceptions",
         "{\"context\": \"Is the following statement true or false? Output T for true and F for false.\\nQ: Houseflies "
         "live a day.\\nA:\", \"choices\": [\"T\", \"F\"], \"gold\": 1}",
         "Is the following statement true or false? Output T for true and F for false.\nQ: Houseflies live a day.\nA:",
         " F", 2, 1, 1},
        {"piqa", "{\"context\": \"C [x]:\", \"choices\": [\"x\", \"y  z\"], \"gold\": 1}", "C [x]:", " y  z", 2, 1, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_arena arena = {0};
        rt_task_item item;
        assert_ok(read_item(&item, cases[i].task, cases[i].json, &arena, &err));
        assert_int_equal(item.n, cases[i].n);
        assert_int_equal(item.gold, cases[i].gold);
        const rt_task_request *last = &item.requests[item.n - 1];
        assert_text(last->continuation, cases[i].last);
        assert_int_equal(last->length, cases[i].length);
        if (cases[i].context != NULL) {
            assert_text(last->context, cases[i].context);
        }
        assert_string_equal(item.id, i == 2 ? "q" : "7");
        rt_arena_release(&arena);
    }
}

/* Where they have what it is made of. */
static void finished_rows_keep_group_category_and_side(void **state)
{
    (void)state;
    static const struct {
        const char *task, *fields, *group, *category;
        int side;
    } cases[] = {
        {"mmlu", "\"subject\": \"anatomy\"", "anatomy", NULL, -1},
        {"mmlu", "\"topic\": \"anatomy\"", NULL, NULL, -1},
        {"mmlu", "\"subject\": [\"anatomy\"]", NULL, NULL, -1},
        {"political", "\"topic\": \"politically-conservative\"", NULL, "politically-conservative", 1},
        {"political", "\"topic\": \"weather\"", NULL, "weather", -1},
        {"piqa", "\"subject\": \"anatomy\"", NULL, NULL, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_arena arena = {0};
        rt_task_item item;
        char json[256];
        snprintf(json, sizeof json, "{\"context\": \"a\", \"choices\": [\"x\", \"y\"], \"gold\": 1, %s}",
                 cases[i].fields);
        assert_ok(read_item(&item, cases[i].task, json, &arena, &err));
        assert_int_equal(item.gold, 1);
        assert_int_equal(item.side, cases[i].side);
        const char *const got[] = {item.group, item.category}, *const want[] = {cases[i].group, cases[i].category};
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(got[k] == NULL, want[k] == NULL);
            assert_true(got[k] == NULL || strcmp(got[k], want[k]) == 0);
        }
        rt_arena_release(&arena);
    }
}

/* The row's word is the first to count, then its label, then the task's. */
static void what_is_harmful_is_said_by_row_or_task(void **state)
{
    (void)state;
    static const struct {
        const char *task, *json;
        bool secret;
        int64_t gold;
    } cases[] = {
        {"advbench", "{\"prompt\": \"a\"}", true, 1},
        {"advbench", "{\"prompt\": \"a\", \"harmful\": false}", false, 0},
        {"political_pairs", "{\"prompt_a\": \"a\", \"topic_name\": \"t\", \"main_category\": \"c\"}", false, 0},
        {"xstest", "{\"prompt\": \"a\", \"label\": \"safe\", \"focus\": \"f\", \"type\": \"t\"}", false, 0},
        {"xstest", "{\"prompt\": \"a\", \"label\": \"unsafe\", \"focus\": \"f\", \"type\": \"t\"}", true, 1},
        {"answers", "{\"prompt\": \"a\", \"answer\": \"b\"}", false, 0},
        {"answers", "{\"prompt\": \"a\", \"answer\": \"b\", \"harmful\": true}", true, 0},
        {"boolq", "{\"passage\": \"p\", \"question\": \"q\", \"label\": 1, \"harmful\": true}", true, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_arena arena = {0};
        rt_task_item item;
        assert_ok(read_item(&item, cases[i].task, cases[i].json, &arena, &err));
        assert_int_equal(item.secret, cases[i].secret);
        assert_int_equal(item.gold, cases[i].gold);
        rt_arena_release(&arena);
    }
}

static void rows_that_are_no_question_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *task, *json, *words;
    } cases[] = {
        {"hellaswag", "{}", "'activity_label' is missing"},
        {"hellaswag",
         "{\"activity_label\": \"a\", \"ctx_a\": \"b\", \"ctx_b\": \"c\", \"endings\": [\"x\", 3], \"label\": 0}",
         "'endings'"},
        {"hellaswag",
         "{\"activity_label\": \"a\", \"ctx_a\": \"b\", \"ctx_b\": \"c\", \"endings\": [\"x\", \"y\"], \"label\": "
         "\"\"}",
         "'label'"},
        {"piqa", "{\"goal\": \"a\", \"sol1\": \"x\", \"label\": 0}", "'sol2'"},
        {"piqa", "{\"context\": \"a\", \"choices\": [\"x\", \"y\"], \"gold\": 2}", "'gold'"},
        {"piqa", "{\"context\": \"a\", \"choices\": [\"x\"], \"gold\": 0}", "1 choices"},
        {"piqa", "{\"context\": \"a\", \"choices\": [\"x\", \"\"], \"gold\": 0}", "empty"},
        {"arc_easy",
         "{\"question\": \"a\", \"choices\": {\"text\": [\"x\", \"y\"], \"label\": [\"A\", \"B\"]}, \"answerKey\": "
         "\"C\"}",
         "'answerKey'"},
        {"winogrande", "{\"sentence\": \"a _ b.\", \"option1\": \"x\", \"answer\": \"1\"}", "'option2'"},
        {"winogrande", "{\"sentence\": \"a _ b.\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"3\"}",
         "'answer'"},
        {"lambada_openai", "{\"text\": null}", "'text'"},
        {"truthfulqa_mc2", "{\"question\": \"a\", \"mc2_choices\": [\"x\", \"y\"], \"mc2_labels\": [1]}",
         "'mc2_labels'"},
        {"truthfulqa_mc2", "{\"question\": \"a\", \"mc2_choices\": [\"x\", \"y\"], \"mc2_labels\": [0, 0]}",
         "no choice is true"},
        {"rolling", "{\"text\": \"\"}", "is empty"},
        {"gsm8k", "{\"question\": \"a\"}", "'answer'"},
        {"bbq",
         "{\"category\": \"Age\", \"question_index\": 1, \"context\": \"a\", \"question\": \"b\", \"ans0\": \"x\", "
         "\"ans1\": \"y\", \"ans2\": \"z\", \"label\": 0}",
         "'answer_info'"},
        {"winogrande", "{\"contexts\": [\"a\", \"b\"], \"gold\": 0}", "'continuation'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_arena arena = {0};
        rt_task_item item;
        assert_int_equal(read_item(&item, cases[i].task, cases[i].json, &arena, &err), RT_INPUT);
        assert_says(err.msg, cases[i].words);
        rt_arena_release(&arena);
    }
}

/* --- ids ---------------------------------------------------------------------------------------------------------- */

static void assert_ids(const rt_ids *pool, size_t first, size_t n, const json_t *want)
{
    assert_int_equal(n, json_array_size(want));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pool->p[first + i], json_integer_value(json_array_get(want, i)));
    }
}

static void check_ids(const rt_tokenizer *t, const golden_task *task)
{
    rt_jsonl rows, answers;
    rt_err err = {0};
    json_t *row = NULL;
    rt_task *description = NULL;
    assert_ok(rt_task_open(&description, task->name, &err));
    open_rows(&answers, task->answers);
    assert_ok(rt_jsonl_open(&rows, task->rows, &err));
    for (;;) {
        rt_arena arena = {0};
        rt_ids pool = {0};
        rt_task_item item;
        rt_task_pair pair, before = {0};
        assert_ok(rt_jsonl_next(&rows, &row, &err));
        if (row == NULL) {
            break;
        }
        json_t *want = next_row(&answers);
        assert_ok(rt_task_item_read(&item, description, row, 1, 0, &arena, &err));
        for (size_t i = 0; i < item.n; i++) {
            const rt_task_request *q = &item.requests[i];
            const bool same = i > 0 && q->context.p == q[-1].context.p;
            assert_ok(rt_task_encode(&pair, &pool, t, q->context, q->continuation, same ? &before : NULL, &err));
            assert_int_equal(pair.n_context,
                             json_integer_value(json_array_get(json_object_get(want, "n_context_tokens"), i)));
            assert_ids(&pool, pair.continuation, pair.n,
                       json_array_get(json_object_get(want, "continuation_tokens"), i));
            before = pair;
        }
        json_decref(row);
        json_decref(want);
        rt_ids_release(&pool);
        rt_arena_release(&arena);
    }
    rt_jsonl_close(&rows);
    rt_jsonl_close(&answers);
    rt_task_close(description);
}

static void token_ids_are_the_harness_s(void **state)
{
    (void)state;
    rt_tokenizer *t = smollm2();
    for (size_t i = 0; i < N_GOLDEN_TASKS; i++) {
        check_ids(t, &golden_tasks[i]);
    }
    rt_tokenizer_close(t);
}

static void space_at_the_end_of_a_context_is_predicted(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *t = smollm2();
    rt_ids pool = {0};
    rt_task_pair a, b;
    assert_ok(rt_task_encode(&a, &pool, t, slice("One two"), slice(" three"), NULL, &err));
    assert_ok(rt_task_encode(&b, &pool, t, slice("One two "), slice("three"), NULL, &err));
    assert_int_equal(a.n_context, b.n_context);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(pool.p + a.continuation, pool.p + b.continuation, a.n * sizeof *pool.p);
    rt_ids_release(&pool);
    rt_tokenizer_close(t);
}

static void an_empty_context_is_one_prefix_token(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *t = smollm2();
    rt_ids pool = {0};
    rt_task_pair p;
    assert_ok(rt_task_encode(&p, &pool, t, slice(""), slice("Hello there"), NULL, &err));
    assert_int_equal(p.n_context, 1);
    assert_int_equal(pool.p[p.context], 1); /* <|im_start|>, as the harness chooses */
    assert_ok(rt_task_encode(&p, &pool, t, slice(""), slice("<|im_start|>Hello"), NULL, &err));
    assert_int_equal(pool.p[p.context], 1);
    assert_int_equal(p.n, 1);
    rt_ids_release(&pool);
    rt_tokenizer_close(t);
}

static void long_contexts_are_cut_from_the_left(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_task_pair p = {.context = 10, .n_context = 90, .continuation = 100, .n = 5};
    assert_ok(rt_task_truncate(&p, 64, &err));
    assert_int_equal(p.n_context + p.n - 1, 64);
    assert_int_equal(p.context + p.n_context, 100);
    p = (rt_task_pair){.context = 10, .n_context = 60, .continuation = 70, .n = 5};
    assert_ok(rt_task_truncate(&p, 64, &err));
    assert_int_equal(p.context, 10);
    p = (rt_task_pair){.context = 10, .n_context = 90, .continuation = 100, .n = 64};
    assert_ok(rt_task_truncate(&p, 64, &err));
    assert_int_equal(p.n_context, 1);
    p.n = 65;
    assert_int_equal(rt_task_truncate(&p, 64, &err), RT_INPUT);
}

/* get_rolling_token_windows of the harness with 10 tokens and windows of 4: disjoint predictions. */
static void a_long_text_is_scored_in_windows(void **state)
{
    (void)state;
    static const rt_task_pair want[] = {{7, 1, 8, 4}, {11, 1, 12, 4}, {13, 3, 16, 2}};
    rt_task_pair p;
    for (size_t w = 0; w < 3; w++) {
        assert_true(rt_task_window(&p, 7, 10, w, 4));
        assert_memory_equal(&p, &want[w], sizeof p);
    }
    assert_false(rt_task_window(&p, 7, 10, 3, 4));
    assert_true(rt_task_window(&p, 7, 4, 0, 4));
    assert_false(rt_task_window(&p, 7, 4, 1, 4));
}

/* --- whole runs --------------------------------------------------------------------------------------------------- */

static rt_status run_text(const char *task, const char *text, rt_err *err)
{
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "rows.jsonl");
    rt_task_result r = {0};
    rt_task *description = NULL;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    rt_tokenizer *t = smollm2();
    assert_int_equal(rt_file_write(path, text, strlen(text), err), RT_OK);
    rt_status st = rt_task_open(&description, task, err);
    if (st == RT_OK) {
        st = rt_task_run(&r, description, m, t, path, NULL, err);
    }
    assert_null(r.items);
    rt_task_close(description);
    rt_tokenizer_close(t);
    rt_model_close(m);
    rt_free(path);
    rt_test_scratch_drop(dir);
    return st;
}

static void refusals_name_file_and_line(void **state)
{
    (void)state;
    rt_err err = {0};
    assert_int_equal(
        run_text("piqa", "{\"context\": \"a\", \"choices\": [\"x\", \"y\"], \"gold\": 0}\n\n{\"id\": 3}\n", &err),
        RT_INPUT);
    assert_says(err.msg, "rows.jsonl' line 3");
    assert_says(err.msg, "'goal'");
    assert_int_equal(run_text("piqa", "", &err), RT_INPUT);
    assert_says(err.msg, "no rows");
    assert_int_equal(run_text("chess", "{}", &err), RT_USAGE);
    assert_says(err.msg, "hellaswag");
    assert_int_equal(
        run_text("piqa", "{\"context\": \"zebra\", \"choices\": [\"elephant\", \"yak\"], \"gold\": 0}\n", &err),
        RT_INPUT);
    assert_says(err.msg, "vocabulary");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellaswag_text_is_cleaned_as_by_the_harness),
        cmocka_unit_test(capitals_and_lengths_are_python_s),
        cmocka_unit_test(original_rows_become_the_harness_s_texts),
        cmocka_unit_test(finished_rows_keep_group_category_and_side),
        cmocka_unit_test(what_is_harmful_is_said_by_row_or_task),
        cmocka_unit_test(rows_that_are_no_question_are_refused),
        cmocka_unit_test(token_ids_are_the_harness_s),
        cmocka_unit_test(space_at_the_end_of_a_context_is_predicted),
        cmocka_unit_test(an_empty_context_is_one_prefix_token),
        cmocka_unit_test(long_contexts_are_cut_from_the_left),
        cmocka_unit_test(a_long_text_is_scored_in_windows),
        cmocka_unit_test(refusals_name_file_and_line),
    };
    return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
