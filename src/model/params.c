/* Parameter list from the architecture's table, and its memory: one flat f32 block for what is trained or computed
 * in f32, one bf16 block at the same offsets for GEMM operands. */
#include "model/params.h"

#include <stdio.h>
#include <string.h>

#include "model/ceiling.h"
#include "model/head.h"
#include "model/hparams.h"
#include "model/rope.h"

static bool layer_has(const rt_hparams *hp, const rt_tensor_desc *d, int layer)
{
    switch (d->when) {
    case RT_WHEN_ALWAYS: return true;
    case RT_WHEN_UNTIED: return !hp->tied;
    case RT_WHEN_DENSE: return !hp->layer_moe[layer];
    case RT_WHEN_MOE: return hp->layer_moe[layer] != 0;
    case RT_WHEN_ATTENTION: return hp->layer_mixer[layer] == RT_MIXER_ATTENTION;
    case RT_WHEN_HEAVY: return hp->layer_mixer[layer] == RT_MIXER_HEAVY;
    case RT_WHEN_SPARSE: return hp->layer_mixer[layer] == RT_MIXER_SPARSE;
    case RT_WHEN_HASHED: return hp->layer_moe[layer] != 0 && hp->layer_hashed[layer] != 0;
    case RT_WHEN_ROUTED: return hp->layer_moe[layer] != 0 && hp->layer_hashed[layer] == 0;
    case RT_WHEN_LIGHTNING: return hp->layer_mixer[layer] == RT_MIXER_LIGHTNING;
    case RT_WHEN_Q_DIRECT: return hp->q_lora == 0;
    case RT_WHEN_Q_LATENT: return hp->q_lora > 0;
    case RT_WHEN_SHARED: return hp->layer_moe[layer] != 0 && hp->d_shared > 0;
    }
    return false;
}

/* Appends one parameter; with params == NULL only counts. */
static void add_param(rt_model *m, const rt_tensor_desc *d, int layer, int expert)
{
    if (m->params != NULL) {
        rt_param *p = &m->params[m->n_params];
        rt_name_numbered(p->name, sizeof p->name, d->hf, layer, expert);
        p->role = d->role;
        p->layer = layer;
        p->expert = expert;
        p->frozen = d->frozen;
        p->n_dims = d->shape[1] == RT_DIM_NONE ? 1 : 2;
        p->dims[0] = rt_dim_size(d->shape[0], &m->hp);
        p->dims[1] = rt_dim_size(d->shape[1], &m->hp);
        p->n = p->dims[0] * p->dims[1];
        p->offset = m->n_elements;
        m->n_elements += p->n;
    }
    m->n_params++;
}

static void add_layer(rt_model *m, int layer)
{
    for (size_t i = 0; i < m->arch->n_tensors; i++) {
        const rt_tensor_desc *d = &m->arch->tensors[i];
        if (d->scope == RT_SCOPE_LAYER && layer_has(&m->hp, d, layer)) {
            add_param(m, d, layer, -1);
        }
    }
    for (int e = 0; m->hp.layer_moe[layer] && e < m->hp.route.n_expert; e++) {
        for (size_t i = 0; i < m->arch->n_tensors; i++) {
            if (m->arch->tensors[i].scope == RT_SCOPE_EXPERT) {
                add_param(m, &m->arch->tensors[i], layer, e);
            }
        }
    }
}

static void add_all(rt_model *m)
{
    m->n_params = 0;
    m->n_elements = 0;
    m->n_expert_params = 0;
    for (size_t i = 0; i < m->arch->n_tensors; i++) {
        m->n_expert_params += m->arch->tensors[i].scope == RT_SCOPE_EXPERT;
    }
    for (int part = 0; part < 2; part++) { /* embedding first, then layers, then the head */
        for (size_t i = 0; i < m->arch->n_tensors; i++) {
            const rt_tensor_desc *d = &m->arch->tensors[i];
            if (d->scope == RT_SCOPE_MODEL && (d->role == RT_ROLE_EMBED) == (part == 0) && layer_has(&m->hp, d, 0)) {
                add_param(m, d, -1, -1);
            }
        }
        for (int l = 0; part == 0 && l < m->hp.n_layer; l++) {
            add_layer(m, l);
        }
    }
}

void rt_params_index(rt_model *m)
{
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (p->layer >= 0) {
            if (p->expert <= 0) {
                m->layers[p->layer].p[p->role] = p;
            }
        } else {
            m->top.p[p->role] = p;
        }
    }
    m->embed = m->top.p[RT_ROLE_EMBED];
    m->output_norm = m->top.p[RT_ROLE_OUTPUT_NORM];
    m->output = m->top.p[RT_ROLE_OUTPUT] != NULL ? m->top.p[RT_ROLE_OUTPUT] : m->embed;
}

bool rt_param_is_operand(const rt_param *p)
{
    switch (p->role) {
    case RT_ROLE_ROUTER:
    case RT_ROLE_ROUTER_TABLE:
    case RT_ROLE_POOL_PLACES:
    case RT_ROLE_INDEX_POOL_PLACES:
    case RT_ROLE_HYPER_MIXER_FN:
    case RT_ROLE_HYPER_FFN_FN:
    case RT_ROLE_HYPER_END_FN: return false;
    default: return p->n_dims == 2;
    }
}

void rt_params_count(const rt_model *m, int64_t first, int64_t end, int64_t *n_f32, int64_t *n_bf16)
{
    *n_f32 = *n_bf16 = 0;
    for (int64_t i = first; i < end; i++) {
        const rt_param *p = &m->params[i];
        *(m->compute == RT_BF16 && rt_param_is_operand(p) ? n_bf16 : n_f32) += p->n;
    }
}

void rt_params_place(rt_model *m, int64_t first, int64_t end, float *f32, uint16_t *bf16)
{
    for (int64_t i = first; i < end; i++) {
        rt_param *p = &m->params[i];
        if (m->compute == RT_BF16 && rt_param_is_operand(p)) {
            p->wb = bf16;
            bf16 += p->n;
        } else {
            p->w = f32;
            f32 += p->n;
        }
    }
}

static int64_t bytes_of(int64_t n_f32, int64_t n_bf16)
{
    return n_f32 * (int64_t)sizeof(float) + n_bf16 * (int64_t)sizeof(uint16_t);
}

/* Memory of what stays where the layers come from the file: what is before them and what is behind. */
static rt_status allocate_ends(rt_model *m, rt_err *err)
{
    rt_status st = RT_OK;
    int64_t n_f32 = 0, n_bf16 = 0, more_f32, more_bf16, first = 0, behind = (int64_t)m->n_params;
    while (first < behind && m->params[first].layer < 0) {
        first++;
    }
    while (behind > first && m->params[behind - 1].layer < 0) {
        behind--;
    }
    rt_params_count(m, 0, first, &n_f32, &n_bf16);
    rt_params_count(m, behind, (int64_t)m->n_params, &more_f32, &more_bf16);
    RT_TRY(rt_new_big(&m->blocks[0], (size_t)(n_f32 + more_f32) * sizeof(float), "model weights", err));
    RT_TRY(rt_new_big(&m->blocks[1], (size_t)(n_bf16 + more_bf16) * sizeof(uint16_t), "bf16 model weights", err));
    float *f32 = m->blocks[0];
    uint16_t *bf16 = m->blocks[1];
    rt_params_place(m, 0, first, f32, bf16);
    rt_params_place(m, behind, (int64_t)m->n_params, f32 + n_f32, bf16 + n_bf16);
out:
    return st;
}

/* Is it asked for, or does the whole exceed what it may take? */
static bool must_stream(const rt_model *m, const rt_model_options *o)
{
    int64_t n_f32, n_bf16;
    rt_params_count(m, 0, (int64_t)m->n_params, &n_f32, &n_bf16);
    return !o->trainable && (o->by_layer || bytes_of(n_f32, n_bf16) > rt_ceiling_room(m, o));
}

static rt_status allocate(rt_model *m, rt_err *err)
{
    rt_status st = RT_OK;
    const bool bf16 = m->compute == RT_BF16;
    const bool all_f32 = m->trainable || !bf16;
    int64_t n_small = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        n_small += rt_param_is_operand(&m->params[i]) ? 0 : m->params[i].n;
    }
    const size_t n_f32 = (size_t)(all_f32 ? m->n_elements : n_small);
    RT_TRY(rt_new_big(&m->blocks[0], n_f32 * sizeof(float), "model weights", err));
    if (bf16) {
        RT_TRY(rt_new_big(&m->blocks[1], (size_t)m->n_elements * sizeof(uint16_t), "bf16 model weights", err));
    }
    float *next = m->blocks[0];
    for (size_t i = 0; i < m->n_params; i++) {
        rt_param *p = &m->params[i];
        if (all_f32) {
            p->w = (float *)m->blocks[0] + p->offset;
        } else if (!rt_param_is_operand(p)) {
            p->w = next;
            next += p->n;
        }
        if (bf16 && rt_param_is_operand(p)) {
            p->wb = (uint16_t *)m->blocks[1] + p->offset;
        }
    }
    m->weights = m->trainable ? m->blocks[0] : NULL;
out:
    return st;
}

/* Positions beyond this are computed by nobody: batches are shorter, and decoding is bounded by the context. */
#define MAX_ROPE_ROWS 8192

static rt_status build_rope(rt_model *m, rt_err *err)
{
    rt_status st = RT_OK;
    float *divisors = NULL;
    const int64_t rot = m->hp.n_rot;
    m->rope_rows = m->hp.n_ctx < MAX_ROPE_ROWS ? m->hp.n_ctx : MAX_ROPE_ROWS;
    RT_TRY(RT_NEW(&divisors, (size_t)(rot / 2), "rotary divisors", err));
    RT_TRY(RT_NEW(&m->rope_cs[0], (size_t)(m->rope_rows * rot), "rotary table", err));
    rt_rope_divisors(&m->hp, divisors);
    rt_rope_table(m->rope_cs[0], m->rope_rows, rot, m->hp.rope_theta, divisors, rt_rope_amplitude(&m->hp));
    if (m->arch->local_rotary) {
        RT_TRY(RT_NEW(&m->rope_cs[1], (size_t)(m->rope_rows * rot), "rotary table", err));
        rt_rope_table(m->rope_cs[1], m->rope_rows, rot, m->hp.rope_theta_local, NULL, 1.0);
    }
out:
    rt_free(divisors);
    return st;
}

rt_status rt_model_outline(rt_model **out, const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    RT_TRY(rt_hparams_check(hp, err));
    RT_TRY(RT_NEW(&m, 1, "model", err));
    m->arch = arch;
    m->hp = *hp;
    m->hp.rope_divisors = NULL;
    m->compute = RT_F32;
    m->file_dtype = RT_F32;
    m->head_rows = RT_HEAD_PLAIN_CHUNK;
    add_all(m);
    RT_TRY(RT_NEW(&m->params, m->n_params, "parameter list", err));
    add_all(m);
    RT_TRY(RT_NEW(&m->layers, (size_t)hp->n_layer, "layer list", err));
    rt_params_index(m);
    *out = m;
    m = NULL;
out:
    rt_model_close(m);
    return st;
}

rt_status rt_params_build(rt_model **out, const rt_arch *arch, const rt_hparams *hp, const rt_model_options *o,
                          rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    if (o->trainable) {
        RT_TRY(rt_hparams_check(hp, err));
        RT_TRY(rt_model_check_trainable(arch, hp, err));
    }
    RT_TRY(rt_model_outline(&m, arch, hp, err));
    m->trainable = o->trainable;
    const bool bf16 =
        o->precision == RT_PRECISION_BF16 || (o->precision == RT_PRECISION_AUTO && rt_cpu_get()->fast_bf16);
    m->compute = bf16 ? RT_BF16 : RT_F32;
    m->hp.rope_divisors = hp->rope_divisors;
    RT_TRY(build_rope(m, err));
    m->ceiling = o->trainable ? 0 : o->memory;
    m->head_rows = m->ceiling > 0 ? RT_HEAD_FEWEST : m->head_rows;
    m->by_layer = must_stream(m, o);
    RT_TRY(m->by_layer ? allocate_ends(m, err) : allocate(m, err));
    *out = m;
    m = NULL;
out:
    if (m != NULL) {
        m->hp.rope_divisors = NULL; /* still the caller's */
    }
    rt_model_close(m);
    return st;
}

rt_status rt_params_in_memory(const rt_model *m, rt_err *err)
{
    return m->stream == NULL ? RT_OK
                             : rt_fail(err, RT_UNSUPPORTED, 0,
                                       "the model is larger than the memory it may take: it can be scored and cut, but "
                                       "neither trained nor written");
}

const rt_tensor_desc *rt_param_desc(const rt_model *m, const rt_param *p)
{
    for (size_t i = 0; i < m->arch->n_tensors; i++) {
        const rt_tensor_desc *d = &m->arch->tensors[i];
        if (d->role == p->role) {
            return d;
        }
    }
    RT_BUG_IF(true);
}

int64_t rt_param_rows(const rt_param *p)
{
    return p->n_dims == 2 ? p->dims[0] : 1;
}

int64_t rt_param_cols(const rt_param *p)
{
    return p->n_dims == 2 ? p->dims[1] : p->dims[0];
}

int64_t rt_param_gguf_row(const rt_model *m, const rt_tensor_desc *d, int64_t r)
{
    if (d->gguf_form != RT_FORM_PERMUTED_Q && d->gguf_form != RT_FORM_PERMUTED_K) {
        return r;
    }
    /* in memory a head's rows are [first halves][second halves] of the pairs, in GGUF the pairs lie together */
    const int64_t hd = m->hp.head_dim, head = r / hd, b = r % hd / (hd / 2), i = r % (hd / 2);
    return head * hd + 2 * i + b;
}

bool rt_param_decays(const rt_param *p)
{
    return p->n_dims == 2 && p->role != RT_ROLE_EMBED && p->role != RT_ROLE_OUTPUT;
}

static bool follows(const rt_param *a, const rt_param *b)
{
    const bool w = a->w != NULL && a->w + a->n == b->w, wb = a->wb != NULL && a->wb + a->n == b->wb;
    return a->dims[1] == b->dims[1] && a->offset + a->n == b->offset && a->frozen == b->frozen && (w || a->w == b->w) &&
           (wb || a->wb == b->wb) && (w || wb);
}

rt_param rt_param_join(const rt_param *const *w, int count, int *used)
{
    rt_param all = *w[0];
    for (*used = 1; *used < count && follows(w[*used - 1], w[*used]); ++*used) {
        all.dims[0] += w[*used]->dims[0];
        all.n += w[*used]->n;
    }
    return all;
}

void rt_param_read(const rt_param *p, float *dst)
{
    if (p->w != NULL) {
        memcpy(dst, p->w, (size_t)p->n * sizeof(float));
    } else {
        rt_kernels_get()->bf16_to_f32(dst, p->wb, p->n);
    }
}
