/* ref_f64.c - the reference ops in double. */
#include "tensor/ref.h"

#define REAL double
#define REF(op) rt_ref_##op##_f64
#include "tensor/ref_body.h"
