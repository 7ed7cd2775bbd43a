/* gguf_write.c - GGUF v3 writer: keys and tensors are collected, then the file appears whole. Values are encoded
 * chunk by chunk while writing, so that a model needs no second copy in memory. */
#include <math.h>
#include <string.h>

#include "format/gguf_part.h"
#include "format/quant.h"

#define WRITE_CHUNK (64 * 1024) /* elements, a multiple of every block */

typedef struct entry {
    char *key;
    rt_gguf_type type;
    rt_str raw; /* the value as in the file */
} entry;

typedef struct tensor {
    char *name; /* first: rt_name_index looks here */
    rt_dtype dtype;
    int n_dims;
    int64_t dims[RT_MAX_DIMS];
    const float *data;
    size_t elements, bytes;
} tensor;

struct rt_gguf_writer {
    entry *kv;
    size_t n_kv, cap_kv;
    tensor *tensors;
    size_t n_tensors, cap_tensors;
    rt_err err; /* the first failure of a setter, reported by rt_gguf_write */
};

rt_gguf_writer *rt_gguf_writer_new(void)
{
    return rt_calloc(1, sizeof(rt_gguf_writer));
}

void rt_gguf_writer_free(rt_gguf_writer *w)
{
    if (!w) {
        return;
    }
    for (size_t i = 0; i < w->n_kv; i++) {
        rt_free(w->kv[i].key);
        rt_str_release(&w->kv[i].raw);
    }
    for (size_t i = 0; i < w->n_tensors; i++) {
        rt_free(w->tensors[i].name);
    }
    rt_free(w->kv);
    rt_free(w->tensors);
    rt_free(w);
}

/* ---- keys ---- */

static bool is_layout_key(const char *key)
{
    return strcmp(key, "general.alignment") == 0 || strncmp(key, "split.", 6) == 0;
}

/* The emptied value of `key`, which is new or set again; NULL after a failure. */
static rt_str *value_of(rt_gguf_writer *w, const char *key, rt_gguf_type type)
{
    size_t n = strlen(key);
    if (w->err.code != RT_OK) {
        return NULL;
    }
    if (n == 0 || n > RT_GGUF_KEY_MAX || !rt_name_is_plain(key, n)) {
        (void)rt_fail(&w->err, RT_USAGE, 0, "'%.80s' is no GGUF key", key);
        return NULL;
    }
    for (size_t i = 0; i < w->n_kv; i++) {
        if (strcmp(w->kv[i].key, key) == 0) {
            w->kv[i].type = type;
            rt_str_clear(&w->kv[i].raw);
            return &w->kv[i].raw;
        }
    }
    if (RT_GROW(&w->kv, w->n_kv, &w->cap_kv, "keys of a GGUF file", &w->err) != RT_OK) {
        return NULL;
    }
    entry *e = &w->kv[w->n_kv];
    *e = (entry){.key = rt_strdup(key), .type = type};
    if (!e->key) {
        (void)rt_fail(&w->err, RT_MEMORY, 0, "no memory for key '%s'", key);
        return NULL;
    }
    w->n_kv++;
    return &e->raw;
}

static void set_scalar(rt_gguf_writer *w, const char *key, rt_gguf_type type, const void *v)
{
    rt_str *s = value_of(w, key, type);
    if (s) {
        rt_str_add(s, v, rt_gguf_type_bytes(type));
    }
}

static void put_u32(rt_str *s, uint32_t v)
{
    rt_str_add(s, &v, sizeof v);
}

static void put_u64(rt_str *s, uint64_t v)
{
    rt_str_add(s, &v, sizeof v);
}

static void put_string(rt_str *s, const char *v)
{
    size_t n = strlen(v);
    put_u64(s, n);
    rt_str_add(s, v, n);
}

void rt_gguf_set_u32(rt_gguf_writer *w, const char *key, uint32_t v)
{
    set_scalar(w, key, RT_GGUF_U32, &v);
}

void rt_gguf_set_u64(rt_gguf_writer *w, const char *key, uint64_t v)
{
    set_scalar(w, key, RT_GGUF_U64, &v);
}

void rt_gguf_set_f32(rt_gguf_writer *w, const char *key, float v)
{
    set_scalar(w, key, RT_GGUF_F32, &v);
}

void rt_gguf_set_bool(rt_gguf_writer *w, const char *key, bool v)
{
    uint8_t byte = v;
    set_scalar(w, key, RT_GGUF_BOOL, &byte);
}

void rt_gguf_set_str(rt_gguf_writer *w, const char *key, const char *v)
{
    rt_str *s = value_of(w, key, RT_GGUF_STRING);
    if (s) {
        put_string(s, v);
    }
}

static rt_str *array_of(rt_gguf_writer *w, const char *key, rt_gguf_type type, size_t n)
{
    rt_str *s = value_of(w, key, RT_GGUF_ARRAY);
    if (s) {
        put_u32(s, type);
        put_u64(s, n);
    }
    return s;
}

void rt_gguf_set_str_array(rt_gguf_writer *w, const char *key, const char *const *v, size_t n)
{
    rt_str *s = array_of(w, key, RT_GGUF_STRING, n);
    for (size_t i = 0; s && i < n; i++) {
        put_string(s, v[i]);
    }
}

void rt_gguf_set_bool_array(rt_gguf_writer *w, const char *key, const uint8_t *v, size_t n)
{
    rt_str *s = array_of(w, key, RT_GGUF_BOOL, n);
    if (s) {
        rt_str_add(s, v, n);
    }
}

void rt_gguf_set_i32_array(rt_gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    rt_str *s = array_of(w, key, RT_GGUF_I32, n);
    if (s) {
        rt_str_add(s, v, n * sizeof *v);
    }
}

void rt_gguf_set_f32_array(rt_gguf_writer *w, const char *key, const float *v, size_t n)
{
    rt_str *s = array_of(w, key, RT_GGUF_F32, n);
    if (s) {
        rt_str_add(s, v, n * sizeof *v);
    }
}

void rt_gguf_set_raw(rt_gguf_writer *w, const rt_gguf_kv *kv)
{
    /* these describe the other file's layout, not the model */
    rt_str *s = is_layout_key(kv->key) ? NULL : value_of(w, kv->key, kv->type);
    if (s) {
        rt_str_add(s, kv->raw.p, kv->raw.n);
    }
}

/* ---- tensors ---- */

static bool tensor_is_sound(rt_gguf_writer *w, const tensor *t)
{
    size_t n = strlen(t->name);
    if (n == 0 || n > RT_GGUF_NAME_MAX || !rt_name_is_plain(t->name, n)) {
        (void)rt_fail(&w->err, RT_USAGE, 0, "'%.80s' is no GGUF tensor name (1 to %d bytes)", t->name,
                      RT_GGUF_NAME_MAX);
        return false;
    }
    if (!rt_dtype_can_encode(t->dtype)) {
        (void)rt_fail(&w->err, RT_UNSUPPORTED, 0, "tensor '%s': retort does not write %s", t->name,
                      rt_dtype_name(t->dtype));
        return false;
    }
    return true;
}

void rt_gguf_add_tensor(rt_gguf_writer *w, const char *name, rt_dtype dtype, int n_dims, const int64_t *dims,
                        const float *data)
{
    tensor t = {.dtype = dtype, .n_dims = n_dims, .data = data, .elements = 1};
    if (w->err.code != RT_OK ||
        RT_GROW(&w->tensors, w->n_tensors, &w->cap_tensors, "tensors of a GGUF file", &w->err) != RT_OK) {
        return;
    }
    t.name = rt_strdup(name);
    if (!t.name) {
        (void)rt_fail(&w->err, RT_MEMORY, 0, "no memory for tensor '%s'", name);
        return;
    }
    bool whole = n_dims >= 1 && n_dims <= RT_MAX_DIMS;
    for (int i = 0; whole && i < n_dims; i++) {
        t.dims[i] = dims[i];
        whole = dims[i] >= 1 && rt_mul_size(t.elements, (size_t)dims[i], &t.elements);
    }
    if (!tensor_is_sound(w, &t)) {
        rt_free(t.name);
        return;
    }
    whole = whole && t.dims[n_dims - 1] % rt_dtype_block(dtype) == 0;
    if (!whole || !rt_dtype_bytes(dtype, t.elements, &t.bytes)) {
        (void)rt_fail(&w->err, RT_USAGE, 0, "tensor '%s': its shape cannot be written as %s (rows in blocks of %d)",
                      name, rt_dtype_name(dtype), rt_dtype_block(dtype));
        rt_free(t.name);
        return;
    }
    w->tensors[w->n_tensors++] = t;
}

/* ---- the file ---- */

static size_t padding(size_t n)
{
    return (RT_GGUF_ALIGNMENT - n % RT_GGUF_ALIGNMENT) % RT_GGUF_ALIGNMENT;
}

static void put_tensor_info(rt_str *s, const tensor *t, size_t offset)
{
    put_string(s, t->name);
    put_u32(s, (uint32_t)t->n_dims);
    for (int i = t->n_dims - 1; i >= 0; i--) {
        put_u64(s, (uint64_t)t->dims[i]);
    }
    put_u32(s, (uint32_t)rt_dtype_to_ggml(t->dtype));
    put_u64(s, offset);
}

/* Everything before the data section, padded. */
static rt_status make_header(const rt_gguf_writer *w, rt_str *s, rt_err *err)
{
    static const char zeros[RT_GGUF_ALIGNMENT];
    size_t offset = 0;
    rt_str_puts(s, "GGUF");
    put_u32(s, 3);
    put_u64(s, w->n_tensors);
    put_u64(s, w->n_kv);
    for (size_t i = 0; i < w->n_kv; i++) {
        const entry *e = &w->kv[i];
        if (e->raw.failed) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for key '%s'", e->key);
        }
        put_string(s, e->key);
        put_u32(s, e->type);
        rt_str_add(s, e->raw.p, e->raw.n);
    }
    for (size_t i = 0; i < w->n_tensors; i++) {
        const tensor *t = &w->tensors[i];
        put_tensor_info(s, t, offset);
        if (!rt_add_size(offset, t->bytes, &offset) || !rt_add_size(offset, padding(offset), &offset)) {
            return rt_fail(err, RT_USAGE, 0, "tensors up to '%s' exceed what a file can hold", t->name);
        }
    }
    rt_str_add(s, zeros, padding(s->n));
    return s->failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the GGUF header") : RT_OK;
}

/* Largest magnitude whose block scales stay finite halves, infinity for types without. */
static float largest_value(rt_dtype t)
{
    return t == RT_F32 || t == RT_BF16 ? INFINITY : 65504.0f;
}

static rt_status check_values(const tensor *t, size_t at, size_t n, rt_err *err)
{
    float largest = largest_value(t->dtype);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(t->data[at + i]) || fabsf(t->data[at + i]) > largest) {
            return rt_fail(err, RT_NUMERIC, at + i, "tensor '%s': element %zu is %g, which %s cannot hold", t->name,
                           at + i, (double)t->data[at + i], rt_dtype_name(t->dtype));
        }
    }
    return RT_OK;
}

static rt_status write_tensor(const tensor *t, rt_atomic *file, uint8_t *buffer, const char *path, rt_err *err)
{
    static const char zeros[RT_GGUF_ALIGNMENT];
    rt_status st = RT_OK;
    for (size_t at = 0; at < t->elements; at += WRITE_CHUNK) {
        size_t n = t->elements - at < WRITE_CHUNK ? t->elements - at : WRITE_CHUNK, bytes = 0;
        RT_BUG_IF(!rt_dtype_bytes(t->dtype, n, &bytes));
        RT_TRY(check_values(t, at, n, err));
        rt_encode(t->dtype, t->data + at, buffer, (int64_t)n);
        RT_TRY(rt_fwrite(file->f, buffer, bytes, path, err));
    }
    RT_TRY(rt_fwrite(file->f, zeros, padding(t->bytes), path, err));
out:
    return st;
}

static rt_status refuse_twice(const rt_gguf_writer *w, rt_err *err)
{
    rt_name_index names = {0};
    const char *twice;
    rt_status st;
    RT_TRY(rt_name_index_init(&names, w->tensors, w->n_tensors, sizeof *w->tensors, &twice, err));
    if (twice) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "tensor '%s' was added twice", twice);
    }
out:
    rt_name_index_release(&names);
    return st;
}

rt_status rt_gguf_write(rt_gguf_writer *w, const char *path, rt_err *err)
{
    rt_status st;
    rt_str header = {0};
    rt_atomic file = {0};
    uint8_t *buffer = NULL;
    if (w->err.code != RT_OK) {
        RT_FAIL_OUT(err, w->err.code, 0, "writing '%s': %s", path, w->err.msg);
    }
    RT_TRY(refuse_twice(w, err));
    RT_TRY(make_header(w, &header, err));
    RT_TRY(RT_NEW(&buffer, WRITE_CHUNK * sizeof(float), "GGUF write buffer", err));
    RT_TRY(rt_atomic_open(&file, path, err));
    RT_TRY(rt_fwrite(file.f, header.p, header.n, path, err));
    for (size_t i = 0; i < w->n_tensors; i++) {
        RT_TRY(write_tensor(&w->tensors[i], &file, buffer, path, err));
    }
    RT_TRY(rt_atomic_commit(&file, err));
out:
    rt_atomic_discard(&file);
    rt_str_release(&header);
    rt_free(buffer);
    return st;
}
