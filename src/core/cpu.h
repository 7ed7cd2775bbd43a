/* cpu.h - what the processor offers, lowered by RETORT_ISA = generic | avx2 | avx512 | avx512bf16 | amx. */
#ifndef RT_CORE_CPU_H
#define RT_CORE_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* Ordered: each level includes those below it. avx512 means F+BW+VL+DQ, avx512bf16
 * VNNI too. */
typedef enum rt_isa { RT_ISA_GENERIC, RT_ISA_AVX2, RT_ISA_AVX512, RT_ISA_AVX512BF16, RT_ISA_AMX, RT_ISA_COUNT } rt_isa;

typedef struct rt_cpu {
    rt_isa isa;      /* in use: min(detected, RETORT_ISA) */
    rt_isa detected; /* AMX only when the kernel grants the tile state */
    bool fast_bf16;  /* bf16 GEMM is faster than f32 at `isa`: AMX, or AVX512-BF16 at full rate (AMD Zen 4 and later) */
    char model[64];
    size_t l1d, l2, l3; /* bytes, 0 unknown */
    int n_cpu;          /* processors this process may run on */
} rt_cpu;
const rt_cpu *rt_cpu_get(void); /* detected once */
const char *rt_isa_name(rt_isa isa);
/* Tests: force a level (not above the detected one); returns the level in force. */
rt_isa rt_cpu_force_isa(rt_isa isa);

#endif
