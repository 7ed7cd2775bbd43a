/* MiniMax-Text-01 and MiniMax-M1: seven layers of lightning attention to one of softmax attention, each block on the
 * normed stream, which is also what its residual connection carries on. */
#include "model/arch_rows.h"

#define ROUTED(role_, out, in, hf_)                                                                                   \
    {                                                                                                                 \
        .role = RT_ROLE_##role_, .scope = RT_SCOPE_EXPERT, .when = RT_WHEN_MOE, .shape = {RT_DIM_##out, RT_DIM_##in}, \
        .gguf_form = RT_FORM_SAME, .hf = LAYER "block_sparse_moe.experts.%d." hf_                                     \
    }

static const rt_tensor_desc tensors[] = {
    TOP(EMBED, V, D, ALWAYS, SAME, "model.embed_tokens.weight"),
    VEC(ATTN_NORM, D, SAME, "input_layernorm.weight"),
    MAT(ATTN_Q, Q, D, ATTENTION, SAME, "self_attn.q_proj.weight"),
    MAT(ATTN_K, KV, D, ATTENTION, SAME, "self_attn.k_proj.weight"),
    MAT(ATTN_V, KV, D, ATTENTION, SAME, "self_attn.v_proj.weight"),
    MAT(ATTN_OUT, D, Q, ATTENTION, SAME, "self_attn.o_proj.weight"),
    MAT(LIGHTNING_QKV, 3Q, D, LIGHTNING, SAME, "self_attn.qkv_proj.weight"),
    MAT(LIGHTNING_GATE, Q, D, LIGHTNING, SAME, "self_attn.output_gate.weight"),
    MAT(LIGHTNING_NORM, Q, NONE, LIGHTNING, SAME, "self_attn.norm.weight"),
    MAT(ATTN_OUT, D, Q, LIGHTNING, SAME, "self_attn.out_proj.weight"),
    VEC(FFN_NORM, D, SAME, "post_attention_layernorm.weight"),
    MAT(ROUTER, E, D, MOE, SAME, "block_sparse_moe.gate.weight"),
    ROUTED(EXPERT_GATE, I, D, "w1.weight"),
    ROUTED(EXPERT_UP, I, D, "w3.weight"),
    ROUTED(EXPERT_DOWN, D, I, "w2.weight"),
    TOP(OUTPUT_NORM, D, NONE, ALWAYS, SAME, "model.norm.weight"),
    TOP(OUTPUT, V, D, UNTIED, SAME, "lm_head.weight"),
};

const rt_arch rt_arch_minimax01 = {
    .name = "minimax-01",
    .hf_type = "minimax",
    .hf_types_too = {"minimax_text_01", "minimax_m1"},
    .hf_class = "MiniMaxForCausalLM",
    .read_only = true,
    .norm_residual = true,
    .act = RT_ACT_SILU,
    .moe = {.route = {.normalise = true}, .hf_experts = "num_local_experts", .hf_width = "intermediate_size"},
    .partial_rotary = true,
    .full_period = 8,
    .tensors = tensors,
    .n_tensors = COUNT(tensors),
};
