/* gemm.h - matrix products by oneDNN (or the portable fallback), deterministic at any thread count: C is cut into a
 * fixed grid of output tiles, never along K; each tile is one single-threaded call made by a member of the team. */
#ifndef RT_TENSOR_GEMM_H
#define RT_TENSOR_GEMM_H

#include "core/core.h"

/* C[m,n] = op(A)[m,k] op(B)[k,n] (+ C when accumulate). Row-major. trans_a: A is stored [k,m]; trans_b: B is stored
 * [n,k]. A and B both F32 or both BF16; C is F32; accumulation f32. */
typedef struct rt_gemm {
    int64_t m, n, k;
    rt_dtype type;
    const void *a, *b;
    int64_t lda, ldb;
    bool trans_a, trans_b;
    float *c;
    int64_t ldc;
    bool accumulate;
} rt_gemm;

/* Runs on the whole team. Creates the shape's primitives on first use, none later. Cannot fail (falls back to the
 * portable loop). */
void rt_gemm_run(const rt_gemm *g);
/* How many primitives exist: a steady step leaves it unchanged. */
int64_t rt_gemm_n_primitives(void);
/* Operations of all products since the process began: what a step must not need more of. */
double rt_gemm_flops(void);
/* "oneDNN 2.6.3" or "portable" */
const char *rt_gemm_backend(void);

#endif
