/* Opening a model file: the architecture's table says which tensors must be there, in which shape; every one is
 * checked before the first is decoded. Decoding runs on the team, a parameter a task. */
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "model/ceiling.h"
#include "model/hparams.h"
#include "model/stream.h"

/* `stacked`: 0, or the experts of which each has `share` rows in one tensor. */
static rt_status check_shape(const rt_param *p, const rt_source *s, int64_t stacked, int64_t share, rt_err *err)
{
    const rt_tensor_rows *t = &s->rows;
    int64_t want[3];
    int n = 0;
    if (stacked > 0) {
        want[n++] = stacked;
    }
    want[n++] = share;
    if (p->n_dims == 2) {
        want[n++] = p->dims[1];
    }
    bool same = t->n_dims == n;
    for (int i = 0; same && i < n; i++) {
        same = t->dims[i] == want[i];
    }
    if (!same) {
        return rt_fail(err, RT_INPUT, 0,
                       "tensor '%s' has shape [%lld, %lld, ...] in %d dims, expected [%lld, %lld, ...] in %d",
                       t->values->name, (long long)t->dims[0], (long long)(t->n_dims > 1 ? t->dims[1] : 1), t->n_dims,
                       (long long)want[0], (long long)(n > 1 ? want[1] : 1), n);
    }
    return RT_OK;
}

/* The fused tensor that has the parameter, NULL when there is none; *before its rows from where the parameter's begin,
 * *all of them. */
static const rt_tensor_info *find_fused(const rt_model *m, const rt_gguf *g, const rt_param *p, int64_t *before,
                                        int64_t *all)
{
    for (const rt_fused *f = rt_arch_fused; p->layer >= 0 && f->name != NULL; f++) {
        bool has = false;
        *all = 0;
        for (int k = 0; k < 3 && f->roles[k] != RT_ROLE_COUNT; k++) {
            const rt_param *part = m->layers[p->layer].p[f->roles[k]];
            if (f->roles[k] == p->role) {
                has = true;
                *before = *all;
            }
            *all += part != NULL ? part->dims[0] : 0;
        }
        if (has) {
            char name[96];
            rt_name_numbered(name, sizeof name, f->name, p->layer, 0);
            return rt_gguf_find(g, name);
        }
    }
    return NULL;
}

static rt_status find_gguf(const rt_model *m, const rt_gguf *g, const rt_param *p, rt_source *s, rt_err *err)
{
    rt_status st;
    char name[96];
    int64_t before = 0, all = p->dims[0];
    rt_name_numbered(name, sizeof name, rt_tensor_gguf(s->desc), p->layer, 0);
    const rt_tensor_info *t = rt_gguf_find(g, name);
    s->gguf = true;
    if (t == NULL && s->desc->gguf_form == RT_FORM_SPLIT_KV) {
        s->in_parts = true;
        st = rt_split_kv_find(&s->split, g, m, p, err);
        s->rows = s->split.v; /* its type speaks for both */
        return st == RT_NOT_FOUND ? RT_INPUT : st;
    }
    s->step = 1;
    if (p->expert >= 0) {
        s->first_row = p->expert * rt_param_rows(p);
    }
    if (t == NULL) {
        t = find_fused(m, g, p, &before, &all);
        s->first_row = before + (p->expert >= 0 ? p->expert * all : 0);
    }
    if (t == NULL) {
        return rt_fail(err, RT_INPUT, 0, "tensor '%s' is missing", name);
    }
    RT_TRY(rt_tensor_rows_of(&s->rows, t, err));
    RT_TRY(check_shape(p, s, p->expert >= 0 ? m->hp.route.n_expert : 0, all, err));
out:
    return st;
}

/* A stack [experts, in, outputs], or of biases [experts, outputs]. */
static rt_status check_turned(const rt_model *m, const rt_param *p, const rt_source *s, rt_err *err)
{
    const rt_tensor_rows *t = &s->rows;
    const int n = p->n_dims;
    if (t->n_dims != n + 1 || t->dims[0] != m->hp.route.n_expert || t->dims[n] != s->part.outputs ||
        (n == 2 && t->dims[1] != p->dims[1])) {
        return rt_fail(err, RT_INPUT, 0, "tensor '%s' does not hold %lld experts of %lld inputs and %lld outputs",
                       t->values->name, (long long)m->hp.route.n_expert, (long long)(n == 2 ? p->dims[1] : 1),
                       (long long)s->part.outputs);
    }
    return RT_OK;
}

/* Its part of the tensor that holds all experts. */
static rt_status find_stacked(const rt_model *m, const rt_safetensors *f, const rt_param *p, rt_source *s, rt_err *err)
{
    char name[96];
    s->part = rt_stack_part_of(s->desc, p);
    rt_name_numbered(name, sizeof name, s->desc->hf_stack, p->layer, 0);
    const rt_status st = rt_tensor_rows_find(&s->rows, f, name, err);
    if (st != RT_OK) {
        return st;
    }
    s->turned = m->arch->moe.hf_stacked && s->rows.dtype != RT_MXFP4;
    if (s->turned) {
        s->first_row = p->expert * (p->n / p->dims[0]);
        return check_turned(m, p, s, err);
    }
    s->step = s->part.step;
    s->first_row = p->expert * s->part.outputs + s->part.first;
    return check_shape(p, s, m->hp.route.n_expert, s->part.outputs, err);
}

static rt_status find_hf(const rt_model *m, const rt_safetensors *f, const rt_param *p, rt_source *s, rt_err *err)
{
    s->step = 1;
    rt_status st = rt_tensor_rows_find(&s->rows, f, p->name, err);
    if (st == RT_OK) {
        return check_shape(p, s, 0, p->dims[0], err);
    }
    if (st == RT_NOT_FOUND && s->desc->hf_stack != NULL) {
        rt_err_clear(err);
        st = find_stacked(m, f, p, s, err);
    }
    /* the name of the tensor apart is the one a reader knows */
    return st == RT_NOT_FOUND ? rt_fail(err, RT_INPUT, 0, "tensor '%s' is missing", p->name) : st;
}

/* Rows of a tensor that were decoded and still lie in memory. */
typedef struct behind {
    const rt_tensor_rows *rows;
    int64_t first, end;
} behind;

static void give_back(behind *b)
{
    if (b->end > b->first) {
        rt_tensor_rows_advise(b->rows, b->first, b->end - b->first, false);
    }
    b->first = b->end = 0;
}

/* Row `at` was decoded. */
static void leave_behind(behind *b, int64_t at)
{
    const bool none = b->end == b->first;
    b->first = none || at < b->first ? at : b->first;
    b->end = none || at >= b->end ? at + 1 : b->end;
    if (rt_tensor_rows_bytes(b->rows, b->end - b->first) >= RT_LOADER_PAGES / 2) {
        give_back(b);
    }
}

/* Input by input, each with the outputs of all parameters of the stack. */
static void load_turned(const rt_param *p, const rt_source *s, float *scratch, behind *b)
{
    const int64_t out = p->dims[0], in = p->n / out;
    float *row = scratch, *dst = p->w != NULL ? p->w : scratch + s->part.outputs;
    for (int64_t c = 0; c < in; c++) {
        rt_tensor_rows_decode(&s->rows, s->first_row + c, row);
        leave_behind(b, s->first_row + c);
        for (int64_t r = 0; r < out; r++) {
            dst[r * in + c] = row[s->part.first + r * s->part.step];
        }
    }
    if (p->wb != NULL) {
        rt_kernels_get()->f32_to_bf16(p->wb, dst, p->n);
    }
}

/* Floats of scratch that loading p takes. */
static int64_t scratch_floats(const rt_param *p, const rt_source *s)
{
    return s->turned ? s->part.outputs + (p->w != NULL ? 0 : p->n) : rt_param_cols(p);
}

void rt_loader_decode(const rt_loader *ld, const rt_param *p, int thread)
{
    const rt_source *s = &ld->sources[p - ld->m->params];
    const int64_t rows = s->turned || s->in_parts ? 0 : rt_param_rows(p), cols = rt_param_cols(p);
    behind b = {.rows = &s->rows};
    if (s->turned) {
        load_turned(p, s, ld->scratch[thread], &b);
    }
    if (s->in_parts) {
        rt_split_kv_load(&s->split, ld->m, p, ld->scratch[thread]);
    }
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = s->first_row + s->step * (s->gguf ? rt_param_gguf_row(ld->m, s->desc, r) : r);
        float *dst = p->w != NULL ? p->w + r * cols : ld->scratch[thread];
        rt_tensor_rows_decode(&s->rows, at, dst);
        if (p->q.panels != NULL) {
            rt_qmatrix_put_row(&p->q, r, (const char *)s->rows.values->data + (size_t)at * p->q.row_bytes);
        }
        for (int64_t i = 0; s->gguf && s->desc->gguf_form == RT_FORM_PLUS_ONE && i < cols; i++) {
            dst[i] -= 1.0f;
        }
        if (p->wb != NULL) {
            rt_kernels_get()->f32_to_bf16(p->wb + r * cols, dst, cols);
        }
        leave_behind(&b, at);
    }
    give_back(&b);
}

/* Tables that name experts are indices, and the room of an expert is that of all tokens once: a damaged one must not
 * lead out of bounds. */
static rt_status check_tables(const rt_model *m, rt_err *err)
{
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        for (int64_t j = 0; p->role == RT_ROLE_ROUTER_TABLE && p->w != NULL && j < p->n; j++) {
            if (!(p->w[j] >= 0.0f && p->w[j] < (float)m->hp.route.n_expert)) {
                return rt_fail(err, RT_INPUT, 0, "tensor '%s' names expert %g of %lld", p->name, (double)p->w[j],
                               (long long)m->hp.route.n_expert);
            }
            for (int64_t k = j - j % rt_param_cols(p); k < j; k++) {
                if (p->w[k] == p->w[j]) {
                    return rt_fail(err, RT_INPUT, 0, "tensor '%s' names expert %g twice for token %lld", p->name,
                                   (double)p->w[j], (long long)(j / rt_param_cols(p)));
                }
            }
        }
    }
    return RT_OK;
}

void rt_loader_announce(const rt_loader *ld, const rt_param *p)
{
    const rt_source *s = &ld->sources[p - ld->m->params];
    if (s->in_parts) {
        rt_split_kv_announce(&s->split);
    } else {
        const int64_t n = s->turned ? p->n / p->dims[0] : (rt_param_rows(p) - 1) * s->step + 1;
        rt_tensor_rows_advise(&s->rows, s->first_row, n, true);
    }
}

static void load_param(void *ud, int64_t task, int thread)
{
    const rt_loader *ld = ud;
    const rt_param *p = &ld->m->params[task];
    if (p->w != NULL || p->wb != NULL) { /* else streamed */
        rt_loader_decode(ld, p, thread);
    }
}

rt_status rt_loader_load(const rt_loader *ld, rt_err *err)
{
    rt_team_for((int64_t)ld->m->n_params, load_param, (void *)(uintptr_t)ld);
    return check_tables(ld->m, err);
}

void rt_loader_free(rt_loader *ld)
{
    if (ld == NULL) {
        return;
    }
    for (int t = 0; ld->scratch != NULL && t < ld->n_threads; t++) {
        rt_free(ld->scratch[t]);
    }
    rt_free(ld->scratch);
    rt_free(ld->sources);
    rt_gguf_close(ld->gguf);
    rt_hf_close(&ld->hf);
    rt_free(ld);
}

/* A matrix that decoding multiplies and whose blocks it can multiply as they are. */
static bool keeps_codes(const rt_model *m, const rt_param *p, const rt_source *s)
{
    const bool by_rows = s->gguf && !s->turned && !s->in_parts;
    const bool looked_up_only = p == m->embed && m->output != m->embed;
    return by_rows && rt_param_is_operand(p) && !looked_up_only && rt_qmatrix_serves(s->rows.dtype, p->dims[1]);
}

static size_t code_bytes(const rt_loader *ld, size_t i)
{
    const rt_param *p = &ld->m->params[i];
    return keeps_codes(ld->m, p, &ld->sources[i]) ? rt_qmatrix_bytes(ld->sources[i].rows.dtype, p->dims[0], p->dims[1])
                                                  : 0;
}

static size_t all_code_bytes(const rt_loader *ld)
{
    size_t total = 0;
    for (size_t i = 0; i < ld->m->n_params; i++) {
        total += code_bytes(ld, i);
    }
    return total;
}

/* Codes are a copy beside the weights: kept where there is room for them too. */
static bool fits(const rt_loader *ld, const rt_model_options *o)
{
    return o->memory == 0 || (int64_t)all_code_bytes(ld) <= rt_ceiling_room(ld->m, o);
}

static rt_status allocate_codes(rt_loader *ld, rt_err *err)
{
    rt_model *m = ld->m;
    const size_t total = all_code_bytes(ld);
    if (total == 0) {
        return RT_OK;
    }
    const rt_status st = rt_new_big(&m->blocks[2], total, "codes of the weights", err);
    size_t used = 0;
    for (size_t i = 0; st == RT_OK && i < m->n_params; i++) {
        rt_param *p = &m->params[i];
        const size_t bytes = code_bytes(ld, i);
        if (bytes > 0) {
            p->q = rt_qmatrix_over((char *)m->blocks[2] + used, ld->sources[i].rows.dtype, p->dims[0], p->dims[1]);
        }
        used += bytes;
    }
    m->coded = st == RT_OK;
    return st;
}

static rt_status find_sources(rt_loader *ld, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = ld->m;
    int64_t longest = rt_split_kv_row(m);
    ld->n_threads = rt_team_threads();
    RT_TRY(RT_NEW(&ld->sources, m->n_params, "tensor directory", err));
    RT_TRY(RT_NEW(&ld->scratch, (size_t)ld->n_threads, "row buffers", err));
    size_t count[RT_DTYPE_COUNT] = {0};
    for (size_t i = 0; i < m->n_params; i++) {
        rt_param *p = &m->params[i];
        rt_source *s = &ld->sources[i];
        s->desc = rt_param_desc(m, p);
        RT_TRY(ld->gguf != NULL ? find_gguf(m, ld->gguf, p, s, err) : find_hf(m, ld->hf.weights, p, s, err));
        const int64_t scratch = scratch_floats(p, s);
        longest = scratch > longest ? scratch : longest;
        /* experts published so: there are no finer values to move */
        p->frozen |= s->rows.dtype == RT_MXFP4 && m->arch->moe.hf_stacked && p->expert >= 0;
        count[s->rows.dtype] += p->n_dims == 2;
    }
    for (int t = 0; t < ld->n_threads; t++) {
        RT_TRY(RT_NEW(&ld->scratch[t], (size_t)longest, "row buffer", err));
    }
    for (int t = 0; t < RT_DTYPE_COUNT; t++) {
        m->file_dtype = count[t] > count[m->file_dtype] ? (rt_dtype)t : m->file_dtype;
    }
out:
    return st;
}

static rt_status read_rope_divisors(rt_hparams *hp, const rt_gguf *g, rt_err *err)
{
    const rt_tensor_info *t = rt_gguf_find(g, "rope_freqs.weight");
    if (t == NULL) {
        return RT_OK;
    }
    if (t->n_dims != 1 || t->dims[0] != hp->n_rot / 2 || t->dtype != RT_F32) {
        return rt_fail(err, RT_INPUT, 0, "tensor 'rope_freqs.weight' must be F32 [%lld]", (long long)hp->n_rot / 2);
    }
    rt_status st = RT_NEW(&hp->rope_divisors, (size_t)t->dims[0], "rotary divisors", err);
    if (st == RT_OK) {
        memcpy(hp->rope_divisors, t->data, t->bytes);
    }
    return st;
}

static rt_status read_gguf_head(rt_loader *ld, const char *path, const rt_arch **arch, rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_gguf_open(&ld->gguf, path, err));
    RT_TRY(rt_hparams_from_gguf(arch, hp, ld->gguf, err));
    RT_TRY(read_rope_divisors(hp, ld->gguf, err));
out:
    return st;
}

static rt_status read_hf_head(rt_loader *ld, const char *path, const rt_arch **arch, rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_hf_open(&ld->hf, path, err));
    RT_TRY(rt_hparams_from_folder(arch, hp, &ld->hf, err));
out:
    return st;
}

static rt_status open_file(rt_model **out, const char *path, const rt_model_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_arch *arch;
    rt_hparams hp = {0};
    rt_loader *ld = NULL;
    RT_TRY(RT_NEW(&ld, 1, "model file", err));
    RT_TRY((rt_gguf_is_file(path) ? read_gguf_head : read_hf_head)(ld, path, &arch, &hp, err));
    RT_TRY(rt_params_build(out, arch, &hp, o, err));
    hp.rope_divisors = NULL; /* the model's now */
    ld->m = *out;
    RT_TRY(find_sources(ld, err));
    if ((*out)->by_layer) {
        rt_loader *taken = ld;
        ld = NULL;
        RT_TRY(rt_stream_new(&(*out)->stream, taken, o, err));
        goto out;
    }
    if (!o->trainable && o->precision != RT_PRECISION_F32 && fits(ld, o)) {
        RT_TRY(allocate_codes(ld, err));
    }
    RT_TRY(rt_loader_load(ld, err));
out:
    rt_free(hp.rope_divisors);
    rt_loader_free(ld);
    return st;
}

rt_status rt_model_open(rt_model **out, const char *path, const rt_model_options *o, rt_err *err)
{
    rt_model *m = NULL;
    if (!rt_path_exists(path)) {
        return rt_fail(err, RT_NOT_FOUND, 0, "opening model '%s': no such file or folder", path);
    }
    rt_status st = open_file(&m, path, o, err);
    if (st == RT_OK) {
        rt_ceiling_widen_head(m, o);
        m->path = rt_strdup(path);
        st = m->path != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    if (st != RT_OK) {
        rt_model_close(m);
        return rt_err_wrap(err, st, "opening model '%s'", path);
    }
    *out = m;
    return RT_OK;
}
