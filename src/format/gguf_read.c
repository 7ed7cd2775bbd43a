/* gguf_read.c - one GGUF file from bytes that may be an enemy's: header, metadata, tensor directory. Every count is
 * held against the bytes left before anything is allocated for it; tensors must follow one another without holes. */
#include <string.h>

#include "format/gguf_part.h"
#include "format/quant.h"

/* Smallest encodings, to bound counts: one-byte key, type, byte; one-byte name, rank, one dim, type, offset. */
#define LEAST_KV_BYTES 14
#define LEAST_TENSOR_BYTES 33
#define HEADER_BYTES 24

typedef struct reader {
    const uint8_t *data;
    size_t size, at;
    rt_err *err;
} reader;

size_t rt_gguf_type_bytes(rt_gguf_type t)
{
    static const uint8_t bytes[] = {
        [RT_GGUF_U8] = 1,  [RT_GGUF_I8] = 1,  [RT_GGUF_U16] = 2,  [RT_GGUF_I16] = 2,    [RT_GGUF_U32] = 4,
        [RT_GGUF_I32] = 4, [RT_GGUF_F32] = 4, [RT_GGUF_BOOL] = 1, [RT_GGUF_STRING] = 0, [RT_GGUF_ARRAY] = 0,
        [RT_GGUF_U64] = 8, [RT_GGUF_I64] = 8, [RT_GGUF_F64] = 8,
    };
    return bytes[t];
}

/* ---- primitives ---- */

static rt_status take(reader *r, uint64_t n, const uint8_t **out, const char *what)
{
    *out = r->data + r->at;
    if (n > r->size - r->at) {
        return rt_fail(r->err, RT_INPUT, r->at, "%s at byte %zu needs %llu bytes, the file has %zu left (truncated?)",
                       what, r->at, (unsigned long long)n, r->size - r->at);
    }
    r->at += (size_t)n;
    return RT_OK;
}

static rt_status take_u32(reader *r, uint32_t *out, const char *what)
{
    const uint8_t *p;
    rt_status st = take(r, sizeof *out, &p, what);
    if (st == RT_OK) {
        memcpy(out, p, sizeof *out);
    }
    return st;
}

static rt_status take_u64(reader *r, uint64_t *out, const char *what)
{
    const uint8_t *p;
    rt_status st = take(r, sizeof *out, &p, what);
    if (st == RT_OK) {
        memcpy(out, p, sizeof *out);
    }
    return st;
}

static rt_status take_string(reader *r, uint64_t limit, rt_slice *out, const char *what)
{
    rt_status st;
    uint64_t n = 0;
    const uint8_t *p;
    size_t at = r->at;
    RT_TRY(take_u64(r, &n, what));
    if (n > limit) {
        RT_FAIL_OUT(r->err, RT_INPUT, at, "%s at byte %zu is %llu bytes long, the limit is %llu", what, at,
                    (unsigned long long)n, (unsigned long long)limit);
    }
    RT_TRY(take(r, n, &p, what));
    *out = (rt_slice){(const char *)p, (size_t)n};
out:
    return st;
}

/* A key or tensor name, copied and NUL-terminated. */
static rt_status take_name(reader *r, rt_arena *arena, uint64_t limit, const char **out, const char *what)
{
    rt_status st;
    rt_slice s = {0};
    size_t at = r->at;
    RT_TRY(take_string(r, limit, &s, what));
    if (s.n == 0) {
        RT_FAIL_OUT(r->err, RT_INPUT, at, "%s at byte %zu is empty", what, at);
    }
    if (!rt_name_is_plain(s.p, s.n)) {
        RT_FAIL_OUT(r->err, RT_INPUT, at, "%s at byte %zu holds control characters or is not UTF-8", what, at);
    }
    *out = rt_arena_strndup(arena, s.p, s.n);
    if (!*out) {
        RT_FAIL_OUT(r->err, RT_MEMORY, at, "no memory for %s", what);
    }
out:
    return st;
}

/* ---- metadata ---- */

static rt_status check_bools(reader *r, const uint8_t *p, uint64_t n, const char *key)
{
    for (uint64_t i = 0; i < n; i++) {
        if (p[i] > 1) {
            return rt_fail(r->err, RT_INPUT, (uint64_t)(p - r->data) + i, "key '%s': %u is no bool, expected 0 or 1",
                           key, p[i]);
        }
    }
    return RT_OK;
}

static rt_status take_type(reader *r, rt_gguf_type *out, const char *key)
{
    uint32_t type = 0;
    size_t at = r->at;
    rt_status st = take_u32(r, &type, "value type");
    if (st == RT_OK && type > RT_GGUF_F64) {
        return rt_fail(r->err, RT_INPUT, at, "key '%s' has value type %u at byte %zu, types go from 0 to 12", key, type,
                       at);
    }
    *out = (rt_gguf_type)(st == RT_OK ? type : 0);
    return st;
}

static rt_status skip_array(reader *r, const char *key)
{
    rt_status st;
    rt_gguf_type type = RT_GGUF_U8;
    uint64_t n = 0;
    size_t bytes;
    const uint8_t *p;
    rt_slice s;
    size_t at = r->at;
    RT_TRY(take_type(r, &type, key));
    RT_TRY(take_u64(r, &n, "array length"));
    if (type == RT_GGUF_ARRAY) {
        RT_FAIL_OUT(r->err, RT_INPUT, at, "key '%s' is an array of arrays, which no reader supports", key);
    }
    bytes = rt_gguf_type_bytes(type);
    if (n > RT_GGUF_ARRAY_MAX || n > (r->size - r->at) / (bytes ? bytes : sizeof(uint64_t))) {
        RT_FAIL_OUT(r->err, RT_INPUT, at,
                    "key '%s' claims %llu array elements at byte %zu, the file has %zu bytes left", key,
                    (unsigned long long)n, at, r->size - r->at);
    }
    if (type == RT_GGUF_STRING) {
        for (uint64_t i = 0; i < n; i++) {
            RT_TRY(take_string(r, RT_GGUF_STRING_MAX, &s, "array string"));
        }
        goto out;
    }
    RT_TRY(take(r, n * bytes, &p, "array"));
    if (type == RT_GGUF_BOOL) {
        RT_TRY(check_bools(r, p, n, key));
    }
out:
    return st;
}

static rt_status take_kv(reader *r, rt_gguf_part *part, rt_gguf_kv *kv)
{
    rt_status st;
    size_t start;
    const uint8_t *p;
    rt_slice s;
    RT_TRY(take_name(r, &part->arena, RT_GGUF_KEY_MAX, &kv->key, "key"));
    RT_TRY(take_type(r, &kv->type, kv->key));
    start = r->at;
    if (kv->type == RT_GGUF_ARRAY) {
        RT_TRY(skip_array(r, kv->key));
    } else if (kv->type == RT_GGUF_STRING) {
        RT_TRY(take_string(r, RT_GGUF_STRING_MAX, &s, "string value"));
    } else {
        RT_TRY(take(r, rt_gguf_type_bytes(kv->type), &p, "value"));
        if (kv->type == RT_GGUF_BOOL) {
            RT_TRY(check_bools(r, p, 1, kv->key));
        }
    }
    kv->raw = (rt_slice){(const char *)r->data + start, r->at - start};
out:
    return st;
}

static rt_status read_metadata(reader *r, rt_gguf_part *part, uint64_t n)
{
    rt_status st;
    const char *twice;
    RT_TRY(RT_NEW(&part->kv, (size_t)n, "GGUF keys", r->err));
    for (; part->n_kv < n; part->n_kv++) {
        RT_TRY(take_kv(r, part, &part->kv[part->n_kv]));
    }
    RT_TRY(rt_name_index_init(&part->kv_index, part->kv, part->n_kv, sizeof *part->kv, &twice, r->err));
    if (twice) {
        RT_FAIL_OUT(r->err, RT_INPUT, r->at, "key '%s' occurs twice", twice);
    }
out:
    return st;
}

/* ---- tensor directory ---- */

/* Dims in file order (contiguous first) into ours (slowest first), with the element count checked. */
static rt_status take_dims(reader *r, rt_tensor_info *t, uint64_t *elements)
{
    rt_status st;
    uint32_t rank = 0;
    size_t at = r->at;
    int64_t product = 1;
    RT_TRY(take_u32(r, &rank, "tensor rank"));
    if (rank < 1 || rank > RT_MAX_DIMS) {
        RT_FAIL_OUT(r->err, RT_INPUT, at, "tensor '%s' has %u dims at byte %zu, expected 1 to %d", t->name, rank, at,
                    RT_MAX_DIMS);
    }
    t->n_dims = (int)rank;
    *elements = 1;
    for (int i = t->n_dims - 1; i >= 0; i--) {
        uint64_t dim = 0;
        RT_TRY(take_u64(r, &dim, "tensor dims"));
        /* a zero makes the element count zero, yet the product of the others must fit all the same */
        if (dim > INT64_MAX || __builtin_mul_overflow(product, dim ? (int64_t)dim : 1, &product)) {
            RT_FAIL_OUT(r->err, RT_INPUT, at, "dims of tensor '%s' at byte %zu multiply to more than 2^63", t->name,
                        at);
        }
        t->dims[i] = (int64_t)dim;
        *elements *= dim;
    }
out:
    return st;
}

/* What GGUF has and retort does not read, by name for the message. */
static const char *foreign_type(uint32_t id)
{
    static const struct {
        uint32_t id;
        const char *name;
    } types[] = {
        {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
        {21, "IQ3_S"}, {22, "IQ2_S"}, {29, "IQ1_M"},   {41, "Q1_0"},   {42, "Q2_0"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].id == id) {
            return types[i].name;
        }
    }
    return "unknown";
}

static rt_status take_tensor(reader *r, rt_gguf_part *part, rt_tensor_info *t, uint64_t *offset)
{
    rt_status st;
    uint64_t elements = 0;
    uint32_t type = 0;
    size_t at;
    RT_TRY(take_name(r, &part->arena, RT_GGUF_NAME_MAX, &t->name, "tensor name"));
    RT_TRY(take_dims(r, t, &elements));
    at = r->at;
    RT_TRY(take_u32(r, &type, "tensor type"));
    if (!rt_dtype_from_ggml(type, &t->dtype)) {
        RT_FAIL_OUT(r->err, RT_UNSUPPORTED, at,
                    "tensor '%s' has ggml type %u (%s) at byte %zu, which retort does not read: take the model in "
                    "another type, say Q4_K_M or Q8_0",
                    t->name, type, foreign_type(type), at);
    }
    if (t->dims[t->n_dims - 1] % rt_dtype_block(t->dtype) != 0) {
        RT_FAIL_OUT(r->err, RT_INPUT, at, "rows of tensor '%s' (%lld elements) are not whole %s blocks of %d", t->name,
                    (long long)t->dims[t->n_dims - 1], rt_dtype_name(t->dtype), rt_dtype_block(t->dtype));
    }
    if (!rt_dtype_bytes(t->dtype, elements, &t->bytes)) {
        RT_FAIL_OUT(r->err, RT_INPUT, at, "tensor '%s' would have more bytes than a file can hold", t->name);
    }
    RT_TRY(take_u64(r, offset, "tensor offset"));
out:
    return st;
}

static rt_status find_alignment(const rt_gguf_part *part, size_t *out, rt_err *err)
{
    const rt_gguf_kv *kv = rt_name_index_find(&part->kv_index, "general.alignment");
    uint32_t v = RT_GGUF_ALIGNMENT;
    if (kv) {
        if (kv->type != RT_GGUF_U32) {
            return rt_fail(err, RT_INPUT, 0, "key 'general.alignment' is not a u32");
        }
        memcpy(&v, kv->raw.p, sizeof v);
    }
    if (v == 0 || (v & (v - 1)) != 0) {
        return rt_fail(err, RT_INPUT, 0, "key 'general.alignment' is %u, expected a power of two", v);
    }
    *out = v;
    return RT_OK;
}

/* Rounds up to a power of two; false on overflow. */
static bool align_up(size_t v, size_t alignment, size_t *out)
{
    bool ok = rt_add_size(v, alignment - 1, out);
    *out &= ~(alignment - 1);
    return ok;
}

/* Places tensor `t`, whose directory entry claims `offset`, at `*sum`, the padded total of those before it. */
static rt_status place_tensor(const reader *r, rt_tensor_info *t, uint64_t offset, size_t start, size_t alignment,
                              size_t *sum)
{
    if (offset != *sum) {
        return rt_fail(
            r->err, RT_INPUT, r->at,
            "tensor '%s' is at offset %llu of the data, expected %zu: holes, overlaps and other orders are refused",
            t->name, (unsigned long long)offset, *sum);
    }
    if (start > r->size || *sum > r->size - start || t->bytes > r->size - start - *sum) {
        return rt_fail(r->err, RT_INPUT, r->size,
                       "tensor '%s' needs %zu bytes at byte %zu, the file has %zu (truncated?)", t->name, t->bytes,
                       start + *sum, r->size);
    }
    t->data = r->data + start + *sum;
    /* cannot overflow past the check above, but for the padding */
    if (!align_up(*sum + t->bytes, alignment, sum)) {
        return rt_fail(r->err, RT_INPUT, r->size, "tensor '%s' ends beyond what a file can hold", t->name);
    }
    return RT_OK;
}

static rt_status read_tensors(reader *r, rt_gguf_part *part, uint64_t n)
{
    rt_status st;
    uint64_t *offsets = NULL;
    size_t alignment = RT_GGUF_ALIGNMENT, start = 0, sum = 0;
    RT_TRY(find_alignment(part, &alignment, r->err));
    RT_TRY(RT_NEW(&part->tensors, (size_t)n, "GGUF tensors", r->err));
    RT_TRY(RT_NEW(&offsets, (size_t)n, "GGUF tensor offsets", r->err));
    for (; part->n_tensors < n; part->n_tensors++) {
        RT_TRY(take_tensor(r, part, &part->tensors[part->n_tensors], &offsets[part->n_tensors]));
    }
    if (!align_up(r->at, alignment, &start)) {
        RT_FAIL_OUT(r->err, RT_INPUT, r->at, "key 'general.alignment' is too large");
    }
    for (size_t i = 0; i < part->n_tensors; i++) {
        RT_TRY(place_tensor(r, &part->tensors[i], offsets[i], start, alignment, &sum));
    }
out:
    rt_free(offsets);
    return st;
}

/* ---- header ---- */

static rt_status read_version(reader *r)
{
    rt_status st;
    uint32_t v = 0;
    RT_TRY(take_u32(r, &v, "version"));
    if (v == 2 || v == 3) {
        goto out;
    }
    if (v == 1) {
        RT_FAIL_OUT(r->err, RT_UNSUPPORTED, 4, "GGUF version 1 is not supported: convert the model again");
    }
    if (v != 0 && (v & 0xffffu) == 0) {
        RT_FAIL_OUT(r->err, RT_UNSUPPORTED, 4,
                    "GGUF version reads 0x%08x: a big-endian file, which is not supported: convert the model again", v);
    }
    RT_FAIL_OUT(r->err, RT_UNSUPPORTED, 4, "GGUF version %u is not supported, only 2 and 3 are", v);
out:
    return st;
}

rt_status rt_gguf_part_read(rt_gguf_part *part, const uint8_t *data, size_t size, rt_err *err)
{
    rt_status st;
    reader r = {.data = data, .size = size, .err = err};
    uint64_t n_tensors = 0, n_kv = 0;
    const uint8_t *magic;
    if (size == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the file is empty");
    }
    RT_TRY(take(&r, 4, &magic, "GGUF magic"));
    if (memcmp(magic, "GGUF", 4) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "not a GGUF file: it starts with bytes %02x %02x %02x %02x", magic[0], magic[1],
                    magic[2], magic[3]);
    }
    RT_TRY(read_version(&r));
    RT_TRY(take_u64(&r, &n_tensors, "tensor count"));
    RT_TRY(take_u64(&r, &n_kv, "key count"));
    if (n_kv > (size - HEADER_BYTES) / LEAST_KV_BYTES || n_tensors > (size - HEADER_BYTES) / LEAST_TENSOR_BYTES) {
        RT_FAIL_OUT(err, RT_INPUT, 8, "header claims %llu tensors and %llu keys, too many for %zu bytes (truncated?)",
                    (unsigned long long)n_tensors, (unsigned long long)n_kv, size);
    }
    RT_TRY(read_metadata(&r, part, n_kv));
    RT_TRY(read_tensors(&r, part, n_tensors));
out:
    return st;
}

void rt_gguf_part_release(rt_gguf_part *p)
{
    rt_free(p->kv);
    rt_name_index_release(&p->kv_index);
    rt_free(p->tensors);
    rt_arena_release(&p->arena);
    rt_map_close(&p->map);
    *p = (rt_gguf_part){0};
}
