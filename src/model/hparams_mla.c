/* hparams_mla.c - sizes of latent attention. A head's query and key are head_dim = plain + rotated channels wide, its
 * value head_dim_v; newer GGUF files speak of the absorbed form, one key/value head that all share. */
#include "model/hparams_mla.h"

static bool has_indexer(const rt_arch *arch)
{
    return rt_arch_has(arch, RT_ROLE_INDEX_K);
}

static void set_mixers(const rt_arch *arch, rt_hparams *hp)
{
    hp->n_head_kv = hp->n_head;
    for (int64_t l = 0; l < hp->n_layer; l++) {
        hp->layer_mixer[l] = has_indexer(arch) ? RT_MIXER_MLA_INDEXED : RT_MIXER_MLA;
    }
}

rt_status rt_mla_check(const rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_in_range("value head size", hp->head_dim_v, 1, 1 << 12, err));
    if (hp->kv_lora == 0) {
        return RT_OK;
    }
    RT_TRY(rt_in_range("width of the key/value latent", hp->kv_lora, 1, 1 << 14, err));
    RT_TRY(rt_in_range("width of the query latent", hp->q_lora, 0, 1 << 14, err));
    RT_TRY(rt_in_range("rotated channels of a head", hp->n_rot, 2, hp->head_dim - 1, err));
    if (hp->layer_mixer[0] == RT_MIXER_MLA_INDEXED) {
        RT_TRY(rt_in_range("width of the query latent", hp->q_lora, 1, 1 << 14, err));
        RT_TRY(rt_in_range("heads of the indexer", hp->n_index_head, 1, 1 << 12, err));
        RT_TRY(rt_in_range("head size of the indexer", hp->index_dim, hp->n_rot, 1 << 12, err));
        RT_TRY(rt_in_range("keys the indexer keeps", hp->index_top, 1, (int64_t)1 << 31, err));
    }
out:
    return st;
}

/* --- GGUF ------------------------------------------------------------------------------------------------------ */

rt_status rt_mla_from_gguf(const rt_arch *arch, rt_hparams *hp, rt_keys *keys)
{
    if (!arch->mla) {
        return RT_OK;
    }
    /* files before the absorbed form gave the expanded widths as key_length and value_length */
    hp->head_dim = rt_keys_i64(keys, "attention.key_length_mla", hp->head_dim);
    hp->head_dim_v = rt_keys_i64(keys, "attention.value_length_mla", hp->head_dim_v);
    hp->kv_lora = rt_keys_need_i64(keys, "attention.kv_lora_rank");
    hp->q_lora = rt_keys_i64(keys, "attention.q_lora_rank", 0);
    hp->n_rot = rt_keys_need_i64(keys, "rope.dimension_count");
    if (has_indexer(arch)) {
        hp->n_index_head = rt_keys_need_i64(keys, "attention.indexer.head_count");
        hp->index_dim = rt_keys_need_i64(keys, "attention.indexer.key_length");
        hp->index_top = rt_keys_need_i64(keys, "attention.indexer.top_k");
    }
    if (keys->st == RT_OK && hp->kv_lora < 1) {
        return rt_fail(keys->err, RT_INPUT, 0, "key '%s.attention.kv_lora_rank' is %lld", keys->arch,
                       (long long)hp->kv_lora);
    }
    set_mixers(arch, hp);
    return keys->st;
}

rt_status rt_mla_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    if (!arch->mla) {
        return RT_OK;
    }
    if (hp->rope_halves) {
        return rt_fail(
            err, RT_UNSUPPORTED, 0,
            "GGUF '%s' readers rotate pairs of neighbours; this model rotates halves (rope_interleave false)",
            arch->name);
    }
    rt_keys_set_u32(w, arch->name, "attention.head_count_kv", 1);
    rt_keys_set_u32(w, arch->name, "attention.key_length", hp->kv_lora + hp->n_rot);
    rt_keys_set_u32(w, arch->name, "attention.value_length", hp->kv_lora);
    rt_keys_set_u32(w, arch->name, "attention.key_length_mla", hp->head_dim);
    rt_keys_set_u32(w, arch->name, "attention.value_length_mla", hp->head_dim_v);
    rt_keys_set_u32(w, arch->name, "attention.kv_lora_rank", hp->kv_lora);
    if (hp->q_lora > 0) {
        rt_keys_set_u32(w, arch->name, "attention.q_lora_rank", hp->q_lora);
    } else if (hp->n_layer != 26 && hp->n_layer != 27) {
        rt_log(RT_LOG_WARN,
               "llama.cpp takes a model for one without a query latent by its 26 or 27 layers: it will not open "
               "this one of %lld, retort does",
               (long long)hp->n_layer);
    }
    if (has_indexer(arch)) {
        rt_keys_set_u32(w, arch->name, "attention.indexer.head_count", hp->n_index_head);
        rt_keys_set_u32(w, arch->name, "attention.indexer.key_length", hp->index_dim);
        rt_keys_set_u32(w, arch->name, "attention.indexer.top_k", hp->index_top);
    }
    return RT_OK;
}

/* --- config.json ----------------------------------------------------------------------------------------------- */

rt_status rt_mla_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *c, rt_err *err)
{
    rt_status st = RT_OK;
    if (!arch->mla) {
        return RT_OK;
    }
    hp->n_rot = rt_json_i64(c, "qk_rope_head_dim", 0);
    RT_TRY(rt_in_range("qk_rope_head_dim", hp->n_rot, 2, 1 << 12, err));
    hp->head_dim = rt_json_i64(c, "qk_nope_head_dim", 0);
    RT_TRY(rt_in_range("qk_nope_head_dim", hp->head_dim, 1, 1 << 12, err));
    hp->head_dim += hp->n_rot;
    hp->head_dim_v = rt_json_i64(c, "v_head_dim", 0);
    hp->q_lora = rt_json_i64(c, "q_lora_rank", 0);
    hp->kv_lora = rt_json_i64(c, "kv_lora_rank", 0);
    RT_TRY(rt_in_range("kv_lora_rank", hp->kv_lora, 1, 1 << 14, err));
    hp->rope_halves = !rt_json_bool(c, "rope_interleave", true);
    if (has_indexer(arch)) {
        hp->n_index_head = rt_json_i64(c, "index_n_heads", 0);
        hp->index_dim = rt_json_i64(c, "index_head_dim", 0);
        hp->index_top = rt_json_i64(c, "index_topk", 0);
    }
    set_mixers(arch, hp);
out:
    return st;
}

void rt_mla_to_hf(json_t *c, const rt_arch *arch, const rt_hparams *hp)
{
    if (!arch->mla) {
        return;
    }
    json_object_set_new(c, "head_dim", json_integer(hp->n_rot)); /* as transformers 5 has it */
    json_object_set_new(c, "qk_head_dim", json_integer(hp->head_dim));
    json_object_set_new(c, "qk_nope_head_dim", json_integer(hp->head_dim - hp->n_rot));
    json_object_set_new(c, "qk_rope_head_dim", json_integer(hp->n_rot));
    json_object_set_new(c, "v_head_dim", json_integer(hp->head_dim_v));
    json_object_set_new(c, "kv_lora_rank", json_integer(hp->kv_lora));
    json_object_set_new(c, "q_lora_rank", hp->q_lora > 0 ? json_integer(hp->q_lora) : json_null());
    json_object_set_new(c, "rope_interleave", json_boolean(!hp->rope_halves));
    if (has_indexer(arch)) {
        json_object_set_new(c, "index_n_heads", json_integer(hp->n_index_head));
        json_object_set_new(c, "index_head_dim", json_integer(hp->index_dim));
        json_object_set_new(c, "index_topk", json_integer(hp->index_top));
    }
}
