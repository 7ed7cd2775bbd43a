/* Qwen2 and 2.5 (bias on q, k, v), Qwen3 (norm on each head's q and k), Qwen3-MoE. */
#include "model/arch_rows.h"

#define QWEN_HEAD \
    TOP(OUTPUT_NORM, D, NONE, ALWAYS, SAME, "model.norm.weight"), TOP(OUTPUT, V, D, UNTIED, SAME, "lm_head.weight")

#define QWEN_ATTENTION                                                                                              \
    TOP(EMBED, V, D, ALWAYS, SAME, "model.embed_tokens.weight"), VEC(ATTN_NORM, D, SAME, "input_layernorm.weight"), \
        MAT(ATTN_Q, Q, D, ALWAYS, SAME, "self_attn.q_proj.weight"),                                                 \
        MAT(ATTN_K, KV, D, ALWAYS, SAME, "self_attn.k_proj.weight"),                                                \
        MAT(ATTN_V, KV, D, ALWAYS, SAME, "self_attn.v_proj.weight"),                                                \
        MAT(ATTN_OUT, D, Q, ALWAYS, SAME, "self_attn.o_proj.weight"),                                               \
        VEC(FFN_NORM, D, SAME, "post_attention_layernorm.weight")

#define QWEN3_NORMS \
    VEC(ATTN_Q_NORM, HD, SAME, "self_attn.q_norm.weight"), VEC(ATTN_K_NORM, HD, SAME, "self_attn.k_norm.weight")

static const rt_tensor_desc qwen2_tensors[] = {
    QWEN_ATTENTION,
    VEC(ATTN_Q_BIAS, Q, SAME, "self_attn.q_proj.bias"),
    VEC(ATTN_K_BIAS, KV, SAME, "self_attn.k_proj.bias"),
    VEC(ATTN_V_BIAS, KV, SAME, "self_attn.v_proj.bias"),
    DENSE_FFN,
    QWEN_HEAD,
};

const rt_arch rt_arch_qwen2 = {
    .name = "qwen2",
    .hf_type = "qwen2",
    .hf_class = "Qwen2ForCausalLM",
    .qkv_bias = true,
    .act = RT_ACT_SILU,
    .tensors = qwen2_tensors,
    .n_tensors = COUNT(qwen2_tensors),
};

static const rt_tensor_desc qwen3_tensors[] = {
    QWEN_ATTENTION,
    QWEN3_NORMS,
    DENSE_FFN,
    QWEN_HEAD,
};

const rt_arch rt_arch_qwen3 = {
    .name = "qwen3",
    .hf_type = "qwen3",
    .hf_class = "Qwen3ForCausalLM",
    .qk_norm = true,
    .act = RT_ACT_SILU,
    .tensors = qwen3_tensors,
    .n_tensors = COUNT(qwen3_tensors),
};

static const rt_tensor_desc qwen3_moe_tensors[] = {
    QWEN_ATTENTION,
    QWEN3_NORMS,
    DENSE_FFN,
    MAT(ROUTER, E, D, MOE, SAME, "mlp.gate.weight"),
    EXPERT(EXPERT_GATE, I, D, "gate_proj.weight", "gate_up_proj", FIRST_HALF),
    EXPERT(EXPERT_UP, I, D, "up_proj.weight", "gate_up_proj", SECOND_HALF),
    EXPERT(EXPERT_DOWN, D, I, "down_proj.weight", "down_proj", ALL),
    QWEN_HEAD,
};

const rt_arch rt_arch_qwen3_moe = {
    .name = "qwen3moe",
    .hf_type = "qwen3_moe",
    .hf_class = "Qwen3MoeForCausalLM",
    .qk_norm = true,
    .act = RT_ACT_SILU,
    .moe = {.route = {.normalise = true},
            .hf_says = true,
            .hf_experts = "num_experts",
            .hf_width = "moe_intermediate_size"},
    .tensors = qwen3_moe_tensors,
    .n_tensors = COUNT(qwen3_moe_tensors),
};
