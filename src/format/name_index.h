/* name_index.h - find things by name: GGUF keys, tensors, shard files. */
#ifndef RT_FORMAT_NAME_INDEX_H
#define RT_FORMAT_NAME_INDEX_H

#include "core/core.h"

/* Pointers to items in order of name; sorted rather than hashed so that no chosen set of names makes it slow.
 * The first member of an item is its `const char *` name. Borrows the items. */
typedef struct rt_name_index {
    const void **item;
    size_t n;
} rt_name_index;

/* Over `n` items of `stride` bytes. *twice = a name met more than once, or NULL. Zero-initialise first. */
RT_MUST_USE rt_status rt_name_index_init(rt_name_index *x, const void *items, size_t n, size_t stride,
                                         const char **twice, rt_err *err);
void rt_name_index_release(rt_name_index *x);
const void *rt_name_index_find(const rt_name_index *x, const char *name); /* NULL when absent */

/* Names end up in messages and C strings: well-formed UTF-8 without control characters. */
bool rt_name_is_plain(const char *p, size_t n);

#endif
