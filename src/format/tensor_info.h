/* tensor_info.h - one tensor as a file presents it. */
#ifndef RT_FORMAT_TENSOR_INFO_H
#define RT_FORMAT_TENSOR_INFO_H

#include "core/core.h"

#define RT_MAX_DIMS 4

/* dims are row-major with the slowest first, as Hugging Face prints shapes ([out, in]); GGUF's reversed order
 * ends at its reader. `data` lies in the file's map and lives as long as the file object; nothing is promised about
 * its alignment: rt_decode copes, a cast does not. */
typedef struct rt_tensor_info {
    const char *name;
    rt_dtype dtype;
    int n_dims;
    int64_t dims[RT_MAX_DIMS];
    const void *data;
    size_t bytes;
    const rt_map *map; /* that the data lies in; NULL: bytes in memory */
} rt_tensor_info;

/* Product of dims (1 for rank 0). Readers have checked it against overflow. */
int64_t rt_tensor_info_elements(const rt_tensor_info *t);

#endif
