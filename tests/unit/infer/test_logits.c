/* The files of logits and gradients hold what transformers and torch computed; lists of ids are read as written. */
#include "infer_fixture.h"
#include "scratch.h"

/* The two sequences every reference model was run on, by way of a file as a user writes it. */
static void read_sequences(const rt_safetensors *golden, rt_id_lists *out)
{
    rt_err err = {0};
    int64_t n;
    const int32_t *ids = golden_data(golden, "input_ids", RT_I32, &n);
    rt_str text = {0};
    for (int64_t i = 0; i < n; i++) {
        rt_str_printf(&text, "%s%d%s", i % (n / 2) == 0 ? "{\"ids\": [" : "", ids[i],
                      (i + 1) % (n / 2) == 0 ? "]}\n\n" : ", ");
    }
    char *path = rt_path_join(scratch, "ids.jsonl");
    assert_ok(rt_file_write(path, text.p, text.n, &err));
    assert_ok(rt_id_lists_read(out, path, &err));
    assert_int_equal(out->n, 2);
    assert_int_equal(out->list[1].n, n / 2);
    assert_memory_equal(out->list[1].p, ids + n / 2, (size_t)(n / 2) * sizeof *ids);
    rt_free(path);
    rt_str_release(&text);
}

static void logits_equal_transformers(void **state)
{
    (void)state;
    for (int i = 0; i < N_TINY; i++) {
        rt_err err = {0};
        rt_safetensors *golden = tiny_golden(&tiny_models[i]), *made = NULL;
        rt_model *m = tiny_open(&tiny_models[i], RT_PRECISION_F32);
        rt_id_lists lists = {0};
        read_sequences(golden, &lists);
        char *path = rt_path_join(scratch, "logits.safetensors");
        assert_ok(rt_logits_save(m, lists.list, lists.n, path, &err));
        assert_ok(rt_safetensors_open(&made, path, &err));
        assert_int_equal(rt_safetensors_n(made), 2);
        int64_t n_want, n;
        const float *want = golden_data(golden, "logits", RT_F32, &n_want);
        for (int s = 0; s < 2; s++) {
            const float *got = golden_data(made, s == 0 ? "seq0" : "seq1", RT_F32, &n);
            assert_int_equal(2 * n, n_want);
            for (int64_t j = 0; j < n; j++) {
                assert_true(fabsf(got[j] - want[s * n + j]) <= 1e-4f);
            }
        }
        assert_int_equal(rt_safetensors_find(made, "seq1")->dims[1], m->hp.n_vocab);
        rt_safetensors_close(made);
        rt_id_lists_release(&lists);
        rt_model_close(m);
        rt_safetensors_close(golden);
        rt_free(path);
    }
}

/* Reference gradients are stored in units of 2^e, with e in the metadata (tests/golden/gen/trim_models.py). */
static void check_gradient(const rt_safetensors *want_file, const rt_safetensors *got_file, const rt_param *p)
{
    const rt_tensor_info *t = rt_safetensors_find(want_file, p->name);
    assert_non_null(t);
    int64_t n;
    const float *got = golden_data(got_file, p->name, RT_F32, &n);
    assert_int_equal(n, p->n);
    assert_int_equal(rt_safetensors_find(got_file, p->name)->n_dims, p->n_dims);
    const double unit = ldexp(1.0, (int)strtol(rt_safetensors_meta(want_file, p->name), NULL, 10));
    float *want = rt_malloc((size_t)n * sizeof *want);
    rt_decode(t->dtype, t->data, want, n);
    double diff = 0, norm = 0;
    for (int64_t j = 0; j < n; j++) {
        const double w = (double)want[j] * unit, d = (double)got[j] - w;
        diff += d * d;
        norm += w * w;
    }
    rt_free(want);
    if (!(sqrt(diff) <= 1e-3 * sqrt(norm) + 1e-12)) {
        fail_msg("gradient of '%s': relative error %g", p->name, sqrt(diff / norm));
    }
}

static void gradients_equal_torch(void **state)
{
    (void)state;
    for (int i = 0; i < N_TINY; i++) {
        if (!tiny_models[i].gradients) {
            continue;
        }
        rt_err err = {0};
        char file[128];
        snprintf(file, sizeof file, "models/%s/grads_ce.safetensors", tiny_models[i].name);
        rt_safetensors *golden = tiny_golden(&tiny_models[i]), *want = golden_open(file), *made = NULL;
        rt_model *m = tiny_open(&tiny_models[i], RT_PRECISION_F32);
        rt_id_lists lists = {0};
        read_sequences(golden, &lists);
        char *path = rt_path_join(scratch, "gradient.safetensors");
        assert_ok(rt_logits_save_gradient(m, lists.list, lists.n, path, &err));
        assert_ok(rt_safetensors_open(&made, path, &err));
        assert_int_equal(rt_safetensors_n(made), m->n_params + 1);
        for (size_t j = 0; j < m->n_params; j++) {
            check_gradient(want, made, &m->params[j]);
        }
        int64_t one;
        const float loss = *(const float *)golden_data(made, "loss", RT_F32, &one);
        assert_true(fabsf(loss - *(const float *)golden_data(golden, "loss_ce", RT_F32, &one)) <= 2e-5f);
        rt_safetensors_close(made);
        rt_safetensors_close(want);
        rt_safetensors_close(golden);
        rt_id_lists_release(&lists);
        rt_model_close(m);
        rt_free(path);
    }
}

/* A sequence of one token predicts nothing and must not disturb the others. */
static void sequences_weigh_by_their_predictions(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    int32_t a[] = {1, 2, 3, 4, 5}, b[] = {9, 8}, c[] = {7};
    const rt_ids all[3] = {{.p = a, .n = 5}, {.p = c, .n = 1}, {.p = b, .n = 2}};
    char *path = rt_path_join(scratch, "loss.safetensors");
    assert_ok(rt_logits_save_gradient(m, all, 3, path, &err));
    rt_safetensors *made = NULL;
    assert_ok(rt_safetensors_open(&made, path, &err));
    int64_t one;
    const double loss = (double)*(const float *)golden_data(made, "loss", RT_F32, &one);
    const rt_score_request r[2] = {{.context = a, .n_context = 1, .ids = a + 1, .n = 4},
                                   {.context = b, .n_context = 1, .ids = b + 1, .n = 1}};
    rt_score s[2];
    assert_ok(rt_score_run(m, r, 2, s, NULL, &err));
    assert_true(fabs(loss + (s[0].logprob + s[1].logprob) / 5) < 1e-5);
    rt_safetensors_close(made);
    assert_int_equal(rt_logits_save_gradient(m, &all[1], 1, path, &err), RT_INPUT);
    assert_says(err.msg, "second token");
    assert_int_equal(rt_logits_save(m, all, 0, path, &err), RT_INPUT);
    rt_free(path);
    rt_model_close(m);
}

static void lists_that_are_none_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{\"ids\":[1]}\n{\"id\":[2]}\n", "line 2: no array 'ids'"},
        {"{\"ids\":[1, \"2\"]}\n", "entry 1 is no token id"},
        {"{\"ids\":[-1]}\n", "entry 0 is no token id"},
        {"{\"ids\":[1.5]}\n", "entry 0 is no token id"},
        {"{\"ids\":[4294967296]}\n", "entry 0 is no token id"},
        {"[1]\n", "line 1"},
    };
    char *path = rt_path_join(scratch, "bad.jsonl");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_id_lists lists = {0};
        assert_ok(rt_file_write(path, cases[i].text, strlen(cases[i].text), &err));
        assert_int_equal(rt_id_lists_read(&lists, path, &err), RT_INPUT);
        assert_says(err.msg, cases[i].words);
        rt_id_lists_release(&lists);
    }
    rt_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_equal_transformers),
        cmocka_unit_test(gradients_equal_torch),
        cmocka_unit_test(sequences_weigh_by_their_predictions),
        cmocka_unit_test(lists_that_are_none_are_refused_with_their_line),
    };
    return cmocka_run_group_tests_name("logits", tests, make_scratch, drop_scratch);
}
