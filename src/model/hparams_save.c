/* Hyper-parameters written as GGUF keys or config.json, refusing what a format cannot say. */
#include <math.h>

#include "model/hparams_mla.h"
#include "model/hparams_moe.h"
#include "model/rope.h"

/* The layers' kinds are written where they are not the architecture's own. */
static void sliding_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp)
{
    char key[160];
    bool usual = true;
    rt_keys_set_u32(w, arch->name, "attention.sliding_window", hp->window);
    for (int64_t l = 0; l < hp->n_layer; l++) {
        usual &= (hp->layer_sliding[l] != 0) == ((l + 1) % arch->sliding_period != 0);
    }
    if (!usual) {
        rt_keys_name(key, arch->name, "attention.sliding_window_pattern");
        rt_gguf_set_bool_array(w, key, hp->layer_sliding, (size_t)hp->n_layer);
    }
}

rt_status rt_hparams_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    const bool folds = rt_arch_has(arch, RT_ROLE_ATTN_Q) && !arch->mla; /* save.c, into the queries */
    if (!rt_hparams_scale_is_usual(arch, hp) && !folds) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "GGUF readers take %.6g for the attention scale of '%s'; this model's is %.6g and would be lost",
                       rt_hparams_usual_scale(arch, hp), arch->name, hp->attn_scale);
    }
    rt_keys_set_u32(w, arch->name, "context_length", hp->n_ctx);
    rt_keys_set_u32(w, arch->name, "embedding_length", hp->d_model);
    rt_keys_set_u32(w, arch->name, "block_count", hp->n_layer);
    rt_keys_set_u32(w, arch->name, "feed_forward_length", hp->d_ff);
    rt_keys_set_u32(w, arch->name, "attention.head_count", hp->n_head);
    rt_keys_set_u32(w, arch->name, "attention.head_count_kv", hp->n_head_kv);
    rt_keys_set_u32(w, arch->name, "attention.key_length", hp->head_dim);
    rt_keys_set_u32(w, arch->name, "attention.value_length", hp->head_dim);
    rt_keys_set_f32(w, arch->name, "attention.layer_norm_rms_epsilon", hp->norm_eps);
    rt_keys_set_u32(w, arch->name, "vocab_size", hp->n_vocab);
    if (arch->glu != NULL && (hp->glu.limit != arch->glu->limit || hp->glu.alpha != arch->glu->alpha)) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "GGUF '%s' readers cut the gated unit at %g with a factor of %g; this model's are %g and %g",
                       arch->name, (double)arch->glu->limit, (double)arch->glu->alpha, (double)hp->glu.limit,
                       (double)hp->glu.alpha);
    }
    rt_status st = rt_mla_to_gguf(w, arch, hp, err);
    st = st == RT_OK ? rt_moe_to_gguf(w, arch, hp, err) : st;
    if (st != RT_OK) {
        return st;
    }
    if (arch->sliding_period > 0) {
        sliding_to_gguf(w, arch, hp);
    }
    return rt_rope_to_gguf(w, arch, hp, err);
}

static void set_token(json_t *c, const char *key, int32_t id)
{
    json_object_set_new(c, key, id >= 0 ? json_integer(id) : json_null());
}

static void add_sliding(json_t *c, const rt_hparams *hp)
{
    json_t *types = json_array();
    for (int64_t l = 0; l < hp->n_layer; l++) {
        json_array_append_new(types, json_string(hp->layer_sliding[l] ? "sliding_attention" : "full_attention"));
    }
    json_object_set_new(c, "layer_types", types);
    json_object_set_new(c, "sliding_window", json_integer(hp->window));
    /* whole in every published model, and transformers takes nothing else */
    const double scalar = 1.0 / (hp->attn_scale * hp->attn_scale), whole = round(scalar);
    const bool is_whole = fabs(scalar - whole) <= 1e-6 * whole;
    json_object_set_new(c, "query_pre_attn_scalar", is_whole ? json_integer((json_int_t)whole) : json_real(scalar));
}

json_t *rt_hparams_to_hf(const rt_arch *arch, const rt_hparams *hp, const int32_t ids[3], rt_dtype type)
{
    const char *dtype = type == RT_BF16 ? "bfloat16" : type == RT_F16 ? "float16" : "float32";
    const char *act = hp->glu.act == RT_ACT_SILU ? "silu" : "gelu_pytorch_tanh";
    json_t *c =
        json_pack("{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:s, s:s, s:s}", "architectures",
                  arch->hf_class, "model_type", arch->hf_type, "hidden_size", (json_int_t)hp->d_model,
                  "intermediate_size", (json_int_t)hp->d_ff, "num_hidden_layers", (json_int_t)hp->n_layer,
                  "num_attention_heads", (json_int_t)hp->n_head, "num_key_value_heads", (json_int_t)hp->n_head_kv,
                  "head_dim", (json_int_t)hp->head_dim, "vocab_size", (json_int_t)hp->n_vocab,
                  "max_position_embeddings", (json_int_t)hp->n_ctx, "rms_norm_eps", hp->norm_eps, "tie_word_embeddings",
                  (int)hp->tied, "hidden_act", act, "hidden_activation", act, "torch_dtype", dtype);
    if (c == NULL) {
        return NULL;
    }
    set_token(c, "bos_token_id", ids[0]);
    set_token(c, "eos_token_id", ids[1]);
    set_token(c, "pad_token_id", ids[2]);
    rt_mla_to_hf(c, arch, hp);
    rt_moe_to_hf(c, arch, hp);
    if (arch->glu != NULL) {
        json_object_set_new(c, "swiglu_limit", json_real((double)hp->glu.limit));
        json_object_set_new(c, "swiglu_alpha", json_real((double)hp->glu.alpha));
    }
    if (arch->sliding_period > 0) {
        add_sliding(c, hp);
    }
    rt_rope_to_hf(c, arch, hp);
    return c;
}
