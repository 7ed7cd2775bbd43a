/* stack.h - parameters and the tensors of a Hugging Face file: mostly the same, but the experts of a layer may share
 * one tensor, [experts, outputs, in] or, as GPT-OSS publishes its plain values, [experts, in, outputs]. Private to
 * model. */
#ifndef RT_MODEL_STACK_H
#define RT_MODEL_STACK_H

#include "model/params.h"

/* Output r of a parameter is output first + r * step of the `outputs` that its expert has in the stack. */
typedef struct rt_stack_part {
    int64_t outputs, first, step;
} rt_stack_part;
rt_stack_part rt_stack_part_of(const rt_tensor_desc *d, const rt_param *p);

/* A tensor as this architecture's files are published. */
typedef struct rt_hf_tensor {
    char name[96];
    const rt_param *p; /* the first parameter it holds */
    const rt_tensor_desc *desc;
    bool stacked;
    bool mxfp4; /* frozen experts: written as blocks and scales, outputs first */
    int n_dims;
    int64_t dims[3], n;
} rt_hf_tensor;
/* The tensor that begins with p; false when p is part of another's. */
bool rt_hf_tensor_of(rt_hf_tensor *t, const rt_model *m, const rt_param *p);
/* Its values in dst[t->n]: the parameters', or those of `flat`, a block laid out by their offsets. */
void rt_hf_tensor_values(const rt_hf_tensor *t, const rt_model *m, const float *flat, float *dst);

#endif
