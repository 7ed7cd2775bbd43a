/* safetensors_write.c - safetensors writer: collected, sorted by alignment and name, written whole. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "format/name_index.h"
#include "format/safetensors.h"

typedef struct tensor {
    char *name; /* first: rt_name_index looks here */
    rt_dtype dtype;
    int n_dims;
    int64_t dims[RT_MAX_DIMS];
    const void *data;
    size_t bytes;
} tensor;

struct rt_st_writer {
    json_t *meta;
    tensor *tensors;
    size_t n, cap;
    rt_err err; /* the first failure of a setter, reported by rt_st_write */
};

static const char *st_name(rt_dtype t)
{
    static const char *const names[RT_DTYPE_COUNT] = {
#define RT_DTYPE(name, ggml, block, bytes, st) [RT_##name] = st,
#include "core/dtype.def"
#undef RT_DTYPE
    };
    return names[t];
}

rt_st_writer *rt_st_writer_new(void)
{
    rt_st_writer *w = rt_calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    /* without it transformers refuses the file */
    w->meta = json_pack("{s:s}", "format", "pt");
    if (!w->meta) {
        rt_free(w);
        return NULL;
    }
    return w;
}

void rt_st_writer_free(rt_st_writer *w)
{
    if (!w) {
        return;
    }
    json_decref(w->meta);
    for (size_t i = 0; i < w->n; i++) {
        rt_free(w->tensors[i].name);
    }
    rt_free(w->tensors);
    rt_free(w);
}

void rt_st_set_meta(rt_st_writer *w, const char *key, const char *value)
{
    if (w->err.code != RT_OK) {
        return;
    }
    if (!rt_utf8_valid(key, strlen(key)) || !rt_utf8_valid(value, strlen(value))) {
        (void)rt_fail(&w->err, RT_USAGE, 0, "metadata '%.80s' is not UTF-8", key);
    } else if (json_object_set_new(w->meta, key, json_string(value)) != 0) {
        (void)rt_fail(&w->err, RT_MEMORY, 0, "no memory for metadata '%s'", key);
    }
}

/* Fills shape and size; false when they make no sense. */
static bool set_shape(tensor *t, const int64_t *dims)
{
    size_t elements = 1;
    if (t->n_dims < 0 || t->n_dims > RT_MAX_DIMS) {
        return false;
    }
    for (int i = 0; i < t->n_dims; i++) {
        t->dims[i] = dims[i];
        if (dims[i] < 0 || !rt_mul_size(elements, (size_t)dims[i], &elements)) {
            return false;
        }
    }
    return rt_dtype_bytes(t->dtype, elements, &t->bytes);
}

void rt_st_add(rt_st_writer *w, const char *name, rt_dtype dtype, int n_dims, const int64_t *dims, const void *data)
{
    tensor t = {.dtype = dtype, .n_dims = n_dims, .data = data};
    if (w->err.code != RT_OK) {
        return;
    }
    if (!rt_name_is_plain(name, strlen(name)) || strcmp(name, "__metadata__") == 0) {
        (void)rt_fail(&w->err, RT_USAGE, 0, "'%.80s' is no tensor name", name);
    } else if (!st_name(dtype)) {
        (void)rt_fail(&w->err, RT_UNSUPPORTED, 0, "tensor '%s': safetensors has no %s", name, rt_dtype_name(dtype));
    } else if (!set_shape(&t, dims)) {
        (void)rt_fail(&w->err, RT_USAGE, 0, "tensor '%s': impossible shape", name);
    } else if (RT_GROW(&w->tensors, w->n, &w->cap, "tensors", NULL) != RT_OK || !(t.name = rt_strdup(name))) {
        (void)rt_fail(&w->err, RT_MEMORY, 0, "no memory for tensor '%s'", name);
    } else {
        w->tensors[w->n++] = t;
    }
}

/* Wide types first, so that every tensor lies aligned. */
static int compare_tensors(const void *a, const void *b)
{
    const tensor *x = a, *y = b;
    int wx = rt_dtype_block_bytes(x->dtype), wy = rt_dtype_block_bytes(y->dtype);
    return wx != wy ? wy - wx : strcmp(x->name, y->name);
}

static void put_tensor(rt_str *s, const tensor *t, size_t begin)
{
    rt_str_putc(s, ',');
    rt_json_append_text(s, t->name, strlen(t->name));
    rt_str_printf(s, ":{\"dtype\":\"%s\",\"shape\":[", st_name(t->dtype));
    for (int i = 0; i < t->n_dims; i++) {
        rt_str_printf(s, "%s%" PRId64, i > 0 ? "," : "", t->dims[i]);
    }
    rt_str_printf(s, "],\"data_offsets\":[%zu,%zu]}", begin, begin + t->bytes);
}

static rt_status make_header(const rt_st_writer *w, rt_str *s, rt_err *err)
{
    size_t begin = 0;
    rt_str_puts(s, "{\"__metadata__\":");
    rt_json_append(s, w->meta);
    for (size_t i = 0; i < w->n; i++) {
        size_t end;
        if (!rt_add_size(begin, w->tensors[i].bytes, &end)) {
            return rt_fail(err, RT_USAGE, 0, "tensors up to '%s' exceed what a file can hold", w->tensors[i].name);
        }
        put_tensor(s, &w->tensors[i], begin);
        begin = end;
    }
    rt_str_putc(s, '}');
    while (s->n % 8 != 0 && !s->failed) {
        rt_str_putc(s, ' ');
    }
    return s->failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the safetensors header") : RT_OK;
}

static rt_status refuse_twice(const rt_st_writer *w, rt_err *err)
{
    rt_name_index names = {0};
    const char *twice;
    rt_status st;
    RT_TRY(rt_name_index_init(&names, w->tensors, w->n, sizeof *w->tensors, &twice, err));
    if (twice) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "tensor '%s' was added twice", twice);
    }
out:
    rt_name_index_release(&names);
    return st;
}

rt_status rt_st_write(rt_st_writer *w, const char *path, rt_err *err)
{
    rt_status st;
    rt_str header = {0};
    rt_atomic file = {0};
    if (w->err.code != RT_OK) {
        RT_FAIL_OUT(err, w->err.code, 0, "writing '%s': %s", path, w->err.msg);
    }
    RT_TRY(refuse_twice(w, err));
    if (w->n > 1) {
        qsort(w->tensors, w->n, sizeof *w->tensors, compare_tensors);
    }
    RT_TRY(make_header(w, &header, err));
    uint64_t length = header.n;
    RT_TRY(rt_atomic_open(&file, path, err));
    RT_TRY(rt_fwrite(file.f, &length, sizeof length, path, err));
    RT_TRY(rt_fwrite(file.f, header.p, header.n, path, err));
    for (size_t i = 0; i < w->n; i++) {
        RT_TRY(rt_fwrite(file.f, w->tensors[i].data, w->tensors[i].bytes, path, err));
    }
    RT_TRY(rt_atomic_commit(&file, err));
out:
    rt_atomic_discard(&file);
    rt_str_release(&header);
    return st;
}
