/* golden.h - reading golden <folder>/<name>.safetensors; any fault fails the test. */
#ifndef RT_TESTS_TENSOR_GOLDEN_H
#define RT_TESTS_TENSOR_GOLDEN_H

#include <stdio.h>

#include "format/safetensors.h"
#include "unit/tensor/tensor_test.h"

static inline rt_safetensors *golden_open(const char *folder, const char *name)
{
    char path[1024];
    rt_err err;
    rt_safetensors *file = NULL;
    snprintf(path, sizeof path, "%s/%s/%s.safetensors", RT_TEST_GOLDEN, folder, name);
    if (rt_safetensors_open(&file, path, &err) != RT_OK) {
        fail_msg("%s", err.msg);
    }
    return file;
}

/* Data of `name`, which must have this type and number of elements; lives as long as the file. */
static inline const void *golden_data(const rt_safetensors *file, const char *name, rt_dtype type, int64_t n)
{
    const rt_tensor_info *t = rt_safetensors_find(file, name);
    if (t == NULL || t->dtype != type || rt_tensor_info_elements(t) != n) {
        fail_msg("golden tensor '%s' is missing or has another shape", name);
        return NULL;
    }
    return t->data;
}

#endif
