/* MiniMax-M2 (M2.1 and M2.5 are the same): queries and keys normed over all heads at once, rotation of the first half
 * of a head, experts in every layer, scored by sigmoid and chosen with a bias that training does not touch. */
#include "model/arch_rows.h"

static const rt_tensor_desc tensors[] = {
    TOP(EMBED, V, D, ALWAYS, SAME, "model.embed_tokens.weight"),
    VEC(ATTN_NORM, D, SAME, "input_layernorm.weight"),
    MAT(ATTN_Q, Q, D, ALWAYS, SAME, "self_attn.q_proj.weight"),
    MAT(ATTN_K, KV, D, ALWAYS, SAME, "self_attn.k_proj.weight"),
    MAT(ATTN_V, KV, D, ALWAYS, SAME, "self_attn.v_proj.weight"),
    VEC(ATTN_Q_NORM, Q, SAME, "self_attn.q_norm.weight"),
    VEC(ATTN_K_NORM, KV, SAME, "self_attn.k_norm.weight"),
    MAT(ATTN_OUT, D, Q, ALWAYS, SAME, "self_attn.o_proj.weight"),
    VEC(FFN_NORM, D, SAME, "post_attention_layernorm.weight"),
    MAT(ROUTER, E, D, MOE, SAME, "block_sparse_moe.gate.weight"),
    CHOICE_BIAS("block_sparse_moe.e_score_correction_bias"),
    EXPERT_AT(EXPERT_GATE, I, D, "block_sparse_moe.experts.%d.w1.weight", "mlp.experts.gate_up_proj", FIRST_HALF),
    EXPERT_AT(EXPERT_UP, I, D, "block_sparse_moe.experts.%d.w3.weight", "mlp.experts.gate_up_proj", SECOND_HALF),
    EXPERT_AT(EXPERT_DOWN, D, I, "block_sparse_moe.experts.%d.w2.weight", "mlp.experts.down_proj", ALL),
    TOP(OUTPUT_NORM, D, NONE, ALWAYS, SAME, "model.norm.weight"),
    TOP(OUTPUT, V, D, UNTIED, SAME, "lm_head.weight"),
};

const rt_arch rt_arch_minimax_m2 = {
    .name = "minimax-m2",
    .hf_type = "minimax_m2",
    .hf_types_too = {"minimax"}, /* as first published, with its own class */
    .hf_class = "MiniMaxM2ForCausalLM",
    .qk_norm = true,
    .act = RT_ACT_SILU,
    .partial_rotary = true,
    .moe = {.route = {.score = RT_SCORE_SIGMOID, .normalise = true},
            .hf_experts = "num_local_experts",
            .hf_width = "intermediate_size"},
    .tensors = tensors,
    .n_tensors = COUNT(tensors),
};
