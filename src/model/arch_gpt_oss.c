/* GPT-OSS: biases everywhere, attention sinks, every other layer windowed, experts in every layer with a clamped unit.
 * Published files keep a layer's experts in one tensor, gate and up interleaved, the input first. */
#include "model/arch_rows.h"

static const rt_tensor_desc tensors[] = {
    TOP(EMBED, V, D, ALWAYS, SAME, "model.embed_tokens.weight"),
    VEC(ATTN_NORM, D, SAME, "input_layernorm.weight"),
    MAT(ATTN_Q, Q, D, ALWAYS, SAME, "self_attn.q_proj.weight"),
    MAT(ATTN_K, KV, D, ALWAYS, SAME, "self_attn.k_proj.weight"),
    MAT(ATTN_V, KV, D, ALWAYS, SAME, "self_attn.v_proj.weight"),
    VEC(ATTN_Q_BIAS, Q, SAME, "self_attn.q_proj.bias"),
    VEC(ATTN_K_BIAS, KV, SAME, "self_attn.k_proj.bias"),
    VEC(ATTN_V_BIAS, KV, SAME, "self_attn.v_proj.bias"),
    VEC(ATTN_SINKS, H, SAME, "self_attn.sinks"),
    MAT(ATTN_OUT, D, Q, ALWAYS, SAME, "self_attn.o_proj.weight"),
    VEC(ATTN_OUT_BIAS, D, SAME, "self_attn.o_proj.bias"),
    {.role = RT_ROLE_FFN_NORM,
     .scope = RT_SCOPE_LAYER,
     .shape = {RT_DIM_D},
     .hf = LAYER "post_attention_layernorm.weight",
     .gguf = "blk.%d.post_attention_norm.weight"},
    MAT(ROUTER, E, D, MOE, SAME, "mlp.router.weight"),
    VEC(ROUTER_BIAS, E, SAME, "mlp.router.bias"),
    EXPERT(EXPERT_GATE, I, D, "gate_proj.weight", "gate_up_proj", EVEN),
    EXPERT(EXPERT_UP, I, D, "up_proj.weight", "gate_up_proj", ODD),
    EXPERT(EXPERT_DOWN, D, I, "down_proj.weight", "down_proj", ALL),
    EXPERT(EXPERT_GATE_BIAS, I, NONE, "gate_proj.bias", "gate_up_proj_bias", EVEN),
    EXPERT(EXPERT_UP_BIAS, I, NONE, "up_proj.bias", "gate_up_proj_bias", ODD),
    EXPERT(EXPERT_DOWN_BIAS, D, NONE, "down_proj.bias", "down_proj_bias", ALL),
    TOP(OUTPUT_NORM, D, NONE, ALWAYS, SAME, "model.norm.weight"),
    TOP(OUTPUT, V, D, UNTIED, SAME, "lm_head.weight"),
};

static const rt_glu clamped = {.act = RT_ACT_SILU, .limit = 7.0f, .alpha = 1.702f, .up_offset = 1.0f};

const rt_arch rt_arch_gpt_oss = {
    .name = "gpt-oss",
    .hf_type = "gpt_oss",
    .hf_class = "GptOssForCausalLM",
    .qkv_bias = true,
    .act = RT_ACT_SILU,
    .glu = &clamped,
    .moe = {.route = {.normalise = true},
            .hf_experts = "num_local_experts",
            .hf_width = "intermediate_size",
            .hf_stacked = true},
    .sliding_period = 2,
    .yarn_between_pairs = true,
    .tensors = tensors,
    .n_tensors = COUNT(tensors),
};
