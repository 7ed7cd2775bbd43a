/* kernels.c - which table of kernels is in force. */
#include "tensor/kernels.h"

#include "tensor/kernels/tables.h"

static const rt_kernel_set *const sets[RT_ISA_COUNT] = {
    [RT_ISA_GENERIC] = &rt_kernel_set_generic,
#if defined(__x86_64__)
    [RT_ISA_AVX2] = &rt_kernel_set_avx2,
    [RT_ISA_AVX512] = &rt_kernel_set_avx512,
    [RT_ISA_AVX512BF16] = &rt_kernel_set_avx512bf16,
#endif
};

const rt_kernel_set *rt_kernel_set_at(rt_isa isa)
{
    while (isa > RT_ISA_GENERIC && !sets[isa]) {
        isa--;
    }
    return sets[isa];
}

const rt_kernels *rt_kernels_get(void)
{
    return &rt_kernel_set_at(rt_cpu_get()->isa)->ops;
}

const rt_kernels *rt_kernels_for(rt_isa isa)
{
    bool present = (unsigned)isa < RT_ISA_COUNT && isa <= rt_cpu_get()->detected && sets[isa];
    return present ? &sets[isa]->ops : NULL;
}

/* The largest of what attn_body.h lays out for blocks of queries and for one query of a group of heads, and
 * attn_pair_body.h. */
size_t rt_attn_scratch_floats(int64_t n_kv, int width)
{
    enum { ROWS = RT_ATTN_PAIR_ROWS, KEYS = RT_ATTN_PAIR_KEYS, ALIGN = 32 };
    const size_t keys = ((size_t)n_kv + ALIGN - 1) / ALIGN * ALIGN, d = ((size_t)width + ALIGN - 1) / ALIGN * ALIGN;
    const size_t together = (size_t)n_kv < RT_ATTN_KEYS ? (size_t)n_kv : RT_ATTN_KEYS;
    const size_t block = (together + (size_t)width) * 2 * RT_ATTN_ROWS + 4 * RT_ATTN_ROWS;
    const size_t group = (size_t)n_kv * RT_ATTN_MAX_GROUP, plain = block > group ? block : group;
    const size_t pairs = keys * d / 2 * 3 + 3 * d * ROWS + (size_t)KEYS * ROWS * 4;
    return plain > pairs ? plain : pairs;
}
