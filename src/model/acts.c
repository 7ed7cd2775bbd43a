/* Laying out activation memory: one carving routine both measures and assigns. */
#include "model/acts.h"

#include <string.h>

typedef struct carver {
    char *base; /* NULL: measure only */
    size_t used;
} carver;

static void *carve(carver *c, int64_t n, size_t size)
{
    void *p = c->base != NULL ? c->base + c->used : NULL;
    c->used += ((size_t)n * size + 63) & ~(size_t)63;
    return p;
}

static float *floats(carver *c, int64_t n)
{
    return carve(c, n, sizeof(float));
}

static int32_t *ints(carver *c, int64_t n)
{
    return carve(c, n, sizeof(int32_t));
}

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

static void carve_moe(carver *c, const rt_hparams *hp, int64_t n, rt_moe_acts *a)
{
    const int64_t slots = n * hp->n_expert_used;
    a->logits = floats(c, n * hp->n_expert);
    a->expert = ints(c, slots);
    a->weight = floats(c, slots);
    a->slot = ints(c, slots);
    a->slot_row = ints(c, slots);
    a->first = ints(c, hp->n_expert + 1);
    a->gate_up = floats(c, slots * 2 * hp->d_expert);
    a->out = floats(c, slots * hp->d_model);
}

static void carve_layer(carver *c, const rt_model *m, int64_t n, bool dense, bool moe, rt_layer_acts *a)
{
    const rt_hparams *hp = &m->hp;
    const int64_t q = hp->n_head * hp->head_dim, kv = hp->n_head_kv * hp->head_dim;
    a->x = floats(c, n * hp->d_model);
    a->qk_raw = m->arch->qk_norm ? floats(c, n * (q + kv)) : NULL;
    a->qkv = floats(c, n * (q + 2 * kv));
    a->o = floats(c, n * q);
    a->lse = floats(c, n * hp->n_head);
    a->attn_out = m->arch->post_norms ? floats(c, n * hp->d_model) : NULL;
    a->x_mid = floats(c, n * hp->d_model);
    a->gate_up = dense ? floats(c, n * 2 * hp->d_ff) : NULL;
    a->ffn_out = m->arch->post_norms ? floats(c, n * hp->d_model) : NULL;
    if (moe) {
        carve_moe(c, hp, n, &a->moe);
    }
}

static void carve_all(carver *c, rt_acts *a, bool train)
{
    const rt_hparams *hp = &a->m->hp;
    const int64_t n = a->max_rows, q = hp->n_head * hp->head_dim, kv = hp->n_head_kv * hp->head_dim;
    const int64_t mid = larger(hp->d_ff, q), wide = larger(2 * hp->d_ff, q + 2 * kv);
    const size_t op = (size_t)rt_dtype_block_bytes(a->type);
    const bool moe = has_moe(hp);
    for (int64_t l = 0; l < (train ? hp->n_layer : 1); l++) {
        rt_layer_acts unused = {0};
        const bool dense = train ? !hp->layer_moe[l] : true;
        carve_layer(c, a->m, n, dense, train ? hp->layer_moe[l] : moe, c->base != NULL ? &a->layers[l] : &unused);
    }
    a->x = floats(c, n * hp->d_model);
    a->cs[0] = floats(c, n * hp->head_dim);
    a->cs[1] = a->m->rope_cs[1] != NULL ? floats(c, n * hp->head_dim) : NULL;
    a->attn_scratch_floats = (rt_attn_scratch_floats(a->max_span, (int)hp->head_dim) + 15) & ~(size_t)15;
    a->attn_scratch = floats(c, (int64_t)a->attn_scratch_floats * rt_team_threads());
    a->op_d = carve(c, n * hp->d_model, op);
    a->op_mid = carve(c, n * mid, op);
    a->f_d = floats(c, n * hp->d_model);
    if (train) {
        a->op_dy = carve(c, n * hp->d_model, op);
        a->op_wide = carve(c, n * wide, op);
        a->f_mid = floats(c, n * mid);
        a->f_wide = floats(c, n * (q + 2 * kv));
        a->f_raw = a->m->arch->qk_norm ? floats(c, n * (q + kv)) : NULL;
        a->partial = floats(c, (n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK * larger(hp->d_model, 2 * hp->head_dim));
    }
    if (moe) {
        const int64_t slots = n * hp->n_expert_used;
        a->moe_op_d = carve(c, slots * hp->d_model, op);
        a->moe_op_dy = train ? carve(c, slots * hp->d_model, op) : NULL;
        a->moe_op_i = carve(c, slots * hp->d_expert, op);
        a->moe_op_2i = carve(c, slots * 2 * hp->d_expert, op);
        a->moe_f_i = floats(c, slots * hp->d_expert);
        a->moe_f_d = floats(c, slots * hp->d_model);
        a->moe_dlogits = floats(c, n * hp->n_expert);
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
    carver c = {0};
    carve_all(&c, &a, mode == RT_NET_TRAIN);
    return c.used;
}

rt_status rt_acts_new(rt_acts **out, const rt_model *m, int64_t max_rows, int64_t max_span, rt_net_mode mode,
                      rt_err *err)
{
    rt_status st = RT_OK;
    rt_acts *a = NULL;
    const bool train = mode == RT_NET_TRAIN;
    RT_TRY(RT_NEW(&a, 1, "activations", err));
    *a = describe(m, max_rows, max_span, mode);
    RT_TRY(RT_NEW(&a->layers, (size_t)(train ? m->hp.n_layer : 1), "activations", err));
    RT_TRY(rt_new_big(&a->block, rt_acts_bytes(m, max_rows, max_span, mode), "activations", err));
    carve_all(&(carver){.base = a->block}, a, train);
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
    return a->x;
}

const float *rt_acts_layer_input(const rt_acts *a, int layer)
{
    RT_BUG_IF(a->mode != RT_NET_TRAIN);
    return layer == a->m->hp.n_layer ? a->x : a->layers[layer].x;
}

const float *rt_acts_router_logits(const rt_acts *a, int layer)
{
    return a->mode == RT_NET_TRAIN ? a->layers[layer].moe.logits : NULL;
}
