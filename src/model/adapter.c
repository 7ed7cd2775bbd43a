/* Adapters: their options, pairs added to a model, the matrices they amount to. */
#include "model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/low_rank.h"
#include "model/params.h"

struct rt_adapter {
    rt_adapter_options o;
    rt_low_rank *pairs;
    float *w;        /* flat block: A, B, A, B, ... */
    uint16_t *wb;    /* the same in bf16 where products take it */
    float *u, *wide; /* scratch of the products */
    void *op;
};

/* ---- options ---- */

static const struct {
    const char *name, *module; /* here; where Hugging Face's files have it */
    rt_role role;
} targets[] = {
    {"q", "q_proj", RT_ROLE_ATTN_Q},         {"k", "k_proj", RT_ROLE_ATTN_K},         {"v", "v_proj", RT_ROLE_ATTN_V},
    {"o", "o_proj", RT_ROLE_ATTN_OUT},       {"gate", "gate_proj", RT_ROLE_FFN_GATE}, {"up", "up_proj", RT_ROLE_FFN_UP},
    {"down", "down_proj", RT_ROLE_FFN_DOWN},
};
#define N_TARGETS (sizeof targets / sizeof targets[0])
#define MOST_RANK 1024

rt_status rt_adapter_target(rt_adapter_options *o, const char *name, rt_err *err)
{
    for (size_t i = 0; i < N_TARGETS; i++) {
        if (strcmp(name, targets[i].name) == 0) {
            o->targets[targets[i].role] = true;
            return RT_OK;
        }
    }
    return rt_fail(err, RT_USAGE, 0, "'%s' is no matrix that is adapted: q, k, v, o, gate, up, down", name);
}

static rt_status read_part(rt_adapter_options *o, const char *part, bool *naming, rt_err *err)
{
    const bool begins = strncmp(part, "targets=", 8) == 0;
    if (begins || (*naming && strchr(part, '=') == NULL)) {
        *naming = true;
        return rt_adapter_target(o, begins ? part + 8 : part, err);
    }
    if (strncmp(part, "rank=", 5) == 0 && rt_parse_i64(part + 5, &o->rank) && o->rank >= 1 && o->rank <= MOST_RANK) {
        return RT_OK;
    }
    if (strncmp(part, "alpha=", 6) == 0 && rt_parse_f64(part + 6, &o->alpha) && o->alpha > 0) {
        return RT_OK;
    }
    return rt_fail(err, RT_USAGE, 0, "'%s' is none of rank=1..%d, alpha=NUMBER, targets=q,k,v,o,gate,up,down", part,
                   MOST_RANK);
}

void rt_adapter_settle(rt_adapter_options *o)
{
    bool any = false;
    o->alpha = o->alpha > 0 ? o->alpha : 2.0 * (double)o->rank;
    for (size_t i = 0; i < N_TARGETS; i++) {
        any |= o->targets[targets[i].role];
    }
    for (size_t i = 0; i < N_TARGETS && !any; i++) {
        o->targets[targets[i].role] = true;
    }
}

rt_status rt_adapter_parse(rt_adapter_options *o, const char *text, rt_err *err)
{
    rt_status st = RT_OK;
    char *copy = rt_strdup(text), *save = NULL;
    bool naming = false;
    *o = (rt_adapter_options){.rank = 16};
    if (copy == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    for (char *p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        RT_TRY(read_part(o, p, &naming, err));
    }
    rt_adapter_settle(o);
out:
    rt_free(copy);
    return st;
}

/* ---- adding ---- */

static rt_status check(const rt_model *m, rt_err *err)
{
    RT_BUG_IF(m->adapter != NULL);
    for (int64_t l = 0; l < m->hp.n_layer; l++) {
        if (m->hp.layer_mixer[l] != RT_MIXER_ATTENTION || m->hp.layer_moe[l] != 0) {
            return rt_fail(
                err, RT_UNSUPPORTED, 0,
                "adapters are for grouped attention and dense feed-forward blocks; layer %lld of '%s' is other",
                (long long)l, m->arch->name);
        }
    }
    return rt_params_in_memory(m, err);
}

static void describe(rt_param *p, const rt_param *of, const char *which, int64_t out, int64_t in, int64_t offset)
{
    *p = (rt_param){.role = of->role,
                    .layer = of->layer,
                    .expert = -1,
                    .is_low_rank = true,
                    .n_dims = 2,
                    .dims = {out, in},
                    .n = out * in,
                    .offset = offset};
    char stem[sizeof p->name] = {0};
    memcpy(stem, of->name, strlen(of->name) - strlen(".weight"));
    const int n = snprintf(p->name, sizeof p->name, "base_model.model.%s.%s.weight", stem, which);
    RT_BUG_IF(n < 0 || n >= (int)sizeof p->name);
}

/* As torch initialises a linear layer, and PEFT A: uniform within 1/sqrt(in). */
static void draw(const rt_param *a, uint64_t seed)
{
    rt_rng rng = rt_rng_init(seed, a->name, 0);
    const double bound = 1.0 / sqrt((double)a->dims[1]);
    for (int64_t i = 0; i < a->n; i++) {
        a->w[i] = (float)(bound * (2.0 * rt_rng_f64(&rng) - 1.0));
    }
}

static bool is_target(const rt_adapter_options *o, const rt_param *p)
{
    return o->targets[p->role] && p->layer >= 0 && p->n_dims == 2;
}

/* The list with two parameters more for every target. */
static rt_status extend(rt_model *m, size_t n_pairs, rt_err *err)
{
    rt_status st = RT_OK;
    rt_param *list = NULL;
    RT_TRY(RT_NEW(&list, m->n_params + 2 * n_pairs, "parameter list", err));
    memcpy(list, m->params, m->n_params * sizeof *list);
    rt_free(m->params);
    m->params = list;
    rt_params_index(m);
out:
    return st;
}

static rt_status allocate(rt_model *m, rt_adapter *a, size_t n_pairs, rt_err *err)
{
    rt_status st = RT_OK;
    int64_t elements = 0, widest = 0;
    const int64_t room = RT_LOW_RANK_ROWS * a->o.rank;
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (is_target(&a->o, p)) {
            elements += a->o.rank * (p->dims[0] + p->dims[1]);
            widest = p->dims[0] > widest ? p->dims[0] : widest;
        }
    }
    RT_TRY(RT_NEW(&a->pairs, n_pairs, "adapter", err));
    RT_TRY(rt_new_big((void **)&a->w, (size_t)elements * sizeof(float), "adapter", err));
    if (m->compute == RT_BF16) {
        RT_TRY(rt_new_big((void **)&a->wb, (size_t)elements * sizeof(uint16_t), "adapter", err));
    }
    RT_TRY(RT_NEW(&a->u, (size_t)room, "adapter", err));
    RT_TRY(rt_new_big(&a->op, (size_t)room * sizeof(float), "adapter", err));
    RT_TRY(RT_NEW(&a->wide, (size_t)widest, "adapter", err));
    m->n_elements = elements;
out:
    return st;
}

static void add_pairs(rt_model *m, rt_adapter *a)
{
    const size_t n = m->n_params;
    int64_t at = 0;
    size_t pair = 0;
    for (size_t i = 0; i < n; i++) {
        rt_param *p = &m->params[i];
        p->frozen = true;
        if (!is_target(&a->o, p)) {
            continue;
        }
        rt_param *two = &m->params[m->n_params];
        describe(&two[0], p, "lora_A", a->o.rank, p->dims[1], at);
        describe(&two[1], p, "lora_B", p->dims[0], a->o.rank, at + two[0].n);
        for (int k = 0; k < 2; k++) {
            two[k].w = a->w + two[k].offset;
            two[k].wb = a->wb != NULL ? a->wb + two[k].offset : NULL;
        }
        draw(&two[0], a->o.seed);
        at += two[0].n + two[1].n;
        a->pairs[pair] = (rt_low_rank){.a = &two[0],
                                       .b = &two[1],
                                       .scale = (float)(a->o.alpha / (double)a->o.rank),
                                       .u = a->u,
                                       .op = a->op,
                                       .wide = a->wide};
        p->low = &a->pairs[pair++];
        m->n_params += 2;
    }
}

rt_status rt_model_adapt(rt_model *m, const rt_adapter_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_adapter *a = NULL;
    size_t n_pairs = 0;
    RT_TRY(check(m, err));
    for (size_t i = 0; i < m->n_params; i++) {
        n_pairs += is_target(o, &m->params[i]);
    }
    RT_TRY(RT_NEW(&a, 1, "adapter", err));
    a->o = *o;
    RT_TRY(allocate(m, a, n_pairs, err));
    RT_TRY(extend(m, n_pairs, err));
    add_pairs(m, a);
    m->adapter = a;
    m->weights = a->w;
    m->trainable = true;
    rt_model_refresh(m);
    a = NULL;
out:
    rt_adapter_free(a);
    return st;
}

void rt_adapter_free(rt_adapter *a)
{
    if (a == NULL) {
        return;
    }
    rt_free(a->pairs);
    rt_free(a->w);
    rt_free(a->wb);
    rt_free(a->u);
    rt_free(a->op);
    rt_free(a->wide);
    rt_free(a);
}

void rt_adapter_merge(rt_model *plain, const rt_model *adapted)
{
    RT_BUG_IF(!plain->trainable);
    for (size_t i = 0; i < plain->n_params; i++) {
        const rt_low_rank *low = adapted->params[i].low;
        const rt_param *p = &plain->params[i];
        for (int64_t r = 0; low != NULL && r < p->dims[0]; r++) {
            for (int64_t k = 0; k < low->a->dims[0]; k++) {
                const float b = low->scale * low->b->w[r * low->b->dims[1] + k];
                rt_kernels_get()->axpy(p->w + r * p->dims[1], b, low->a->w + k * p->dims[1], p->dims[1]);
            }
        }
    }
    rt_model_refresh(plain);
}

/* ---- PEFT's files ---- */

static json_t *config_of(const rt_adapter_options *o, const char *base)
{
    json_t *modules = json_array();
    for (size_t i = 0; i < N_TARGETS; i++) {
        if (o->targets[targets[i].role]) {
            json_array_append_new(modules, json_string(targets[i].module));
        }
    }
    const double whole = round(o->alpha);
    json_t *alpha = whole == o->alpha ? json_integer((json_int_t)whole) : json_real(o->alpha);
    return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:f, s:s, s:b, s:b, s:b}", "peft_type", "LORA", "task_type",
                     "CAUSAL_LM", "base_model_name_or_path", base, "r", (json_int_t)o->rank, "lora_alpha", alpha,
                     "target_modules", modules, "lora_dropout", 0.0, "bias", "none", "inference_mode", 1,
                     "fan_in_fan_out", 0, "use_rslora", 0);
}

rt_status rt_adapter_save(const rt_model *m, const char *base, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_st_writer *w = rt_st_writer_new();
    char *weights = rt_path_join(dir, "adapter_model.safetensors"), *config = rt_path_join(dir, "adapter_config.json");
    json_t *j = config_of(&m->adapter->o, base);
    if (w == NULL || weights == NULL || config == NULL || j == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for an adapter's files");
    }
    RT_TRY(rt_mkdirs(dir, err));
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (p->is_low_rank) {
            rt_st_add(w, p->name, RT_F32, p->n_dims, p->dims, p->w);
        }
    }
    RT_TRY(rt_st_write(w, weights, err));
    RT_TRY(rt_json_save(j, config, err));
out:
    rt_st_writer_free(w);
    rt_free(weights);
    rt_free(config);
    json_decref(j);
    return st;
}
