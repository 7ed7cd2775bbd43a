/* rope_keys.c - rotary settings as GGUF keys and in config.json, in the spelling of transformers 5 (rope_parameters)
 * and the one before (rope_theta, rope_scaling). */
#include <math.h>
#include <string.h>

#include "model/rope.h"

rt_status rt_rope_check(const rt_hparams *hp, rt_err *err)
{
    if (hp->n_rot < 2 || hp->n_rot % 2 != 0 || hp->n_rot > hp->head_dim) {
        return rt_fail(err, RT_INPUT, 0, "%lld rotated channels of heads of %lld: rotary embedding needs whole pairs",
                       (long long)hp->n_rot, (long long)hp->head_dim);
    }
    if (!(hp->rope_theta > 0.0) || !isfinite(hp->rope_theta) || !(hp->rope_factor > 0.0) ||
        !isfinite(hp->rope_factor)) {
        return rt_fail(err, RT_INPUT, 0, "rotary base or rotary factor is not a usable number");
    }
    if (hp->rope_scaling == RT_ROPE_LLAMA3 &&
        (!(hp->rope_high_freq > hp->rope_low_freq) || !(hp->rope_low_freq > 0.0) || hp->rope_original_ctx < 1)) {
        return rt_fail(err, RT_INPUT, 0, "llama3 rotary scaling needs 0 < low_freq_factor < high_freq_factor");
    }
    if (hp->rope_scaling == RT_ROPE_YARN &&
        (!(hp->rope_beta_slow > 0.0) || !(hp->rope_beta_fast > 0.0) || hp->rope_original_ctx < 1 ||
         !(hp->rope_theta > 1.0) || !isfinite(rt_rope_amplitude(hp)) || !(rt_rope_amplitude(hp) > 0.0))) {
        return rt_fail(err, RT_INPUT, 0,
                       "yarn rotary scaling needs a base above 1, an original context and positive beta_fast, "
                       "beta_slow and attention factor");
    }
    return RT_OK;
}

/* --- GGUF ----------------------------------------------------------------------------------------------------- */

static rt_status read_yarn_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *k)
{
    const double multiplier = rt_keys_f64(k, "rope.scaling.attn_factor", 1.0);
    hp->rope_scaling = RT_ROPE_YARN;
    hp->rope_original_ctx = rt_keys_i64(k, "rope.scaling.original_context_length", hp->n_ctx);
    hp->rope_beta_fast = rt_keys_f64(k, "rope.scaling.yarn_beta_fast", hp->rope_beta_fast);
    hp->rope_beta_slow = rt_keys_f64(k, "rope.scaling.yarn_beta_slow", hp->rope_beta_slow);
    if (rt_keys_f64(k, "rope.scaling.yarn_ext_factor", 1.0) != 1.0 ||
        rt_keys_f64(k, "rope.scaling.yarn_attn_factor", 1.0) != 1.0) {
        return rt_fail(k->err, RT_UNSUPPORTED, 0,
                       "key '%s.rope.scaling.yarn_ext_factor' or 'yarn_attn_factor': only 1 is supported", k->arch);
    }
    if (!arch->yarn_scales_scores) {
        hp->rope_attn_factor = multiplier * rt_rope_mscale(hp->rope_factor, 1.0);
        return RT_OK;
    }
    if (multiplier != 1.0) {
        return rt_fail(k->err, RT_UNSUPPORTED, 0, "key '%s.rope.scaling.attn_factor': only 1 is supported", k->arch);
    }
    /* readers of these files scale the attention scores and leave cosines and sines alone */
    hp->rope_attn_factor = 1.0;
    hp->rope_mscale = hp->rope_mscale_all_dim = 10.0 * rt_keys_f64(k, "rope.scaling.yarn_log_multiplier", 0.0);
    return RT_OK;
}

rt_status rt_rope_from_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *k)
{
    char key[160];
    rt_slice type;
    hp->rope_theta = rt_keys_f64(k, "rope.freq_base", hp->rope_theta);
    hp->rope_theta_local = rt_keys_f64(k, "rope.freq_base_swa", hp->rope_theta_local);
    hp->n_rot = rt_keys_i64(k, "rope.dimension_count", hp->head_dim);
    if (hp->n_rot != hp->head_dim && !arch->partial_rotary && !arch->mla) {
        return rt_fail(k->err, RT_UNSUPPORTED, 0,
                       "key '%s.rope.dimension_count': rotation of part of a head is not supported", k->arch);
    }
    if (!rt_gguf_get_str(k->g, rt_keys_name(key, k->arch, "rope.scaling.type"), &type) || rt_slice_eq(type, "none")) {
        return RT_OK;
    }
    hp->rope_factor = rt_keys_f64(k, "rope.scaling.factor", 1.0);
    if (rt_slice_eq(type, "yarn")) {
        return read_yarn_gguf(arch, hp, k);
    }
    if (!rt_slice_eq(type, "linear")) {
        return rt_fail(k->err, RT_UNSUPPORTED, 0,
                       "key '%s': rotary scaling '%.*s' is not supported (none, linear, yarn, llama3 factors)", key,
                       (int)(type.n < 40 ? type.n : 40), type.p);
    }
    hp->rope_scaling = RT_ROPE_LINEAR;
    return RT_OK;
}

static rt_status yarn_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    const double amplitude = rt_rope_amplitude(hp);
    if (hp->rope_truncate == arch->yarn_between_pairs) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "GGUF '%s' readers %s the bounds of YaRN's ramp to whole pairs; this model does the contrary",
                       arch->name, arch->yarn_between_pairs ? "do not round" : "round");
    }
    rt_keys_set_u32(w, arch->name, "rope.scaling.original_context_length", hp->rope_original_ctx);
    rt_keys_set_f32(w, arch->name, "rope.scaling.yarn_beta_fast", hp->rope_beta_fast);
    rt_keys_set_f32(w, arch->name, "rope.scaling.yarn_beta_slow", hp->rope_beta_slow);
    if (!arch->yarn_scales_scores) {
        const double multiplier = amplitude / rt_rope_mscale(hp->rope_factor, 1.0);
        if (fabs(multiplier - 1.0) > 1e-6) {
            rt_keys_set_f32(w, arch->name, "rope.scaling.attn_factor", multiplier);
        }
        return RT_OK;
    }
    if (fabs(amplitude - 1.0) > 1e-6) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "GGUF '%s' readers leave cosines and sines as they are; this model multiplies them by %.6g "
                       "(mscale %.6g differs from mscale_all_dim %.6g)",
                       arch->name, amplitude, hp->rope_mscale, hp->rope_mscale_all_dim);
    }
    rt_keys_set_f32(w, arch->name, "rope.scaling.yarn_log_multiplier", 0.1 * hp->rope_mscale_all_dim);
    return RT_OK;
}

rt_status rt_rope_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    rt_keys_set_u32(w, arch->name, "rope.dimension_count", hp->n_rot);
    rt_keys_set_f32(w, arch->name, "rope.freq_base", hp->rope_theta);
    if (arch->local_rotary) {
        rt_keys_set_f32(w, arch->name, "rope.freq_base_swa", hp->rope_theta_local);
    }
    if (hp->rope_scaling == RT_ROPE_LINEAR || hp->rope_scaling == RT_ROPE_YARN) {
        const bool yarn = hp->rope_scaling == RT_ROPE_YARN;
        rt_keys_set_str(w, arch->name, "rope.scaling.type", yarn ? "yarn" : "linear");
        rt_keys_set_f32(w, arch->name, "rope.scaling.factor", hp->rope_factor);
        return yarn ? yarn_to_gguf(w, arch, hp, err) : RT_OK;
    }
    return RT_OK;
}

/* --- config.json ---------------------------------------------------------------------------------------------- */

static void read_yarn_hf(rt_hparams *hp, const json_t *rope)
{
    hp->rope_scaling = RT_ROPE_YARN;
    hp->rope_original_ctx = rt_json_i64(rope, "original_max_position_embeddings", hp->n_ctx);
    hp->rope_factor = rt_json_f64(rope, "factor", (double)hp->n_ctx / (double)hp->rope_original_ctx);
    hp->rope_beta_fast = rt_json_f64(rope, "beta_fast", hp->rope_beta_fast);
    hp->rope_beta_slow = rt_json_f64(rope, "beta_slow", hp->rope_beta_slow);
    hp->rope_truncate = rt_json_bool(rope, "truncate", true);
    hp->rope_mscale = rt_json_f64(rope, "mscale", 0.0);
    hp->rope_mscale_all_dim = rt_json_f64(rope, "mscale_all_dim", 0.0);
    hp->rope_attn_factor = rt_json_f64(rope, "attention_factor", 0.0);
}

rt_status rt_rope_settings_from_hf(rt_hparams *hp, const json_t *rope, rt_err *err)
{
    if (!json_is_object(rope)) {
        return RT_OK;
    }
    hp->rope_theta = rt_json_f64(rope, "rope_theta", hp->rope_theta);
    const char *type = rt_json_str(rope, "rope_type", rt_json_str(rope, "type", "default"));
    if (strcmp(type, "default") == 0) {
        return RT_OK;
    }
    if (strcmp(type, "yarn") == 0) {
        read_yarn_hf(hp, rope);
        return RT_OK;
    }
    hp->rope_factor = rt_json_f64(rope, "factor", 1.0);
    if (strcmp(type, "linear") == 0) {
        hp->rope_scaling = RT_ROPE_LINEAR;
        return RT_OK;
    }
    if (strcmp(type, "llama3") == 0) {
        hp->rope_scaling = RT_ROPE_LLAMA3;
        hp->rope_low_freq = rt_json_f64(rope, "low_freq_factor", 1.0);
        hp->rope_high_freq = rt_json_f64(rope, "high_freq_factor", 4.0);
        hp->rope_original_ctx = rt_json_i64(rope, "original_max_position_embeddings", 8192);
        return RT_OK;
    }
    return rt_fail(err, RT_UNSUPPORTED, 0,
                   "config.json: rotary scaling '%.40s' is not supported (default, linear, llama3, yarn)", type);
}

/* Channels of a head that are rotated: whole heads, unless the family knows of less and the file says so. */
static int64_t rotated_channels(const rt_arch *arch, const rt_hparams *hp, const json_t *config, const json_t *rope)
{
    if (!arch->partial_rotary) {
        return arch->mla ? hp->n_rot : hp->head_dim;
    }
    const double part = rt_json_f64(rope, "partial_rotary_factor", rt_json_f64(config, "partial_rotary_factor", 1.0));
    if (part != 1.0) {
        return part > 0.0 && part < 1.0 ? (int64_t)((double)hp->head_dim * part) : 0;
    }
    return rt_json_i64(config, "rotary_dim", rt_json_i64(config, "qk_rope_head_dim", hp->head_dim));
}

rt_status rt_rope_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *config, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *rope = json_object_get(config, "rope_parameters");
    const json_t *full = json_object_get(rope, "full_attention"), *local = json_object_get(rope, "sliding_attention");
    hp->rope_theta = rt_json_f64(config, "rope_theta", hp->rope_theta);
    hp->rope_theta_local = rt_json_f64(config, "rope_local_base_freq", hp->rope_theta_local);
    RT_TRY(rt_rope_settings_from_hf(hp, full != NULL ? full : rope, err));
    RT_TRY(rt_rope_settings_from_hf(hp, json_object_get(config, "rope_scaling"), err));
    hp->rope_theta_local = rt_json_f64(local, "rope_theta", hp->rope_theta_local);
    hp->n_rot = rotated_channels(arch, hp, config, rope);
out:
    return st;
}

static void add_yarn(json_t *r, const rt_hparams *hp)
{
    json_object_set_new(r, "original_max_position_embeddings", json_integer(hp->rope_original_ctx));
    json_object_set_new(r, "beta_fast", json_real(hp->rope_beta_fast));
    json_object_set_new(r, "beta_slow", json_real(hp->rope_beta_slow));
    json_object_set_new(r, "truncate", json_boolean(hp->rope_truncate));
    if (hp->rope_mscale != 0.0 || hp->rope_mscale_all_dim != 0.0) {
        json_object_set_new(r, "mscale", json_real(hp->rope_mscale));
        json_object_set_new(r, "mscale_all_dim", json_real(hp->rope_mscale_all_dim));
    }
    if (hp->rope_attn_factor > 0.0) {
        json_object_set_new(r, "attention_factor", json_real(hp->rope_attn_factor));
    }
}

static double part_of_head(const rt_hparams *hp)
{
    return (double)hp->n_rot / (double)hp->head_dim;
}

static json_t *settings_json(const rt_arch *arch, const rt_hparams *hp, double theta, rt_rope_scaling scaling)
{
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    json_t *r = json_pack("{s:s, s:f}", "rope_type", names[scaling], "rope_theta", theta);
    if (r == NULL) {
        return r;
    }
    if (arch->partial_rotary) {
        json_object_set_new(r, "partial_rotary_factor", json_real(part_of_head(hp)));
    }
    if (scaling != RT_ROPE_PLAIN) {
        json_object_set_new(r, "factor", json_real(hp->rope_factor));
    }
    if (scaling == RT_ROPE_LLAMA3) {
        json_object_set_new(r, "low_freq_factor", json_real(hp->rope_low_freq));
        json_object_set_new(r, "high_freq_factor", json_real(hp->rope_high_freq));
        json_object_set_new(r, "original_max_position_embeddings", json_integer(hp->rope_original_ctx));
    }
    if (scaling == RT_ROPE_YARN) {
        add_yarn(r, hp);
    }
    return r;
}

void rt_rope_to_hf(json_t *config, const rt_arch *arch, const rt_hparams *hp)
{
    json_t *full = settings_json(arch, hp, hp->rope_theta, hp->rope_scaling);
    if (arch->local_rotary) {
        json_t *local = settings_json(arch, hp, hp->rope_theta_local, RT_ROPE_PLAIN);
        json_object_set_new(config, "rope_parameters",
                            json_pack("{s:o, s:o}", "full_attention", full, "sliding_attention", local));
        return;
    }
    /* both spellings: rope_parameters since transformers 5, rope_theta and rope_scaling before */
    json_object_set_new(config, "rope_theta", json_real(hp->rope_theta));
    if (arch->partial_rotary) {
        json_object_set_new(config, "partial_rotary_factor", json_real(part_of_head(hp)));
    }
    if (hp->rope_scaling != RT_ROPE_PLAIN) {
        json_object_set(config, "rope_scaling", full);
    }
    json_object_set_new(config, "rope_parameters", full);
}
