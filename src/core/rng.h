/* rng.h - counter-based generator (Philox4x32-10, Salmon et al. 2011): the k-th number of a named stream is a
 * pure function of (seed, stream, k), so nothing needs saving but counters and order of threads is of no matter. */
#ifndef RT_CORE_RNG_H
#define RT_CORE_RNG_H

#include <stdint.h>

typedef struct rt_rng {
    uint64_t key;     /* from seed and stream name */
    uint64_t index;   /* sub-stream, e.g. a position: streams of two indices never overlap */
    uint64_t counter; /* next block */
    uint32_t buf[4];
    int left;
} rt_rng;

/* Stateless block: out[4] from (key, counter_hi, counter_lo). */
void rt_philox(uint64_t key, uint64_t hi, uint64_t lo, uint32_t out[4]);
uint64_t rt_rng_key(uint64_t seed, const char *stream);
rt_rng rt_rng_init(uint64_t seed, const char *stream, uint64_t index);
uint32_t rt_rng_u32(rt_rng *r);
double rt_rng_f64(rt_rng *r);                 /* [0,1), 53 bits */
uint64_t rt_rng_below(rt_rng *r, uint64_t n); /* unbiased, n > 0 */
double rt_rng_normal(rt_rng *r);

#endif
