/* tensor_rows.h - a weight's rows wherever a file keeps them: in a tensor of their own, among others' in a stack, or
 * as small numbers whose scales are a second tensor. */
#ifndef RT_FORMAT_TENSOR_ROWS_H
#define RT_FORMAT_TENSOR_ROWS_H

#include "format/safetensors.h"

typedef struct rt_tensor_rows {
    const rt_tensor_info *values;
    const rt_tensor_info *scales; /* NULL: the values stand by themselves */
    rt_dtype dtype;               /* of the values: MXFP4 where its blocks and scales lie apart */
    int n_dims;                   /* shape of the whole, as numbers of elements; rows are its last dim */
    int64_t dims[RT_MAX_DIMS];
} rt_tensor_rows;

/* The whole of a tensor, of a type that decodes. */
RT_MUST_USE rt_status rt_tensor_rows_of(rt_tensor_rows *out, const rt_tensor_info *t, rt_err *err);
/* By name, also F8_E4M3 with one factor for each block of 128 x 128 (`NAME_scale_inv`), and MXFP4 (`NAME_blocks`,
 * `NAME_scales`). RT_NOT_FOUND when there is no such tensor. */
RT_MUST_USE rt_status rt_tensor_rows_find(rt_tensor_rows *out, const rt_safetensors *f, const char *name, rt_err *err);
int64_t rt_tensor_rows_cols(const rt_tensor_rows *t);
/* Row `r`, counted through all dims but the last. */
void rt_tensor_rows_decode(const rt_tensor_rows *t, int64_t r, float *dst);
/* Bytes of the file that n rows take. */
int64_t rt_tensor_rows_bytes(const rt_tensor_rows *t, int64_t n);
/* Tells the system that these rows will be wanted, or are not wanted any more. */
void rt_tensor_rows_advise(const rt_tensor_rows *t, int64_t first, int64_t n, bool wanted);

#endif
