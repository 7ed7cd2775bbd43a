/* DeepSeek-V2, V3 (R1, Kimi K2) and V3.2: latent attention, dense layers first, then mixtures with shared experts. */
#include "model/arch_rows.h"

#define LATENT_ATTENTION                                                                                            \
    TOP(EMBED, V, D, ALWAYS, SAME, "model.embed_tokens.weight"), VEC(ATTN_NORM, D, SAME, "input_layernorm.weight"), \
        MAT(ATTN_Q, Q, D, Q_DIRECT, SAME, "self_attn.q_proj.weight"),                                               \
        MAT(MLA_Q_A, QL, D, Q_LATENT, SAME, "self_attn.q_a_proj.weight"),                                           \
        MAT(MLA_Q_NORM, QL, NONE, Q_LATENT, SAME, "self_attn.q_a_layernorm.weight"),                                \
        MAT(MLA_Q_B, Q, QL, Q_LATENT, SAME, "self_attn.q_b_proj.weight"),                                           \
        MAT(MLA_KV_A, KVA, D, ALWAYS, SAME, "self_attn.kv_a_proj_with_mqa.weight"),                                 \
        VEC(MLA_KV_NORM, KVL, SAME, "self_attn.kv_a_layernorm.weight"),                                             \
        MAT(MLA_KV_B, KVB, KVL, ALWAYS, SPLIT_KV, "self_attn.kv_b_proj.weight"),                                    \
        MAT(ATTN_OUT, D, O, ALWAYS, SAME, "self_attn.o_proj.weight"),                                               \
        VEC(FFN_NORM, D, SAME, "post_attention_layernorm.weight")

#define MIXTURE                                                                      \
    MAT(ROUTER, E, D, MOE, SAME, "mlp.gate.weight"),                                 \
        MAT(SHARED_GATE, S, D, SHARED, SAME, "mlp.shared_experts.gate_proj.weight"), \
        MAT(SHARED_UP, S, D, SHARED, SAME, "mlp.shared_experts.up_proj.weight"),     \
        MAT(SHARED_DOWN, D, S, SHARED, SAME, "mlp.shared_experts.down_proj.weight"), \
        EXPERT(EXPERT_GATE, I, D, "gate_proj.weight", "gate_up_proj", FIRST_HALF),   \
        EXPERT(EXPERT_UP, I, D, "up_proj.weight", "gate_up_proj", SECOND_HALF),      \
        EXPERT(EXPERT_DOWN, D, I, "down_proj.weight", "down_proj", ALL)

#define HEAD \
    TOP(OUTPUT_NORM, D, NONE, ALWAYS, SAME, "model.norm.weight"), TOP(OUTPUT, V, D, UNTIED, SAME, "lm_head.weight")

#define MOE_KEYS                                                                                 \
    .gguf_says = true, .hf_says = true, .leading_dense = true, .hf_experts = "n_routed_experts", \
    .hf_width = "moe_intermediate_size"

static const rt_tensor_desc v2_tensors[] = {LATENT_ATTENTION, DENSE_FFN, MIXTURE, HEAD};

const rt_arch rt_arch_deepseek_v2 = {
    .name = "deepseek2",
    .hf_type = "deepseek_v2",
    .hf_class = "DeepseekV2ForCausalLM",
    .act = RT_ACT_SILU,
    .moe = {.route = {.score = RT_SCORE_SOFTMAX, .group_score = RT_GROUP_MAX}, MOE_KEYS},
    .mla = true,
    .yarn_scales_scores = true,
    .tensors = v2_tensors,
    .n_tensors = COUNT(v2_tensors),
};

static const rt_tensor_desc v3_tensors[] = {
    LATENT_ATTENTION, DENSE_FFN, MIXTURE, CHOICE_BIAS("mlp.gate.e_score_correction_bias"), HEAD,
};

const rt_arch rt_arch_deepseek_v3 = {
    .name = "deepseek2",
    .hf_type = "deepseek_v3",
    .hf_types_too = {"kimi_k2"},
    .hf_class = "DeepseekV3ForCausalLM",
    .act = RT_ACT_SILU,
    .moe = {.route = {.score = RT_SCORE_SIGMOID, .group_score = RT_GROUP_TOP2, .normalise = true},
            .hf_norm_topk = true,
            MOE_KEYS},
    .mla = true,
    .without_choice_bias = &rt_arch_deepseek_v2,
    .yarn_scales_scores = true,
    .tensors = v3_tensors,
    .n_tensors = COUNT(v3_tensors),
};

static const rt_tensor_desc v32_tensors[] = {
    LATENT_ATTENTION,
    MAT(INDEX_Q, IQ, QL, ALWAYS, SAME, "self_attn.indexer.wq_b.weight"),
    MAT(INDEX_K, ID, D, ALWAYS, SAME, "self_attn.indexer.wk.weight"),
    VEC(INDEX_K_NORM, ID, SAME, "self_attn.indexer.k_norm.weight"),
    VEC(INDEX_K_NORM_BIAS, ID, SAME, "self_attn.indexer.k_norm.bias"),
    MAT(INDEX_WEIGHTS, IH, D, ALWAYS, SAME, "self_attn.indexer.weights_proj.weight"),
    DENSE_FFN,
    MIXTURE,
    CHOICE_BIAS("mlp.gate.e_score_correction_bias"),
    HEAD,
};

const rt_arch rt_arch_deepseek_v32 = {
    .name = "deepseek32",
    .hf_type = "deepseek_v32",
    .hf_class = "DeepseekV32ForCausalLM",
    .act = RT_ACT_SILU,
    .moe = {.route = {.score = RT_SCORE_SIGMOID, .group_score = RT_GROUP_TOP2, .normalise = true},
            .hf_norm_topk = true,
            MOE_KEYS},
    .mla = true,
    .yarn_scales_scores = true,
    .tensors = v32_tensors,
    .n_tensors = COUNT(v32_tensors),
};
