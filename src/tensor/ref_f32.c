/* ref_f32.c - the reference ops in float. */
#include "tensor/ref.h"

#define REAL float
#define REF(op) rt_ref_##op##_f32
#include "tensor/ref_body.h"
