/* safetensors_read.c - one safetensors file from bytes that may be an enemy's. The tensors' byte ranges must cover
 * the data exactly, without hole or overlap, and agree with dtype and shape. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "format/safetensors_file.h"

#define HEADER_MAX 100000000 /* bytes, as the reference implementation has it */
#define LENGTH_BYTES 8

/* dtypes the format knows and retort has no use for; they take part in the checks all the same */
typedef struct foreign_dtype {
    const char *name;
    int bits;
} foreign_dtype;
static const foreign_dtype foreign_dtypes[] = {
    {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"U16", 16},    {"U32", 32},    {"U64", 64},    {"C64", 64},
};

typedef struct range {
    uint64_t begin, end;
    rt_tensor_info info;
} range;

/* RT_DTYPE_COUNT and the bits for a foreign one; false for a name the format does not have. */
static bool dtype_from_name(const char *name, rt_dtype *out, int *bits)
{
    static const char *const own[RT_DTYPE_COUNT] = {
#define RT_DTYPE(name, ggml, block, bytes, st) [RT_##name] = st,
#include "core/dtype.def"
#undef RT_DTYPE
    };
    for (int t = 0; t < RT_DTYPE_COUNT; t++) {
        if (own[t] && strcmp(own[t], name) == 0) {
            *out = (rt_dtype)t;
            *bits = rt_dtype_block_bytes((rt_dtype)t) * 8;
            return true;
        }
    }
    *out = RT_DTYPE_COUNT;
    for (size_t i = 0; i < sizeof foreign_dtypes / sizeof foreign_dtypes[0]; i++) {
        if (strcmp(foreign_dtypes[i].name, name) == 0) {
            *bits = foreign_dtypes[i].bits;
            return true;
        }
    }
    return false;
}

static bool as_count(const json_t *j, uint64_t *out)
{
    if (!json_is_integer(j) || json_integer_value(j) < 0) {
        return false;
    }
    *out = (uint64_t)json_integer_value(j);
    return true;
}

/* Shape into `t` (rank above RT_MAX_DIMS only counted) and the number of bytes it takes. */
static rt_status read_shape(rt_tensor_info *t, const json_t *shape, int bits, uint64_t *bytes, rt_err *err)
{
    uint64_t product = 1, dim, total;
    bool empty = false;
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape)) {
        return rt_fail(err, RT_INPUT, 0, "tensor '%s' has no list 'shape'", t->name);
    }
    for (size_t i = 0; i < rank; i++) {
        /* a zero makes the product zero, yet that of the others must fit all the same */
        if (!as_count(json_array_get(shape, i), &dim) || __builtin_mul_overflow(product, dim ? dim : 1, &product) ||
            product > INT64_MAX) {
            return rt_fail(err, RT_INPUT, 0, "shape of tensor '%s' is not a list of sizes whose product fits", t->name);
        }
        empty = empty || dim == 0;
        if (i < RT_MAX_DIMS) {
            t->dims[i] = (int64_t)dim;
        }
    }
    if (__builtin_mul_overflow(empty ? 0 : product, (uint64_t)bits, &total) || total % 8 != 0) {
        return rt_fail(err, RT_INPUT, 0, "shape of tensor '%s' makes no whole number of bytes", t->name);
    }
    t->n_dims = rank <= RT_MAX_DIMS ? (int)rank : 0;
    if (rank > RT_MAX_DIMS) {
        t->dtype = RT_DTYPE_COUNT;
        memset(t->dims, 0, sizeof t->dims);
    }
    *bytes = total / 8;
    return RT_OK;
}

static rt_status read_tensor(range *r, const char *name, const json_t *j, rt_err *err)
{
    rt_tensor_info *t = &r->info;
    const char *dtype = rt_json_str(j, "dtype", NULL);
    const json_t *offsets = json_object_get(j, "data_offsets");
    uint64_t bytes = 0;
    int bits = 0;
    t->name = name;
    if (!rt_name_is_plain(name, strlen(name))) {
        return rt_fail(err, RT_INPUT, 0, "a tensor's name holds control characters");
    }
    if (!dtype || json_object_size(j) != 3) {
        return rt_fail(err, RT_INPUT, 0, "tensor '%s' must have exactly 'dtype', 'shape' and 'data_offsets'", name);
    }
    if (!dtype_from_name(dtype, &t->dtype, &bits)) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "tensor '%s' has unknown dtype '%.32s'", name, dtype);
    }
    rt_status st = read_shape(t, json_object_get(j, "shape"), bits, &bytes, err);
    if (st != RT_OK) {
        return st;
    }
    if (json_array_size(offsets) != 2 || !as_count(json_array_get(offsets, 0), &r->begin) ||
        !as_count(json_array_get(offsets, 1), &r->end) || r->end < r->begin) {
        return rt_fail(err, RT_INPUT, 0, "'data_offsets' of tensor '%s' must be a begin and an end not before it",
                       name);
    }
    if (r->end - r->begin != bytes) {
        return rt_fail(err, RT_INPUT, r->begin, "tensor '%s' needs %" PRIu64 " bytes, its data_offsets give %" PRIu64,
                       name, bytes, r->end - r->begin);
    }
    t->bytes = (size_t)bytes;
    return RT_OK;
}

static rt_status check_metadata(const json_t *meta, rt_err *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(meta)) {
        return rt_fail(err, RT_INPUT, 0, "'__metadata__' is not an object");
    }
    json_object_foreach((json_t *)meta, key, v)
    {
        if (!json_is_string(v)) {
            return rt_fail(err, RT_INPUT, 0, "'__metadata__' may hold texts only");
        }
    }
    return RT_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const range *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    if (x->end != y->end) {
        return x->end < y->end ? -1 : 1;
    }
    return strcmp(x->info.name, y->info.name);
}

/* Sorted ranges must run from 0 to `size` without gap; then tensors get their addresses. */
static rt_status place_tensors(rt_st_file *f, const range *ranges, size_t n, const uint8_t *data, uint64_t size,
                               rt_err *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const range *r = &ranges[i];
        if (r->begin != at) {
            return rt_fail(err, RT_INPUT, r->begin,
                           "tensor '%s' begins at byte %" PRIu64 " of the data, expected %" PRIu64
                           ": holes and overlaps are refused",
                           r->info.name, r->begin, at);
        }
        if (r->end > size) {
            return rt_fail(err, RT_INPUT, r->end,
                           "tensor '%s' ends at byte %" PRIu64 " of %" PRIu64 " of the data (truncated?)", r->info.name,
                           r->end, size);
        }
        f->tensors[i] = r->info;
        /* what cannot be represented is listed without data */
        f->tensors[i].data = r->info.dtype == RT_DTYPE_COUNT ? NULL : data + r->begin;
        at = r->end;
    }
    if (at != size) {
        return rt_fail(err, RT_INPUT, at, "the file has %" PRIu64 " bytes of data, its tensors use %" PRIu64, size, at);
    }
    return RT_OK;
}

static rt_status read_header(rt_st_file *f, const uint8_t *data, uint64_t size, rt_err *err)
{
    rt_status st;
    range *ranges = NULL;
    const char *name;
    json_t *v;
    size_t n = 0;
    RT_TRY(RT_NEW(&ranges, json_object_size(f->header), "safetensors directory", err));
    json_object_foreach(f->header, name, v)
    {
        if (strcmp(name, "__metadata__") == 0) {
            RT_TRY(check_metadata(v, err));
        } else {
            RT_TRY(read_tensor(&ranges[n], name, v, err));
            n++;
        }
    }
    if (n > 1) {
        qsort(ranges, n, sizeof *ranges, compare_ranges);
    }
    RT_TRY(RT_NEW(&f->tensors, n, "safetensors directory", err));
    f->n = n;
    RT_TRY(place_tensors(f, ranges, n, data, size, err));
out:
    rt_free(ranges);
    return st;
}

rt_status rt_st_file_read(rt_st_file *f, const uint8_t *data, size_t size, rt_err *err)
{
    rt_status st;
    uint64_t n;
    if (size < LENGTH_BYTES) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "%zu bytes are no safetensors file (truncated?)", size);
    }
    memcpy(&n, data, sizeof n);
    if (n > HEADER_MAX || n > size - LENGTH_BYTES) {
        RT_FAIL_OUT(err, RT_INPUT, 0,
                    "not a safetensors file, or a truncated one: it claims a header of %" PRIu64 " bytes and has %zu",
                    n, size - LENGTH_BYTES);
    }
    RT_TRY(rt_json_parse(&f->header, data + LENGTH_BYTES, (size_t)n, "header", err));
    if (!json_is_object(f->header)) {
        RT_FAIL_OUT(err, RT_INPUT, LENGTH_BYTES, "the safetensors header is not a JSON object");
    }
    RT_TRY(read_header(f, data + LENGTH_BYTES + n, size - LENGTH_BYTES - n, err));
out:
    return st;
}

void rt_st_file_release(rt_st_file *f)
{
    json_decref(f->header);
    rt_free(f->tensors);
    rt_free(f->name);
    rt_map_close(&f->map);
    *f = (rt_st_file){0};
}
