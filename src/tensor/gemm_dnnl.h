/* gemm_dnnl.h - oneDNN under the GEMM. One plan (primitive) for each tile shape, made once, kept while it is used.
 * A build without oneDNN has none: then every product is the portable one. */
#ifndef RT_TENSOR_GEMM_DNNL_H
#define RT_TENSOR_GEMM_DNNL_H

#include "tensor/gemm.h"

typedef struct rt_dnnl_plan rt_dnnl_plan;

/* Whether oneDNN is the better choice for this type at this level. Fixes its own level at the first call. */
bool rt_dnnl_serves(rt_isa isa, rt_dtype type);
/* The plan for tiles of this shape (pointers are ignored), held until released; NULL when it cannot be made. */
rt_dnnl_plan *rt_dnnl_acquire(const rt_gemm *tile);
void rt_dnnl_release(rt_dnnl_plan *plan);
/* One tile on the calling thread, member `thread` of the team; false when nothing was computed. */
bool rt_dnnl_run(const rt_dnnl_plan *plan, const rt_gemm *tile, int thread);
int64_t rt_dnnl_n_plans(void);
/* "oneDNN 2.6.3", or NULL when there is none */
const char *rt_dnnl_name(void);

#endif
