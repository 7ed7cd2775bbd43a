/* quant_decode.h - one decoder a block type, shared by the files that hold them. `n` counts blocks. */
#ifndef RT_FORMAT_QUANT_DECODE_H
#define RT_FORMAT_QUANT_DECODE_H

#include <stdint.h>

typedef void (*rt_decode_fn)(const void *src, float *restrict dst, int64_t n);

void rt_decode_q2_k(const void *src, float *restrict dst, int64_t n);
void rt_decode_q3_k(const void *src, float *restrict dst, int64_t n);
void rt_decode_q4_k(const void *src, float *restrict dst, int64_t n);
void rt_decode_q5_k(const void *src, float *restrict dst, int64_t n);
void rt_decode_q6_k(const void *src, float *restrict dst, int64_t n);
void rt_decode_iq4_xs(const void *src, float *restrict dst, int64_t n);
void rt_decode_tq1_0(const void *src, float *restrict dst, int64_t n);
void rt_decode_tq2_0(const void *src, float *restrict dst, int64_t n);
void rt_decode_mxfp4(const void *src, float *restrict dst, int64_t n);
void rt_decode_nvfp4(const void *src, float *restrict dst, int64_t n);
void rt_decode_f8_e4m3(const void *src, float *restrict dst, int64_t n);

#endif
