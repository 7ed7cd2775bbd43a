/* Writing a model: GGUF in GGUF's arrangement, safetensors in Hugging Face's. */
#include <stdio.h>
#include <string.h>

#include "model/hparams.h"
#include "model/rope.h"
#include "model/split_kv.h"
#include "model/stack.h"

static const struct {
    rt_dtype type;
    uint32_t id;
} file_types[] = {
    {RT_F32, 0}, {RT_F16, 1}, {RT_Q4_0, 2}, {RT_Q4_1, 3}, {RT_Q8_0, 7}, {RT_BF16, 32},
};

static int64_t file_type_id(rt_dtype t)
{
    for (size_t i = 0; i < sizeof file_types / sizeof file_types[0]; i++) {
        if (file_types[i].type == t) {
            return file_types[i].id;
        }
    }
    return -1;
}

/* GGUF has no place for an attention scale of the model's own. Scores are linear in the queries, so what the reader's
 * scale lacks goes into their norm, or into the matrix and bias they come from. */
static float folded_scale(const rt_model *m, rt_role role)
{
    const bool normed = rt_arch_has(m->arch, RT_ROLE_ATTN_Q_NORM);
    const bool takes = normed ? role == RT_ROLE_ATTN_Q_NORM : role == RT_ROLE_ATTN_Q || role == RT_ROLE_ATTN_Q_BIAS;
    if (!takes || rt_hparams_scale_is_usual(m->arch, &m->hp)) {
        return 1.0f;
    }
    return (float)(m->hp.attn_scale / rt_hparams_usual_scale(m->arch, &m->hp));
}

static rt_status check_writable(const rt_model *m, rt_err *err)
{
    if (m->arch->read_only) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "models of architecture '%s' (%s) are read, not written", m->arch->name,
                       m->arch->hf_type);
    }
    return RT_OK;
}

/* The parameter's values in GGUF's order, appended at dst. */
static void gguf_values(const rt_model *m, const rt_param *p, const rt_tensor_desc *d, float *row, float *dst)
{
    const int64_t rows = rt_param_rows(p), cols = rt_param_cols(p);
    const float fold = folded_scale(m, p->role), offset = d->gguf_form == RT_FORM_PLUS_ONE ? 1.0f : 0.0f;
    for (int64_t r = 0; r < rows; r++) {
        if (p->w != NULL) {
            memcpy(row, p->w + r * cols, (size_t)cols * sizeof(float));
        } else {
            rt_kernels_get()->bf16_to_f32(row, p->wb + r * cols, cols);
        }
        for (int64_t i = 0; i < cols; i++) {
            row[i] = (row[i] + offset) * fold;
        }
        memcpy(dst + rt_param_gguf_row(m, d, r) * cols, row, (size_t)cols * sizeof(float));
    }
}

static void copy_tokenizer(rt_gguf_writer *w, const rt_gguf *g)
{
    for (size_t i = 0; g != NULL && i < rt_gguf_n_kv(g); i++) {
        const rt_gguf_kv *kv = rt_gguf_kv_at(g, i);
        if (strncmp(kv->key, "tokenizer.", 10) == 0) {
            rt_gguf_set_raw(w, kv);
        }
    }
}

static rt_status set_extra(rt_gguf_writer *w, const json_t *extra, rt_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)extra, key, v)
    {
        if (json_is_string(v)) {
            rt_gguf_set_str(w, key, json_string_value(v));
        } else if (json_is_integer(v)) {
            rt_gguf_set_u32(w, key, (uint32_t)json_integer_value(v));
        } else if (json_is_boolean(v)) {
            rt_gguf_set_bool(w, key, json_is_true(v));
        } else {
            return rt_fail(err, RT_INTERNAL, 0, "GGUF key '%s' has a value that is no string, integer or boolean", key);
        }
    }
    return RT_OK;
}

/* Rows that do not fill blocks fall back to F16. */
static rt_dtype rows_type(int64_t cols, rt_dtype type)
{
    return cols % rt_dtype_block(type) == 0 ? type : RT_F16;
}

/* Type a tensor is written in: vectors and the router stay F32. Four bits are too few for embedding and head
 * (perplexity of SmolLM2-135M 21.1 instead of 18.5): they get eight, as is usual. */
static rt_dtype stored_type(const rt_param *p, rt_dtype type)
{
    if ((type == RT_Q4_0 || type == RT_Q4_1) && (p->role == RT_ROLE_EMBED || p->role == RT_ROLE_OUTPUT)) {
        type = RT_Q8_0;
    }
    if (p->n_dims == 1 || p->role == RT_ROLE_ROUTER) {
        return RT_F32;
    }
    return rows_type(p->dims[1], type);
}

int64_t rt_model_gguf_bytes(const rt_model *m, rt_dtype type)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_dtype t = stored_type(&m->params[i], type);
        bytes += m->params[i].n / rt_dtype_block(t) * rt_dtype_block_bytes(t);
    }
    return bytes;
}

static void add_split_kv(rt_gguf_writer *w, const rt_model *m, const rt_param *p, rt_dtype type, float *values)
{
    rt_split_kv_part part[2];
    rt_split_kv_values(part, m, p, values);
    for (int i = 0; i < 2; i++) {
        rt_gguf_add_tensor(w, part[i].name, rows_type(part[i].dims[2], type), 3, part[i].dims, part[i].values);
    }
}

static void add_tensors(rt_gguf_writer *w, const rt_model *m, rt_dtype type, float *values, float *row, float *divisors)
{
    const rt_hparams *hp = &m->hp;
    if (hp->rope_divisors != NULL || hp->rope_scaling == RT_ROPE_LLAMA3) {
        const int64_t half = hp->n_rot / 2;
        rt_rope_divisors(hp, divisors);
        rt_gguf_add_tensor(w, "rope_freqs.weight", RT_F32, 1, &half, divisors);
    }
    int64_t at = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        const rt_tensor_desc *d = rt_param_desc(m, p);
        char name[96];
        if (p->expert > 0) {
            continue; /* written with expert 0 */
        }
        if (d->gguf_form == RT_FORM_SPLIT_KV) {
            add_split_kv(w, m, p, type, values + at);
            at += p->n;
            continue;
        }
        rt_name_numbered(name, sizeof name, rt_tensor_gguf(d), p->layer, 0);
        float *first = values + at;
        const int64_t stacked = p->expert == 0 ? hp->route.n_expert : 1;
        for (int64_t e = 0; e < stacked; e++) {
            gguf_values(m, p + (size_t)e * m->n_expert_params, d, row, values + at);
            at += p->n;
        }
        if (p->expert == 0) {
            rt_gguf_add_tensor(w, name, stored_type(p, type), p->n_dims + 1,
                               (const int64_t[]){stacked, p->dims[0], p->dims[1]}, first);
        } else {
            rt_gguf_add_tensor(w, name, stored_type(p, type), p->n_dims, p->dims, first);
        }
    }
}

rt_status rt_model_save_gguf(const rt_model *m, const char *path, rt_dtype type, const rt_gguf *tokenizer,
                             const json_t *extra, rt_err *err)
{
    rt_status st = RT_OK;
    float *values = NULL, *row = NULL, *divisors = NULL;
    rt_gguf_writer *w = rt_gguf_writer_new();
    if (w == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_params_in_memory(m, err));
    if (file_type_id(type) < 0) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "models cannot be written as %s (f32, f16, bf16, q8_0, q4_0, q4_1)",
                    rt_dtype_name(type));
    }
    RT_TRY(check_writable(m, err));
    rt_gguf_set_str(w, "general.architecture", m->arch->name);
    rt_gguf_set_str(w, "general.type", "model");
    RT_TRY(set_extra(w, extra, err));
    rt_gguf_set_u32(w, "general.file_type", (uint32_t)file_type_id(type));
    if (rt_dtype_block(type) > 1) {
        rt_gguf_set_u32(w, "general.quantization_version", 2);
    }
    RT_TRY(rt_hparams_to_gguf(w, m->arch, &m->hp, err));
    copy_tokenizer(w, tokenizer);
    RT_TRY(rt_new_big((void **)&values, (size_t)m->n_elements * sizeof(float), "export buffer", err));
    int64_t longest = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        longest = rt_param_cols(&m->params[i]) > longest ? rt_param_cols(&m->params[i]) : longest;
    }
    RT_TRY(RT_NEW(&row, (size_t)longest, "row buffer", err));
    RT_TRY(RT_NEW(&divisors, (size_t)m->hp.n_rot / 2, "rotary divisors", err));
    add_tensors(w, m, type, values, row, divisors);
    RT_TRY(rt_gguf_write(w, path, err));
out:
    rt_gguf_writer_free(w);
    rt_free(values);
    rt_free(row);
    rt_free(divisors);
    return st;
}

/* Values [experts, outputs, in] as two tensors; returns the bytes used at dst. */
static size_t add_mxfp4(rt_st_writer *w, const rt_hf_tensor *t, const float *values, char *dst)
{
    char name[112];
    const int64_t groups = t->dims[2] / rt_dtype_block(RT_MXFP4), n_blocks = t->dims[0] * t->dims[1] * groups;
    char *scales = dst + n_blocks * 16;
    rt_encode_mxfp4_split(values, dst, scales, t->n);
    snprintf(name, sizeof name, "%s_blocks", t->name);
    rt_st_add(w, name, RT_U8, 4, (const int64_t[]){t->dims[0], t->dims[1], groups, 16}, dst);
    snprintf(name, sizeof name, "%s_scales", t->name);
    rt_st_add(w, name, RT_U8, 3, (const int64_t[]){t->dims[0], t->dims[1], groups}, scales);
    return (size_t)n_blocks * 17;
}

rt_status rt_model_add_tensors(rt_st_writer *w, const rt_model *m, const float *flat, rt_dtype type, void **block,
                               rt_err *err)
{
    rt_status st = RT_OK;
    float *plain = NULL;
    rt_hf_tensor t;
    int64_t longest = 0;
    const size_t size = (size_t)rt_dtype_block_bytes(type);
    for (size_t i = 0; i < m->n_params; i++) {
        longest = rt_hf_tensor_of(&t, m, &m->params[i]) && t.n > longest ? t.n : longest;
    }
    RT_TRY(rt_new_big(block, (size_t)m->n_elements * size, "export buffer", err));
    RT_TRY(rt_new_big((void **)&plain, (size_t)longest * sizeof(float), "export buffer", err));
    char *dst = *block;
    for (size_t i = 0; i < m->n_params; i++) {
        if (!rt_hf_tensor_of(&t, m, &m->params[i]) || (flat != NULL && t.p->frozen)) {
            continue;
        }
        rt_hf_tensor_values(&t, m, flat, plain);
        if (t.mxfp4) {
            dst += add_mxfp4(w, &t, plain, dst);
            continue;
        }
        rt_encode(type, plain, dst, t.n);
        rt_st_add(w, t.name, type, t.n_dims, t.dims, dst);
        dst += (size_t)t.n * size;
    }
out:
    rt_free(plain);
    return st;
}

rt_status rt_model_save_safetensors(const rt_model *m, const char *path, rt_dtype type, rt_err *err)
{
    rt_status st = RT_OK;
    void *block = NULL;
    rt_st_writer *w = rt_st_writer_new();
    if (w == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_params_in_memory(m, err));
    RT_TRY(check_writable(m, err));
    if (rt_dtype_block(type) != 1 || !rt_dtype_can_encode(type)) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "safetensors cannot hold %s (f32, f16, bf16)", rt_dtype_name(type));
    }
    RT_TRY(rt_model_add_tensors(w, m, NULL, type, &block, err));
    RT_TRY(rt_st_write(w, path, err));
out:
    rt_st_writer_free(w);
    rt_free(block);
    return st;
}

static bool has_mxfp4(const rt_model *m)
{
    rt_hf_tensor t;
    for (size_t i = 0; i < m->n_params; i++) {
        if (rt_hf_tensor_of(&t, m, &m->params[i]) && t.mxfp4) {
            return true;
        }
    }
    return false;
}

rt_status rt_model_save_config(const rt_model *m, const char *path, const int32_t ids[3], rt_dtype type, rt_err *err)
{
    if (m->hp.rope_divisors != NULL) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "config.json cannot say this model's rotary factors: they came as a tensor, without the "
                       "settings they were made from");
    }
    if (!rt_hparams_scale_is_usual(m->arch, &m->hp) && m->arch->sliding_period == 0) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "config.json of '%s' cannot say this model's attention scale %.6g",
                       m->arch->hf_type, m->hp.attn_scale);
    }
    json_t *c = rt_hparams_to_hf(m->arch, &m->hp, ids, type);
    if (c == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    if (has_mxfp4(m)) {
        json_object_set_new(c, "quantization_config",
                            json_pack("{s:s, s:[s,s,s,s]}", "quant_method", "mxfp4", "modules_to_not_convert",
                                      "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
                                      "lm_head"));
    }
    const rt_status st = rt_json_save(c, path, err);
    json_decref(c);
    return st;
}
