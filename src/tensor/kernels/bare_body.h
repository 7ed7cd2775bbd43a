/* bare_body.h - the yardstick of a benchmark: twelve chains of multiply-adds that touch no memory. */

enum { BARE_CHAINS = 12, BARE_LENGTH = 64 };

/* The compiler must not see through what it is to compute again. */
#define BARE_HIDE(v) __asm__ volatile("" : "+v"(v))
#if RT_W == 4
#undef BARE_HIDE
#define BARE_HIDE(v) __asm__ volatile("" : "+m"(v))
#endif

static double bare(rt_dtype type, int64_t rounds)
{
    vf sum[BARE_CHAINS];
    vf a = vf_set(0.5f);
    vu pairs = (vu)vf_set(0.0f) + 0x3f003f00u; /* 0.5 and 0.5 */
    UNROLL
    for (int i = 0; i < BARE_CHAINS; i++) {
        sum[i] = vf_set((float)i);
    }
    for (int64_t r = 0; r < rounds; r++) {
        for (int j = 0; j < BARE_LENGTH; j++) {
            UNROLL
            for (int i = 0; i < BARE_CHAINS; i++) {
                sum[i] = type == RT_BF16 ? vf_dot_pairs(sum[i], pairs, pairs) : vf_fma(sum[i], a, a);
            }
            UNROLL
            for (int i = 0; i < BARE_CHAINS; i++) {
                BARE_HIDE(sum[i]);
            }
        }
    }
    return (double)rounds * BARE_LENGTH * BARE_CHAINS * RT_W * (type == RT_BF16 ? 4 : 2);
}
