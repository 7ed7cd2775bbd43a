/* The public interface of retort/model.h. */
#include <string.h>

#include <retort/model.h>

#include "flow/api_options.h"
#include "flow/lineage.h"
#include "flow/student.h"

rt_status rt_api_take_options(void *dst, const void *given, rt_err *err)
{
    size_t own, size;
    if (given == NULL) {
        return RT_OK;
    }
    memcpy(&own, dst, sizeof own);
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > own) {
        return rt_fail(
            err, RT_USAGE, 0,
            "options of %zu bytes: begin with the structure's _defaults, and use headers no newer than the library",
            size);
    }
    memcpy(dst, given, size);
    memcpy(dst, &own, sizeof own);
    return RT_OK;
}

rt_status rt_api_precision(int given, rt_precision *out, rt_err *err)
{
    switch (given) {
    case RETORT_PRECISION_AUTO: *out = RT_PRECISION_AUTO; return RT_OK;
    case RETORT_PRECISION_F32: *out = RT_PRECISION_F32; return RT_OK;
    default:
        return rt_fail(err, RT_USAGE, 0, "precision %d is neither RETORT_PRECISION_AUTO nor RETORT_PRECISION_F32",
                       given);
    }
}

/* --- models ------------------------------------------------------------------------------------------------------- */

rt_status retort_model_open(retort_model **out, const char *path, const retort_model_options *given, rt_err *err)
{
    rt_status st = RT_OK;
    rt_precision precision = RT_PRECISION_AUTO;
    retort_model_options o = retort_model_defaults();
    *out = NULL;
    RT_TRY(rt_api_take_options(&o, given, err));
    RT_TRY(rt_api_precision(o.precision, &precision, err));
    RT_TRY(rt_model_open(out, path, &(rt_model_options){.precision = precision}, err));
out:
    return st;
}

void retort_model_close(retort_model *m)
{
    rt_model_close(m);
}

int64_t retort_model_parameters(const retort_model *m)
{
    return m->n_elements;
}

int64_t retort_model_layers(const retort_model *m)
{
    return m->hp.n_layer;
}

int64_t retort_model_vocabulary(const retort_model *m)
{
    return m->hp.n_vocab;
}

int64_t retort_model_context(const retort_model *m)
{
    return m->rope_rows;
}

const char *retort_model_architecture(const retort_model *m)
{
    return m->arch->name;
}

static rt_status export_gguf(const rt_model *m, const char *path, const char *out, const char *type, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf *vocabulary = NULL;
    rt_dtype dtype;
    json_t *keys = NULL;
    if (!rt_dtype_from_name(type, &dtype)) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "type '%s' is not one of f32, f16, bf16, q8_0, q4_0, q4_1, safetensors", type);
    }
    RT_TRY(rt_student_vocabulary(&vocabulary, path, err));
    if (vocabulary == NULL) {
        rt_log(RT_LOG_WARN, "'%s' has no GGUF vocabulary beside it: the file is written without a tokenizer", path);
    }
    RT_TRY(rt_lineage_keys(&keys, path, err));
    RT_TRY(rt_model_save_gguf(m, out, dtype, vocabulary, keys, err));
out:
    json_decref(keys);
    rt_gguf_close(vocabulary);
    return st;
}

static rt_status export_folder(const rt_model *m, const char *path, const char *out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_tokenizer *t = NULL;
    RT_TRY(rt_tokenizer_open(&t, path, err));
    RT_TRY(rt_student_save(m, t, out, "model.safetensors", RT_F32, err));
    RT_TRY(rt_student_save_tokenizer(t, path, out, err));
    RT_TRY(rt_lineage_copy(path, out, err));
out:
    rt_tokenizer_close(t);
    return st;
}

rt_status retort_export(const char *path, const char *out, const char *type, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    RT_TRY(rt_model_open(&m, path, &(rt_model_options){.precision = RT_PRECISION_F32}, err));
    RT_TRY(strcmp(type, "safetensors") == 0 ? export_folder(m, path, out, err) : export_gguf(m, path, out, type, err));
out:
    rt_model_close(m);
    return st;
}

/* --- tokenizers --------------------------------------------------------------------------------------------------- */

rt_status retort_tokenizer_open(retort_tokenizer **out, const char *path, rt_err *err)
{
    *out = NULL;
    return rt_tokenizer_open(out, path, err);
}

void retort_tokenizer_close(retort_tokenizer *t)
{
    rt_tokenizer_close(t);
}

rt_status retort_tokenize(const retort_tokenizer *t, const char *text, size_t n_text, int32_t *ids, size_t room,
                          size_t *n, rt_err *err)
{
    rt_ids all = {0};
    const rt_status st = rt_encode_text(t, text, n_text, 0, &all, err);
    if (st == RT_OK) {
        const size_t fits = all.n < room ? all.n : room;
        if (fits > 0) {
            memcpy(ids, all.p, fits * sizeof *ids);
        }
        *n = all.n;
    }
    rt_ids_release(&all);
    return st;
}

rt_status retort_detokenize(const retort_tokenizer *t, const int32_t *ids, size_t n_ids, char *text, size_t room,
                            size_t *n, rt_err *err)
{
    rt_str all = {0};
    rt_status st = rt_decode_ids(t, ids, n_ids, &all, err);
    if (st == RT_OK && all.failed) {
        st = rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    if (st == RT_OK) {
        const size_t fits = all.n < room ? all.n : room;
        if (fits > 0) {
            memcpy(text, all.p, fits);
        }
        *n = all.n;
    }
    rt_str_release(&all);
    return st;
}

int32_t retort_tokenizer_bos(const retort_tokenizer *t)
{
    return rt_tokenizer_bos(t);
}

int32_t retort_tokenizer_eos(const retort_tokenizer *t)
{
    return rt_tokenizer_eos(t);
}
