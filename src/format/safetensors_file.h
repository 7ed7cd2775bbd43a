/* safetensors_file.h - what the safetensors reader's files share: one checked file. */
#ifndef RT_FORMAT_SAFETENSORS_FILE_H
#define RT_FORMAT_SAFETENSORS_FILE_H

#include <jansson.h>

#include "format/name_index.h"
#include "format/tensor_info.h"

typedef struct rt_st_file {
    char *name;              /* within its index; first: rt_name_index looks here. NULL for a single file */
    rt_map map;              /* open when the file owns its bytes */
    json_t *header;          /* owns the tensors' names */
    rt_tensor_info *tensors; /* in order of their data */
    size_t n;
} rt_st_file;

/* Fills `f` from bytes that outlive it. On failure release it all the same. */
RT_MUST_USE rt_status rt_st_file_read(rt_st_file *f, const uint8_t *data, size_t size, rt_err *err);
void rt_st_file_release(rt_st_file *f);

#endif
