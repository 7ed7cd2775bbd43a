/* tables.h - what each kern_<isa>.c offers to the choice in kernels.c and gemm.c. */
#ifndef RT_TENSOR_KERNELS_TABLES_H
#define RT_TENSOR_KERNELS_TABLES_H

#include "tensor/gemm.h"
#include "tensor/kernels.h"

/* Query rows an attention kernel takes at a time, the lanes of its scratch, and keys. */
#define RT_ATTN_ROWS 32
#define RT_ATTN_KEYS 256
/* The same with operands in pairs, keys taken together, and floats of a head's keys in a chunk that the cache keeps
 * backward: 512 keys of 64. */
#define RT_ATTN_PAIR_ROWS 64
#define RT_ATTN_PAIR_KEYS 128
#define RT_ATTN_PAIR_CHUNK 32768

typedef void (*rt_gemm_tile_fn)(const rt_gemm *tile);

typedef struct rt_kernel_set {
    rt_kernels ops;
    rt_gemm_tile_fn gemm_tile; /* one output tile on the calling thread */
} rt_kernel_set;

extern const rt_kernel_set rt_kernel_set_generic;
#if defined(__x86_64__)
extern const rt_kernel_set rt_kernel_set_avx2;
extern const rt_kernel_set rt_kernel_set_avx512;
extern const rt_kernel_set rt_kernel_set_avx512bf16;
#endif

/* Best set at or below `isa`. */
const rt_kernel_set *rt_kernel_set_at(rt_isa isa);

#endif
