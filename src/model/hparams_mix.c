/* Hyper-parameters of mixers and residual connections, from both file formats. */
#include "model/hparams_mix.h"

#include <math.h>
#include <string.h>

static void set_mixer(rt_hparams *hp, int64_t layer, bool lightning)
{
    hp->layer_mixer[layer] = lightning ? RT_MIXER_LIGHTNING : RT_MIXER_ATTENTION;
}

static rt_status check_residual(const rt_residual *r, rt_err *err)
{
    if (!isfinite(r->alpha) || !isfinite(r->beta)) {
        return rt_fail(err, RT_INPUT, 0, "a weight of the residual connections is not a usable number");
    }
    return RT_OK;
}

rt_status rt_mix_check(const rt_hparams *hp, rt_err *err)
{
    rt_status st = check_residual(&hp->after_ffn, err);
    for (int i = 0; st == RT_OK && i < RT_MIXER_COUNT; i++) {
        st = check_residual(&hp->after_mixer[i], err);
    }
    return st;
}

/* --- GGUF ------------------------------------------------------------------------------------------------------ */

rt_status rt_mix_from_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *keys)
{
    if (!arch->norm_residual) {
        return RT_OK;
    }
    char key[160];
    rt_residual all = {.beta = 1.0};
    if (!rt_gguf_get_f64(keys->g, rt_keys_name(key, keys->arch, "residual_scale"), &all.alpha)) {
        return rt_fail(keys->err, RT_INPUT, 0, "key '%s' is missing or no number", key);
    }
    hp->after_ffn = hp->after_mixer[RT_MIXER_ATTENTION] = hp->after_mixer[RT_MIXER_LIGHTNING] = all;
    for (int64_t l = 0; l < hp->n_layer; l++) {
        char name[96];
        rt_name_numbered(name, sizeof name, rt_role_gguf(RT_ROLE_LIGHTNING_QKV), (int)l, 0);
        set_mixer(hp, l, rt_gguf_find(keys->g, name) != NULL);
    }
    return RT_OK;
}

/* --- config.json ----------------------------------------------------------------------------------------------- */

/* In the spelling of transformers ("mlp_alpha_factor") or of the published files ("layernorm_mlp_alpha"). */
static rt_residual read_residual(const json_t *c, const char *now, const char *published)
{
    char key[96];
    rt_residual r;
    snprintf(key, sizeof key, "layernorm_%s_alpha", published);
    r.alpha = rt_json_f64(c, key, 1.0);
    snprintf(key, sizeof key, "layernorm_%s_beta", published);
    r.beta = rt_json_f64(c, key, 1.0);
    snprintf(key, sizeof key, "%s_alpha_factor", now);
    r.alpha = rt_json_f64(c, key, r.alpha);
    snprintf(key, sizeof key, "%s_beta_factor", now);
    r.beta = rt_json_f64(c, key, r.beta);
    return r;
}

static rt_status read_mixers(const rt_arch *arch, rt_hparams *hp, const json_t *c, rt_err *err)
{
    const json_t *types = json_object_get(c, "layer_types"), *published = json_object_get(c, "attn_type_list");
    const json_t *list = types != NULL ? types : published;
    if (list != NULL && json_array_size(list) != (size_t)hp->n_layer) {
        return rt_fail(err, RT_INPUT, 0, "config.json: '%s' has %zu entries, the model %lld layers",
                       types != NULL ? "layer_types" : "attn_type_list", json_array_size(list), (long long)hp->n_layer);
    }
    for (int64_t l = 0; l < hp->n_layer; l++) {
        const json_t *v = json_array_get(list, (size_t)l);
        const char *type = json_string_value(v);
        bool lightning = (l + 1) % arch->full_period != 0;
        if (type != NULL) {
            lightning = strcmp(type, "linear_attention") == 0;
        } else if (json_is_integer(v)) {
            lightning = json_integer_value(v) == 0;
        }
        set_mixer(hp, l, lightning);
    }
    return RT_OK;
}

rt_status rt_mix_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *c, rt_err *err)
{
    if (!arch->norm_residual) {
        return RT_OK;
    }
    if (!rt_json_bool(c, "postnorm", true)) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "config.json: 'postnorm' false is not supported for '%s'",
                       arch->hf_type);
    }
    if (rt_json_i64(c, "shared_intermediate_size", 0) != 0) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "config.json: shared experts are not supported for '%s'", arch->hf_type);
    }
    hp->after_mixer[RT_MIXER_ATTENTION] = read_residual(c, "full_attn", "full_attention");
    hp->after_mixer[RT_MIXER_LIGHTNING] = read_residual(c, "linear_attn", "linear_attention");
    hp->after_ffn = read_residual(c, "mlp", "mlp");
    return read_mixers(arch, hp, c, err);
}
