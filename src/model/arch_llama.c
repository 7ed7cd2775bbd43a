/* Llama family: SmolLM2, TinyLlama, Llama 2 and 3, Mistral without a window. */
#include "model/arch_rows.h"

static const rt_tensor_desc tensors[] = {
    TOP(EMBED, V, D, ALWAYS, SAME, "model.embed_tokens.weight"),
    VEC(ATTN_NORM, D, SAME, "input_layernorm.weight"),
    /* GGUF keeps interleaved rotary pairs for this family alone */
    MAT(ATTN_Q, Q, D, ALWAYS, PERMUTED_Q, "self_attn.q_proj.weight"),
    MAT(ATTN_K, KV, D, ALWAYS, PERMUTED_K, "self_attn.k_proj.weight"),
    MAT(ATTN_V, KV, D, ALWAYS, SAME, "self_attn.v_proj.weight"),
    MAT(ATTN_OUT, D, Q, ALWAYS, SAME, "self_attn.o_proj.weight"),
    VEC(FFN_NORM, D, SAME, "post_attention_layernorm.weight"),
    DENSE_FFN,
    TOP(OUTPUT_NORM, D, NONE, ALWAYS, SAME, "model.norm.weight"),
    TOP(OUTPUT, V, D, UNTIED, SAME, "lm_head.weight"),
};

const rt_arch rt_arch_llama = {
    .name = "llama",
    .hf_type = "llama",
    .hf_class = "LlamaForCausalLM",
    .hf_whole_heads = true,
    .act = RT_ACT_SILU,
    .tensors = tensors,
    .n_tensors = COUNT(tensors),
};
