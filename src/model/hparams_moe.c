/* Hyper-parameters of mixtures of experts, from and to both file formats. */
#include <math.h>
#include <string.h>

#include "model/hparams_moe.h"

/* What files of this architecture mean when they say nothing. */
static rt_routing implied(const rt_arch *arch)
{
    rt_routing r = arch->moe.route;
    r.n_group = r.n_group_used = 1;
    r.scale = r.scale == 0.0 ? 1.0 : r.scale;
    return r;
}

static bool any_moe(const rt_hparams *hp)
{
    for (int64_t l = 0; l < hp->n_layer; l++) {
        if (hp->layer_moe[l]) {
            return true;
        }
    }
    return false;
}

/* Architectures without dense layers are mixtures throughout, whatever a file says. */
static bool is_dense(const rt_arch *arch, bool dense)
{
    return dense && rt_arch_has(arch, RT_ROLE_FFN_GATE);
}

rt_status rt_moe_check(const rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_routing *r = &hp->route;
    if (!any_moe(hp)) {
        return RT_OK;
    }
    RT_TRY(rt_in_range("number of experts", r->n_expert, 1, RT_MAX_EXPERTS, err));
    RT_TRY(rt_in_range("expert groups", r->n_group, 1, RT_MAX_EXPERT_GROUPS, err));
    RT_TRY(rt_in_range("expert groups used", r->n_group_used, 1, r->n_group, err));
    if (r->n_expert % r->n_group != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "%lld experts do not make %lld equal groups", (long long)r->n_expert,
                    (long long)r->n_group);
    }
    const int64_t size = r->n_expert / r->n_group, open = size * r->n_group_used;
    if (r->group_score == RT_GROUP_TOP2 && r->n_group > 1) {
        RT_TRY(rt_in_range("experts in a group", size, 2, RT_MAX_EXPERTS, err));
    }
    RT_TRY(rt_in_range("experts used", r->n_used, 1, open < RT_MAX_EXPERTS_USED ? open : RT_MAX_EXPERTS_USED, err));
    RT_TRY(rt_in_range("expert feed-forward size", hp->d_expert, 1, 1 << 20, err));
    RT_TRY(rt_in_range("shared expert feed-forward size", hp->d_shared, 0, 1 << 20, err));
    if (!(r->scale > 0.0) || !isfinite(r->scale)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the factor of the experts' weights is not a usable number");
    }
out:
    return st;
}

/* Shared experts act as one of their joint width. */
static rt_status set_shared(rt_hparams *hp, int64_t count, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_in_range("number of shared experts", count, 0, 1 << 10, err));
    RT_TRY(rt_in_range("expert feed-forward size", hp->d_expert, 0, 1 << 20, err));
    hp->d_shared = count * hp->d_expert;
out:
    return st;
}

/* --- GGUF ------------------------------------------------------------------------------------------------------ */

static const int64_t gating[] = {[RT_SCORE_SOFTMAX] = 1, [RT_SCORE_SIGMOID] = 2, [RT_SCORE_SQRT_SOFTPLUS] = 4};
#define N_SCORES (sizeof gating / sizeof gating[0])

static rt_status routing_from_gguf(rt_routing *r, const rt_keys *keys)
{
    const int64_t kind = rt_keys_i64(keys, "expert_gating_func", gating[r->score]);
    size_t i = 0;
    while (i < N_SCORES && kind != gating[i]) {
        i++;
    }
    if (kind != 0 && i == N_SCORES) {
        return rt_fail(keys->err, RT_UNSUPPORTED, 0,
                       "key '%s.expert_gating_func': scores of kind %lld are not supported (1 softmax, 2 sigmoid, 4 "
                       "square root of softplus)",
                       keys->arch, (long long)kind);
    }
    r->score = kind != 0 ? (rt_router_score)i : r->score;
    r->normalise = rt_keys_bool(keys, "expert_weights_norm", r->normalise);
    const double scale = rt_keys_f64(keys, "expert_weights_scale", r->scale);
    r->scale = scale == 0.0 ? 1.0 : scale; /* older files: 0 for none */
    r->n_group = rt_keys_i64(keys, "expert_group_count", r->n_group);
    r->n_group_used = rt_keys_i64(keys, "expert_group_used_count", r->n_group_used);
    r->group_score = RT_GROUP_TOP2;
    return RT_OK;
}

rt_status rt_moe_from_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *keys)
{
    rt_status st = RT_OK;
    hp->route = implied(arch);
    if (!rt_arch_has(arch, RT_ROLE_ROUTER)) {
        return RT_OK;
    }
    hp->route.n_expert = rt_keys_i64(keys, "expert_count", 0);
    hp->route.n_used = rt_keys_i64(keys, "expert_used_count", 0);
    hp->d_expert = rt_keys_i64(keys, "expert_feed_forward_length", hp->d_ff);
    if (rt_arch_has(arch, RT_ROLE_SHARED_GATE)) {
        RT_TRY(set_shared(hp, rt_keys_i64(keys, "expert_shared_count", 0), keys->err));
    }
    if (arch->moe.gguf_says) {
        RT_TRY(routing_from_gguf(&hp->route, keys));
    }
    for (int64_t l = 0; l < hp->n_layer; l++) {
        char router[96];
        rt_name_numbered(router, sizeof router, rt_role_gguf(RT_ROLE_ROUTER), (int)l, 0);
        hp->layer_moe[l] = !is_dense(arch, hp->route.n_expert <= 0 || rt_gguf_find(keys->g, router) == NULL);
    }
out:
    return st;
}

static rt_status refuse_routing(const rt_arch *arch, const rt_routing *r, rt_err *err)
{
    const rt_routing i = implied(arch);
    if (!arch->moe.gguf_says && r->normalise != i.normalise) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "GGUF '%s' readers %s the chosen experts' weights; this model does%s",
                       arch->name, i.normalise ? "normalise" : "do not normalise", i.normalise ? " not" : "");
    }
    if (!arch->moe.gguf_says && (r->score != i.score || r->scale != i.scale || r->n_group != i.n_group)) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "GGUF '%s' has no way to say how this model's router scores, groups or scales its experts",
                       arch->name);
    }
    if (r->n_group > 1 && r->group_score != RT_GROUP_TOP2) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "GGUF '%s' readers judge a group of experts by its two best; this model by its best one",
                       arch->name);
    }
    return RT_OK;
}

/* The number of dense layers before the first mixture. */
static int64_t leading_dense(const rt_hparams *hp)
{
    int64_t n = 0;
    while (n < hp->n_layer && !hp->layer_moe[n]) {
        n++;
    }
    return n;
}

static rt_status refuse_layers(const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    for (int64_t l = arch->moe.leading_dense ? leading_dense(hp) : 0; l < hp->n_layer; l++) {
        if (!hp->layer_moe[l]) {
            return rt_fail(err, RT_UNSUPPORTED, 0,
                           "GGUF '%s' has no way to say that layer %d is dense while others are mixtures", arch->name,
                           (int)l);
        }
    }
    if (hp->d_shared % hp->d_expert != 0) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "GGUF '%s' counts shared experts of the routed ones' width %lld; %lld is no multiple of it",
                       arch->name, (long long)hp->d_expert, (long long)hp->d_shared);
    }
    return RT_OK;
}

static void routing_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_routing *r)
{
    if (arch->moe.gguf_says || r->score != RT_SCORE_SOFTMAX) {
        rt_keys_set_u32(w, arch->name, "expert_gating_func", gating[r->score]);
    }
    if (!arch->moe.gguf_says) {
        return;
    }
    rt_keys_set_bool(w, arch->name, "expert_weights_norm", r->normalise);
    rt_keys_set_f32(w, arch->name, "expert_weights_scale", r->scale);
    if (r->n_group > 1) {
        rt_keys_set_u32(w, arch->name, "expert_group_count", r->n_group);
        rt_keys_set_u32(w, arch->name, "expert_group_used_count", r->n_group_used);
    }
}

rt_status rt_moe_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    if (!any_moe(hp)) {
        return RT_OK;
    }
    RT_TRY(refuse_layers(arch, hp, err));
    RT_TRY(refuse_routing(arch, &hp->route, err));
    rt_keys_set_u32(w, arch->name, "expert_count", hp->route.n_expert);
    rt_keys_set_u32(w, arch->name, "expert_used_count", hp->route.n_used);
    rt_keys_set_u32(w, arch->name, "expert_feed_forward_length", hp->d_expert);
    if (hp->d_shared > 0) {
        rt_keys_set_u32(w, arch->name, "expert_shared_count", hp->d_shared / hp->d_expert);
    }
    if (arch->moe.leading_dense) {
        rt_keys_set_u32(w, arch->name, "leading_dense_block_count", leading_dense(hp));
    }
    routing_to_gguf(w, arch, &hp->route);
out:
    return st;
}

/* --- config.json ----------------------------------------------------------------------------------------------- */

static const char *const score_names[] = {
    [RT_SCORE_SOFTMAX] = "softmax", [RT_SCORE_SIGMOID] = "sigmoid", [RT_SCORE_SQRT_SOFTPLUS] = "sqrtsoftplus"};

static rt_status routing_from_hf(const rt_arch *arch, rt_routing *r, const json_t *c, rt_err *err)
{
    const char *score = rt_json_str(c, "scoring_func", NULL), *method = rt_json_str(c, "topk_method", NULL);
    r->normalise = rt_json_bool(c, "norm_topk_prob", arch->moe.hf_norm_topk);
    r->scale = rt_json_f64(c, "routed_scaling_factor", r->scale);
    r->n_group = rt_json_i64(c, "n_group", 1);
    r->n_group_used = rt_json_i64(c, "topk_group", 1);
    if (method != NULL && strcmp(method, "greedy") == 0) {
        r->n_group = r->n_group_used = 1;
    } else if (method != NULL) {
        const bool two = strcmp(method, "noaux_tc") == 0;
        if (!two && strcmp(method, "group_limited_greedy") != 0) {
            return rt_fail(err, RT_UNSUPPORTED, 0, "config.json: 'topk_method' '%.40s' is not supported", method);
        }
        r->group_score = two ? RT_GROUP_TOP2 : RT_GROUP_MAX;
    }
    if (score != NULL) {
        size_t i = 0;
        while (i < N_SCORES && strcmp(score, score_names[i]) != 0) {
            i++;
        }
        if (i == N_SCORES) {
            return rt_fail(err, RT_UNSUPPORTED, 0, "config.json: 'scoring_func' '%.40s' is not supported", score);
        }
        r->score = (rt_router_score)i;
    }
    return RT_OK;
}

static bool is_listed(const json_t *list, int64_t v)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_integer_value(json_array_get(list, i)) == v) {
            return true;
        }
    }
    return false;
}

rt_status rt_moe_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *c, rt_err *err)
{
    rt_status st = RT_OK;
    hp->route = implied(arch);
    if (!rt_arch_has(arch, RT_ROLE_ROUTER)) {
        return RT_OK;
    }
    hp->route.n_expert = rt_json_i64(c, arch->moe.hf_experts, rt_json_i64(c, "num_local_experts", 0));
    hp->route.n_used = rt_json_i64(c, "num_experts_per_tok", 0);
    hp->d_expert = rt_json_i64(c, arch->moe.hf_width, 0);
    if (rt_arch_has(arch, RT_ROLE_SHARED_GATE)) {
        RT_TRY(set_shared(hp, rt_json_i64(c, "n_shared_experts", 0), err));
    }
    if (arch->moe.hf_says) {
        RT_TRY(routing_from_hf(arch, &hp->route, c, err));
    }
    const int64_t first = rt_json_i64(c, "first_k_dense_replace", 0), step = rt_json_i64(c, "decoder_sparse_step", 1);
    for (int64_t l = 0; l < hp->n_layer; l++) {
        const bool listed = is_listed(json_object_get(c, "mlp_only_layers"), l);
        const bool dense = hp->route.n_expert <= 0 || l < first || step < 1 || (l + 1) % step != 0 || listed;
        hp->layer_moe[l] = !is_dense(arch, dense);
    }
out:
    return st;
}

static void routing_to_hf(json_t *c, const rt_arch *arch, const rt_routing *r)
{
    json_object_set_new(c, "norm_topk_prob", json_boolean(r->normalise));
    if (!arch->moe.gguf_says) {
        return; /* of this kind only the normalisation varies */
    }
    json_object_set_new(c, "scoring_func", json_string(score_names[r->score]));
    json_object_set_new(c, "topk_method",
                        json_string(r->group_score == RT_GROUP_TOP2 ? "noaux_tc"
                                    : r->n_group > 1                ? "group_limited_greedy"
                                                                    : "greedy"));
    json_object_set_new(c, "n_group", json_integer(r->n_group));
    json_object_set_new(c, "topk_group", json_integer(r->n_group_used));
    json_object_set_new(c, "routed_scaling_factor", json_real(r->scale));
}

void rt_moe_to_hf(json_t *c, const rt_arch *arch, const rt_hparams *hp)
{
    if (hp->route.n_expert == 0) {
        return;
    }
    json_object_set_new(c, arch->moe.hf_experts, json_integer(hp->route.n_expert));
    json_object_set_new(c, "num_experts_per_tok", json_integer(hp->route.n_used));
    json_object_set_new(c, arch->moe.hf_width, json_integer(hp->d_expert));
    if (arch->moe.hf_says) {
        routing_to_hf(c, arch, &hp->route);
    }
    if (hp->d_shared > 0) {
        json_object_set_new(c, "n_shared_experts", json_integer(hp->d_shared / hp->d_expert));
    }
    if (arch->moe.leading_dense) {
        json_object_set_new(c, "first_k_dense_replace", json_integer(leading_dense(hp)));
    } else if (rt_arch_has(arch, RT_ROLE_FFN_GATE)) {
        json_t *dense = json_array();
        for (int64_t l = 0; l < hp->n_layer; l++) {
            if (!hp->layer_moe[l]) {
                json_array_append_new(dense, json_integer(l));
            }
        }
        json_object_set_new(c, "decoder_sparse_step", json_integer(1));
        json_object_set_new(c, "mlp_only_layers", dense);
    }
}
