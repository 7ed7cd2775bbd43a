/* Each answer is dropped by the first rule that speaks against it; a vote needs two voices and no tie. */
#include "flow/answer_filter.h"

#include "rt_test.h"

typedef struct fixture {
    rt_tokenizer *t;
    rt_task *task;
    rt_prompt_row prompt;
} fixture;

static fixture open_fixture(const char *task)
{
    rt_err err = {0};
    fixture f = {.prompt = {.row = json_pack("{s:s, s:s}", "prompt", "2+2?", "answer", "4"), .path = "rows"}};
    assert_ok(rt_tokenizer_open(&f.t, RT_TEST_GOLDEN "/tokenizer/smollm2-vocab.gguf", &err));
    assert_ok(rt_task_open(&f.task, task, &err));
    return f;
}

static void close_fixture(fixture *f)
{
    rt_tokenizer_close(f->t);
    rt_task_close(f->task);
    json_decref(f->prompt.row);
}

static const rt_answer_filter lenient = {.max_tokens = INT64_MAX, .repetition = 1};

/* Fates of answers to one prompt, a letter each: k(ept), u(nfinished), ... */
static void assert_fates(const fixture *f, rt_answer_filter rules, const char *const *answers, size_t n,
                         const char *want)
{
    rt_err err = {0};
    rt_candidate c[8];
    char got[9] = "";
    for (size_t i = 0; i < n; i++) {
        c[i] = (rt_candidate){.prompt = &f->prompt, .text = {answers[i], strlen(answers[i])}, .finished = i != 0};
    }
    const rt_filter_job job = {.rules = &rules, .task = f->task, .tokenizer = f->t, .sequence = 64};
    assert_ok(rt_answers_filter(&job, c, n, &err));
    for (size_t i = 0; i < n; i++) {
        got[i] = rt_fate_name(c[i].fate)[0];
    }
    assert_string_equal(got, want);
}

static void an_answer_is_judged_by_itself(void **state)
{
    (void)state;
    static const char *const answers[] = {"cut off in the",
                                          "",
                                          "x",
                                          "no no no no no no no no no no",
                                          "a fair answer",
                                          "one two three four five six seven eight nine ten eleven twelve thirteen "
                                          "fourteen fifteen sixteen seventeen eighteen nineteen twenty one two three "
                                          "five seven eleven thirteen seventeen nineteen four six eight nine ten "
                                          "twelve fourteen red green blue yellow black white brown pink"};
    fixture f = open_fixture("answers");
    rt_answer_filter rules = lenient;
    rules.finished = true;
    rules.min_tokens = 1;
    rules.repetition = 0.5;
    assert_fates(&f, rules, answers, 6, "ulkrks");
    rules.max_tokens = 2;
    assert_fates(&f, rules, answers, 5, "ulkll");
    close_fixture(&f);
}

static void only_right_answers_pass_exact(void **state)
{
    (void)state;
    static const char *const answers[] = {"2 + 2 = 4", "5", "It is 4.", "nothing"};
    fixture f = open_fixture("last_number");
    rt_answer_filter rules = lenient;
    rules.exact = true;
    assert_fates(&f, rules, answers, 4, "kvkv");
    close_fixture(&f);
}

static void the_most_frequent_saying_wins_if_it_has_two_voices_alone(void **state)
{
    (void)state;
    static const char *const clear[] = {"so 4", "so 5", "thus 4", "4"}, *const tied[] = {"4", "5", "4.", "is 5"},
                             *const none[] = {"4", "5", "6", "7"}, *const silent[] = {"well", "hm", "so 4", "4"};
    fixture f = open_fixture("last_number");
    rt_answer_filter rules = lenient;
    rules.majority = true;
    assert_fates(&f, rules, clear, 4, "kmkk");
    assert_fates(&f, rules, tied, 4, "mmmm");
    assert_fates(&f, rules, none, 4, "mmmm");
    assert_fates(&f, rules, silent, 4, "mmkk"); /* what says nothing has no vote */
    close_fixture(&f);
}

static void of_equal_answers_one_is_kept(void **state)
{
    (void)state;
    static const char *const answers[] = {"4", "4", "4.", "4"};
    fixture f = open_fixture("last_number");
    rt_answer_filter rules = lenient;
    rules.distinct = true;
    assert_fates(&f, rules, answers, 4, "kdkd");
    close_fixture(&f);
}

static void repetition_is_the_share_of_runs_seen_before(void **state)
{
    (void)state;
    static const int32_t ids[] = {1, 2, 3, 4, 1, 2, 3, 4}; /* runs: 1234 2341 3412 4123 1234 */
    rt_err err = {0};
    double share;
    assert_ok(rt_repetition(&share, ids, 8, &err));
    assert_true(share == 1.0 / 5);
    assert_ok(rt_repetition(&share, ids, 3, &err));
    assert_true(share == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_judged_by_itself),
        cmocka_unit_test(only_right_answers_pass_exact),
        cmocka_unit_test(the_most_frequent_saying_wins_if_it_has_two_voices_alone),
        cmocka_unit_test(of_equal_answers_one_is_kept),
        cmocka_unit_test(repetition_is_the_share_of_runs_seen_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
