/* ref.h - plain-loop forward and backward of every op of the engine, in float and in double: the oracle of the
 * kernels and, for shapes without a fast path, the engine itself. Nothing here is ever optimised; sums along a row
 * are in double. Signatures follow tensor/kernels.h; rt_ref_<op>_f32 and rt_ref_<op>_f64 come from one body. */
#ifndef RT_TENSOR_REF_H
#define RT_TENSOR_REF_H

#include "core/core.h"
#include "tensor/kernels.h"
#include "tensor/route.h"

/* AdamW's numbers in double, so that the double build follows a trajectory to 1e-11; see rt_adamw. */
typedef struct rt_ref_adamw {
    double lr, beta1, beta2, eps, weight_decay;
    double bias1, bias2; /* 1 - beta^t */
    double grad_scale;   /* clip factor */
} rt_ref_adamw;

/* Muon's numbers; `scale` makes the size of an update out of an orthogonal matrix. */
typedef struct rt_ref_muon {
    double lr, momentum, weight_decay;
    double scale, grad_scale;
} rt_ref_muon;

#define REAL float
#define REF(op) rt_ref_##op##_f32
#include "tensor/ref_decl.h"
#undef REAL
#undef REF

#define REAL double
#define REF(op) rt_ref_##op##_f64
#include "tensor/ref_decl.h"
#undef REAL
#undef REF

#endif
