/* kern_generic.c - the kernel bodies compiled for any machine. */
#define RT_W 4
#define MICRO_ROWS 4
#define KERNEL_SET rt_kernel_set_generic
#define KERNEL_SET_NAME "generic"
#include "tensor/kernels/table_body.h"
