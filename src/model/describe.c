/* Describing a model file by its header. */
#include "model/describe.h"

#include <stdio.h>
#include <string.h>

#include "model/hparams.h"

size_t rt_model_description_n_tensors(const rt_model_description *d)
{
    return d->gguf != NULL ? rt_gguf_n_tensors(d->gguf) : rt_safetensors_n(d->hf.weights);
}

const rt_tensor_info *rt_model_description_tensor(const rt_model_description *d, size_t i)
{
    return d->gguf != NULL ? rt_gguf_tensor(d->gguf, i) : rt_safetensors_at(d->hf.weights, i);
}

void rt_model_description_release(rt_model_description *d)
{
    rt_gguf_close(d->gguf);
    rt_hf_close(&d->hf);
    *d = (rt_model_description){0};
}

static bool ends_with(const char *name, const char *suffix)
{
    const size_t n = strlen(name), k = strlen(suffix);
    return n > k && strcmp(name + n - k, suffix) == 0;
}

/* Model values in a tensor, and their type: two in a byte of MXFP4, none where it holds the scales of another. */
static int64_t count_values(const rt_model_description *d, const rt_tensor_info *t, rt_dtype *type)
{
    const int64_t n = rt_tensor_info_elements(t);
    *type = t->dtype;
    if (d->gguf != NULL) {
        return strcmp(t->name, "rope_freqs.weight") != 0 ? n : 0;
    }
    if (t->dtype == RT_U8 && ends_with(t->name, "_blocks")) {
        *type = RT_MXFP4;
        return 2 * n;
    }
    return (t->dtype == RT_U8 && ends_with(t->name, "_scales")) || ends_with(t->name, "_scale_inv") ? 0 : n;
}

/* Sums over the directory. */
static rt_status count_tensors(rt_model_description *d, rt_err *err)
{
    int64_t values[RT_DTYPE_COUNT] = {0};
    int kinds = 0;
    for (size_t i = 0; i < rt_model_description_n_tensors(d); i++) {
        const rt_tensor_info *t = rt_model_description_tensor(d, i);
        if (t->dtype >= RT_DTYPE_COUNT) {
            continue;
        }
        rt_dtype type;
        const int64_t n = count_values(d, t, &type);
        d->bytes += (int64_t)t->bytes;
        if (__builtin_add_overflow(d->parameters, n, &d->parameters)) {
            return rt_fail(err, RT_INPUT, 0, "tensor '%s': the parameters are too many to count", t->name);
        }
        values[type] += t->n_dims >= 2 ? n : 0;
    }
    for (int t = 0; t < RT_DTYPE_COUNT; t++) {
        kinds += values[t] > 0;
        d->dtype = values[t] > values[d->dtype] ? (rt_dtype)t : d->dtype;
    }
    d->mixed = kinds > 1;
    return RT_OK;
}

static rt_status describe_gguf(rt_model_description *d, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_slice name;
    d->format = "gguf";
    RT_TRY(rt_gguf_open(&d->gguf, path, err));
    if (rt_gguf_n_tensors(d->gguf) == 0) {
        d->vocabulary_only = true;
        if (rt_gguf_get_str(d->gguf, "general.architecture", &name)) {
            snprintf(d->architecture, sizeof d->architecture, "%.*s", (int)(name.n < 63 ? name.n : 63), name.p);
        }
        goto out;
    }
    RT_TRY(rt_hparams_from_gguf(&d->arch, &d->hp, d->gguf, err));
    snprintf(d->architecture, sizeof d->architecture, "%s", d->arch->name);
out:
    return st;
}

static rt_status describe_hf(rt_model_description *d, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    d->format = "safetensors";
    RT_TRY(rt_hf_open(&d->hf, path, err));
    RT_TRY(rt_hparams_from_folder(&d->arch, &d->hp, &d->hf, err));
    snprintf(d->architecture, sizeof d->architecture, "%s", d->arch->hf_type);
out:
    return st;
}

rt_status rt_model_describe(rt_model_description *d, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    *d = (rt_model_description){0};
    if (!rt_path_exists(path)) {
        return rt_fail(err, RT_NOT_FOUND, 0, "model '%s' does not exist", path);
    }
    RT_TRY(rt_gguf_is_file(path) ? describe_gguf(d, path, err) : describe_hf(d, path, err));
    RT_TRY(count_tensors(d, err));
out:
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "model '%s'", path);
        rt_model_description_release(d);
    }
    return st;
}
