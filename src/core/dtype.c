/* dtype.c - the table of element types. */
#include "core/dtype.h"

#include <strings.h>

#include "core/mem.h"

typedef struct dtype_row {
    const char *name;
    int ggml, block, bytes;
} dtype_row;

static const dtype_row dtypes[RT_DTYPE_COUNT] = {
#define RT_DTYPE(name, ggml, block, bytes, st) [RT_##name] = {#name, ggml, block, bytes},
#include "core/dtype.def"
#undef RT_DTYPE
};

static const dtype_row *row_of(rt_dtype t)
{
    RT_BUG_IF((unsigned)t >= RT_DTYPE_COUNT);
    return &dtypes[t];
}

const char *rt_dtype_name(rt_dtype t)
{
    return row_of(t)->name;
}

int rt_dtype_block(rt_dtype t)
{
    return row_of(t)->block;
}

int rt_dtype_block_bytes(rt_dtype t)
{
    return row_of(t)->bytes;
}

int rt_dtype_to_ggml(rt_dtype t)
{
    return row_of(t)->ggml;
}

bool rt_dtype_from_ggml(int64_t id, rt_dtype *out)
{
    for (int t = 0; id >= 0 && t < RT_DTYPE_COUNT; t++) {
        if (dtypes[t].ggml == id) {
            *out = (rt_dtype)t;
            return true;
        }
    }
    return false;
}

bool rt_dtype_from_name(const char *name, rt_dtype *out)
{
    for (int t = 0; t < RT_DTYPE_COUNT; t++) {
        if (strcasecmp(dtypes[t].name, name) == 0) {
            *out = (rt_dtype)t;
            return true;
        }
    }
    return false;
}

bool rt_dtype_bytes(rt_dtype t, uint64_t n, size_t *out)
{
    const dtype_row *row = row_of(t);
    uint64_t block = (uint64_t)row->block;
    if (n % block != 0 || n / block > SIZE_MAX) {
        return false;
    }
    return rt_mul_size((size_t)(n / block), (size_t)row->bytes, out);
}
