/* loader.h - an open model file as the place its parameters come from: all of them once, or each whenever it is needed
 * (stream.h). Private to model. */
#ifndef RT_MODEL_LOADER_H
#define RT_MODEL_LOADER_H

#include "model/params.h"
#include "model/split_kv.h"
#include "model/stack.h"

/* Where a parameter's values lie in the file: its row r is row first_row + r * step of `rows`. */
typedef struct rt_source {
    rt_tensor_rows rows;
    int64_t first_row, step;
    rt_split_kv split; /* in place of the above where `in_parts` */
    bool in_parts;
    const rt_tensor_desc *desc;
    bool gguf;
    bool turned; /* inputs are rows, from first_row on; outputs are columns, by `part` */
    rt_stack_part part;
} rt_source;

typedef struct rt_loader {
    rt_model *m;
    rt_gguf *gguf; /* or */
    rt_hf hf;
    rt_source *sources; /* [n_params] */
    float **scratch;    /* [n_threads] one row */
    int n_threads;
} rt_loader;

/* Bytes of the file that one decoding thread keeps in memory: rows behind are given back. */
#define RT_LOADER_PAGES ((int64_t)1 << 20)

/* Decodes all parameters that have a place, and checks tables among them. */
RT_MUST_USE rt_status rt_loader_load(const rt_loader *ld, rt_err *err);
/* Decodes one parameter to where its w and wb point, and gives its pages of the file back. */
void rt_loader_decode(const rt_loader *ld, const rt_param *p, int thread);
/* Tells the system that a parameter's bytes in the file will be wanted. */
void rt_loader_announce(const rt_loader *ld, const rt_param *p);
void rt_loader_free(rt_loader *ld); /* closes the file; accepts NULL */

#endif
