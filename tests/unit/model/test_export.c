/* A GGUF holds the same model as the folder it was written from, and what GGUF or config.json cannot say is refused
 * before a file is there. */
#include "model_fixture.h"
#include "scratch.h"

static const char *scratch_path(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static rt_model *open_model(const char *path)
{
    rt_err err = {0};
    rt_model *m = NULL;
    assert_ok(rt_model_open(&m, path, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
    return m;
}

static rt_model *open_hashed(const char *name)
{
    char *folder = hashed_folder(name);
    rt_model *m = open_model(folder);
    rt_free(folder);
    return m;
}

/* The model as it comes back from a GGUF. */
static rt_model *through_gguf(const rt_model *m)
{
    rt_err err = {0};
    assert_ok(rt_model_save_gguf(m, scratch_path("model.gguf"), RT_F32, NULL, NULL, &err));
    return open_model(scratch_path("model.gguf"));
}

static void keep_logits(void *ud, const rt_head_row *row)
{
    const fixture *f = ud;
    memcpy(f->teacher + row->row * f->m->hp.n_vocab, row->logits, (size_t)f->m->hp.n_vocab * sizeof(float));
}

/* Logits of 24 ids; the caller frees. */
static float *logits_of(rt_model *m)
{
    rt_err err = {0};
    rt_acts *a = NULL;
    rt_head *h = NULL;
    int32_t ids[24];
    for (int i = 0; i < 24; i++) {
        ids[i] = (int32_t)(hashed_at(3, i) % (uint64_t)m->hp.n_vocab);
    }
    const rt_span span = {.n = 24};
    const rt_batch batch = {.ids = ids, .n_rows = 24, .spans = &span, .n_spans = 1};
    fixture f = {.m = m, .teacher = rt_calloc((size_t)(24 * m->hp.n_vocab), sizeof(float))};
    assert_ok(rt_acts_new(&a, m, 24, 24, RT_NET_FORWARD, &err));
    assert_ok(rt_head_new(&h, m, NULL, false, &err));
    rt_net_forward(m, a, &batch);
    rt_head_run(h, &(rt_head_sweep){.model = m, .x = rt_acts_x(a), .n_rows = 24, .visit = keep_logits, .ud = &f});
    rt_head_free(h);
    rt_acts_free(a);
    return f.teacher;
}

static void assert_same_logits(rt_model *a, rt_model *b, double bound)
{
    assert_int_equal(a->hp.n_vocab, b->hp.n_vocab);
    float *of_a = logits_of(a), *of_b = logits_of(b);
    assert_true(max_difference(of_a, of_b, 24 * a->hp.n_vocab) <= bound);
    rt_free(of_a);
    rt_free(of_b);
}

/* --- what GGUF has no key for, said in another way -------------------------------------------------------------- */

static void a_scale_of_gemma_goes_into_the_query_norm(void **state)
{
    (void)state;
    rt_model *m = open_model(RT_TEST_GOLDEN "/models/gemma3_text");
    assert_false(fabs(m->hp.attn_scale * sqrt((double)m->hp.head_dim) - 1.0) < 0.1);
    rt_model *back = through_gguf(m);
    assert_true(fabs(back->hp.attn_scale * sqrt((double)m->hp.head_dim) - 1.0) < 1e-9);
    assert_same_logits(m, back, 1e-5);
    rt_model_close(back);
    rt_model_close(m);
}

static void without_a_norm_it_goes_into_matrix_and_bias(void **state)
{
    (void)state;
    rt_model *m = open_hashed("qwen2"), *plain = through_gguf(m);
    m->hp.attn_scale *= 1.7;
    rt_model *back = through_gguf(m);
    assert_same_logits(m, back, 1e-5);
    float *with = logits_of(back), *without = logits_of(plain);
    assert_true(max_difference(with, without, 24 * m->hp.n_vocab) > 1e-2);
    rt_free(with);
    rt_free(without);
    rt_model_close(plain);
    rt_model_close(back);
    rt_model_close(m);
}

/* Readers know Gemma 3 27B by its 62 layers, and scale its scores by the width a head. */
static void the_largest_gemma_keeps_its_scale(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *small = open_model(RT_TEST_GOLDEN "/models/gemma3_text"), *m = NULL;
    rt_hparams hp = small->hp;
    hp.n_layer = 62;
    hp.d_model = 48;
    hp.attn_scale = 1.0 / sqrt(48.0 / (double)hp.n_head);
    for (int64_t l = 0; l < hp.n_layer; l++) {
        hp.layer_sliding[l] = (l + 1) % 6 != 0;
    }
    assert_ok(rt_model_new(&m, small->arch, &hp, &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true},
                           &err));
    for (int64_t i = 0; i < m->n_elements; i++) {
        m->weights[i] = hashed_bell(hashed_at(5, i), 16) * 0x1p-18f;
    }
    rt_model *back = through_gguf(m);
    assert_true(back->hp.attn_scale == hp.attn_scale);
    for (size_t i = 0; i < m->n_params; i++) { /* nothing was folded */
        assert_true(max_difference(m->params[i].w, back->params[i].w, m->params[i].n) <= 1e-6);
    }
    rt_model_close(back);
    rt_model_close(m);
    rt_model_close(small);
}

static void kinds_of_layers_survive(void **state)
{
    (void)state;
    rt_model *m = open_hashed("gemma3_text_linear");
    m->hp.layer_sliding[0] = 0;
    rt_model *back = through_gguf(m);
    assert_memory_equal(back->hp.layer_sliding, m->hp.layer_sliding, sizeof m->hp.layer_sliding);
    assert_same_logits(m, back, 1e-5);
    rt_model_close(back);
    rt_model_close(m);
}

/* Linear scaling of rotations is read for every architecture. */
static void linear_rotations_survive(void **state)
{
    (void)state;
    static const char *const names[] = {"llama3_rope", "qwen2", "qwen3"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        rt_err err = {0};
        char *folder = rt_path_join(scratch, names[i]), *config = rt_path_join(folder, "config.json");
        json_t *c = NULL;
        hashed_unpack(names[i], folder);
        assert_ok(rt_json_load(&c, config, &err));
        json_object_set_new(c, "rope_parameters",
                            json_pack("{s:s, s:f, s:f}", "rope_type", "linear", "rope_theta", 1e4, "factor", 4.0));
        assert_ok(rt_json_save(c, config, &err));
        rt_model *m = open_model(folder), *back = through_gguf(m);
        assert_int_equal(back->hp.rope_scaling, RT_ROPE_LINEAR);
        assert_same_logits(m, back, 1e-5);
        rt_model_close(back);
        rt_model_close(m);
        json_decref(c);
        rt_free(config);
        rt_free(folder);
    }
}

/* Experts published in four bits: a student of them writes them as they were, and they stay out of training. */
static void quantised_experts_go_through_a_cut_and_a_folder(void **state)
{
    (void)state;
    rt_err err = {0};
    const rt_model_options options = {.precision = RT_PRECISION_F32, .trainable = true};
    const int32_t ids[3] = {-1, -1, -1};
    char *folder = hashed_folder("gpt_oss"), *weights = rt_path_join(folder, "model_mxfp4.safetensors");
    rt_model *teacher = open_model(weights), *student = NULL, *back = NULL;
    assert_ok(rt_model_cut(&student, teacher, (const int[]){1}, 1, &options, &err));
    assert_ok(rt_model_save_safetensors(student, scratch_path("model.safetensors"), RT_F32, &err));
    assert_ok(rt_model_save_config(student, scratch_path("config.json"), ids, RT_F32, &err));
    assert_ok(rt_model_open(&back, scratch, &options, &err));
    int frozen = 0;
    for (size_t i = 0; i < back->n_params; i++) {
        const rt_param *p = &back->params[i];
        const bool quantised = p->expert >= 0 && p->n_dims == 2;
        assert_int_equal(p->frozen, quantised);
        assert_memory_equal(p->w, student->params[i].w, (size_t)p->n * sizeof(float));
        frozen += p->frozen;
    }
    assert_int_equal(frozen, 3 * back->hp.route.n_expert);
    rt_model_close(back);
    rt_model_close(student);
    rt_model_close(teacher);
    rt_free(weights);
    rt_free(folder);
}

/* --- refusals --------------------------------------------------------------------------------------------------- */

static void assert_no_gguf(const rt_model *m, const char *words)
{
    rt_err err = {0};
    const char *path = scratch_path("refused.gguf");
    assert_int_equal(rt_model_save_gguf(m, path, RT_F32, NULL, NULL, &err), RT_UNSUPPORTED);
    assert_says(err.msg, words);
    assert_false(rt_path_exists(path));
}

static void assert_no_config(const rt_model *m, const char *words)
{
    rt_err err = {0};
    const int32_t ids[3] = {-1, -1, -1};
    const char *path = scratch_path("refused.json");
    assert_int_equal(rt_model_save_config(m, path, ids, RT_F32, &err), RT_UNSUPPORTED);
    assert_says(err.msg, words);
    assert_false(rt_path_exists(path));
}

static void mixtures_gguf_cannot_describe_are_refused(void **state)
{
    (void)state;
    rt_model *m = open_model(RT_TEST_GOLDEN "/models/qwen3_moe");
    assert_no_gguf(m, "no way to say that layer 1 is dense");
    memset(m->hp.layer_moe, 1, sizeof m->hp.layer_moe);
    m->hp.route.normalise = false;
    assert_no_gguf(m, "normalise the chosen experts' weights; this model does not");
    rt_model_close(m);
}

static void a_gated_unit_readers_do_not_know_is_refused(void **state)
{
    (void)state;
    rt_model *m = open_hashed("gpt_oss");
    m->hp.glu.limit = 5.0f;
    assert_no_gguf(m, "cut the gated unit at 7 with a factor of 1.702; this model's are 5 and 1.702");
    rt_model_close(m);
}

static void latent_attention_gguf_cannot_describe_is_refused(void **state)
{
    (void)state;
    rt_model *m = open_hashed("deepseek_v2_groups");
    assert_no_gguf(m, "a group of experts by its two best; this model by its best one");
    rt_model_close(m);
    m = open_hashed("deepseek_v3");
    m->hp.rope_halves = true;
    assert_no_gguf(m, "rotate pairs of neighbours; this model rotates halves");
    m->hp.rope_halves = false;
    m->hp.rope_mscale = 0.5;
    assert_no_gguf(m, "mscale 0.5 differs from mscale_all_dim 1");
    rt_model_close(m);
}

static void rotations_known_as_a_tensor_only_make_no_config(void **state)
{
    (void)state;
    rt_model *m = open_model(RT_TEST_GOLDEN "/gguf/llama3_rope.gguf");
    assert_no_config(m, "rotary factors");
    rt_model_close(m);
}

static void a_scale_config_json_has_no_key_for_is_refused(void **state)
{
    (void)state;
    rt_model *m = open_hashed("qwen2");
    m->hp.attn_scale *= 1.7;
    assert_no_config(m, "cannot say this model's attention scale");
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scale_of_gemma_goes_into_the_query_norm),
        cmocka_unit_test(without_a_norm_it_goes_into_matrix_and_bias),
        cmocka_unit_test(the_largest_gemma_keeps_its_scale),
        cmocka_unit_test(kinds_of_layers_survive),
        cmocka_unit_test(linear_rotations_survive),
        cmocka_unit_test(quantised_experts_go_through_a_cut_and_a_folder),
        cmocka_unit_test(mixtures_gguf_cannot_describe_are_refused),
        cmocka_unit_test(a_gated_unit_readers_do_not_know_is_refused),
        cmocka_unit_test(latent_attention_gguf_cannot_describe_is_refused),
        cmocka_unit_test(rotations_known_as_a_tensor_only_make_no_config),
        cmocka_unit_test(a_scale_config_json_has_no_key_for_is_refused),
    };
    return cmocka_run_group_tests_name("export", tests, make_scratch, drop_scratch);
}
