/* rng.c - Philox4x32-10 and the distributions drawn from it. */
#include "core/rng.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "core/err.h"

/* Constants of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), section 4.3. */
#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u
#define PHILOX_ROUNDS 10

void rt_philox(uint64_t key, uint64_t hi, uint64_t lo, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)lo, c1 = (uint32_t)(lo >> 32), c2 = (uint32_t)hi, c3 = (uint32_t)(hi >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint64_t rt_rng_key(uint64_t seed, const char *stream)
{
    return XXH3_64bits_withSeed(stream, strlen(stream), seed);
}

rt_rng rt_rng_init(uint64_t seed, const char *stream, uint64_t index)
{
    return (rt_rng){.key = rt_rng_key(seed, stream), .index = index};
}

uint32_t rt_rng_u32(rt_rng *r)
{
    if (r->left == 0) {
        rt_philox(r->key, r->index, r->counter++, r->buf);
        r->left = 4;
    }
    return r->buf[4 - r->left--];
}

static uint64_t next_u64(rt_rng *r)
{
    uint64_t low = rt_rng_u32(r);
    return (uint64_t)rt_rng_u32(r) << 32 | low;
}

double rt_rng_f64(rt_rng *r)
{
    return (double)(next_u64(r) >> 11) * 0x1p-53;
}

/* Lemire, "Fast random integer generation in an interval" (2019). */
uint64_t rt_rng_below(rt_rng *r, uint64_t n)
{
    RT_BUG_IF(n == 0);
    uint64_t reject = -n % n; /* 2^64 mod n: low halves below it are the surplus */
    for (;;) {
        unsigned __int128 m = (unsigned __int128)next_u64(r) * n;
        if ((uint64_t)m >= reject) {
            return (uint64_t)(m >> 64);
        }
    }
}

/* Box-Muller without the second value, so that each normal uses exactly two uniforms. */
double rt_rng_normal(rt_rng *r)
{
    double u = 1.0 - rt_rng_f64(r); /* (0,1] */
    double v = rt_rng_f64(r);
    return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979323846 * v);
}
