/* tensor_info.c - arithmetic on shapes. */
#include "format/tensor_info.h"

int64_t rt_tensor_info_elements(const rt_tensor_info *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->n_dims; i++) {
        n *= t->dims[i];
    }
    return n;
}
