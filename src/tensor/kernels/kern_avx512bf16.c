/* kern_avx512bf16.c - the kernel bodies compiled for AVX-512 with conversion to bf16 in one instruction. */
#define RT_W 16
#define MICRO_ROWS 8
#define KERNEL_SET rt_kernel_set_avx512bf16
#define KERNEL_SET_NAME "avx512bf16"
#include "tensor/kernels/table_body.h"
