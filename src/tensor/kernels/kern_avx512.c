/* kern_avx512.c - the kernel bodies compiled for AVX-512 (F, BW, VL, DQ). */
#define RT_W 16
#define MICRO_ROWS 8
#define KERNEL_SET rt_kernel_set_avx512
#define KERNEL_SET_NAME "avx512"
#include "tensor/kernels/table_body.h"
