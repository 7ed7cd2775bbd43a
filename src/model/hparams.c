/* Hyper-parameters: defaults, consistency, and reading them from GGUF keys or config.json. */
#include "model/hparams.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "model/hparams_compressed.h"
#include "model/hparams_mix.h"
#include "model/hparams_mla.h"
#include "model/hparams_moe.h"
#include "model/rope.h"

static rt_hparams defaults(const rt_arch *arch)
{
    return (rt_hparams){.norm_eps = 1e-6,
                        .embed_scale = 1.0,
                        .rope_theta = 10000.0,
                        .rope_theta_local = 10000.0,
                        .rope_factor = 1.0,
                        .rope_low_freq = 1.0,
                        .rope_high_freq = 4.0,
                        .rope_beta_fast = 32.0,
                        .rope_beta_slow = 1.0,
                        .rope_truncate = !arch->yarn_between_pairs,
                        .glu = arch->glu != NULL ? *arch->glu : RT_GLU_PLAIN(arch->act)};
}

double rt_hparams_usual_scale(const rt_arch *arch, const rt_hparams *hp)
{
    const bool wide = arch->wide_scale_layers > 0 && hp->n_layer == arch->wide_scale_layers;
    double scale = 1.0 / sqrt(wide ? (double)(hp->d_model / hp->n_head) : (double)hp->head_dim);
    if (arch->yarn_scales_scores && hp->rope_scaling != RT_ROPE_PLAIN && hp->rope_mscale_all_dim != 0.0) {
        const double m = rt_rope_mscale(hp->rope_factor, hp->rope_mscale_all_dim);
        scale *= m * m;
    }
    return scale;
}

bool rt_hparams_scale_is_usual(const rt_arch *arch, const rt_hparams *hp)
{
    return fabs(hp->attn_scale / rt_hparams_usual_scale(arch, hp) - 1.0) <= 1e-6;
}

/* Fields that follow from others once all keys are read. */
static void derive(const rt_arch *arch, rt_hparams *hp)
{
    if (arch->embed_scaled) {
        hp->embed_scale = sqrt((double)hp->d_model);
    }
    if (hp->attn_scale == 0.0 && hp->head_dim > 0 && hp->n_head > 0) {
        hp->attn_scale = rt_hparams_usual_scale(arch, hp);
    }
    if (arch->always_tied) {
        hp->tied = true;
    }
}

rt_status rt_in_range(const char *what, int64_t v, int64_t lo, int64_t hi, rt_err *err)
{
    if (v < lo || v > hi) {
        return rt_fail(err, RT_INPUT, 0, "%s is %lld, expected %lld to %lld", what, (long long)v, (long long)lo,
                       (long long)hi);
    }
    return RT_OK;
}

rt_status rt_hparams_check(const rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_in_range("number of layers", hp->n_layer, 1, RT_MAX_LAYERS, err));
    RT_TRY(rt_in_range("hidden size", hp->d_model, 1, 1 << 16, err));
    RT_TRY(rt_in_range("number of attention heads", hp->n_head, 1, 1 << 12, err));
    RT_TRY(rt_in_range("number of key/value heads", hp->n_head_kv, 1, hp->n_head, err));
    RT_TRY(rt_in_range("head size", hp->head_dim, 2, 1 << 12, err));
    RT_TRY(rt_in_range("feed-forward size", hp->d_ff, 1, 1 << 20, err));
    RT_TRY(rt_in_range("vocabulary size", hp->n_vocab, 1, 1 << 22, err));
    RT_TRY(rt_in_range("context length", hp->n_ctx, 1, (int64_t)1 << 31, err));
    if (hp->n_head % hp->n_head_kv != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "%lld attention heads cannot share %lld key/value heads evenly",
                    (long long)hp->n_head, (long long)hp->n_head_kv);
    }
    RT_TRY(rt_rope_check(hp, err));
    if (!(hp->norm_eps > 0.0) || !(hp->norm_eps < 1.0) || !isfinite(hp->attn_scale) || hp->attn_scale <= 0.0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "norm epsilon or attention scale is not a usable number");
    }
    RT_TRY(rt_mla_check(hp, err));
    RT_TRY(rt_compressed_check(hp, err));
    RT_TRY(rt_mix_check(hp, err));
    RT_TRY(rt_moe_check(hp, err));
    bool any_sliding = false;
    for (int64_t l = 0; l < hp->n_layer; l++) {
        any_sliding |= hp->layer_sliding[l] != 0;
    }
    if (!(hp->glu.limit >= 0.0f) || !isfinite(hp->glu.alpha)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "limit or factor of the gated unit is not a usable number");
    }
    if (any_sliding) {
        RT_TRY(rt_in_range("attention window", hp->window, 1, (int64_t)1 << 31, err));
    }
out:
    return st;
}

/* Puts before a refusal which part of a layer no architecture here has, by a tensor of the file. */
static rt_status name_missing_block(const rt_gguf *g, const rt_safetensors *s, rt_status st, rt_err *err)
{
    const size_t n = g != NULL ? rt_gguf_n_tensors(g) : rt_safetensors_n(s);
    for (size_t i = 0; i < n; i++) {
        const char *name = g != NULL ? rt_gguf_tensor(g, i)->name : rt_safetensors_at(s, i)->name;
        const char *dot = strchr(name, '.');
        while (dot != NULL && !isdigit((unsigned char)dot[1])) {
            dot = strchr(dot + 1, '.');
        }
        if (dot != NULL && !rt_arch_knows_tensor(name, g != NULL)) {
            return rt_err_wrap(err, st, "no block for tensors like '%.90s'", name);
        }
    }
    return st;
}

/* --- GGUF ----------------------------------------------------------------------------------------------------- */

static void read_sliding_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *k)
{
    char key[160];
    rt_gguf_array a;
    hp->window = rt_keys_i64(k, "attention.sliding_window", 0);
    int64_t period = arch->sliding_period;
    rt_keys_name(key, k->arch, "attention.sliding_window_pattern");
    if (rt_gguf_get_array(k->g, key, &a) && a.n == (uint64_t)hp->n_layer) {
        for (int64_t l = 0; l < hp->n_layer; l++) {
            hp->layer_sliding[l] = rt_gguf_array_i64(&a, (uint64_t)l) != 0;
        }
        return;
    }
    (void)rt_gguf_get_i64(k->g, key, &period);
    for (int64_t l = 0; l < hp->n_layer && period > 0; l++) {
        hp->layer_sliding[l] = (l + 1) % period != 0;
    }
}

/* Some layer of the file has a tensor of this role. */
static bool has_layer_tensor(const rt_gguf *g, rt_role role)
{
    for (int l = 0; l < RT_MAX_LAYERS; l++) {
        char name[96];
        rt_name_numbered(name, sizeof name, rt_role_gguf(role), l, 0);
        if (rt_gguf_find(g, name) != NULL) {
            return true;
        }
    }
    return false;
}

rt_status rt_hparams_from_gguf(const rt_arch **arch, rt_hparams *hp, const rt_gguf *g, rt_err *err)
{
    rt_slice name;
    char arch_name[64];
    if (!rt_gguf_get_str(g, "general.architecture", &name) || name.n >= sizeof arch_name) {
        return rt_fail(err, RT_INPUT, 0, "key 'general.architecture' is missing");
    }
    memcpy(arch_name, name.p, name.n);
    arch_name[name.n] = '\0';
    *arch = rt_arch_by_gguf(arch_name);
    if (*arch == NULL) {
        const rt_status st =
            rt_fail(err, RT_UNSUPPORTED, 0, "architecture '%s' is not supported; known: %s", arch_name, rt_arch_list());
        return name_missing_block(g, NULL, st, err);
    }
    if ((*arch)->without_choice_bias != NULL && !has_layer_tensor(g, RT_ROLE_ROUTER_CHOICE)) {
        *arch = (*arch)->without_choice_bias;
    }
    rt_keys k = {.g = g, .arch = arch_name, .err = err, .st = RT_OK};
    *hp = defaults(*arch);
    hp->n_layer = rt_keys_need_i64(&k, "block_count");
    hp->d_model = rt_keys_need_i64(&k, "embedding_length");
    hp->n_head = rt_keys_need_i64(&k, "attention.head_count");
    hp->n_ctx = rt_keys_need_i64(&k, "context_length");
    hp->d_ff = rt_arch_has(*arch, RT_ROLE_FFN_GATE)
                   ? rt_keys_need_i64(&k, "feed_forward_length")
                   : rt_keys_i64(&k, "feed_forward_length", rt_keys_i64(&k, "expert_feed_forward_length", 0));
    if (k.st != RT_OK) {
        return k.st;
    }
    rt_status st = rt_in_range("number of layers", hp->n_layer, 1, RT_MAX_LAYERS, err);
    if (st != RT_OK) {
        return st;
    }
    hp->n_head_kv = rt_keys_i64(&k, "attention.head_count_kv", hp->n_head);
    hp->head_dim = rt_keys_i64(&k, "attention.key_length", hp->n_head > 0 ? hp->d_model / hp->n_head : 0);
    hp->norm_eps = rt_keys_f64(&k, "attention.layer_norm_rms_epsilon", hp->norm_eps);
    hp->attn_scale = rt_keys_f64(&k, "attention.scale", 0.0);
    hp->head_dim_v = rt_keys_i64(&k, "attention.value_length", hp->head_dim);
    if (hp->head_dim_v != hp->head_dim && !(*arch)->mla) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "key '%s.attention.value_length' differs from the key length",
                       arch_name);
    }
    read_sliding_gguf(*arch, hp, &k);
    st = rt_mix_from_gguf(*arch, hp, &k);
    st = st == RT_OK ? rt_mla_from_gguf(*arch, hp, &k) : st;
    st = st == RT_OK ? rt_moe_from_gguf(*arch, hp, &k) : st;
    st = st == RT_OK ? rt_rope_from_gguf(*arch, hp, &k) : st;
    st = st == RT_OK ? rt_compressed_from_gguf(*arch, hp, &k) : st;
    if (st != RT_OK) {
        return st;
    }
    hp->tied = rt_gguf_find(g, rt_role_gguf(RT_ROLE_OUTPUT)) == NULL;
    const rt_tensor_info *embed = rt_gguf_find(g, rt_role_gguf(RT_ROLE_EMBED));
    if (embed == NULL || embed->n_dims != 2) {
        return rt_fail(err, RT_INPUT, 0, "tensor 'token_embd.weight' is missing (a vocabulary-only file has no model)");
    }
    hp->n_vocab = embed->dims[0];
    derive(*arch, hp);
    return rt_hparams_check(hp, err);
}

/* --- config.json ---------------------------------------------------------------------------------------------- */

static rt_status need_i64(const json_t *c, const char *key, int64_t *out, rt_err *err)
{
    const json_t *v = json_object_get(c, key);
    if (!json_is_integer(v)) {
        return rt_fail(err, RT_INPUT, 0, "config.json: '%s' is missing or no integer", key);
    }
    *out = json_integer_value(v);
    return RT_OK;
}

static void read_layer_kinds_hf(const rt_arch *arch, rt_hparams *hp, const json_t *c)
{
    const json_t *types = json_object_get(c, "layer_types");
    const bool windowed = arch->sliding_period > 0;
    const int64_t period =
        rt_json_i64(c, "sliding_window_pattern", rt_json_i64(c, "_sliding_window_pattern", arch->sliding_period));
    for (int64_t l = 0; l < hp->n_layer; l++) {
        const char *type = json_string_value(json_array_get(types, (size_t)l));
        if (windowed) {
            hp->layer_sliding[l] =
                type != NULL ? strcmp(type, "sliding_attention") == 0 : period > 0 && (l + 1) % period != 0;
        }
    }
}

rt_status rt_hparams_from_hf(const rt_arch **arch, rt_hparams *hp, const json_t *config, rt_err *err)
{
    rt_status st = RT_OK;
    const char *type = rt_json_str(config, "model_type", NULL);
    if (type == NULL) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "config.json: 'model_type' is missing");
    }
    const char *class = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    *arch = rt_arch_by_hf(type, class);
    if (*arch == NULL) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "config.json: model type '%.60s' is not supported; known: %s", type,
                    rt_arch_list());
    }
    if (rt_json_bool(config, "use_sliding_window", false) && (*arch)->sliding_period == 0) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "config.json: 'use_sliding_window' is not supported for model type '%s'",
                    type);
    }
    if (rt_json_bool(config, "mlp_bias", false) ||
        (rt_json_bool(config, "attention_bias", false) && !(*arch)->qkv_bias)) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0,
                    "config.json: biases ('attention_bias', 'mlp_bias') are not supported for '%s'", type);
    }
    *hp = defaults(*arch);
    RT_TRY(need_i64(config, "num_hidden_layers", &hp->n_layer, err));
    RT_TRY(need_i64(config, "hidden_size", &hp->d_model, err));
    RT_TRY(need_i64(config, "num_attention_heads", &hp->n_head, err));
    const bool experts_alone = json_object_get(config, "intermediate_size") == NULL && (*arch)->moe.hf_width != NULL;
    RT_TRY(need_i64(config, experts_alone ? (*arch)->moe.hf_width : "intermediate_size", &hp->d_ff, err));
    RT_TRY(need_i64(config, "vocab_size", &hp->n_vocab, err));
    RT_TRY(rt_in_range("number of layers", hp->n_layer, 1, RT_MAX_LAYERS, err));
    RT_TRY(rt_in_range("number of attention heads", hp->n_head, 1, 1 << 12, err));
    hp->n_ctx = rt_json_i64(config, "max_position_embeddings", 2048);
    hp->n_head_kv = rt_json_i64(config, "num_key_value_heads", hp->n_head);
    hp->head_dim = rt_json_i64(config, "head_dim", hp->d_model / hp->n_head);
    hp->norm_eps = rt_json_f64(config, "rms_norm_eps", hp->norm_eps);
    hp->tied = rt_json_bool(config, "tie_word_embeddings", (*arch)->always_tied);
    hp->window = rt_json_i64(config, "sliding_window", 0);
    const double scalar = rt_json_f64(config, "query_pre_attn_scalar", 0.0);
    hp->attn_scale = scalar > 0.0 ? 1.0 / sqrt(scalar) : 0.0;
    if ((*arch)->glu != NULL) {
        hp->glu.limit = (float)rt_json_f64(config, "swiglu_limit", (double)hp->glu.limit);
        hp->glu.alpha = (float)rt_json_f64(config, "swiglu_alpha", (double)hp->glu.alpha);
    }
    RT_TRY(rt_mix_from_hf(*arch, hp, config, err));
    hp->head_dim_v = hp->head_dim;
    RT_TRY(rt_mla_from_hf(*arch, hp, config, err));
    RT_TRY(rt_moe_from_hf(*arch, hp, config, err));
    read_layer_kinds_hf(*arch, hp, config);
    RT_TRY(rt_rope_from_hf(*arch, hp, config, err));
    RT_TRY(rt_compressed_from_hf(*arch, hp, config, err));
    derive(*arch, hp);
    RT_TRY(rt_hparams_check(hp, err));
out:
    return st;
}

rt_status rt_hparams_from_folder(const rt_arch **arch, rt_hparams *hp, const rt_hf *hf, rt_err *err)
{
    *arch = NULL;
    const rt_status st = rt_hparams_from_hf(arch, hp, hf->config, err);
    return st == RT_UNSUPPORTED && *arch == NULL ? name_missing_block(NULL, hf->weights, st, err) : st;
}
