/* split_kv.h - the expanding projection of latent attention in GGUF files for the absorbed form: its rows for keys and
 * for values as two tensors, those for keys turned, so that both are [heads][out][in] of what absorbing multiplies
 * with. Private to model. */
#ifndef RT_MODEL_SPLIT_KV_H
#define RT_MODEL_SPLIT_KV_H

#include "format/tensor_rows.h"
#include "model/model.h"

typedef struct rt_split_kv {
    rt_tensor_rows k; /* [heads][latent][plain channels] */
    rt_tensor_rows v; /* [heads][value][latent] */
} rt_split_kv;

/* RT_NOT_FOUND when the file has it in one piece, or not at all. */
RT_MUST_USE rt_status rt_split_kv_find(rt_split_kv *out, const rt_gguf *g, const rt_model *m, const rt_param *p,
                                       rt_err *err);
/* Fills p, and gives its pages of the file back head by head; row: scratch of rt_split_kv_row floats. */
void rt_split_kv_load(const rt_split_kv *s, const rt_model *m, const rt_param *p, float *row);
int64_t rt_split_kv_row(const rt_model *m);
/* Tells the system that both tensors will be wanted. */
void rt_split_kv_announce(const rt_split_kv *s);
/* The two tensors' names, shapes and values for writing; k and v together have p->n values. */
typedef struct rt_split_kv_part {
    char name[96];
    int64_t dims[3];
    float *values;
} rt_split_kv_part;
void rt_split_kv_values(rt_split_kv_part part[2], const rt_model *m, const rt_param *p, float *values);

#endif
