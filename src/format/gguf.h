/* gguf.h - GGUF v2/v3 reader (hostile input) and v3 writer. Layout: docs of ggml, summarised in docs/formats.md. */
#ifndef RT_FORMAT_GGUF_H
#define RT_FORMAT_GGUF_H

#include "format/tensor_info.h"

typedef struct rt_gguf rt_gguf;

typedef enum rt_gguf_type {
    RT_GGUF_U8,
    RT_GGUF_I8,
    RT_GGUF_U16,
    RT_GGUF_I16,
    RT_GGUF_U32,
    RT_GGUF_I32,
    RT_GGUF_F32,
    RT_GGUF_BOOL,
    RT_GGUF_STRING,
    RT_GGUF_ARRAY,
    RT_GGUF_U64,
    RT_GGUF_I64,
    RT_GGUF_F64
} rt_gguf_type;

/* Maps the file and checks all of header, metadata and tensor directory. A name like X-00001-of-00003.gguf
 * opens all shards. Errors carry the byte position. */
RT_MUST_USE rt_status rt_gguf_open(rt_gguf **out, const char *path, rt_err *err);
/* The same over memory the caller keeps alive (fuzzing, tests). */
RT_MUST_USE rt_status rt_gguf_open_memory(rt_gguf **out, const void *data, size_t size, rt_err *err);
void rt_gguf_close(rt_gguf *g);
/* true for a readable file that begins with GGUF's magic; what its name says does not matter. */
bool rt_gguf_is_file(const char *path);

size_t rt_gguf_n_tensors(const rt_gguf *g);
const rt_tensor_info *rt_gguf_tensor(const rt_gguf *g, size_t i);
const rt_tensor_info *rt_gguf_find(const rt_gguf *g, const char *name); /* NULL when absent */

/* One key: `raw` is the value exactly as in the file (for arrays: element type, count and elements). */
typedef struct rt_gguf_kv {
    const char *key; /* NUL-terminated, owned by g */
    rt_gguf_type type;
    rt_slice raw;
} rt_gguf_kv;
size_t rt_gguf_n_kv(const rt_gguf *g);
const rt_gguf_kv *rt_gguf_kv_at(const rt_gguf *g, size_t i);

/* Typed getters: false when the key is absent or of another kind. Integers convert from any integer type, in range. */
bool rt_gguf_get_i64(const rt_gguf *g, const char *key, int64_t *out);
bool rt_gguf_get_f64(const rt_gguf *g, const char *key, double *out); /* from f32, f64 and integers */
bool rt_gguf_get_bool(const rt_gguf *g, const char *key, bool *out);
bool rt_gguf_get_str(const rt_gguf *g, const char *key, rt_slice *out); /* view into the map */
typedef struct rt_gguf_array {
    rt_gguf_type type;
    uint64_t n;
    const uint8_t *data; /* fixed-size elements back to back, little-endian, unaligned; strings: use the iterator */
    const uint8_t *end;  /* behind the last element */
} rt_gguf_array;
bool rt_gguf_get_array(const rt_gguf *g, const char *key, rt_gguf_array *out);
/* Strings in order: `*cursor` starts as NULL; false at the end. */
bool rt_gguf_next_str(const rt_gguf_array *a, const uint8_t **cursor, rt_slice *out);
int64_t rt_gguf_array_i64(const rt_gguf_array *a, uint64_t i); /* integer and bool elements */
double rt_gguf_array_f64(const rt_gguf_array *a, uint64_t i);

/* Writer: collect keys and tensors, then write the file atomically in one go. Keys keep their order. A key set twice is
 * replaced in place. */
typedef struct rt_gguf_writer rt_gguf_writer;
rt_gguf_writer *rt_gguf_writer_new(void); /* NULL when memory is out */
void rt_gguf_writer_free(rt_gguf_writer *w);
void rt_gguf_set_u32(rt_gguf_writer *w, const char *key, uint32_t v);
void rt_gguf_set_u64(rt_gguf_writer *w, const char *key, uint64_t v);
void rt_gguf_set_f32(rt_gguf_writer *w, const char *key, float v);
void rt_gguf_set_bool(rt_gguf_writer *w, const char *key, bool v);
void rt_gguf_set_str(rt_gguf_writer *w, const char *key, const char *v);
void rt_gguf_set_str_array(rt_gguf_writer *w, const char *key, const char *const *v, size_t n);
/* Elements 0 and 1. */
void rt_gguf_set_bool_array(rt_gguf_writer *w, const char *key, const uint8_t *v, size_t n);
void rt_gguf_set_i32_array(rt_gguf_writer *w, const char *key, const int32_t *v, size_t n);
void rt_gguf_set_f32_array(rt_gguf_writer *w, const char *key, const float *v, size_t n);
/* Byte-for-byte copy of one key of another file. */
void rt_gguf_set_raw(rt_gguf_writer *w, const rt_gguf_kv *kv);
/* Tensor of f32 values [dims], converted to `dtype` (F32, F16, BF16, Q8_0, Q4_0, Q4_1) while writing. Borrows `data`
 * until _write. */
void rt_gguf_add_tensor(rt_gguf_writer *w, const char *name, rt_dtype dtype, int n_dims, const int64_t *dims,
                        const float *data);
/* Any out-of-memory or bad argument of the calls above is reported here. */
RT_MUST_USE rt_status rt_gguf_write(rt_gguf_writer *w, const char *path, rt_err *err);

#endif
