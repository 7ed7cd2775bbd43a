/* DeepSeek's settings as published, in both spellings, and its files: projections in one piece or split, what GGUF
 * readers would compute in another way, what a timeline keeps, what is not trained. */
#include "hashed.h"
#include "model/hparams.h"
#include "model/models.h"

static const rt_model_options f32 = {.precision = RT_PRECISION_F32};

/* The whole of config.json but sizes that play no part here. */
#define COMMON(layers)                                                                                 \
    "\"num_hidden_layers\": " #layers ", \"hidden_size\": 7168, \"num_attention_heads\": 128,"         \
    "\"intermediate_size\": 18432, \"vocab_size\": 129280, \"max_position_embeddings\": 163840,"       \
    "\"qk_nope_head_dim\": 128, \"qk_rope_head_dim\": 64, \"v_head_dim\": 128, \"kv_lora_rank\": 512," \
    "\"rms_norm_eps\": 1e-06, \"rope_theta\": 10000, \"moe_intermediate_size\": 2048, \"moe_layer_freq\": 1"

static void read_config(rt_hparams *hp, const rt_arch **arch, const char *text)
{
    rt_err err = {0};
    json_t *c;
    assert_ok(rt_json_parse(&c, text, strlen(text), "config.json", &err));
    assert_ok(rt_hparams_from_hf(arch, hp, c, &err));
    json_decref(c);
}

static void published_v3_and_kimi_are_understood(void **state)
{
    (void)state;
    const rt_arch *arch;
    rt_hparams hp;
    read_config(
        &hp, &arch,
        "{\"model_type\": \"deepseek_v3\", " COMMON(
            61) ", \"q_lora_rank\": 1536, \"n_routed_experts\": 256,"
                "\"num_experts_per_tok\": 8, \"n_shared_experts\": 1, \"first_k_dense_replace\": 3, \"n_group\": 8,"
                "\"topk_group\": 4, \"topk_method\": \"noaux_tc\", \"scoring_func\": \"sigmoid\","
                "\"norm_topk_prob\": true, \"routed_scaling_factor\": 2.5, \"num_nextn_predict_layers\": 1,"
                "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 40, \"beta_fast\": 32, \"beta_slow\": 1,"
                "\"mscale\": 1.0, \"mscale_all_dim\": 1.0, \"original_max_position_embeddings\": 4096}}");
    assert_int_equal(hp.head_dim, 192);
    assert_int_equal(hp.head_dim_v, 128);
    assert_int_equal(hp.n_rot, 64);
    assert_float_equal(hp.attn_scale, 1.8738542 / sqrt(192.0), 1e-6);
    assert_int_equal(hp.layer_moe[2], 0);
    assert_int_equal(hp.layer_moe[3], 1);
    assert_int_equal(hp.route.score, RT_SCORE_SIGMOID);
    assert_int_equal(hp.route.n_group_used, 4);
    assert_int_equal(hp.d_shared, 2048);
    rt_hparams kimi;
    const rt_arch *same;
    read_config(
        &kimi, &same,
        "{\"model_type\": \"kimi_k2\", " COMMON(
            61) ", \"q_lora_rank\": 1536, \"n_routed_experts\": 384,"
                "\"num_experts_per_tok\": 8, \"n_shared_experts\": 1, \"first_k_dense_replace\": 1, \"n_group\": 1,"
                "\"topk_group\": 1, \"topk_method\": \"noaux_tc\", \"scoring_func\": \"sigmoid\","
                "\"norm_topk_prob\": true, \"routed_scaling_factor\": 2.827}");
    assert_ptr_equal(same, arch);
    assert_int_equal(kimi.route.n_expert, 384);
    assert_float_equal(kimi.attn_scale, 1.0 / sqrt(192.0), 1e-9);
}

static void published_v2_lite_is_understood(void **state)
{
    (void)state;
    const rt_arch *arch;
    rt_hparams hp;
    read_config(
        &hp, &arch,
        "{\"model_type\": \"deepseek_v2\", " COMMON(
            27) ", \"q_lora_rank\": null, \"n_routed_experts\": 64,"
                "\"num_experts_per_tok\": 6, \"n_shared_experts\": 2, \"first_k_dense_replace\": 1, \"n_group\": 1,"
                "\"topk_group\": 1, \"topk_method\": \"greedy\", \"scoring_func\": \"softmax\","
                "\"norm_topk_prob\": false, \"routed_scaling_factor\": 1.0,"
                "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 40, \"beta_fast\": 32, \"beta_slow\": 1,"
                "\"mscale\": 0.707, \"mscale_all_dim\": 0.707, \"original_max_position_embeddings\": 4096}}");
    assert_string_equal(arch->hf_type, "deepseek_v2");
    assert_int_equal(hp.q_lora, 0);
    assert_int_equal(hp.d_shared, 4096);
    assert_int_equal(hp.route.score, RT_SCORE_SOFTMAX);
    assert_false(hp.route.normalise);
    assert_float_equal(hp.attn_scale, 1.2608038 * 1.2608038 / sqrt(192.0), 1e-6);
}

static rt_model *open_hashed(const char *name)
{
    rt_err err = {0};
    rt_model *m;
    char *folder = hashed_folder(name);
    assert_ok(rt_model_open(&m, folder, &f32, &err));
    rt_free(folder);
    return m;
}

/* Files before the absorbed form: one attn_kv_b a layer, and the expanded widths. */
static void write_in_one_piece(const rt_model *m, const rt_gguf *g, const char *path)
{
    rt_err err = {0};
    rt_gguf_writer *w = rt_gguf_writer_new();
    for (size_t i = 0; i < rt_gguf_n_kv(g); i++) {
        if (strstr(rt_gguf_kv_at(g, i)->key, "_length_mla") == NULL) {
            rt_gguf_set_raw(w, rt_gguf_kv_at(g, i));
        }
    }
    rt_gguf_set_u32(w, "deepseek2.attention.head_count_kv", (uint32_t)m->hp.n_head);
    rt_gguf_set_u32(w, "deepseek2.attention.key_length", (uint32_t)m->hp.head_dim);
    rt_gguf_set_u32(w, "deepseek2.attention.value_length", (uint32_t)m->hp.head_dim_v);
    for (size_t i = 0; i < rt_gguf_n_tensors(g); i++) {
        const rt_tensor_info *t = rt_gguf_tensor(g, i);
        if (strstr(t->name, "attn_k_b") == NULL && strstr(t->name, "attn_v_b") == NULL) {
            rt_gguf_add_tensor(w, t->name, RT_F32, t->n_dims, t->dims, t->data);
        }
    }
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        char name[96];
        if (p->role == RT_ROLE_MLA_KV_B) {
            rt_name_numbered(name, sizeof name, rt_role_gguf(p->role), p->layer, 0);
            rt_gguf_add_tensor(w, name, RT_F32, 2, p->dims, p->w);
        }
    }
    assert_ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
}

static void assert_same_model(const rt_model *a, const rt_model *b)
{
    assert_int_equal(a->n_params, b->n_params);
    for (size_t i = 0; i < a->n_params; i++) {
        assert_string_equal(a->params[i].name, b->params[i].name);
        assert_memory_equal(a->params[i].w, b->params[i].w, (size_t)a->params[i].n * sizeof(float));
    }
    assert_int_equal(a->hp.head_dim, b->hp.head_dim);
    assert_int_equal(a->hp.head_dim_v, b->hp.head_dim_v);
    assert_float_equal(a->hp.attn_scale, b->hp.attn_scale, 1e-6);
}

static void gguf_keeps_the_weights_split_or_in_one_piece(void **state)
{
    (void)state;
    static const char *const names[] = {"deepseek_v2", "deepseek_v3", "kimi_k2"};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "split.gguf"), *whole = rt_path_join(dir, "whole.gguf");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        rt_err err = {0};
        rt_model *m = open_hashed(names[i]), *back;
        rt_gguf *g;
        assert_ok(rt_model_save_gguf(m, path, RT_F32, NULL, NULL, &err));
        assert_ok(rt_model_open(&back, path, &f32, &err));
        assert_same_model(m, back);
        assert_string_equal(back->arch->hf_type, m->arch->hf_type);
        rt_model_close(back);
        assert_ok(rt_gguf_open(&g, path, &err));
        write_in_one_piece(m, g, whole);
        rt_gguf_close(g);
        assert_ok(rt_model_open(&back, whole, &f32, &err));
        assert_same_model(m, back);
        rt_model_close(back);
        rt_model_close(m);
    }
    rt_free(path);
    rt_free(whole);
    rt_test_scratch_drop(dir);
}

static void gguf_refuses_what_its_readers_do_otherwise(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m = open_hashed("deepseek_v3");
    m->hp.rope_mscale = 0.5;
    assert_int_equal(rt_model_save_gguf(m, "/nonexistent/x.gguf", RT_F32, NULL, NULL, &err), RT_UNSUPPORTED);
    assert_says(err.msg, "mscale");
    m->hp.rope_mscale = m->hp.rope_mscale_all_dim;
    m->hp.rope_halves = true;
    assert_int_equal(rt_model_save_gguf(m, "/nonexistent/x.gguf", RT_F32, NULL, NULL, &err), RT_UNSUPPORTED);
    assert_says(err.msg, "rope_interleave");
    rt_model_close(m);
}

static void a_timeline_keeps_the_latent_alone(void **state)
{
    (void)state;
    rt_model *m = open_hashed("deepseek_v3");
    assert_int_equal(rt_net_memory(m, 0, 10), 10 * (m->hp.kv_lora + m->hp.n_rot));
    rt_model_close(m);
    m = open_hashed("deepseek_v32");
    assert_int_equal(rt_net_memory(m, 0, 10), 10 * (m->hp.kv_lora + m->hp.n_rot + m->hp.index_dim));
    rt_model_close(m);
}

static void an_indexer_is_not_trained(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m;
    char *folder = hashed_folder("deepseek_v32");
    const rt_model_options trainable = {.precision = RT_PRECISION_F32, .trainable = true};
    assert_int_equal(rt_model_open(&m, folder, &trainable, &err), RT_UNSUPPORTED);
    assert_says(err.msg, "indexer");
    rt_free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_v3_and_kimi_are_understood),
        cmocka_unit_test(published_v2_lite_is_understood),
        cmocka_unit_test(gguf_keeps_the_weights_split_or_in_one_piece),
        cmocka_unit_test(gguf_refuses_what_its_readers_do_otherwise),
        cmocka_unit_test(a_timeline_keeps_the_latent_alone),
        cmocka_unit_test(an_indexer_is_not_trained),
    };
    return cmocka_run_group_tests_name("deepseek", tests, NULL, NULL);
}
