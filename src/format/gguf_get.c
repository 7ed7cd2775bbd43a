/* gguf_get.c - typed access to metadata that the reader has already checked. */
#include <string.h>

#include "format/gguf_part.h"

/* One fixed-size element as an integer; false for floats, strings, arrays, and u64 beyond int64. */
static bool element_i64(rt_gguf_type type, const uint8_t *p, int64_t *out)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } v;
    memcpy(&v, p, rt_gguf_type_bytes(type));
    switch (type) {
    case RT_GGUF_U8:
    case RT_GGUF_BOOL: *out = v.u8; return true;
    case RT_GGUF_I8: *out = (int64_t)v.i8; return true;
    case RT_GGUF_U16: *out = v.u16; return true;
    case RT_GGUF_I16: *out = v.i16; return true;
    case RT_GGUF_U32: *out = v.u32; return true;
    case RT_GGUF_I32: *out = v.i32; return true;
    case RT_GGUF_I64: *out = v.i64; return true;
    case RT_GGUF_U64: *out = (int64_t)v.u64; return v.u64 <= INT64_MAX;
    default: return false;
    }
}

static bool element_f64(rt_gguf_type type, const uint8_t *p, double *out)
{
    int64_t i;
    float f;
    if (type == RT_GGUF_F32) {
        memcpy(&f, p, sizeof f);
        *out = (double)f;
        return true;
    }
    if (type == RT_GGUF_F64) {
        memcpy(out, p, sizeof *out);
        return true;
    }
    if (type == RT_GGUF_BOOL || !element_i64(type, p, &i)) {
        return false;
    }
    *out = (double)i;
    return true;
}

static const rt_gguf_kv *find_kv(const rt_gguf_part *p, const char *key)
{
    return rt_name_index_find(&p->kv_index, key);
}

static const uint8_t *raw_bytes(const rt_gguf_kv *kv)
{
    return (const uint8_t *)kv->raw.p;
}

bool rt_gguf_part_i64(const rt_gguf_part *p, const char *key, int64_t *out)
{
    const rt_gguf_kv *kv = find_kv(p, key);
    return kv && kv->type != RT_GGUF_BOOL && element_i64(kv->type, raw_bytes(kv), out);
}

bool rt_gguf_get_i64(const rt_gguf *g, const char *key, int64_t *out)
{
    return rt_gguf_part_i64(&g->parts[0], key, out);
}

bool rt_gguf_get_f64(const rt_gguf *g, const char *key, double *out)
{
    const rt_gguf_kv *kv = find_kv(&g->parts[0], key);
    return kv && element_f64(kv->type, raw_bytes(kv), out);
}

bool rt_gguf_get_bool(const rt_gguf *g, const char *key, bool *out)
{
    const rt_gguf_kv *kv = find_kv(&g->parts[0], key);
    if (!kv || kv->type != RT_GGUF_BOOL) {
        return false;
    }
    *out = kv->raw.p[0] != 0;
    return true;
}

bool rt_gguf_get_str(const rt_gguf *g, const char *key, rt_slice *out)
{
    const rt_gguf_kv *kv = find_kv(&g->parts[0], key);
    if (!kv || kv->type != RT_GGUF_STRING) {
        return false;
    }
    *out = (rt_slice){kv->raw.p + sizeof(uint64_t), kv->raw.n - sizeof(uint64_t)};
    return true;
}

bool rt_gguf_get_array(const rt_gguf *g, const char *key, rt_gguf_array *out)
{
    const rt_gguf_kv *kv = find_kv(&g->parts[0], key);
    if (!kv || kv->type != RT_GGUF_ARRAY) {
        return false;
    }
    uint32_t type;
    memcpy(&type, kv->raw.p, sizeof type);
    memcpy(&out->n, kv->raw.p + sizeof type, sizeof out->n);
    out->type = (rt_gguf_type)type;
    out->data = raw_bytes(kv) + sizeof type + sizeof out->n;
    out->end = raw_bytes(kv) + kv->raw.n;
    return true;
}

bool rt_gguf_next_str(const rt_gguf_array *a, const uint8_t **cursor, rt_slice *out)
{
    const uint8_t *p = *cursor ? *cursor : a->data;
    uint64_t n;
    if (a->type != RT_GGUF_STRING || p == a->end) {
        return false;
    }
    memcpy(&n, p, sizeof n);
    *out = (rt_slice){(const char *)p + sizeof n, (size_t)n};
    *cursor = p + sizeof n + n;
    return true;
}

int64_t rt_gguf_array_i64(const rt_gguf_array *a, uint64_t i)
{
    int64_t v = 0;
    RT_BUG_IF(i >= a->n);
    return element_i64(a->type, a->data + i * rt_gguf_type_bytes(a->type), &v) ? v : 0;
}

double rt_gguf_array_f64(const rt_gguf_array *a, uint64_t i)
{
    double v = 0;
    RT_BUG_IF(i >= a->n);
    return element_f64(a->type, a->data + i * rt_gguf_type_bytes(a->type), &v) ? v : 0;
}
