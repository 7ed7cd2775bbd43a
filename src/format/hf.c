/* hf.c - a model folder in the Hugging Face layout. */
#include "format/hf.h"

static rt_status load_config(rt_hf *h, rt_err *err)
{
    rt_status st;
    char *path = rt_path_join(h->dir, "config.json");
    if (!path) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to open '%s'", h->dir);
    }
    RT_TRY(rt_json_load(&h->config, path, err));
    if (!json_is_object(h->config)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' is not a JSON object", path);
    }
out:
    rt_free(path);
    return st;
}

/* The folder's weights: one file, or the index of several. */
static rt_status open_weights(rt_hf *h, rt_err *err)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    rt_status st = RT_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = rt_path_join(h->dir, names[i]);
        if (!path) {
            return rt_fail(err, RT_MEMORY, 0, "no memory to open '%s'", h->dir);
        }
        bool there = rt_path_exists(path);
        if (there) {
            st = rt_safetensors_open(&h->weights, path, err);
        }
        rt_free(path);
        if (there) {
            return st;
        }
    }
    return rt_fail(err, RT_NOT_FOUND, 0, "'%s' has neither '%s' nor '%s' (pickled weights are not read)", h->dir,
                   names[0], names[1]);
}

rt_status rt_hf_open(rt_hf *h, const char *path, rt_err *err)
{
    rt_status st;
    bool folder = rt_path_is_dir(path);
    *h = (rt_hf){.dir = folder ? rt_strdup(path) : rt_path_dir(path)};
    if (!h->dir) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to open '%s'", path);
    }
    if (!folder && !rt_path_exists(path)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "'%s' does not exist", path);
    }
    RT_TRY(load_config(h, err));
    RT_TRY(folder ? open_weights(h, err) : rt_safetensors_open(&h->weights, path, err));
out:
    if (st != RT_OK) {
        rt_hf_close(h);
    }
    return st;
}

void rt_hf_close(rt_hf *h)
{
    rt_safetensors_close(h->weights);
    json_decref(h->config);
    rt_free(h->dir);
    *h = (rt_hf){0};
}
