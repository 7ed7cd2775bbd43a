/* Gemma 3 text: four norms a layer acting as 1 + w, scaled embeddings, five sliding layers to one full. */
#include "model/arch_rows.h"

static const rt_tensor_desc tensors[] = {
    TOP(EMBED, V, D, ALWAYS, SAME, "model.embed_tokens.weight"),
    VEC(ATTN_NORM, D, PLUS_ONE, "input_layernorm.weight"),
    MAT(ATTN_Q, Q, D, ALWAYS, SAME, "self_attn.q_proj.weight"),
    MAT(ATTN_K, KV, D, ALWAYS, SAME, "self_attn.k_proj.weight"),
    MAT(ATTN_V, KV, D, ALWAYS, SAME, "self_attn.v_proj.weight"),
    VEC(ATTN_Q_NORM, HD, PLUS_ONE, "self_attn.q_norm.weight"),
    VEC(ATTN_K_NORM, HD, PLUS_ONE, "self_attn.k_norm.weight"),
    MAT(ATTN_OUT, D, Q, ALWAYS, SAME, "self_attn.o_proj.weight"),
    VEC(ATTN_POST_NORM, D, PLUS_ONE, "post_attention_layernorm.weight"),
    VEC(FFN_NORM, D, PLUS_ONE, "pre_feedforward_layernorm.weight"),
    DENSE_FFN,
    VEC(FFN_POST_NORM, D, PLUS_ONE, "post_feedforward_layernorm.weight"),
    TOP(OUTPUT_NORM, D, NONE, ALWAYS, PLUS_ONE, "model.norm.weight"),
};

const rt_arch rt_arch_gemma3 = {
    .name = "gemma3",
    .hf_type = "gemma3_text",
    .hf_class = "Gemma3ForCausalLM",
    .hf_whole_heads = true,
    .qk_norm = true,
    .post_norms = true,
    .norm_offset = 1.0f,
    .embed_scaled = true,
    .always_tied = true,
    .act = RT_ACT_GELU_TANH,
    .sliding_period = 6,
    .wide_scale_layers = 62, /* 27B */
    .local_rotary = true,
    .tensors = tensors,
    .n_tensors = COUNT(tensors),
};
