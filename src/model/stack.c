/* Stacks of experts. */
#include "model/stack.h"

#include <string.h>

rt_stack_part rt_stack_part_of(const rt_tensor_desc *d, const rt_param *p)
{
    const int64_t out = p->dims[0];
    switch (d->stack_rows) {
    case RT_STACK_ALL: return (rt_stack_part){out, 0, 1};
    case RT_STACK_FIRST_HALF: return (rt_stack_part){2 * out, 0, 1};
    case RT_STACK_SECOND_HALF: return (rt_stack_part){2 * out, out, 1};
    case RT_STACK_EVEN: return (rt_stack_part){2 * out, 0, 2};
    case RT_STACK_ODD: return (rt_stack_part){2 * out, 1, 2};
    }
    RT_BUG_IF(true);
}

bool rt_hf_tensor_of(rt_hf_tensor *t, const rt_model *m, const rt_param *p)
{
    const rt_tensor_desc *d = rt_param_desc(m, p);
    *t = (rt_hf_tensor){.p = p, .desc = d, .n_dims = p->n_dims, .n = p->n};
    if (p->expert < 0 || !m->arch->moe.hf_stacked) {
        memcpy(t->name, p->name, sizeof t->name);
        memcpy(t->dims, p->dims, sizeof p->dims);
        return true;
    }
    const rt_stack_part part = rt_stack_part_of(d, p);
    rt_name_numbered(t->name, sizeof t->name, d->hf_stack, p->layer, 0);
    t->stacked = true;
    t->mxfp4 = p->frozen;
    t->dims[0] = m->hp.route.n_expert;
    t->dims[t->mxfp4 ? 1 : p->n_dims] = part.outputs;
    if (p->n_dims == 2) {
        t->dims[t->mxfp4 ? 2 : 1] = p->dims[1];
    }
    t->n_dims = p->n_dims + 1;
    t->n = t->dims[0] * part.outputs * (p->n / p->dims[0]);
    return p->expert == 0 && part.first == 0;
}

static float value_at(const rt_param *p, const float *flat, int64_t i)
{
    float v;
    if (flat != NULL) {
        return flat[p->offset + i];
    }
    if (p->w != NULL) {
        return p->w[i];
    }
    rt_kernels_get()->bf16_to_f32(&v, p->wb + i, 1);
    return v;
}

/* Values of one parameter of a stack to their places. */
static void scatter(const rt_hf_tensor *t, const rt_tensor_desc *d, const rt_param *p, const float *flat, float *dst)
{
    const rt_stack_part part = rt_stack_part_of(d, p);
    const int64_t in = p->n / p->dims[0];
    const int64_t next_output = t->mxfp4 ? in : 1, next_input = t->mxfp4 ? 1 : part.outputs;
    float *expert = dst + p->expert * (t->n / t->dims[0]);
    for (int64_t r = 0; r < p->dims[0]; r++) {
        for (int64_t c = 0; c < in; c++) {
            expert[(part.first + r * part.step) * next_output + c * next_input] = value_at(p, flat, r * in + c);
        }
    }
}

void rt_hf_tensor_values(const rt_hf_tensor *t, const rt_model *m, const float *flat, float *dst)
{
    if (!t->stacked && flat != NULL) {
        memcpy(dst, flat + t->p->offset, (size_t)t->n * sizeof(float));
    } else if (!t->stacked) {
        rt_param_read(t->p, dst);
    }
    const rt_param *end = m->params + m->n_params;
    for (const rt_param *p = t->p; t->stacked && p < end && p->layer == t->p->layer; p++) {
        const rt_tensor_desc *d = rt_param_desc(m, p);
        if (p->expert >= 0 && strcmp(d->hf_stack, t->desc->hf_stack) == 0) {
            scatter(t, d, p, flat, dst);
        }
    }
}
