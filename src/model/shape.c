/* Which sizes a student of a teacher may have, and the hyper-parameters that follow. */
#include <math.h>

#include "model/cut.h"

typedef struct width {
    const char *name;
    int64_t *value;
    int64_t most, unit; /* the teacher's; a smaller one is a multiple of this */
} width;

static rt_status settle(const width *w, rt_err *err)
{
    if (*w->value == 0) {
        *w->value = w->most;
    }
    if (w->most == 0 && *w->value == 0) {
        return RT_OK; /* all layers are mixtures of experts */
    }
    if (*w->value < 1 || *w->value > w->most) {
        return rt_fail(err, RT_USAGE, 0, "a student cannot have %lld %s: its teacher has %lld", (long long)*w->value,
                       w->name, (long long)w->most);
    }
    if (*w->value != w->most && *w->value % w->unit != 0) {
        const int64_t below = *w->value / w->unit * w->unit, above = below + w->unit;
        return rt_fail(err, RT_USAGE, 0,
                       "%lld %s are no multiple of %lld, the block that quantised rows are stored in: take %lld",
                       (long long)*w->value, w->name, (long long)w->unit,
                       (long long)(above < w->most || below == 0 ? above : below));
    }
    return RT_OK;
}

/* The feed-forward width is one number where all layers are dense. */
static rt_status check_ffn(const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    for (int64_t l = 0; l < hp->n_layer; l++) {
        if (hp->layer_moe[l] != 0) {
            return rt_fail(err, RT_UNSUPPORTED, 0,
                           "the feed-forward width of '%s' is not cut: layer %lld is a mixture of experts; cut its "
                           "layers or its residual channels",
                           arch->name, (long long)l);
        }
    }
    return RT_OK;
}

/* Heads can go where keys and values are a head's own, and nothing is normed over all heads together. */
static rt_status check_heads(const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    for (int64_t l = 0; l < hp->n_layer; l++) {
        if (hp->layer_mixer[l] != RT_MIXER_ATTENTION) {
            return rt_fail(err, RT_UNSUPPORTED, 0, "the heads of '%s' are not cut: layer %lld is no grouped attention",
                           arch->name, (long long)l);
        }
    }
    for (size_t i = 0; i < arch->n_tensors; i++) {
        const rt_tensor_desc *d = &arch->tensors[i];
        if (rt_role_is_norm(d->role) && (d->shape[0] == RT_DIM_Q || d->shape[0] == RT_DIM_KV)) {
            return rt_fail(err, RT_UNSUPPORTED, 0,
                           "the heads of '%s' are not cut: its queries and keys are normed over all heads together",
                           arch->name);
        }
    }
    return RT_OK;
}

rt_status rt_shape_settle(rt_shape *s, const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    rt_status st = RT_OK;
    const width widths[] = {
        {"layers", &s->layers, hp->n_layer, 1},
        {"residual channels", &s->hidden, hp->d_model, RT_WIDTH_UNIT},
        {"feed-forward neurons", &s->ffn, hp->d_ff, RT_WIDTH_UNIT},
        {"key/value heads", &s->kv_heads, hp->n_head_kv, 1},
    };
    RT_TRY(rt_model_check_trainable(arch, hp, err));
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        RT_TRY(settle(&widths[i], err));
    }
    if (s->ffn != hp->d_ff) {
        RT_TRY(check_ffn(arch, hp, err));
    }
    if (s->kv_heads != hp->n_head_kv) {
        RT_TRY(check_heads(arch, hp, err));
    }
out:
    return st;
}

bool rt_shape_opens_in_transformers(const rt_arch *arch, const rt_hparams *hp)
{
    return !arch->hf_whole_heads || hp->d_model % hp->n_head == 0;
}

void rt_shape_hparams(rt_hparams *out, const rt_arch *arch, const rt_hparams *teacher, const rt_shape *s,
                      const int *layers)
{
    *out = *teacher;
    for (int64_t i = 0; i < s->layers; i++) {
        const int64_t l = layers != NULL ? layers[i] : i;
        out->layer_moe[i] = teacher->layer_moe[l];
        out->layer_mixer[i] = teacher->layer_mixer[l];
        out->layer_hashed[i] = teacher->layer_hashed[l];
        out->layer_sliding[i] = teacher->layer_sliding[l];
    }
    out->n_layer = s->layers;
    out->d_model = s->hidden;
    out->d_ff = s->ffn;
    out->n_head = teacher->n_head / teacher->n_head_kv * s->kv_heads;
    out->n_head_kv = s->kv_heads;
    out->embed_scale = arch->embed_scaled ? sqrt((double)s->hidden) : teacher->embed_scale;
    out->rope_divisors = NULL;
}
