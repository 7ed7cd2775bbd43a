/* DeepSeek-V4: parallel residual streams, shared-key attention over a window and pooled entries, mixtures of experts
 * that the first layers choose by the token itself. Published names have no common prefix. */
#include "model/arch_rows.h"

#define ROW(role_, scope_, d0, d1, when_, hf_)                                        \
    {                                                                                 \
        .role = RT_ROLE_##role_, .scope = RT_SCOPE_##scope_, .when = RT_WHEN_##when_, \
        .shape = {RT_DIM_##d0, RT_DIM_##d1}, .gguf_form = RT_FORM_SAME, .hf = hf_     \
    }
#define OWN(role_, d0, d1, when_, hf_) ROW(role_, LAYER, d0, d1, when_, "layers.%d." hf_)
#define POOL(role_, ratio, size, width, when_, hf_)                         \
    OWN(role_##_VALUES, width, D, when_, hf_ "compressor.wkv.weight"),      \
        OWN(role_##_GATES, width, D, when_, hf_ "compressor.wgate.weight"), \
        OWN(role_##_PLACES, ratio, width, when_, hf_ "compressor.ape"),     \
        OWN(role_##_NORM, size, NONE, when_, hf_ "compressor.norm.weight")
#define STREAMS(role_, hf_)                                                                           \
    OWN(role_##_FN, NMIX, ND, ALWAYS, hf_ "_fn"), OWN(role_##_BASE, NMIX, NONE, ALWAYS, hf_ "_base"), \
        OWN(role_##_SCALE, 3, NONE, ALWAYS, hf_ "_scale")
#define ROUTED(role_, out, in, hf_) ROW(role_, EXPERT, out, in, MOE, "layers.%d.ffn.experts.%d." hf_)

static const rt_tensor_desc tensors[] = {
    ROW(EMBED, MODEL, V, D, ALWAYS, "embed.weight"),
    STREAMS(HYPER_MIXER, "hc_attn"),
    OWN(ATTN_NORM, D, NONE, ALWAYS, "attn_norm.weight"),
    OWN(MLA_Q_A, QL, D, ALWAYS, "attn.wq_a.weight"),
    OWN(MLA_Q_NORM, QL, NONE, ALWAYS, "attn.q_norm.weight"),
    OWN(MLA_Q_B, Q, QL, ALWAYS, "attn.wq_b.weight"),
    OWN(ATTN_KV, HD, D, ALWAYS, "attn.wkv.weight"),
    OWN(MLA_KV_NORM, HD, NONE, ALWAYS, "attn.kv_norm.weight"),
    OWN(ATTN_SINKS, H, NONE, ALWAYS, "attn.attn_sink"),
    POOL(POOL, HEAVY, HD, HD, HEAVY, "attn."),
    POOL(POOL, SPARSE, HD, 2HD, SPARSE, "attn."),
    OWN(INDEX_Q, IQ, QL, SPARSE, "attn.indexer.wq_b.weight"),
    OWN(INDEX_WEIGHTS, IH, D, SPARSE, "attn.indexer.weights_proj.weight"),
    POOL(INDEX_POOL, SPARSE, ID, 2ID, SPARSE, "attn.indexer."),
    OWN(ATTN_OUT_A, GROUP_OUT, GROUP_IN, ALWAYS, "attn.wo_a.weight"),
    OWN(ATTN_OUT_B, D, GROUP_OUT, ALWAYS, "attn.wo_b.weight"),
    STREAMS(HYPER_FFN, "hc_ffn"),
    OWN(FFN_NORM, D, NONE, ALWAYS, "ffn_norm.weight"),
    OWN(ROUTER, E, D, MOE, "ffn.gate.weight"),
    OWN(ROUTER_CHOICE, E, NONE, ROUTED, "ffn.gate.bias"),
    OWN(ROUTER_TABLE, V, K, HASHED, "ffn.gate.tid2eid"),
    OWN(SHARED_GATE, S, D, SHARED, "ffn.shared_experts.w1.weight"),
    OWN(SHARED_UP, S, D, SHARED, "ffn.shared_experts.w3.weight"),
    OWN(SHARED_DOWN, D, S, SHARED, "ffn.shared_experts.w2.weight"),
    ROUTED(EXPERT_GATE, I, D, "w1.weight"),
    ROUTED(EXPERT_UP, I, D, "w3.weight"),
    ROUTED(EXPERT_DOWN, D, I, "w2.weight"),
    ROW(HYPER_END_FN, MODEL, N, ND, ALWAYS, "hc_head_fn"),
    ROW(HYPER_END_BASE, MODEL, N, NONE, ALWAYS, "hc_head_base"),
    ROW(HYPER_END_SCALE, MODEL, 1, NONE, ALWAYS, "hc_head_scale"),
    ROW(OUTPUT_NORM, MODEL, D, NONE, ALWAYS, "norm.weight"),
    ROW(OUTPUT, MODEL, V, D, UNTIED, "head.weight"),
};

const rt_arch rt_arch_deepseek4 = {
    .name = "deepseek4",
    .hf_type = "deepseek_v4",
    .hf_class = "DeepseekV4ForCausalLM",
    .read_only = true,
    .act = RT_ACT_SILU,
    .moe = {.route = {.score = RT_SCORE_SQRT_SOFTPLUS, .normalise = true, .scale = 1.5},
            .gguf_says = true,
            .hf_says = true,
            .hf_norm_topk = true,
            .hf_experts = "n_routed_experts",
            .hf_width = "moe_intermediate_size"},
    .local_rotary = true,
    .partial_rotary = true,
    .tensors = tensors,
    .n_tensors = COUNT(tensors),
};
