/* arch_rows.h - shorthand for the rows of tensor tables; private to arch_*.c. */
#ifndef RT_MODEL_ARCH_ROWS_H
#define RT_MODEL_ARCH_ROWS_H

#include "model/arch.h"

#define LAYER "model.layers.%d."
#define VEC(role_, dim, form, hf_)                                                         \
    {                                                                                      \
        .role = RT_ROLE_##role_, .scope = RT_SCOPE_LAYER, .when = RT_WHEN_ALWAYS,          \
        .shape = {RT_DIM_##dim, RT_DIM_NONE}, .gguf_form = RT_FORM_##form, .hf = LAYER hf_ \
    }
#define MAT(role_, out, in, when_, form, hf_)                                              \
    {                                                                                      \
        .role = RT_ROLE_##role_, .scope = RT_SCOPE_LAYER, .when = RT_WHEN_##when_,         \
        .shape = {RT_DIM_##out, RT_DIM_##in}, .gguf_form = RT_FORM_##form, .hf = LAYER hf_ \
    }
/* Bias of the choice of experts alone: trainers of these models move it by a rule of its own, it takes no gradient. */
#define CHOICE_BIAS(hf_)                                                                             \
    {                                                                                                \
        .role = RT_ROLE_ROUTER_CHOICE, .scope = RT_SCOPE_LAYER, .when = RT_WHEN_MOE, .frozen = true, \
        .shape = {RT_DIM_E, RT_DIM_NONE}, .gguf_form = RT_FORM_SAME, .hf = LAYER hf_                 \
    }
/* Names within the layer; hf_ has a %d for the expert. */
#define EXPERT_AT(role_, out, in, hf_, stack_, rows_)                                                                 \
    {                                                                                                                 \
        .role = RT_ROLE_##role_, .scope = RT_SCOPE_EXPERT, .when = RT_WHEN_MOE, .shape = {RT_DIM_##out, RT_DIM_##in}, \
        .gguf_form = RT_FORM_SAME, .hf = LAYER hf_, .hf_stack = LAYER stack_, .stack_rows = RT_STACK_##rows_          \
    }
#define EXPERT(role_, out, in, hf_, stack_, rows_) \
    EXPERT_AT(role_, out, in, "mlp.experts.%d." hf_, "mlp.experts." stack_, rows_)
#define TOP(role_, d0, d1, when_, form, hf_)                                        \
    {                                                                               \
        .role = RT_ROLE_##role_, .scope = RT_SCOPE_MODEL, .when = RT_WHEN_##when_,  \
        .shape = {RT_DIM_##d0, RT_DIM_##d1}, .gguf_form = RT_FORM_##form, .hf = hf_ \
    }

#define DENSE_FFN                                                                                                   \
    MAT(FFN_GATE, F, D, DENSE, SAME, "mlp.gate_proj.weight"), MAT(FFN_UP, F, D, DENSE, SAME, "mlp.up_proj.weight"), \
        MAT(FFN_DOWN, D, F, DENSE, SAME, "mlp.down_proj.weight")

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
