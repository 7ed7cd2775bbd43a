/* Laying out activation memory. */
#include "model/acts.h"

#include "model/carve.h"
#include "model/maps.h"
#include "model/mla.h"
#include "model/params.h"

#include <string.h>

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool has_moe(const rt_hparams *hp)
{
    for (int64_t l = 0; l < hp->n_layer; l++) {
        if (hp->layer_moe[l]) {
            return true;
        }
    }
    return false;
}

static void carve_moe(rt_carver *c, const rt_hparams *hp, int64_t n, rt_moe_acts *a)
{
    const int64_t slots = n * hp->route.n_used;
    a->logits = rt_carve_floats(c, n * hp->route.n_expert);
    a->expert = rt_carve_ints(c, slots);
    a->weight = rt_carve_floats(c, slots);
    a->slot = rt_carve_ints(c, slots);
    a->slot_row = rt_carve_ints(c, slots);
    a->first = rt_carve_ints(c, hp->route.n_expert + 1);
    a->gate_up = rt_carve_floats(c, slots * 2 * hp->d_expert);
    a->shared = hp->d_shared > 0 ? rt_carve_floats(c, n * 2 * hp->d_shared) : NULL;
    a->out = rt_carve_floats(c, slots * hp->d_model);
}

static bool has_mixer(const rt_hparams *hp, rt_mixer mixer)
{
    return memchr(hp->layer_mixer, (int)mixer, (size_t)hp->n_layer) != NULL;
}

static int64_t kv_width(const rt_hparams *hp)
{
    return rt_dim_size(RT_DIM_KVA, hp);
}

static void carve_mla(rt_carver *c, const rt_hparams *hp, int64_t n, rt_mla_acts *a)
{
    a->q_raw = rt_carve_floats(c, n * hp->q_lora);
    a->q = rt_carve_floats(c, n * rt_dim_size(RT_DIM_Q, hp));
    a->kv_raw = rt_carve_floats(c, n * kv_width(hp));
    a->kv = rt_carve_floats(c, n * kv_width(hp));
    a->wide = rt_carve_floats(c, n * rt_dim_size(RT_DIM_KVB, hp));
    a->index_k = rt_carve_floats(c, n * hp->index_dim);
}

static void carve_mla_scratch(rt_carver *c, const rt_acts *acts, bool train, rt_mla_scratch *a)
{
    const rt_hparams *hp = &acts->m->hp;
    const int64_t n = acts->max_rows, q = rt_dim_size(RT_DIM_Q, hp);
    const size_t op = (size_t)rt_dtype_block_bytes(acts->type);
    a->op_q = rt_carve(c, n * hp->q_lora, op);
    a->op_kv = rt_carve(c, n * kv_width(hp), op);
    a->k = rt_carve_floats(c, n * q);
    if (train) {
        a->dq = rt_carve_floats(c, n * q);
        a->dk = rt_carve_floats(c, n * q);
        a->dwide = rt_carve_floats(c, n * rt_dim_size(RT_DIM_KVB, hp));
        a->dlatent = rt_carve_floats(c, n * larger(hp->q_lora, hp->kv_lora));
        a->draw = rt_carve_floats(c, n * larger(hp->q_lora, kv_width(hp)));
    }
    a->index_q = rt_carve_floats(c, n * rt_dim_size(RT_DIM_IQ, hp));
    a->index_w = rt_carve_floats(c, n * hp->n_index_head);
    a->absorbed_floats = (rt_mla_absorbed_floats(hp, acts->max_span) + 15) & ~(size_t)15;
    a->absorbed = rt_carve_floats(c, (int64_t)a->absorbed_floats * rt_team_threads());
}

/* Widest row that goes into the mixers of the model. */
static int64_t mixer_width(const rt_hparams *hp)
{
    const int64_t q = hp->n_head * hp->head_dim, kv = hp->n_head_kv * hp->head_dim;
    return has_mixer(hp, RT_MIXER_LIGHTNING) ? larger(4 * q, q + 2 * kv) : q + 2 * kv;
}

static void carve_compressed(rt_carver *c, const rt_model *m, int64_t n, size_t op, rt_acts *a)
{
    const rt_hparams *hp = &m->hp;
    const rt_compression *z = &hp->compression;
    int64_t most = 0;
    for (int l = 0; l < hp->n_layer; l++) {
        most = larger(most, rt_net_memory(m, l, n));
    }
    a->compressed.latent = rt_carve_floats(c, n * hp->q_lora);
    a->compressed.op_latent = rt_carve(c, n * hp->q_lora, op);
    a->compressed.kv = rt_carve_floats(c, n * hp->head_dim);
    a->compressed.tokens = rt_carve_floats(c, n * 4 * hp->head_dim);
    a->compressed.index_tokens = rt_carve_floats(c, n * 4 * hp->index_dim);
    a->compressed.index_q = rt_carve_floats(c, n * hp->n_index_head * hp->index_dim);
    a->compressed.index_weight = rt_carve_floats(c, n * hp->n_index_head);
    a->compressed.group = rt_carve_floats(c, n * z->o_groups * z->o_rank);
    a->compressed.op_group = rt_carve(c, n * z->o_groups * z->o_rank, op);
    a->timeline = rt_carve_floats(c, most);
}

/* All but the layer's input. */
static void carve_layer(rt_carver *c, const rt_model *m, int64_t n, bool dense, bool moe, rt_layer_acts *a)
{
    const rt_hparams *hp = &m->hp;
    const int64_t q = hp->n_head * hp->head_dim, kv = hp->n_head_kv * hp->head_dim;
    if (hp->kv_lora > 0) {
        carve_mla(c, hp, n, &a->mla);
    } else {
        a->qk_raw = m->arch->qk_norm ? rt_carve_floats(c, n * (q + kv)) : NULL;
        a->qkv = rt_carve_floats(c, n * mixer_width(hp));
    }
    a->o = rt_carve_floats(c, n * rt_dim_size(RT_DIM_O, hp));
    a->lse = rt_carve_floats(c, n * hp->n_head);
    a->attn_out = m->arch->post_norms ? rt_carve_floats(c, n * hp->d_model) : NULL;
    a->x_mid = rt_carve_floats(c, n * rt_net_width(m));
    a->gate_up = dense ? rt_carve_floats(c, n * 2 * hp->d_ff) : NULL;
    a->ffn_out = m->arch->post_norms ? rt_carve_floats(c, n * hp->d_model) : NULL;
    if (moe) {
        carve_moe(c, hp, n, &a->moe);
    }
}

/* Widest gradient of a projection in latent attention. */
static int64_t mla_width(const rt_hparams *hp)
{
    const int64_t heads = larger(rt_dim_size(RT_DIM_Q, hp), rt_dim_size(RT_DIM_KVB, hp));
    return larger(heads, larger(hp->q_lora, kv_width(hp)));
}

/* Widest head an attention kernel is called with. */
static int attention_width(const rt_hparams *hp)
{
    return (int)larger(larger(hp->head_dim, hp->head_dim_v), hp->kv_lora > 0 ? kv_width(hp) : 0);
}

static int64_t layers_kept(const rt_acts *a)
{
    return rt_net_trains(a->mode) ? a->m->hp.n_layer : 1;
}

static void carve_layers(rt_carver *c, rt_acts *a)
{
    const rt_hparams *hp = &a->m->hp;
    const int64_t n = a->max_rows;
    rt_layer_acts one = {0};
    if (a->mode != RT_NET_TRAIN) {
        carve_layer(c, a->m, n, true, has_moe(hp), &one);
    }
    for (int64_t l = 0; l < layers_kept(a); l++) {
        if (a->mode == RT_NET_TRAIN) {
            one = (rt_layer_acts){0};
            carve_layer(c, a->m, n, !hp->layer_moe[l], hp->layer_moe[l], &one);
        }
        one.x = rt_carve_floats(c, n * rt_net_width(a->m));
        if (c->base != NULL) {
            a->layers[l] = one;
        }
    }
}

static void carve_all(rt_carver *c, rt_acts *a)
{
    const rt_hparams *hp = &a->m->hp;
    const int64_t n = a->max_rows, q = hp->n_head * hp->head_dim, kv = hp->n_head_kv * hp->head_dim;
    const int64_t ff = larger(hp->d_ff, hp->d_shared), mid = larger(ff, rt_dim_size(RT_DIM_O, hp));
    const int64_t mixer = hp->kv_lora > 0 ? mla_width(hp) : q + 2 * kv, wide = larger(2 * ff, mixer);
    const size_t op = (size_t)rt_dtype_block_bytes(a->type);
    const bool moe = has_moe(hp), train = rt_net_trains(a->mode);
    carve_layers(c, a);
    a->x = rt_carve_floats(c, n * rt_net_width(a->m));
    if (hp->hyper.n > 0) {
        a->x_end = rt_carve_floats(c, n * hp->d_model);
        a->hyper_in = rt_carve_floats(c, n * hp->d_model);
        a->hyper_mix = rt_carve_floats(c, n * (hp->hyper.n + hp->hyper.n * hp->hyper.n));
    }
    if (hp->compression.o_groups > 0) {
        carve_compressed(c, a->m, n, op, a);
    }
    a->cs[0] = rt_carve_floats(c, n * hp->n_rot);
    a->cs[1] = a->m->rope_cs[1] != NULL ? rt_carve_floats(c, n * hp->n_rot) : NULL;
    int64_t scratch = (int64_t)rt_attn_scratch_floats(a->max_span, attention_width(hp));
    if (has_mixer(hp, RT_MIXER_LIGHTNING)) { /* a head's state */
        scratch = larger(scratch, hp->head_dim * hp->head_dim);
    }
    if (a->m->hp.compression.o_groups > 0) { /* scores of keys and entries and marks of these, or an entry's sums */
        scratch = larger(scratch, larger(3 * a->max_span, 2 * larger(hp->head_dim, hp->index_dim)));
    }
    a->attn_scratch_floats = (size_t)((scratch + 15) & ~(int64_t)15);
    a->attn_scratch = rt_carve_floats(c, (int64_t)a->attn_scratch_floats * rt_team_threads());
    a->op_d = rt_carve(c, n * hp->d_model, op);
    a->op_mid = rt_carve(c, n * mid, op);
    a->f_d = rt_carve_floats(c, n * hp->d_model);
    if (a->mode == RT_NET_ROWS && a->m->coded) {
        a->q8 = rt_carve_q8(c, n, larger(larger(hp->d_model, hp->d_expert), mid));
    }
    if (train) {
        a->op_dy = rt_carve(c, n * hp->d_model, op);
        a->op_wide = rt_carve(c, n * wide, op);
        a->f_mid = rt_carve_floats(c, n * mid);
        a->f_wide = rt_carve_floats(c, hp->kv_lora > 0 ? 0 : n * (q + 2 * kv));
        a->f_raw = a->m->arch->qk_norm ? rt_carve_floats(c, n * (q + kv)) : NULL;
        a->sink_partial = rt_arch_has(a->m->arch, RT_ROLE_ATTN_SINKS) ? rt_carve_floats(c, n * hp->n_head) : NULL;
        const int64_t norms = larger(larger(hp->d_model, q + kv), larger(hp->q_lora, hp->kv_lora));
        a->partial = rt_carve_floats(c, (n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK * norms);
    }
    if (hp->kv_lora > 0) {
        carve_mla_scratch(c, a, train, &a->mla);
    }
    if (moe) {
        const int64_t slots = n * hp->route.n_used;
        a->moe_norm = rt_carve_floats(c, n * hp->d_model);
        a->moe_op_d = rt_carve(c, slots * hp->d_model, op);
        a->moe_op_dy = train ? rt_carve(c, slots * hp->d_model, op) : NULL;
        a->moe_op_i = rt_carve(c, slots * hp->d_expert, op);
        a->moe_op_2i = rt_carve(c, slots * 2 * hp->d_expert, op);
        a->moe_f_i = rt_carve_floats(c, slots * hp->d_expert);
        a->moe_f_d = rt_carve_floats(c, slots * hp->d_model);
        a->moe_dlogits = rt_carve_floats(c, n * hp->route.n_expert);
    }
}

static rt_acts describe(const rt_model *m, int64_t max_rows, int64_t max_span, rt_net_mode mode)
{
    return (rt_acts){.m = m,
                     .mode = mode,
                     .max_rows = max_rows,
                     .max_span = max_span,
                     .type = mode == RT_NET_ROWS ? RT_F32 : m->compute};
}

size_t rt_acts_bytes(const rt_model *m, int64_t max_rows, int64_t max_span, rt_net_mode mode)
{
    rt_acts a = describe(m, max_rows, max_span, mode);
    rt_carver c = {0};
    carve_all(&c, &a);
    return c.used;
}

rt_status rt_acts_new(rt_acts **out, const rt_model *m, int64_t max_rows, int64_t max_span, rt_net_mode mode,
                      rt_err *err)
{
    rt_status st = RT_OK;
    rt_acts *a = NULL;
    if (rt_net_trains(mode)) {
        RT_TRY(rt_params_in_memory(m, err));
    }
    RT_TRY(RT_NEW(&a, 1, "activations", err));
    *a = describe(m, max_rows, max_span, mode);
    RT_TRY(RT_NEW(&a->layers, (size_t)layers_kept(a), "activations", err));
    RT_TRY(rt_new_big(&a->block, rt_acts_bytes(m, max_rows, max_span, mode), "activations", err));
    carve_all(&(rt_carver){.base = a->block}, a);
    *out = a;
    a = NULL;
out:
    rt_acts_free(a);
    return st;
}

void rt_acts_free(rt_acts *a)
{
    if (a != NULL) {
        rt_free(a->layers);
        rt_free(a->block);
        rt_free(a);
    }
}

float *rt_acts_x(rt_acts *a)
{
    return a->x_end != NULL ? a->x_end : a->x;
}

const float *rt_acts_layer_input(const rt_acts *a, int layer)
{
    RT_BUG_IF(!rt_net_trains(a->mode));
    return layer == a->m->hp.n_layer ? a->x : a->layers[layer].x;
}

const float *rt_acts_router_logits(const rt_acts *a, int layer)
{
    return a->mode == RT_NET_TRAIN ? a->layers[layer].moe.logits : NULL;
}

const int32_t *rt_acts_router_choice(const rt_acts *a, int layer, const float **weight)
{
    RT_BUG_IF(a->mode != RT_NET_TRAIN);
    *weight = a->layers[layer].moe.weight;
    return a->layers[layer].moe.expert;
}

double rt_acts_take_attention_seconds(rt_acts *a)
{
    const double seconds = a->attention_seconds;
    a->attention_seconds = 0;
    return seconds;
}
