/* Hyper-parameters of pooled attention and parallel streams, from both file formats. */
#include "model/hparams_compressed.h"

#include <math.h>
#include <string.h>

#include "model/rope.h"

/* What files that do not say mean. */
enum { RATIO_HEAVY = 128, RATIO_SPARSE = 4, HASHED_LAYERS = 3 };
#define ROPE_THETA 160000.0 /* of layers with entries */

static bool has_pools(const rt_arch *arch)
{
    return rt_arch_has(arch, RT_ROLE_POOL_VALUES);
}

rt_status rt_compressed_check(const rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_compression *c = &hp->compression;
    const rt_hyper *h = &hp->hyper;
    const int first = hp->layer_mixer[0];
    if (first != RT_MIXER_WINDOWED && first != RT_MIXER_HEAVY && first != RT_MIXER_SPARSE) {
        return RT_OK; /* layers have one family of mixers */
    }
    RT_TRY(rt_in_range("width of the query latent", hp->q_lora, 1, 1 << 14, err));
    RT_TRY(rt_in_range("number of key/value heads", hp->n_head_kv, 1, 1, err));
    RT_TRY(rt_in_range("output groups", c->o_groups, 1, hp->n_head, err));
    RT_TRY(rt_in_range("rank of an output group", c->o_rank, 1, 1 << 16, err));
    RT_TRY(rt_in_range("tokens of an entry", c->heavy, 1, 1 << 16, err));
    RT_TRY(rt_in_range("tokens of an indexed entry", c->sparse, 1, 1 << 16, err));
    RT_TRY(rt_in_range("heads of the indexer", hp->n_index_head, 1, 1 << 12, err));
    RT_TRY(rt_in_range("head size of the indexer", hp->index_dim, hp->n_rot, 1 << 12, err));
    RT_TRY(rt_in_range("entries the indexer keeps", hp->index_top, 1, 1 << 20, err));
    RT_TRY(rt_in_range("attention window", hp->window, 1, (int64_t)1 << 31, err));
    RT_TRY(rt_in_range("residual streams", h->n, 1, RT_MAX_STREAMS, err));
    RT_TRY(rt_in_range("rounds of stream balancing", h->iterations, 1, 1000, err));
    if (hp->n_head % c->o_groups != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "%lld attention heads do not make %lld equal output groups",
                    (long long)hp->n_head, (long long)c->o_groups);
    }
    if (!(h->eps > 0.0) || !isfinite(h->eps) || !isfinite(hp->glu.limit) || hp->glu.limit < 0.0f) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the streams' epsilon or the experts' limit is not a usable number");
    }
out:
    return st;
}

/* Layers by the tokens of their entries: none, as many as entries with an indexer have, or one other number. */
static rt_status set_ratios(rt_hparams *hp, const int64_t *ratio, rt_err *err)
{
    rt_compression *c = &hp->compression;
    int64_t other = 0;
    for (int64_t l = 0; l < hp->n_layer; l++) {
        const bool heavy = ratio[l] != 0 && ratio[l] != c->sparse;
        if (heavy && other != 0 && ratio[l] != other) {
            return rt_fail(err, RT_UNSUPPORTED, 0,
                           "layer %lld pools %lld tokens into an entry, others %lld and %lld; two kinds are supported",
                           (long long)l, (long long)ratio[l], (long long)c->sparse, (long long)other);
        }
        other = heavy ? ratio[l] : other;
        hp->layer_mixer[l] = heavy ? RT_MIXER_HEAVY : ratio[l] == 0 ? RT_MIXER_WINDOWED : RT_MIXER_SPARSE;
    }
    c->heavy = other != 0 ? other : c->heavy;
    return RT_OK;
}

static void set_hashed(rt_hparams *hp, int64_t count)
{
    for (int64_t l = 0; l < hp->n_layer; l++) {
        hp->layer_hashed[l] = l < count;
    }
}

/* --- GGUF ------------------------------------------------------------------------------------------------------ */

static rt_status ratios_from_gguf(rt_hparams *hp, const rt_keys *keys)
{
    char key[160];
    rt_gguf_array a;
    int64_t ratio[RT_MAX_LAYERS];
    rt_keys_name(key, keys->arch, "attention.compress_ratios");
    if (!rt_gguf_get_array(keys->g, key, &a) || a.n < (uint64_t)hp->n_layer) {
        return rt_fail(keys->err, RT_INPUT, 0, "key '%s' is missing or has fewer entries than there are layers", key);
    }
    for (int64_t l = 0; l < hp->n_layer; l++) {
        ratio[l] = rt_gguf_array_i64(&a, (uint64_t)l);
    }
    return set_ratios(hp, ratio, keys->err);
}

/* One number, or one a layer. */
static rt_status limit_from_gguf(rt_hparams *hp, const rt_keys *keys)
{
    char key[160];
    rt_gguf_array a;
    double limit = 0.0;
    rt_keys_name(key, keys->arch, "swiglu_clamp_exp");
    if (rt_gguf_get_array(keys->g, key, &a) && a.n > 0) {
        limit = rt_gguf_array_f64(&a, 0);
        for (uint64_t i = 1; i < a.n; i++) {
            if (rt_gguf_array_f64(&a, i) != limit) {
                return rt_fail(keys->err, RT_UNSUPPORTED, 0, "key '%s': one limit for all layers is supported", key);
            }
        }
    } else {
        limit = rt_keys_f64(keys, "swiglu_clamp_exp", 0.0);
    }
    hp->glu.limit = (float)limit;
    return RT_OK;
}

rt_status rt_compressed_from_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *keys)
{
    if (!has_pools(arch)) {
        return RT_OK;
    }
    hp->compression = (rt_compression){.o_groups = rt_keys_i64(keys, "attention.output_group_count", 0),
                                       .o_rank = rt_keys_i64(keys, "attention.output_lora_rank", 0),
                                       .heavy = RATIO_HEAVY,
                                       .sparse = RATIO_SPARSE};
    hp->q_lora = rt_keys_i64(keys, "attention.q_lora_rank", 0);
    hp->n_index_head = rt_keys_i64(keys, "attention.indexer.head_count", 0);
    hp->index_dim = rt_keys_i64(keys, "attention.indexer.key_length", 0);
    hp->index_top = rt_keys_i64(keys, "attention.indexer.top_k", 0);
    hp->hyper = (rt_hyper){.n = rt_keys_i64(keys, "hyper_connection.count", 0),
                           .iterations = rt_keys_i64(keys, "hyper_connection.sinkhorn_iterations", 0),
                           .eps = rt_keys_f64(keys, "hyper_connection.epsilon", 0.0)};
    set_hashed(hp, rt_keys_i64(keys, "hash_layer_count", 0));
    hp->rope_theta_local = hp->rope_theta;
    hp->rope_theta = rt_keys_f64(keys, "attention.compress_rope_freq_base", ROPE_THETA);
    hp->rope_attn_factor = 1.0;
    const rt_status st = limit_from_gguf(hp, keys);
    return st == RT_OK ? ratios_from_gguf(hp, keys) : st;
}

/* --- config.json ----------------------------------------------------------------------------------------------- */

static rt_status check_length(const json_t *list, const char *key, int64_t least, rt_err *err)
{
    if (list != NULL && json_array_size(list) < (size_t)least) {
        return rt_fail(err, RT_INPUT, 0, "config.json: '%s' has %zu entries, the model %lld layers", key,
                       json_array_size(list), (long long)least);
    }
    return RT_OK;
}

static rt_status set_type(rt_hparams *hp, int64_t layer, const char *type, rt_err *err)
{
    static const struct {
        const char *type;
        rt_mixer mixer;
    } known[] = {{"sliding_attention", RT_MIXER_WINDOWED},
                 {"compressed_sparse_attention", RT_MIXER_SPARSE},
                 {"heavily_compressed_attention", RT_MIXER_HEAVY}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (type != NULL && strcmp(known[i].type, type) == 0) {
            hp->layer_mixer[layer] = known[i].mixer;
            return RT_OK;
        }
    }
    return rt_fail(err, RT_UNSUPPORTED, 0, "config.json: layer type '%.60s' is not supported",
                   type != NULL ? type : "?");
}

/* In transformers' spelling layers have names, in the published one the tokens of an entry. */
static rt_status mixers_from_hf(rt_hparams *hp, const json_t *c, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *types = json_object_get(c, "layer_types"), *ratios = json_object_get(c, "compress_ratios");
    int64_t ratio[RT_MAX_LAYERS];
    RT_TRY(check_length(types, "layer_types", hp->n_layer, err));
    RT_TRY(check_length(ratios, "compress_ratios", hp->n_layer, err));
    for (int64_t l = 0; l < hp->n_layer; l++) {
        ratio[l] = json_integer_value(json_array_get(ratios, (size_t)l));
        if (types != NULL) {
            RT_TRY(set_type(hp, l, json_string_value(json_array_get(types, (size_t)l)), err));
        } else { /* two heavy ones, then heavy and sparse in turn */
            hp->layer_mixer[l] = l >= 2 && l % 2 != 0 ? RT_MIXER_SPARSE : RT_MIXER_HEAVY;
        }
    }
    if (types == NULL && ratios != NULL) {
        RT_TRY(set_ratios(hp, ratio, err));
    }
out:
    return st;
}

static rt_status experts_from_hf(rt_hparams *hp, const json_t *c, rt_err *err)
{
    const json_t *types = json_object_get(c, "mlp_layer_types");
    const rt_status st = check_length(types, "mlp_layer_types", hp->n_layer, err);
    set_hashed(hp, rt_json_i64(c, "num_hash_layers", HASHED_LAYERS));
    for (int64_t l = 0; st == RT_OK && types != NULL && l < hp->n_layer; l++) {
        const char *type = json_string_value(json_array_get(types, (size_t)l));
        hp->layer_hashed[l] = type != NULL && strcmp(type, "hash_moe") == 0;
    }
    return st;
}

/* Layers without entries rotate plainly; the others with a base of their own, and YaRN changes their frequencies alone.
 * The settings of the latter lie in rope_scaling or, under this name, in rope_parameters. */
static rt_status rope_from_hf(rt_hparams *hp, const json_t *c, rt_err *err)
{
    const json_t *rope = json_object_get(c, "rope_parameters");
    const json_t *scaled = json_object_get(rope, "compress"), *plain = json_object_get(rope, "main");
    const rt_status st = rt_rope_settings_from_hf(hp, scaled, err);
    hp->rope_theta_local = rt_json_f64(plain, "rope_theta", rt_json_f64(c, "rope_theta", 10000.0));
    hp->rope_theta = rt_json_f64(scaled, "rope_theta", rt_json_f64(c, "compress_rope_theta", ROPE_THETA));
    hp->rope_attn_factor = hp->rope_attn_factor > 0.0 ? hp->rope_attn_factor : 1.0;
    return st;
}

rt_status rt_compressed_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *c, rt_err *err)
{
    if (!has_pools(arch)) {
        return RT_OK;
    }
    const json_t *rates = json_object_get(c, "compress_rates");
    hp->compression = (rt_compression){
        .o_groups = rt_json_i64(c, "o_groups", 8),
        .o_rank = rt_json_i64(c, "o_lora_rank", 1024),
        .heavy = rt_json_i64(rates, "heavily_compressed_attention", rt_json_i64(c, "compress_rate_hca", RATIO_HEAVY)),
        .sparse = rt_json_i64(rates, "compressed_sparse_attention", rt_json_i64(c, "compress_rate_csa", RATIO_SPARSE))};
    hp->q_lora = rt_json_i64(c, "q_lora_rank", 1024);
    hp->n_index_head = rt_json_i64(c, "index_n_heads", 64);
    hp->index_dim = rt_json_i64(c, "index_head_dim", 128);
    hp->index_top = rt_json_i64(c, "index_topk", 512);
    hp->hyper = (rt_hyper){.n = rt_json_i64(c, "hc_mult", 4),
                           .iterations = rt_json_i64(c, "hc_sinkhorn_iters", 20),
                           .eps = rt_json_f64(c, "hc_eps", 1e-6)};
    hp->glu.limit = (float)rt_json_f64(c, "swiglu_limit", 10.0);
    hp->window = rt_json_i64(c, "sliding_window", 128);
    rt_status st = rope_from_hf(hp, c, err);
    st = st == RT_OK ? mixers_from_hf(hp, c, err) : st;
    return st == RT_OK ? experts_from_hf(hp, c, err) : st;
}
