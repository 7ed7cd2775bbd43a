/* Student folders, written and found. */
#include "flow/student.h"

#include <string.h>

#include "flow/lineage.h"

static rt_status join(char **out, const char *dir, const char *name, rt_err *err)
{
    *out = rt_path_join(dir, name);
    return *out != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "out of memory");
}

rt_status rt_student_save(const rt_model *m, const rt_tokenizer *t, const char *dir, const char *weights, rt_dtype type,
                          rt_err *err)
{
    rt_status st = RT_OK;
    char *path = NULL, *config = NULL;
    const int32_t ids[3] = {rt_tokenizer_bos(t), rt_tokenizer_eos(t), rt_tokenizer_eos(t)};
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(join(&path, dir, weights, err));
    RT_TRY(join(&config, dir, "config.json", err));
    RT_TRY(rt_model_save_safetensors(m, path, type, err));
    RT_TRY(rt_model_save_config(m, config, ids, type, err));
out:
    rt_free(path);
    rt_free(config);
    return st;
}

rt_status rt_student_vocabulary(rt_gguf **out, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    char *dir = NULL, *beside = NULL;
    *out = NULL;
    if (rt_gguf_is_file(path)) {
        return rt_gguf_open(out, path, err);
    }
    dir = rt_path_is_dir(path) ? rt_strdup(path) : rt_path_dir(path);
    if (dir == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(join(&beside, dir, "tokenizer.gguf", err));
    if (rt_path_exists(beside)) {
        RT_TRY(rt_gguf_open(out, beside, err));
    }
out:
    rt_free(dir);
    rt_free(beside);
    return st;
}

rt_status rt_student_save_tokenizer(const rt_tokenizer *t, const char *teacher, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf *g = NULL;
    char *path = NULL;
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(rt_tokenizer_save_hf(t, dir, err));
    RT_TRY(rt_student_vocabulary(&g, teacher, err));
    if (g != NULL) {
        RT_TRY(join(&path, dir, "tokenizer.gguf", err));
        RT_TRY(rt_tokenizer_save_gguf(g, path, err));
    }
out:
    rt_gguf_close(g);
    rt_free(path);
    return st;
}

rt_status rt_student_merge(rt_model **out, const rt_model *m, const char *from, const char *adapter, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_adapter_save(m, from, adapter, err));
    RT_TRY(rt_model_open(out, from, &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true}, err));
    rt_adapter_merge(*out, m);
out:
    return st;
}

rt_status rt_student_save_trained(const rt_model *m, const rt_tokenizer *t, const char *from,
                                  const rt_cache_header *cache, const char *run, rt_err *err)
{
    rt_status st = RT_OK;
    char *dir = NULL, *adapter = NULL;
    rt_model *merged = NULL;
    RT_TRY(join(&dir, run, "student", err));
    if (m->adapter != NULL) {
        RT_TRY(join(&adapter, run, "adapter", err));
        RT_TRY(rt_student_merge(&merged, m, from, adapter, err));
        RT_TRY(rt_lineage_of_training(from, cache, adapter, err));
        m = merged;
    }
    RT_TRY(rt_student_save(m, t, dir, "model.safetensors", RT_F32, err));
    RT_TRY(rt_student_save_tokenizer(t, from, dir, err));
    RT_TRY(rt_lineage_of_training(from, cache, dir, err));
out:
    rt_model_close(merged);
    rt_free(dir);
    rt_free(adapter);
    return st;
}
