/* Architectures that run but cannot be trained: what they refuse, reading in pieces, and the same model from a GGUF
 * under llama.cpp's names. */
#include "infer_fixture.h"

#include "model/model.h"

typedef struct forward_only {
    tiny_model t;
    const char *architecture, *block; /* what the refusal names */
} forward_only;

static const forward_only models[] = {
    {{.name = "minimax_text01"}, "'minimax-01' (minimax)", "'lightning attention'"},
    {{.name = "deepseek_v4"}, "'deepseek4' (deepseek_v4)", "'windowed shared-key attention'"},
};
enum { N_MODELS = sizeof models / sizeof models[0] };

static void training_is_refused_by_architecture_and_block(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        const rt_model_options o = {.precision = RT_PRECISION_F32, .trainable = true};
        char *path = hashed_folder(models[i].t.name);
        rt_model *m = tiny_open(&models[i].t, RT_PRECISION_F32), *none = NULL;
        rt_err err = {0};
        assert_int_equal(rt_model_open(&none, path, &o, &err), RT_UNSUPPORTED);
        assert_says(err.msg, models[i].architecture);
        assert_says(err.msg, models[i].block);
        rt_err_clear(&err);
        assert_int_equal(rt_model_cut(&none, m, &(int){0}, 1, &o, &err), RT_UNSUPPORTED);
        rt_err_clear(&err);
        const rt_ids ids = {.p = (int32_t[]){1, 2}, .n = 2};
        assert_int_equal(rt_logits_save_gradient(m, &ids, 1, "/dev/null", &err), RT_UNSUPPORTED);
        assert_says(err.msg, models[i].block);
        rt_err_clear(&err);
        assert_int_equal(rt_model_save_gguf(m, "/dev/null", RT_F32, NULL, NULL, &err), RT_UNSUPPORTED);
        rt_err_clear(&err);
        assert_int_equal(rt_model_save_safetensors(m, "/dev/null", RT_F32, &err), RT_UNSUPPORTED);
        rt_model_close(m);
        rt_free(path);
    }
}

/* --- reading in pieces ----------------------------------------------------------------------------------------- */

enum { LENGTH = 40 };

/* The last row of x after `ids` read in pieces of so many rows. */
static void read_in_pieces(const rt_model *m, const int32_t *ids, int64_t piece, float *last)
{
    rt_err err = {0};
    rt_kv kv;
    rt_acts *a = NULL;
    int64_t rows = 0;
    assert_ok(rt_kv_init(&kv, m, LENGTH, &err));
    assert_ok(rt_acts_new(&a, m, piece, LENGTH, piece == 1 ? RT_NET_ROWS : RT_NET_FORWARD, &err));
    for (int64_t i = 0; i < LENGTH; i += rows) {
        rows = LENGTH - i < piece ? LENGTH - i : piece;
        rt_net_forward(
            m, a, &(rt_batch){.ids = ids + i, .n_rows = rows, .n_spans = 1, .spans = &(rt_span){.n = rows, .kv = &kv}});
    }
    memcpy(last, rt_acts_x(a) + (rows - 1) * m->hp.d_model, (size_t)m->hp.d_model * sizeof *last);
    rt_acts_free(a);
    rt_kv_release(&kv);
}

static void a_text_read_in_pieces_is_the_text_read_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        rt_model *m = tiny_open(&models[i].t, RT_PRECISION_F32);
        const int64_t pieces[] = {1, 5, 7, 16};
        int32_t ids[LENGTH];
        float whole[256], last[256];
        assert_in_range(m->hp.d_model, 1, 256);
        for (int j = 0; j < LENGTH; j++) {
            ids[j] = (int32_t)(j * 37 % m->hp.n_vocab);
        }
        read_in_pieces(m, ids, LENGTH, whole);
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            read_in_pieces(m, ids, pieces[p], last);
            for (int64_t j = 0; j < m->hp.d_model; j++) {
                assert_true(fabsf(last[j] - whole[j]) <= 1e-4f);
            }
        }
        rt_model_close(m);
    }
}

/* --- GGUF ------------------------------------------------------------------------------------------------------ */

static void set_common(rt_gguf_writer *w, const rt_model *m)
{
    const rt_hparams *hp = &m->hp;
    const struct {
        const char *suffix;
        int64_t value;
    } keys[] = {
        {"block_count", hp->n_layer},
        {"embedding_length", hp->d_model},
        {"context_length", hp->n_ctx},
        {"attention.head_count", hp->n_head},
        {"attention.head_count_kv", hp->n_head_kv},
        {"attention.key_length", hp->head_dim},
        {"attention.value_length", hp->head_dim},
        {"rope.dimension_count", hp->n_rot},
        {"expert_count", hp->route.n_expert},
        {"expert_used_count", hp->route.n_used},
        {"expert_feed_forward_length", hp->d_expert},
    };
    char key[160];
    rt_gguf_set_str(w, "general.architecture", m->arch->name);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        snprintf(key, sizeof key, "%s.%s", m->arch->name, keys[i].suffix);
        rt_gguf_set_u32(w, key, (uint32_t)keys[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", m->arch->name);
    rt_gguf_set_f32(w, key, (float)hp->norm_eps);
}

static void set_minimax(rt_gguf_writer *w, const rt_model *m)
{
    rt_gguf_set_f32(w, "minimax-01.residual_scale", (float)m->hp.after_ffn.alpha);
    rt_gguf_set_f32(w, "minimax-01.rope.freq_base", (float)m->hp.rope_theta);
}

static void set_deepseek(rt_gguf_writer *w, const rt_model *m)
{
    const rt_hparams *hp = &m->hp;
    int32_t ratios[RT_MAX_LAYERS];
    for (int64_t l = 0; l < hp->n_layer; l++) {
        const int mixer = hp->layer_mixer[l];
        ratios[l] = mixer == RT_MIXER_SPARSE ? 4 : mixer == RT_MIXER_HEAVY ? 8 : 0;
    }
    rt_gguf_set_i32_array(w, "deepseek4.attention.compress_ratios", ratios, (size_t)hp->n_layer);
    rt_gguf_set_u32(w, "deepseek4.attention.q_lora_rank", (uint32_t)hp->q_lora);
    rt_gguf_set_u32(w, "deepseek4.attention.output_group_count", (uint32_t)hp->compression.o_groups);
    rt_gguf_set_u32(w, "deepseek4.attention.output_lora_rank", (uint32_t)hp->compression.o_rank);
    rt_gguf_set_u32(w, "deepseek4.attention.indexer.head_count", (uint32_t)hp->n_index_head);
    rt_gguf_set_u32(w, "deepseek4.attention.indexer.key_length", (uint32_t)hp->index_dim);
    rt_gguf_set_u32(w, "deepseek4.attention.indexer.top_k", (uint32_t)hp->index_top);
    rt_gguf_set_u32(w, "deepseek4.attention.sliding_window", (uint32_t)hp->window);
    rt_gguf_set_f32(w, "deepseek4.attention.compress_rope_freq_base", (float)hp->rope_theta);
    rt_gguf_set_f32(w, "deepseek4.rope.freq_base", (float)hp->rope_theta_local);
    rt_gguf_set_str(w, "deepseek4.rope.scaling.type", "yarn");
    rt_gguf_set_f32(w, "deepseek4.rope.scaling.factor", (float)hp->rope_factor);
    rt_gguf_set_u32(w, "deepseek4.rope.scaling.original_context_length", (uint32_t)hp->rope_original_ctx);
    rt_gguf_set_u32(w, "deepseek4.hyper_connection.count", (uint32_t)hp->hyper.n);
    rt_gguf_set_u32(w, "deepseek4.hyper_connection.sinkhorn_iterations", (uint32_t)hp->hyper.iterations);
    rt_gguf_set_f32(w, "deepseek4.hyper_connection.epsilon", (float)hp->hyper.eps);
    rt_gguf_set_u32(w, "deepseek4.hash_layer_count", 1);
    rt_gguf_set_u32(w, "deepseek4.expert_shared_count", 1);
    rt_gguf_set_u32(w, "deepseek4.expert_gating_func", 4);
    rt_gguf_set_f32(w, "deepseek4.expert_weights_scale", (float)hp->route.scale);
    rt_gguf_set_f32_array(w, "deepseek4.swiglu_clamp_exp", (const float[]){hp->glu.limit, hp->glu.limit, hp->glu.limit},
                          3);
}

/* Every tensor under its GGUF name, experts stacked. Their values lie one behind the other in `stacked`. */
static void add_tensors(rt_gguf_writer *w, const rt_model *m, float *stacked)
{
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        char name[96];
        if (p->expert > 0) {
            continue;
        }
        rt_name_numbered(name, sizeof name, rt_role_gguf(p->role), p->layer, 0);
        if (p->expert < 0) {
            rt_gguf_add_tensor(w, name, RT_F32, p->n_dims, p->dims, p->w);
            continue;
        }
        const int64_t dims[3] = {m->hp.route.n_expert, p->dims[0], p->dims[1]};
        for (int64_t e = 0; e < dims[0]; e++) {
            memcpy(stacked + e * p->n, p[e * (int64_t)m->n_expert_params].w, (size_t)p->n * sizeof(float));
        }
        rt_gguf_add_tensor(w, name, RT_F32, 3, dims, stacked);
        stacked += dims[0] * p->n;
    }
}

static void assert_same_model(const rt_model *a, const rt_model *b)
{
    assert_ptr_equal(a->arch, b->arch);
    assert_int_equal(a->n_params, b->n_params);
    for (size_t i = 0; i < a->n_params; i++) {
        assert_string_equal(a->params[i].name, b->params[i].name);
        assert_memory_equal(a->params[i].w, b->params[i].w, (size_t)a->params[i].n * sizeof(float));
    }
    assert_memory_equal(a->hp.layer_mixer, b->hp.layer_mixer, sizeof a->hp.layer_mixer);
    assert_memory_equal(a->hp.layer_hashed, b->hp.layer_hashed, sizeof a->hp.layer_hashed);
}

static void a_gguf_under_llama_cpp_names_is_the_same_model(void **state)
{
    (void)state;
    char *dir = rt_test_scratch();
    for (int i = 0; i < N_MODELS; i++) {
        rt_model *m = tiny_open(&models[i].t, RT_PRECISION_F32), *again = NULL;
        rt_gguf_writer *w = rt_gguf_writer_new();
        float *stacked = rt_calloc((size_t)m->n_elements, sizeof(float)), whole[256], last[256];
        char *path = rt_path_join(dir, "model.gguf");
        int32_t ids[LENGTH];
        rt_err err = {0};
        set_common(w, m);
        (i == 0 ? set_minimax : set_deepseek)(w, m);
        add_tensors(w, m, stacked);
        assert_ok(rt_gguf_write(w, path, &err));
        assert_ok(rt_model_open(&again, path, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
        assert_same_model(m, again);
        for (int j = 0; j < LENGTH; j++) {
            ids[j] = (int32_t)(j * 29 % m->hp.n_vocab);
        }
        read_in_pieces(m, ids, LENGTH, whole);
        read_in_pieces(again, ids, LENGTH, last);
        for (int64_t j = 0; j < m->hp.d_model; j++) {
            assert_true(fabsf(last[j] - whole[j]) <= 1e-5f);
        }
        rt_gguf_writer_free(w);
        rt_free(stacked);
        rt_free(path);
        rt_model_close(again);
        rt_model_close(m);
    }
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_is_refused_by_architecture_and_block),
        cmocka_unit_test(a_text_read_in_pieces_is_the_text_read_at_once),
        cmocka_unit_test(a_gguf_under_llama_cpp_names_is_the_same_model),
    };
    return cmocka_run_group_tests_name("forward_only", tests, NULL, NULL);
}
