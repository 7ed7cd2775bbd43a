/* Configurations of lightning and pooled attention: the published spelling says what transformers' says, and what no
 * model can mean is refused with its cause. */
#include "format/format.h"
#include "model/hparams.h"
#include "rt_test.h"

#define MINIMAX                                                                                                     \
    "'hidden_size': 64, 'intermediate_size': 48, 'num_hidden_layers': 4, 'num_attention_heads': 4, 'head_dim': 16," \
    "'num_key_value_heads': 2, 'num_local_experts': 4, 'num_experts_per_tok': 2, 'vocab_size': 192,"                \
    "'rms_norm_eps': 1e-5, 'max_position_embeddings': 512,"
#define DEEPSEEK                                                                                                    \
    "'model_type': 'deepseek_v4', 'hidden_size': 64, 'moe_intermediate_size': 32, 'num_hidden_layers': 4,"          \
    "'num_attention_heads': 4, 'num_key_value_heads': 1, 'head_dim': 32, 'vocab_size': 200, 'q_lora_rank': 32,"     \
    "'n_routed_experts': 4, 'n_shared_experts': 1, 'num_experts_per_tok': 2, 'norm_topk_prob': true,"               \
    "'scoring_func': 'sqrtsoftplus', 'routed_scaling_factor': 1.5, 'o_groups': 2, 'o_lora_rank': 24, 'hc_mult': 3," \
    "'index_n_heads': 8, 'index_head_dim': 16, 'index_topk': 2, 'sliding_window': 6, 'swiglu_limit': 1.5,"          \
    "'max_position_embeddings': 640,"

/* The text with ' for ". */
static rt_status read_config(const char *text, rt_hparams *hp, rt_err *err)
{
    const rt_arch *arch;
    char *quoted = rt_strdup(text);
    for (char *c = quoted; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *config = json_loads(quoted, 0, NULL);
    assert_non_null(config);
    const rt_status st = rt_hparams_from_hf(&arch, hp, config, err);
    json_decref(config);
    rt_free(quoted);
    return st;
}

static void assert_same_residual(rt_residual a, rt_residual b)
{
    assert_true(a.alpha == b.alpha && a.beta == b.beta);
}

static void assert_same_reading(const char *one, const char *other)
{
    rt_hparams a, b;
    rt_err err = {0};
    assert_ok(read_config(one, &a, &err));
    assert_ok(read_config(other, &b, &err));
    assert_memory_equal(a.layer_mixer, b.layer_mixer, sizeof a.layer_mixer);
    assert_memory_equal(a.layer_moe, b.layer_moe, sizeof a.layer_moe);
    assert_memory_equal(a.layer_hashed, b.layer_hashed, sizeof a.layer_hashed);
    assert_memory_equal(&a.compression, &b.compression, sizeof a.compression);
    for (int i = 0; i < RT_MIXER_COUNT; i++) {
        assert_same_residual(a.after_mixer[i], b.after_mixer[i]);
    }
    assert_same_residual(a.after_ffn, b.after_ffn);
    assert_int_equal(a.n_rot, b.n_rot);
    assert_int_equal(a.rope_scaling, b.rope_scaling);
    assert_true(a.rope_theta == b.rope_theta && a.rope_theta_local == b.rope_theta_local);
    assert_true(a.rope_factor == b.rope_factor && a.rope_original_ctx == b.rope_original_ctx);
    assert_true(a.rope_attn_factor == b.rope_attn_factor);
    assert_int_equal(a.d_expert, b.d_expert);
    assert_int_equal(a.route.n_expert, b.route.n_expert);
    assert_int_equal(a.route.score, b.route.score);
}

static void the_published_spelling_says_the_same(void **state)
{
    (void)state;
    assert_same_reading(
        "{" MINIMAX "'model_type': 'minimax', 'layer_types': ['linear_attention', 'full_attention', 'linear_attention',"
        "'full_attention'], 'full_attn_alpha_factor': 3.5, 'linear_attn_alpha_factor': 3.25, 'mlp_beta_factor': 0.5,"
        "'rope_parameters': {'rope_type': 'default', 'rope_theta': 1e7, 'partial_rotary_factor': 0.5}}",
        "{" MINIMAX "'model_type': 'minimax_text_01', 'attn_type_list': [0, 1, 0, 1], 'postnorm': true,"
        "'layernorm_full_attention_alpha': 3.5, 'layernorm_linear_attention_alpha': 3.25, 'layernorm_mlp_beta': 0.5,"
        "'rope_theta': 1e7, 'rotary_dim': 8}");
    assert_same_reading(
        "{" DEEPSEEK "'layer_types': ['sliding_attention', 'sliding_attention', 'compressed_sparse_attention',"
        "'heavily_compressed_attention'], 'compress_rates': {'compressed_sparse_attention': 4,"
        "'heavily_compressed_attention': 128}, 'mlp_layer_types': ['hash_moe', 'hash_moe', 'moe', 'moe'],"
        "'partial_rotary_factor': 0.25, 'rope_parameters': {'main': {'rope_type': 'default', 'rope_theta': 10000.0},"
        "'compress': {'rope_type': 'yarn', 'rope_theta': 160000.0, 'factor': 16, 'attention_factor': 1.0,"
        "'original_max_position_embeddings': 64}}}",
        "{" DEEPSEEK "'compress_ratios': [0, 0, 4, 128, 0], 'num_hash_layers': 2, 'qk_rope_head_dim': 8,"
        "'rope_theta': 10000, 'compress_rope_theta': 160000, 'rope_scaling': {'type': 'yarn', 'factor': 16,"
        "'original_max_position_embeddings': 64}}");
}

static void what_no_model_can_mean_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } cases[] = {
        {"{" MINIMAX "'model_type': 'minimax', 'layer_types': ['linear_attention']}", "'layer_types' has 1 entries"},
        {"{" MINIMAX "'model_type': 'minimax_m1', 'attn_type_list': [0, 1]}", "'attn_type_list' has 2 entries"},
        {"{" MINIMAX "'model_type': 'minimax_m1', 'postnorm': false}", "'postnorm' false"},
        {"{" MINIMAX "'model_type': 'minimax_m1', 'shared_intermediate_size': 8}", "shared experts"},
        {"{" DEEPSEEK "'compress_ratios': [0, 4]}", "'compress_ratios' has 2 entries"},
        {"{" DEEPSEEK "'compress_ratios': [0, 4, 8, 16]}", "layer 3 pools 16 tokens"},
        {"{" DEEPSEEK "'compress_ratios': [0, 4, -8, 0]}", "tokens of an entry is -8"},
        {"{" DEEPSEEK "'layer_types': ['a', 'b', 'c', 'd']}", "layer type 'a'"},
        {"{" DEEPSEEK "'mlp_layer_types': ['moe']}", "'mlp_layer_types' has 1 entries"},
        {"{" DEEPSEEK "'partial_rotary_factor': 0.25, 'hc_mult': 17}", "residual streams is 17"},
        {"{" DEEPSEEK "'partial_rotary_factor': 0.25, 'hc_mult': 0}", "residual streams is 0"},
        {"{" DEEPSEEK "'partial_rotary_factor': 0.25, 'o_groups': 0}", "output groups is 0"},
        {"{" DEEPSEEK "'partial_rotary_factor': 0.25, 'hc_sinkhorn_iters': 0}", "stream balancing is 0"},
        {"{" DEEPSEEK "'partial_rotary_factor': 0.25, 'o_groups': 3}", "3 equal output groups"},
        {"{" DEEPSEEK "'partial_rotary_factor': 1.0}", "head size of the indexer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_hparams hp;
        rt_err err = {0};
        if (read_config(cases[i].config, &hp, &err) == RT_OK) {
            fail_msg("case %zu is read", i);
        }
        assert_says(err.msg, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_spelling_says_the_same),
        cmocka_unit_test(what_no_model_can_mean_is_refused),
    };
    return cmocka_run_group_tests_name("spellings", tests, NULL, NULL);
}
