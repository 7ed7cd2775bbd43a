/* safetensors.h - reader (hostile input, sharded index) and writer. */
#ifndef RT_FORMAT_SAFETENSORS_H
#define RT_FORMAT_SAFETENSORS_H

#include <jansson.h>

#include "format/tensor_info.h"

typedef struct rt_safetensors rt_safetensors;

/* `path`: one file, or an index (*.safetensors.index.json) whose shards lie beside it (plain file names only).
 * Rank above RT_MAX_DIMS and dtypes retort has no use for are listed, with `data` NULL, dtype RT_DTYPE_COUNT and (rank)
 * n_dims 0, and not given out by rt_safetensors_find. */
RT_MUST_USE rt_status rt_safetensors_open(rt_safetensors **out, const char *path, rt_err *err);
RT_MUST_USE rt_status rt_safetensors_open_memory(rt_safetensors **out, const void *data, size_t size, rt_err *err);
void rt_safetensors_close(rt_safetensors *s);
size_t rt_safetensors_n(const rt_safetensors *s);
const rt_tensor_info *rt_safetensors_at(const rt_safetensors *s, size_t i);
const rt_tensor_info *rt_safetensors_find(const rt_safetensors *s, const char *name);
/* Value of __metadata__[key], NULL when absent. */
const char *rt_safetensors_meta(const rt_safetensors *s, const char *key);

/* Writer. Tensors are written as given (dtype of the data). Borrows data until _write; {"format":"pt"} is always in the
 * metadata. */
typedef struct rt_st_writer rt_st_writer;
rt_st_writer *rt_st_writer_new(void);
void rt_st_writer_free(rt_st_writer *w);
void rt_st_set_meta(rt_st_writer *w, const char *key, const char *value);
void rt_st_add(rt_st_writer *w, const char *name, rt_dtype dtype, int n_dims, const int64_t *dims, const void *data);
RT_MUST_USE rt_status rt_st_write(rt_st_writer *w, const char *path, rt_err *err); /* atomic */

#endif
