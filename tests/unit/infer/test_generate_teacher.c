/* Generation with the real teacher: its end tokens, the same text alone, in a batch of 32 and on one or two threads,
 * and log-probabilities that a scoring pass confirms. */
#include "infer_fixture.h"

enum { BATCH = 32, NEW = 8 };

static rt_model *m;
static rt_tokenizer *t;
static rt_precision precision;

static int open_teacher(void **state)
{
    rt_err err = {0};
    precision = *(const rt_precision *)*state;
    m = teacher_open(precision);
    assert_ok(rt_tokenizer_open(&t, teacher_path(), &err));
    return 0;
}

static int close_teacher(void **state)
{
    (void)state;
    rt_model_close(m);
    rt_tokenizer_close(t);
    return 0;
}

static void alone_equals_batch_of_32_bit_for_bit(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_prompt *p = random_prompts(BATCH, 1, 24, m->hp.n_vocab, 6);
    rt_generate_options o = {
        .sampling = {.temperature = 0.8, .top_p = 0.95, .seed = 1}, .max_new = NEW, .max_batch = BATCH};
    rt_generation together, threads, alone;
    const int usual = rt_team_threads();
    rt_team_set_threads(2);
    assert_ok(rt_generate(&threads, m, t, p, BATCH, &o, &err));
    rt_team_set_threads(1);
    assert_ok(rt_generate(&together, m, t, p, BATCH, &o, &err));
    for (size_t i = 0; i < BATCH; i++) {
        assert_same_text(&threads.seq[i], &together.seq[i]);
    }
    for (size_t i = 0; i < BATCH; i += 5) {
        o.first_sequence = i;
        assert_ok(rt_generate(&alone, m, t, &p[i], 1, &o, &err));
        assert_same_text(&alone.seq[0], &together.seq[i]);
        rt_generation_release(&alone);
    }
    rt_team_set_threads(usual);
    rt_generation_release(&together);
    rt_generation_release(&threads);
    drop_prompts(p, BATCH);
}

static void logprobs_equal_a_fresh_scoring(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_prompt *p = random_prompts(4, 5, 40, m->hp.n_vocab, 7);
    rt_generation g;
    assert_ok(rt_generate(&g, m, NULL, p, 4,
                          &(rt_generate_options){.sampling = {.temperature = 1, .seed = 2}, .max_new = NEW}, &err));
    double squares = 0;
    for (int i = 0; i < 4; i++) {
        float again[NEW];
        score_again(m, &p[i], &g.seq[i], again);
        for (int j = 0; j < NEW; j++) {
            const double off = (double)again[j] - (double)g.seq[i].logprobs[j];
            squares += off * off;
            if (precision == RT_PRECISION_F32 && !(fabs(off) <= 1e-4)) {
                fail_msg("sequence %d, token %d: drawn at %g, scored at %g", i, j, (double)g.seq[i].logprobs[j],
                         (double)again[j]);
            }
        }
    }
    /* Decoding rounds rows to int8, scoring to bf16. Half the mean square is the divergence of the two, about 0.003
     * nats (docs/generation.md); this is a sample of 32 tokens. */
    assert_true(squares / (4 * NEW) / 2 <= 0.02);
    rt_generation_release(&g);
    drop_prompts(p, 4);
}

static void an_end_token_ends_the_sequence_and_is_its_last_id(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_ids ids = {0};
    rt_generation g;
    const char *text = "<|im_start|>user\nSay only: yes<|im_end|>\n<|im_start|>assistant\n";
    assert_ok(rt_encode_text(t, text, strlen(text), 0, &ids, &err));
    rt_generate_options o = {.max_new = 60};
    assert_ok(rt_generate(&g, m, t, &(rt_prompt){ids.p, (int64_t)ids.n}, 1, &o, &err));
    const int64_t n = g.seq[0].n;
    assert_int_equal(g.seq[0].stop, RT_STOP_END);
    assert_string_equal(rt_stop_name(g.seq[0].stop), "end");
    assert_true(rt_tokenizer_is_end(t, g.seq[0].ids[n - 1]));
    rt_generation_release(&g);
    o.ignore_end = true;
    o.max_new = n + 1;
    assert_ok(rt_generate(&g, m, t, &(rt_prompt){ids.p, (int64_t)ids.n}, 1, &o, &err));
    assert_int_equal(g.seq[0].n, n + 1);
    assert_int_equal(g.seq[0].stop, RT_STOP_LENGTH);
    rt_generation_release(&g);
    rt_ids_release(&ids);
}

int main(void)
{
    static const rt_precision precisions[] = {RT_PRECISION_F32, RT_PRECISION_BF16};
    int failures = 0;
    for (int i = 0; i < 2; i++) {
        void *state = (void *)&precisions[i];
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate_setup_teardown(alone_equals_batch_of_32_bit_for_bit, open_teacher, close_teacher,
                                                     state),
            cmocka_unit_test_prestate_setup_teardown(logprobs_equal_a_fresh_scoring, open_teacher, close_teacher,
                                                     state),
            cmocka_unit_test_prestate_setup_teardown(an_end_token_ends_the_sequence_and_is_its_last_id, open_teacher,
                                                     close_teacher, state),
        };
        failures +=
            cmocka_run_group_tests_name(i == 0 ? "generate_teacher f32" : "generate_teacher bf16", tests, NULL, NULL);
    }
    return failures;
}
