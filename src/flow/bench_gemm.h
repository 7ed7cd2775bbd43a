/* bench_gemm.h - the matrix products of a training step without anything else. Private to flow. */
#ifndef RT_FLOW_BENCH_GEMM_H
#define RT_FLOW_BENCH_GEMM_H

#include "flow/bench.h"

typedef struct rt_gemm_bench rt_gemm_bench;

/* Operands for steps of up to `rows` tokens. A mixture of experts has no fixed list of products: RT_UNSUPPORTED. */
RT_MUST_USE rt_status rt_gemm_bench_new(rt_gemm_bench **out, const rt_model *m, int64_t rows, rt_err *err);
void rt_gemm_bench_free(rt_gemm_bench *b);
/* Forward, gradient by input and gradient by weight of every product over `rows` rows, `micro` at a time; of the head
 * over `head_rows` in the head sweep's chunks. The seconds it took. */
double rt_gemm_bench_run(rt_gemm_bench *b, int64_t rows, int64_t micro, int64_t head_rows);
/* Rates of each shape that run has, each shape once: `rounds` times, the best counts. Returns how many were written. */
int rt_gemm_bench_rates(rt_gemm_bench *b, int64_t micro, int rounds, rt_bench_product *out, int most);

#endif
