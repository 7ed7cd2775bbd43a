/* The file of importance: four F32 tensors, and in the metadata whose they are. */
#include "teacher/importance_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/safetensors.h"

#define FORMAT_NAME "retort width importance"

/* The arrays under their names, with their shapes. */
typedef struct array {
    const char *name;
    int n_dims;
    int64_t dims[2];
    float *data;
} array;
#define N_ARRAYS 4

static void arrays_of(array out[N_ARRAYS], const rt_importance *i)
{
    out[0] = (array){"hidden", 1, {i->d_model, 1}, i->hidden};
    out[1] = (array){"ffn", 2, {i->n_layer, i->d_ff}, i->ffn};
    out[2] = (array){"heads", 2, {i->n_layer, i->n_head_kv}, i->heads};
    out[3] = (array){"norm_square", 2, {i->n_norms, i->d_model}, i->square};
}

char *rt_importance_path(const char *dir, const rt_digest *teacher_hash)
{
    char hex[65], file[40];
    rt_digest_hex(*teacher_hash, hex);
    snprintf(file, sizeof file, "%.16s.safetensors", hex);
    return rt_path_join(dir, file);
}

rt_status rt_importance_save(const rt_importance *i, const char *path, rt_err *err)
{
    array arrays[N_ARRAYS];
    char teacher[65], data[65], tokens[32];
    rt_st_writer *w = rt_st_writer_new();
    if (w == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for a file of importance");
    }
    rt_digest_hex(i->teacher, teacher);
    rt_digest_hex(i->data, data);
    snprintf(tokens, sizeof tokens, "%lld", (long long)i->tokens);
    rt_st_set_meta(w, "retort.format", FORMAT_NAME);
    rt_st_set_meta(w, "teacher_sha256", teacher);
    rt_st_set_meta(w, "data_sha256", data);
    rt_st_set_meta(w, "tokens", tokens);
    arrays_of(arrays, i);
    for (int a = 0; a < N_ARRAYS; a++) {
        if (arrays[a].dims[0] * arrays[a].dims[1] > 0) {
            rt_st_add(w, arrays[a].name, RT_F32, arrays[a].n_dims, arrays[a].dims, arrays[a].data);
        }
    }
    const rt_status st = rt_st_write(w, path, err);
    rt_st_writer_free(w);
    return st;
}

static const char *meta(const rt_safetensors *s, const char *key)
{
    const char *value = rt_safetensors_meta(s, key);
    return value != NULL ? value : "";
}

static rt_status read_array(array *a, const rt_safetensors *s, rt_err *err)
{
    const rt_tensor_info *t = rt_safetensors_find(s, a->name);
    const int64_t n = a->dims[0] * a->dims[1];
    if (n == 0) {
        return RT_OK;
    }
    if (t == NULL || t->dtype != RT_F32 || t->n_dims != a->n_dims || t->dims[0] != a->dims[0] ||
        (a->n_dims == 2 && t->dims[1] != a->dims[1])) {
        return rt_fail(err, RT_INPUT, 0, "'%s' is missing, or not of this teacher's shape", a->name);
    }
    memcpy(a->data, t->data, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        if (!(isfinite(a->data[i]) && a->data[i] >= 0)) {
            return rt_fail(err, RT_INPUT, (uint64_t)i, "entry %lld of '%s' is no size of an activation", (long long)i,
                           a->name);
        }
    }
    return RT_OK;
}

static rt_status read_all(rt_importance *out, const rt_safetensors *s, const rt_digest *teacher_hash,
                          const rt_model *teacher, rt_err *err)
{
    rt_status st = RT_OK;
    array arrays[N_ARRAYS];
    if (strcmp(meta(s, "retort.format"), FORMAT_NAME) != 0 ||
        rt_digest_parse(meta(s, "data_sha256"), &out->data) != 0 ||
        rt_digest_parse(meta(s, "teacher_sha256"), &out->teacher) != 0 ||
        !rt_parse_i64(meta(s, "tokens"), &out->tokens)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no file of importance that retort wrote");
    }
    if (memcmp(&out->teacher, teacher_hash, sizeof out->teacher) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "importance of another teacher's widths: measure again into another file");
    }
    RT_TRY(rt_importance_layout(out, teacher, err));
    arrays_of(arrays, out);
    for (int a = 0; a < N_ARRAYS; a++) {
        RT_TRY(read_array(&arrays[a], s, err));
    }
out:
    return st;
}

rt_status rt_importance_load(rt_importance *out, const char *path, const rt_digest *teacher_hash,
                             const rt_model *teacher, rt_err *err)
{
    rt_status st = RT_OK;
    rt_safetensors *s = NULL;
    *out = (rt_importance){0};
    RT_TRY(rt_safetensors_open(&s, path, err));
    st = read_all(out, s, teacher_hash, teacher, err);
    if (st != RT_OK) {
        rt_importance_release(out);
        st = rt_err_wrap(err, st, "'%s'", path);
    }
out:
    rt_safetensors_close(s);
    return st;
}
