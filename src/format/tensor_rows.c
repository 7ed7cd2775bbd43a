/* tensor_rows.c - finding a weight's values and scales, checking that they fit, decoding rows. */
#include "format/tensor_rows.h"

#include <string.h>

#include "format/quant.h"

#define F8_BLOCK 128
#define MX_BLOCK 32
#define MX_BLOCK_BYTES 16

int64_t rt_tensor_rows_cols(const rt_tensor_rows *t)
{
    return t->dims[t->n_dims - 1];
}

rt_status rt_tensor_rows_of(rt_tensor_rows *out, const rt_tensor_info *t, rt_err *err)
{
    if (t->n_dims == 0) {
        return rt_fail(err, RT_INPUT, 0, "tensor '%s' is a single number", t->name);
    }
    if (!rt_dtype_can_decode(t->dtype)) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "tensor '%s' is stored as %s, which cannot be decoded", t->name,
                       rt_dtype_name(t->dtype));
    }
    *out = (rt_tensor_rows){.values = t, .dtype = t->dtype, .n_dims = t->n_dims};
    memcpy(out->dims, t->dims, sizeof out->dims);
    return RT_OK;
}

static int64_t blocks_of(int64_t n)
{
    return n / F8_BLOCK + (n % F8_BLOCK != 0);
}

/* The factors of an F8 matrix: F32 or BF16, a row of them for every 128 rows. */
static rt_status add_f8_scales(rt_tensor_rows *t, const rt_tensor_info *s, rt_err *err)
{
    const char *name = t->values->name;
    if (!s) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "tensor '%s' is F8_E4M3, but there is no '%s_scale_inv' to scale it",
                       name, name);
    }
    int n = t->n_dims;
    bool fits = n >= 2 && s->n_dims == n && (s->dtype == RT_F32 || s->dtype == RT_BF16);
    for (int i = 0; fits && i < n; i++) {
        fits = s->dims[i] == (i < n - 2 ? t->dims[i] : blocks_of(t->dims[i]));
    }
    if (!fits) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "tensor '%s' is not F32 or BF16 with one factor a block of %d x %d of '%s'", s->name, F8_BLOCK,
                       F8_BLOCK, name);
    }
    t->scales = s;
    return RT_OK;
}

/* Blocks U8 [..., n, 16] and scales U8 [..., n] stand for [..., 32 n]. */
static rt_status join_mxfp4(rt_tensor_rows *t, const rt_tensor_info *b, const rt_tensor_info *s, rt_err *err)
{
    int n = b->n_dims - 1;
    bool fits = b->dtype == RT_U8 && s->dtype == RT_U8 && n >= 1 && s->n_dims == n && b->dims[n] == MX_BLOCK_BYTES;
    for (int i = 0; fits && i < n; i++) {
        fits = s->dims[i] == b->dims[i];
    }
    fits = fits && s->dims[n - 1] <= INT64_MAX / MX_BLOCK; /* of no rows it may be more */
    if (!fits) {
        return rt_fail(err, RT_INPUT, 0, "tensors '%s' and '%s' are not U8 blocks of %d bytes and a U8 scale for each",
                       b->name, s->name, MX_BLOCK_BYTES);
    }
    *t = (rt_tensor_rows){.values = b, .scales = s, .dtype = RT_MXFP4, .n_dims = n};
    memcpy(t->dims, s->dims, sizeof t->dims);
    t->dims[n - 1] *= MX_BLOCK; /* 16 bytes were there for each */
    return RT_OK;
}

static rt_status find_with(const rt_tensor_info **out, const rt_safetensors *f, const char *name, const char *suffix,
                           rt_err *err)
{
    rt_str s = {0};
    rt_str_printf(&s, "%s%s", name, suffix);
    *out = s.failed ? NULL : rt_safetensors_find(f, rt_str_cstr(&s));
    rt_status st = s.failed ? rt_fail(err, RT_MEMORY, 0, "no memory for a tensor's name") : RT_OK;
    rt_str_release(&s);
    return st;
}

rt_status rt_tensor_rows_find(rt_tensor_rows *out, const rt_safetensors *f, const char *name, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_tensor_info *values = rt_safetensors_find(f, name), *scales = NULL;
    if (values) {
        RT_TRY(rt_tensor_rows_of(out, values, err));
        if (out->dtype == RT_F8_E4M3) {
            RT_TRY(find_with(&scales, f, name, "_scale_inv", err));
            RT_TRY(add_f8_scales(out, scales, err));
        }
        goto out;
    }
    RT_TRY(find_with(&values, f, name, "_blocks", err));
    RT_TRY(find_with(&scales, f, name, "_scales", err));
    if (!values || !scales) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "tensor '%s' is missing", name);
    }
    RT_TRY(join_mxfp4(out, values, scales, err));
out:
    return st;
}

/* Multiplies row `r` by its factors. */
static void scale_f8(const rt_tensor_rows *t, int64_t r, float *dst)
{
    const int64_t rows = t->dims[t->n_dims - 2], cols = rt_tensor_rows_cols(t), n = blocks_of(cols);
    const int64_t first = (r / rows * blocks_of(rows) + r % rows / F8_BLOCK) * n;
    const size_t size = (size_t)rt_dtype_block_bytes(t->scales->dtype);
    for (int64_t b = 0; b < n; b++) {
        float factor;
        rt_decode(t->scales->dtype, (const uint8_t *)t->scales->data + (size_t)(first + b) * size, &factor, 1);
        for (int64_t i = b * F8_BLOCK; i < cols && i < (b + 1) * F8_BLOCK; i++) {
            dst[i] *= factor;
        }
    }
}

void rt_tensor_rows_decode(const rt_tensor_rows *t, int64_t r, float *dst)
{
    const int64_t cols = rt_tensor_rows_cols(t);
    const uint8_t *values = t->values->data;
    if (t->dtype == RT_MXFP4 && t->scales) {
        const int64_t first = r * (cols / MX_BLOCK);
        rt_decode_mxfp4_split(values + first * MX_BLOCK_BYTES, (const uint8_t *)t->scales->data + first, dst, cols);
        return;
    }
    const int64_t blocks = cols / rt_dtype_block(t->dtype);
    rt_decode(t->dtype, values + (size_t)(r * blocks) * (size_t)rt_dtype_block_bytes(t->dtype), dst, cols);
    if (t->scales) {
        scale_f8(t, r, dst);
    }
}

static int64_t all_rows(const rt_tensor_rows *t)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < t->n_dims; i++) {
        n *= t->dims[i];
    }
    return n;
}

/* Bytes of `t` before row r of `all`; a block of scales may stand for several rows. */
static size_t bytes_before(const rt_tensor_info *t, int64_t r, int64_t all)
{
    return (size_t)((double)t->bytes / (double)all * (double)r);
}

int64_t rt_tensor_rows_bytes(const rt_tensor_rows *t, int64_t n)
{
    const int64_t all = all_rows(t);
    return (int64_t)(bytes_before(t->values, n, all) + (t->scales ? bytes_before(t->scales, n, all) : 0));
}

void rt_tensor_rows_advise(const rt_tensor_rows *t, int64_t first, int64_t n, bool wanted)
{
    const rt_tensor_info *parts[] = {t->values, t->scales};
    const int64_t all = all_rows(t);
    for (int i = 0; i < 2 && parts[i]; i++) {
        const size_t from = bytes_before(parts[i], first, all), to = bytes_before(parts[i], first + n, all);
        rt_map_advise(parts[i]->map, (const char *)parts[i]->data + from, to - from, wanted);
    }
}
