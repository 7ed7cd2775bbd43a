/* dtype.h - element types of tensors, on disk and in memory; the list is dtype.def. */
#ifndef RT_CORE_DTYPE_H
#define RT_CORE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum rt_dtype {
#define RT_DTYPE(name, ggml, block, bytes, st) RT_##name,
#include "core/dtype.def"
#undef RT_DTYPE
    RT_DTYPE_COUNT
} rt_dtype;

const char *rt_dtype_name(rt_dtype t); /* "Q4_1" */
int rt_dtype_block(rt_dtype t);        /* elements per block */
int rt_dtype_block_bytes(rt_dtype t);
bool rt_dtype_from_ggml(int64_t id, rt_dtype *out);
int rt_dtype_to_ggml(rt_dtype t);                         /* -1 when GGUF has no such type */
bool rt_dtype_from_name(const char *name, rt_dtype *out); /* case-insensitive */
/* Bytes of n elements; false when n is no multiple of the block or the product overflows. */
bool rt_dtype_bytes(rt_dtype t, uint64_t n, size_t *out);

#endif
