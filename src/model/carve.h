/* carve.h - laying out many buffers in one block. The same routine measures (base NULL) and assigns, so the prediction
 * of memory cannot drift from the truth. Private to model. */
#ifndef RT_MODEL_CARVE_H
#define RT_MODEL_CARVE_H

#include "core/core.h"

typedef struct rt_carver {
    char *base; /* NULL: measure only */
    size_t used;
} rt_carver;

/* The next n elements of `size` bytes, 64-byte aligned; NULL while measuring. */
static inline void *rt_carve(rt_carver *c, int64_t n, size_t size)
{
    void *p = c->base != NULL ? c->base + c->used : NULL;
    c->used += ((size_t)n * size + 63) & ~(size_t)63;
    return p;
}

static inline float *rt_carve_floats(rt_carver *c, int64_t n)
{
    return rt_carve(c, n, sizeof(float));
}

static inline int32_t *rt_carve_ints(rt_carver *c, int64_t n)
{
    return rt_carve(c, n, sizeof(int32_t));
}

#endif
