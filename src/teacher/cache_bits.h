/* cache_bits.h - bit streams of the target cache, least significant bit first. The reader never leaves its bytes:
 * beyond the end it sees zeros and the position tells afterwards (rt_bits_ok). */
#ifndef RT_TEACHER_CACHE_BITS_H
#define RT_TEACHER_CACHE_BITS_H

#include <string.h>

#include "core/core.h"

/* Number of significant bits: 0 for 0. */
static inline int rt_bit_length(uint32_t v)
{
    return v == 0 ? 0 : 32 - __builtin_clz(v);
}

/* Bits after the highest one: 0 for 0 and 1. */
static inline int rt_bits_below_top(uint32_t v)
{
    return 31 - __builtin_clz(v | 1);
}

typedef struct rt_bits_out {
    rt_str bytes;
    uint64_t held; /* bits not yet in `bytes`, fewer than 32 between calls */
    int n_held;
} rt_bits_out;

/* The low n bits of v, n <= 32; higher bits of v must be zero. */
static inline void rt_bits_put(rt_bits_out *o, uint32_t v, int n)
{
    o->held |= (uint64_t)v << o->n_held;
    o->n_held += n;
    if (o->n_held >= 32) {
        uint32_t word = (uint32_t)o->held;
        rt_str_add(&o->bytes, &word, sizeof word);
        o->held >>= 32;
        o->n_held -= 32;
    }
}

/* Elias gamma, v >= 1. */
static inline void rt_bits_put_gamma(rt_bits_out *o, uint32_t v)
{
    int low = rt_bits_below_top(v);
    rt_bits_put(o, 0, low);
    rt_bits_put(o, 1, 1);
    rt_bits_put(o, v ^ (1u << low), low);
}

/* Exponential Golomb code of order k: near-optimal for gaps with a mean around 2^k. */
static inline void rt_bits_put_golomb(rt_bits_out *o, uint32_t v, int k)
{
    rt_bits_put_gamma(o, (v >> k) + 1);
    rt_bits_put(o, v & ((1u << k) - 1), k);
}

/* Fills up to a whole byte. */
static inline void rt_bits_align(rt_bits_out *o)
{
    for (; o->n_held > 0; o->n_held -= 8) {
        rt_str_putc(&o->bytes, (char)(o->held & 0xff));
        o->held >>= 8;
    }
    o->n_held = 0;
}

typedef struct rt_bits_in {
    const uint8_t *p;
    size_t size;
    uint64_t at; /* in bits */
} rt_bits_in;

static inline bool rt_bits_ok(const rt_bits_in *in)
{
    return in->at <= (uint64_t)in->size * 8;
}

/* At least 57 bits from the current position, not consumed. */
static inline uint64_t rt_bits_peek(const rt_bits_in *in)
{
    uint64_t word = 0, byte = in->at >> 3;
    if (byte + sizeof word <= in->size) {
        memcpy(&word, in->p + byte, sizeof word);
    } else if (byte < in->size) {
        memcpy(&word, in->p + byte, in->size - byte);
    }
    return word >> (in->at & 7);
}

/* n <= 32 */
static inline uint32_t rt_bits_get(rt_bits_in *in, int n)
{
    uint64_t word = rt_bits_peek(in);
    in->at += (uint64_t)n;
    return (uint32_t)(word & ((1ull << n) - 1));
}

/* 0 when the bits there are no code. */
static inline uint32_t rt_bits_get_gamma(rt_bits_in *in)
{
    uint32_t word = (uint32_t)rt_bits_peek(in);
    if (word == 0) {
        return 0;
    }
    int low = __builtin_ctz(word);
    in->at += (uint64_t)low + 1;
    return (1u << low) | rt_bits_get(in, low);
}

/* false when the bits there are no code or the value is not below `limit`. */
static inline bool rt_bits_get_golomb(rt_bits_in *in, int k, uint32_t limit, uint32_t *v)
{
    uint64_t high = rt_bits_get_gamma(in);
    if (high == 0) {
        return false;
    }
    uint64_t value = (high - 1) << k | rt_bits_get(in, k);
    *v = (uint32_t)value;
    return value < limit;
}

static inline size_t rt_bits_byte(const rt_bits_in *in)
{
    return (size_t)((in->at + 7) >> 3);
}

#endif
