/* kern_avx2.c - the kernel bodies compiled for AVX2 and FMA. */
#define RT_W 8
#define MICRO_ROWS 6
#define KERNEL_SET rt_kernel_set_avx2
#define KERNEL_SET_NAME "avx2"
#include "tensor/kernels/table_body.h"
