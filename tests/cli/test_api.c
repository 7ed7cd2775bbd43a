/* test_api.c - the public interface as a program sees it: only its headers are included. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <retort/retort.h>

static const char model_path[] = RT_TEST_GOLDEN "/models/llama";
static const char vocabulary_path[] = RT_TEST_GOLDEN "/tokenizer/smollm2-vocab.gguf";

static retort_model *open_model(void)
{
    rt_err err = {0};
    retort_model *m = NULL;
    retort_model_options o = retort_model_defaults();
    o.precision = RETORT_PRECISION_F32;
    assert_int_equal(retort_model_open(&m, model_path, &o, &err), RT_OK);
    return m;
}

static void a_model_tells_its_shape(void **state)
{
    (void)state;
    retort_model *m = open_model();
    assert_string_equal(retort_model_architecture(m), "llama");
    assert_int_equal(retort_model_layers(m), 3);
    assert_int_equal(retort_model_vocabulary(m), 331);
    assert_int_equal(retort_model_parameters(m), 150656);
    assert_int_equal(retort_model_context(m), 256);
    retort_model_close(m);
}

static void failures_are_reported_and_leave_nothing(void **state)
{
    (void)state;
    rt_err err = {0};
    retort_model *m = (retort_model *)&err;
    assert_int_equal(retort_model_open(&m, "/nowhere", NULL, &err), RT_NOT_FOUND);
    assert_null(m);
    assert_int_equal(err.code, RT_NOT_FOUND);
    assert_non_null(strstr(err.msg, "/nowhere"));
    assert_int_equal(retort_model_open(&m, "/nowhere", NULL, NULL), RT_NOT_FOUND);
    retort_model_close(NULL);
    retort_tokenizer_close(NULL);
    retort_free(NULL);
}

/* A program compiled with an older header gives fewer bytes, which must do; one with a newer header gives more than is
 * known. */
static void options_are_taken_by_their_size(void **state)
{
    (void)state;
    rt_err err = {0};
    retort_model *m = NULL;
    const size_t old = sizeof(size_t);
    assert_int_equal(retort_model_open(&m, model_path, (const retort_model_options *)&old, &err), RT_OK);
    retort_model_close(m);
    struct {
        retort_model_options o;
        int newer;
    } future = {.o = retort_model_defaults()};
    future.o.size = sizeof future;
    assert_int_equal(retort_model_open(&m, model_path, &future.o, &err), RT_USAGE);
    retort_model_options zero = {0};
    assert_int_equal(retort_model_open(&m, model_path, &zero, &err), RT_USAGE);
    retort_model_options odd = retort_model_defaults();
    odd.precision = 7;
    assert_int_equal(retort_model_open(&m, model_path, &odd, &err), RT_USAGE);
}

static void text_goes_to_ids_and_back_in_the_room_there_is(void **state)
{
    (void)state;
    rt_err err = {0};
    retort_tokenizer *t = NULL;
    const char text[] = "Hello world, hello tokens";
    int32_t ids[32], few[2];
    char back[64];
    size_t n = 0, n_few = 0, n_text = 0;
    assert_int_equal(retort_tokenizer_open(&t, vocabulary_path, &err), RT_OK);
    assert_int_equal(retort_tokenize(t, text, strlen(text), NULL, 0, &n, &err), RT_OK);
    assert_in_range(n, 4, 32);
    assert_int_equal(retort_tokenize(t, text, strlen(text), ids, 32, &n, &err), RT_OK);
    assert_int_equal(retort_tokenize(t, text, strlen(text), few, 2, &n_few, &err), RT_OK);
    assert_int_equal(n_few, n);
    assert_memory_equal(few, ids, sizeof few);
    assert_int_equal(retort_detokenize(t, ids, n, back, sizeof back, &n_text, &err), RT_OK);
    assert_int_equal(n_text, strlen(text));
    assert_memory_equal(back, text, n_text);
    assert_int_equal(retort_detokenize(t, &(int32_t){1 << 30}, 1, back, sizeof back, &n_text, &err), RT_INPUT);
    assert_int_equal(retort_tokenizer_bos(t), 1);
    assert_int_equal(retort_tokenizer_eos(t), 2);
    retort_tokenizer_close(t);
}

static int stop_after_three(void *user, int32_t id, float logprob)
{
    (void)id;
    assert_true(logprob <= 0);
    return ++*(int *)user < 3;
}

static void what_is_generated_scores_as_it_was_drawn(void **state)
{
    (void)state;
    rt_err err = {0};
    retort_model *m = open_model();
    const int32_t prompt[] = {5, 17, 230, 9};
    int32_t ids[16];
    float logprobs[16], again[16];
    double total = 0, sum = 0;
    size_t n = 0;
    retort_generate_options o = retort_generate_defaults();
    o.max_tokens = 16;
    o.temperature = 1;
    assert_int_equal(retort_generate(m, NULL, prompt, 4, &o, ids, logprobs, &n, &err), RT_OK);
    assert_int_equal(n, 16);
    assert_int_equal(retort_score(m, prompt, 4, ids, n, again, &total, &err), RT_OK);
    for (size_t i = 0; i < n; i++) {
        assert_true(fabsf(again[i] - logprobs[i]) < 1e-4f);
        sum += again[i];
    }
    assert_true(fabs(sum - total) < 1e-4);
    int calls = 0;
    o.on_token = stop_after_three;
    o.user = &calls;
    assert_int_equal(retort_generate(m, NULL, prompt, 4, &o, ids, NULL, &n, &err), RT_OK);
    assert_int_equal(n, 3);
    retort_model_close(m);
}

static void ids_from_outside_are_checked(void **state)
{
    (void)state;
    rt_err err = {0};
    retort_model *m = open_model();
    int32_t out[8];
    double total;
    size_t n;
    const int32_t bad[] = {1, 331}, good[] = {1, 2};
    retort_generate_options o = retort_generate_defaults();
    o.max_tokens = 8;
    assert_int_equal(retort_generate(m, NULL, bad, 2, &o, out, NULL, &n, &err), RT_INPUT);
    assert_int_equal(retort_generate(m, NULL, good, 0, &o, out, NULL, &n, &err), RT_INPUT);
    assert_int_equal(retort_score(m, good, 2, bad, 2, NULL, &total, &err), RT_INPUT);
    assert_int_equal(retort_score(m, good, 2, bad, 0, NULL, &total, &err), RT_INPUT);
    retort_model_close(m);
}

static void stages_refuse_what_they_do_not_know(void **state)
{
    (void)state;
    rt_err err = {0};
    const char *text = RT_TEST_SOURCE "/README.md";
    retort_collect_options c = retort_collect_defaults();
    c.targets = "guesses";
    assert_int_equal(retort_collect(model_path, &text, 1, "/proc/none", &c, NULL, &err), RT_USAGE);
    assert_non_null(strstr(err.msg, "guesses"));
    assert_int_equal(retort_collect(model_path, &text, 1, "/proc/none", NULL, NULL, &err), RT_LICENCE);
    retort_train_options t = retort_train_defaults();
    assert_int_equal(retort_train(model_path, "/nowhere", "/proc/none", &t, NULL, &err), RT_USAGE); /* how long? */
    t.tokens = 100;
    t.loss = "hunch";
    assert_int_equal(retort_train(model_path, "/nowhere", "/proc/none", &t, NULL, &err), RT_USAGE);
    t.loss = "ce:0.9,z_loss:1e-4";
    t.optimizer = "sgd";
    assert_int_equal(retort_train(model_path, "/nowhere", "/proc/none", &t, NULL, &err), RT_USAGE);
    assert_non_null(strstr(err.msg, "adamw, muon"));
    t.optimizer = "muon";
    assert_int_equal(retort_train(model_path, "/nowhere", "/proc/none", &t, NULL, &err), RT_NOT_FOUND);
    assert_int_equal(retort_export(model_path, "/proc/none", "q9", &err), RT_USAGE);
    char *json = NULL;
    assert_int_equal(retort_plan("/nowhere.yaml", NULL, &json, &err), RT_NOT_FOUND);
    assert_null(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_tells_its_shape),
        cmocka_unit_test(failures_are_reported_and_leave_nothing),
        cmocka_unit_test(options_are_taken_by_their_size),
        cmocka_unit_test(text_goes_to_ids_and_back_in_the_room_there_is),
        cmocka_unit_test(what_is_generated_scores_as_it_was_drawn),
        cmocka_unit_test(ids_from_outside_are_checked),
        cmocka_unit_test(stages_refuse_what_they_do_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
