/* Generation with the reference models: greedy text of transformers, independence of batch and threads, stops, memory.
 */
#include "infer_fixture.h"

static rt_generation generate(const rt_model *m, const rt_prompt *p, size_t n, const rt_generate_options *o)
{
    rt_err err = {0};
    rt_generation g;
    assert_ok(rt_generate(&g, m, NULL, p, n, o, &err));
    assert_int_equal(g.n, n);
    return g;
}

static void greedy_text_equals_transformers(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) {
        const tiny_model t = tiny_at(i);
        rt_safetensors *golden = tiny_golden(&t);
        int64_t n, one;
        const int32_t *ids = golden_data(golden, "greedy_ids", RT_I32, &n);
        const int64_t prompt = *(const int32_t *)golden_data(golden, "greedy_prompt_len", RT_I32, &one);
        rt_model *m = tiny_open(&t, RT_PRECISION_F32);
        rt_generation g = generate(m, &(rt_prompt){ids, prompt}, 1, &(rt_generate_options){.max_new = n - prompt});
        assert_int_equal(g.seq[0].n, n - prompt);
        assert_int_equal(g.seq[0].stop, RT_STOP_LENGTH);
        assert_memory_equal(g.seq[0].ids, ids + prompt, (size_t)(n - prompt) * sizeof *ids);
        rt_generation_release(&g);
        rt_model_close(m);
        rt_safetensors_close(golden);
    }
}

enum { MANY = 40 };

/* 40 prompts through 32 places, so that some are refilled, against each prompt alone. */
static void check_independence(rt_model *m)
{
    rt_prompt *p = random_prompts(MANY, 1, 20, m->hp.n_vocab, 9);
    rt_generate_options o = {
        .sampling = {.temperature = 1.1, .top_p = 0.95, .seed = 3}, .max_new = 11, .max_batch = 32};
    const int usual = rt_team_threads();
    rt_team_set_threads(2);
    rt_generation threads = generate(m, p, MANY, &o);
    rt_team_set_threads(1);
    rt_generation together = generate(m, p, MANY, &o);
    for (size_t i = 0; i < MANY; i++) {
        o.first_sequence = i;
        rt_generation alone = generate(m, &p[i], 1, &o);
        assert_same_text(&alone.seq[0], &together.seq[i]);
        assert_same_text(&alone.seq[0], &threads.seq[i]);
        rt_generation_release(&alone);
    }
    rt_team_set_threads(usual);
    rt_generation_release(&together);
    rt_generation_release(&threads);
    drop_prompts(p, MANY);
    rt_model_close(m);
}

static void alone_equals_batch_of_32_bit_for_bit(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) {
        const tiny_model t = tiny_at(i);
        check_independence(tiny_open(&t, RT_PRECISION_F32));
        check_independence(tiny_open(&t, RT_PRECISION_BF16));
    }
}

/* A reference model with its matrices in blocks of a type. */
static rt_model *coded_open(const tiny_model *t, rt_dtype type, rt_precision precision)
{
    rt_err err = {0};
    rt_model *source = tiny_open(t, RT_PRECISION_F32), *m = NULL;
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "coded.gguf");
    assert_ok(rt_model_save_gguf(source, path, type, NULL, NULL, &err));
    assert_ok(rt_model_open(&m, path, &(rt_model_options){.precision = precision}, &err));
    rt_model_close(source);
    rt_free(path);
    rt_test_scratch_drop(dir);
    return m;
}

static const rt_dtype coded_types[] = {RT_Q4_0, RT_Q4_1, RT_Q8_0};
enum { N_CODED_TYPES = sizeof coded_types / sizeof coded_types[0] };

/* llama, llama3_rope and qwen3: a GGUF file cannot say what is peculiar to the others. */
enum { N_GGUF = 3 };

static void so_do_weights_kept_in_codes(void **state)
{
    (void)state;
    for (int i = 0; i < N_GGUF * N_CODED_TYPES; i++) {
        rt_model *m = coded_open(&tiny_models[i / N_CODED_TYPES], coded_types[i % N_CODED_TYPES], RT_PRECISION_AUTO);
        assert_true(m->coded);
        check_independence(m);
    }
}

/* Rounding a row to int8 moves each product by a thousandth or so, and the log-probabilities of random models little
 * more; codes read in a wrong order move them by whole nats. */
static void codes_stay_near_the_decoded_weights(void **state)
{
    (void)state;
    for (int i = 0; i < N_GGUF * N_CODED_TYPES; i++) {
        const tiny_model *t = &tiny_models[i / N_CODED_TYPES];
        rt_model *m = coded_open(t, coded_types[i % N_CODED_TYPES], RT_PRECISION_AUTO);
        rt_model *exact = coded_open(t, coded_types[i % N_CODED_TYPES], RT_PRECISION_F32);
        assert_false(exact->coded);
        rt_prompt *p = random_prompts(4, 2, 20, m->hp.n_vocab, 4);
        rt_generation g =
            generate(m, p, 4, &(rt_generate_options){.sampling = {.temperature = 1, .seed = 8}, .max_new = 10});
        double sum = 0;
        for (int j = 0; j < 4; j++) {
            float again[10];
            score_again(exact, &p[j], &g.seq[j], again);
            for (int k = 0; k < 10; k++) {
                sum += fabs((double)again[k] - (double)g.seq[j].logprobs[k]) / 40;
            }
        }
        if (!(sum <= 0.05)) {
            fail_msg("%s in %s: log-probabilities are off by %g on average", t->name,
                     rt_dtype_name(coded_types[i % N_CODED_TYPES]), sum);
        }
        rt_generation_release(&g);
        drop_prompts(p, 4);
        rt_model_close(m);
        rt_model_close(exact);
    }
}

static void logprobs_equal_a_fresh_scoring(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) {
        const tiny_model t = tiny_at(i);
        rt_model *m = tiny_open(&t, RT_PRECISION_F32);
        rt_prompt *p = random_prompts(6, 2, 20, m->hp.n_vocab, 4);
        rt_generation g =
            generate(m, p, 6, &(rt_generate_options){.sampling = {.temperature = 1.5, .seed = 8}, .max_new = 10});
        for (int j = 0; j < 6; j++) {
            float again[10];
            score_again(m, &p[j], &g.seq[j], again);
            for (int k = 0; k < 10; k++) {
                assert_true(fabsf(again[k] - g.seq[j].logprobs[k]) <= 1e-4f);
            }
        }
        rt_generation_release(&g);
        drop_prompts(p, 6);
        rt_model_close(m);
    }
}

static void equal_prompts_draw_differently(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    const int32_t ids[] = {5, 6, 7};
    const rt_prompt p[2] = {{ids, 3}, {ids, 3}};
    rt_generation g = generate(m, p, 2, &(rt_generate_options){.sampling = {.temperature = 1}, .max_new = 12});
    assert_memory_not_equal(g.seq[0].ids, g.seq[1].ids, 12 * sizeof(int32_t));
    rt_generation_release(&g);
    rt_model_close(m);
}

/* --- prompts longer than a piece of prefill -------------------------------------------------------------------- */

/* A model of its own: the reference models have contexts shorter than a piece. */
static rt_model *long_context_model(void)
{
    rt_err err = {0};
    rt_model *source = tiny_open(&tiny_models[0], RT_PRECISION_F32), *m = NULL;
    rt_hparams hp = source->hp;
    hp.n_ctx = 1400;
    assert_ok(rt_model_new(&m, source->arch, &hp, &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true},
                           &err));
    assert_int_equal(m->n_elements, source->n_elements);
    for (size_t i = 0; i < m->n_params; i++) {
        rt_param_read(&source->params[i], m->params[i].w);
    }
    rt_model_refresh(m);
    rt_model_close(source);
    return m;
}

static void long_prompts_are_read_in_pieces(void **state)
{
    (void)state;
    rt_model *m = long_context_model();
    rt_prompt *p = random_prompts(1, 1200, 1200, m->hp.n_vocab, 2);
    rt_generation g = generate(m, p, 1, &(rt_generate_options){.max_new = 8});
    float again[8];
    score_again(m, p, &g.seq[0], again);
    for (int i = 0; i < 8; i++) {
        assert_true(fabsf(again[i] - g.seq[0].logprobs[i]) <= 1e-4f);
    }
    rt_generation_release(&g);
    drop_prompts(p, 1);
    rt_model_close(m);
}

/* --- stops ----------------------------------------------------------------------------------------------------- */

static void a_full_context_ends_a_sequence(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    rt_prompt *p = random_prompts(1, m->rope_rows - 3, m->rope_rows - 3, m->hp.n_vocab, 1);
    rt_generation g = generate(m, p, 1, &(rt_generate_options){.max_new = 100});
    assert_int_equal(g.seq[0].stop, RT_STOP_CONTEXT);
    assert_int_equal(g.seq[0].n, 4); /* three rows were left, and the last token needs none */
    rt_generation_release(&g);
    drop_prompts(p, 1);
    rt_model_close(m);
}

typedef struct listener {
    int tokens[4], ends[4], n_ended;
    size_t stop_index;
    int64_t stop_at;
    uint64_t n_alloc; /* allocations before the last step */
} listener;

static bool hear_token(void *ud, size_t index, const rt_generated *g)
{
    listener *l = ud;
    l->tokens[index]++;
    assert_int_equal(g->n, l->tokens[index]);
    return !(index == l->stop_index && g->n == l->stop_at);
}

static rt_status hear_end(void *ud, size_t index, const rt_generated *g, rt_err *err)
{
    (void)err;
    listener *l = ud;
    l->ends[index]++;
    l->n_ended++;
    assert_int_equal(g->n, l->tokens[index]);
    return RT_OK;
}

static void the_caller_hears_every_token_and_may_stop(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    rt_prompt *p = random_prompts(4, 2, 6, m->hp.n_vocab, 5);
    listener l = {.stop_index = 1, .stop_at = 3};
    rt_generation g = generate(
        m, p, 4,
        &(rt_generate_options){.max_new = 6, .max_batch = 2, .on_token = hear_token, .on_end = hear_end, .ud = &l});
    for (int i = 0; i < 4; i++) {
        assert_int_equal(l.ends[i], 1);
        assert_int_equal(g.seq[i].n, i == 1 ? 3 : 6);
        assert_int_equal(g.seq[i].stop, i == 1 ? RT_STOP_CALLER : RT_STOP_LENGTH);
    }
    rt_generation_release(&g);
    drop_prompts(p, 4);
    rt_model_close(m);
}

static bool count_allocations(void *ud, size_t index, const rt_generated *g)
{
    listener *l = ud;
    const uint64_t now = rt_mem_get_stats().n_alloc;
    if (index == 3 && g->n > 1) { /* all prompts have been read */
        assert_int_equal(now, l->n_alloc);
    }
    l->n_alloc = now;
    return true;
}

static void decoding_allocates_nothing(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[3], RT_PRECISION_BF16);
    rt_prompt *p = random_prompts(4, 2, 6, m->hp.n_vocab, 5);
    listener l = {0};
    const size_t before = rt_mem_get_stats().live_bytes;
    rt_generation g = generate(
        m, p, 4,
        &(rt_generate_options){
            .sampling = {.temperature = 1, .top_k = 9}, .max_new = 9, .on_token = count_allocations, .ud = &l});
    rt_generation_release(&g);
    assert_int_equal(rt_mem_get_stats().live_bytes, before);
    drop_prompts(p, 4);
    rt_model_close(m);
}

typedef struct kept {
    const rt_prompt *prompts;
    int32_t ids[6][12];
    int64_t n[6];
} kept;

static rt_prompt prompt_of(void *ud, size_t index)
{
    return ((const kept *)ud)->prompts[index];
}

static rt_status keep_text(void *ud, size_t index, const rt_generated *g, rt_err *err)
{
    (void)err;
    kept *k = ud;
    k->n[index] = g->n;
    memcpy(k->ids[index], g->ids, (size_t)g->n * sizeof *g->ids);
    return RT_OK;
}

/* Also when the weights change in between: nothing that was read with the old ones is used again. */
static void one_layout_serves_many_calls(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m = long_context_model();
    rt_prompt *p = random_prompts(6, 2, 12, m->hp.n_vocab, 7);
    kept k = {.prompts = p};
    const rt_prompt_list list = {.n = 6, .at = prompt_of, .ud = &k};
    rt_generate_options o = {
        .sampling = {.temperature = 1, .seed = 2}, .max_new = 9, .max_batch = 4, .on_end = keep_text, .ud = &k};
    const rt_generator_size size = {.longest = 16, .max_new = 12, .places = 4};
    rt_generator *g = NULL;
    const size_t before = rt_mem_get_stats().live_bytes;
    assert_ok(rt_generator_new(&g, m, NULL, &size, &err));
    assert_true(rt_mem_get_stats().live_bytes - before <= rt_generator_bytes(m, &size) + 16384);
    for (int call = 0; call < 4; call++) {
        o.first_sequence = (uint64_t)(call / 2);
        const uint64_t allocations = rt_mem_get_stats().n_alloc;
        assert_ok(rt_generator_run(g, &list, &o, NULL, &err));
        assert_int_equal(rt_mem_get_stats().n_alloc, allocations);
        const rt_generate_options plain = {
            .sampling = o.sampling, .max_new = 9, .max_batch = 4, .first_sequence = o.first_sequence};
        rt_generation once = generate(m, p, 6, &plain);
        for (int i = 0; i < 6; i++) {
            assert_int_equal(k.n[i], once.seq[i].n);
            assert_memory_equal(k.ids[i], once.seq[i].ids, (size_t)k.n[i] * sizeof(int32_t));
        }
        rt_generation_release(&once);
        for (int64_t i = 0; i < m->n_elements; i += 7) {
            m->weights[i] *= 1.5f;
        }
        rt_model_refresh(m);
    }
    rt_generator_free(g);
    assert_int_equal(rt_mem_get_stats().live_bytes, before);
    drop_prompts(p, 6);
    rt_model_close(m);
}

/* --- refusals -------------------------------------------------------------------------------------------------- */

static void refused(const rt_model *m, const rt_prompt *p, const rt_generate_options *o, rt_status want,
                    const char *words)
{
    rt_err err = {0};
    rt_generation g;
    assert_int_equal(rt_generate(&g, m, NULL, p, 1, o, &err), want);
    assert_says(err.msg, words);
    assert_null(g.seq);
}

static void impossible_requests_are_refused(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    const rt_generate_options o = {.max_new = 4};
    const int32_t bad[] = {3, (int32_t)m->hp.n_vocab}, negative[] = {-1};
    rt_prompt *p = random_prompts(1, m->rope_rows + 1, m->rope_rows + 1, m->hp.n_vocab, 1);
    refused(m, p, &o, RT_INPUT, "the context of the model");
    refused(m, &(rt_prompt){bad, 2}, &o, RT_INPUT, "outside the vocabulary");
    refused(m, &(rt_prompt){negative, 1}, &o, RT_INPUT, "outside the vocabulary");
    refused(m, &(rt_prompt){bad, 0}, &o, RT_INPUT, "prompt 0 is empty");
    refused(m, &(rt_prompt){bad, 1}, &(rt_generate_options){.max_new = 0}, RT_USAGE, "at least one");
    refused(m, &(rt_prompt){bad, 1}, &(rt_generate_options){.max_new = 1, .max_batch = -1}, RT_USAGE, "batch");
    refused(m, &(rt_prompt){bad, 1}, &(rt_generate_options){.max_new = 1, .sampling = {.top_p = 7}}, RT_USAGE, "top_p");
    drop_prompts(p, 1);
    rt_model_close(m);
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    const int32_t ids[] = {1, 2, 3};
    const rt_generate_options o = {.max_new = 2};
    rt_generation warm = generate(m, &(rt_prompt){ids, 3}, 1, &o); /* what is made once a process */
    rt_generation_release(&warm);
    const size_t before = rt_mem_get_stats().live_bytes;
    rt_status st = RT_MEMORY;
    int refusals = 0;
    for (uint64_t n = 1; st != RT_OK; n++, refusals++) {
        rt_err err = {0};
        rt_generation g;
        rt_mem_fail_after(n);
        st = rt_generate(&g, m, NULL, &(rt_prompt){ids, 3}, 1, &o, &err);
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || st == RT_MEMORY);
        rt_generation_release(&g);
        assert_int_equal(rt_mem_get_stats().live_bytes, before);
    }
    assert_true(refusals > 8);
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_equals_transformers),
        cmocka_unit_test(alone_equals_batch_of_32_bit_for_bit),
        cmocka_unit_test(so_do_weights_kept_in_codes),
        cmocka_unit_test(codes_stay_near_the_decoded_weights),
        cmocka_unit_test(logprobs_equal_a_fresh_scoring),
        cmocka_unit_test(equal_prompts_draw_differently),
        cmocka_unit_test(long_prompts_are_read_in_pieces),
        cmocka_unit_test(a_full_context_ends_a_sequence),
        cmocka_unit_test(the_caller_hears_every_token_and_may_stop),
        cmocka_unit_test(decoding_allocates_nothing),
        cmocka_unit_test(one_layout_serves_many_calls),
        cmocka_unit_test(impossible_requests_are_refused),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    printf("isa: %s\n", rt_isa_name(rt_cpu_get()->isa));
    return cmocka_run_group_tests_name("generate", tests, NULL, NULL);
}
