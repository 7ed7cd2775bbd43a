/* cache_decoder.h - what a book says, and how a symbol is read; shared by the readers of both versions. */
#ifndef RT_TEACHER_CACHE_DECODER_H
#define RT_TEACHER_CACHE_DECODER_H

#include "teacher/cache_codec.h"

enum {
    /* contexts of version 1 after RT_MODEL_ID: counts by the bits of what is left, gaps by rank and what is left */
    RT_V1_LEFT_OCTAVES = 14,
    RT_V1_COUNT = 1,
    RT_V1_GAP = RT_V1_COUNT + RT_V1_LEFT_OCTAVES,
    RT_V1_CONTEXTS = RT_V1_GAP + RT_MODEL_OCTAVES * RT_V1_LEFT_OCTAVES,
    RT_DECODER_CONTEXTS = RT_MODEL_CONTEXTS > RT_V1_CONTEXTS ? RT_MODEL_CONTEXTS : RT_V1_CONTEXTS
};

typedef struct rt_decoder_kind {
    int32_t n;
    int32_t *ids; /* [n] its ranking; after them it is that of all ids */
} rt_decoder_kind;

struct rt_decoder {
    int32_t n_ranked;
    int32_t *id_of_rank;                       /* [n_ranked] */
    int32_t class_first[RT_MODEL_CLASSES + 1]; /* first rank of each class */
    int n_kinds;
    rt_decoder_kind kinds[RT_MODEL_MAX_KINDS];
    int16_t table_of[RT_DECODER_CONTEXTS]; /* -1: the context never occurs */
    int16_t n_tables;
    uint16_t (*tables)[RT_PREFIX_TABLE];
};

/* The symbol and its code's length as one number, 0 when there is none. */
static inline uint32_t rt_decoder_symbol(const rt_decoder *d, rt_bits_in *in, uint64_t word, int context)
{
    int t = d->table_of[context];
    uint32_t found = t < 0 ? 0 : d->tables[t][word & (RT_PREFIX_TABLE - 1)];
    in->at += found & 15;
    return found;
}

/* `top` followed by the `low` bits after the code that `found` describes; word still begins with that code. Code and
 * low bits together are fewer than the bits a word holds. */
static inline uint32_t rt_decoder_low_bits(rt_bits_in *in, uint64_t word, uint32_t found, uint32_t top, uint32_t low)
{
    in->at += low;
    return top << low | (uint32_t)(word >> (found & 15) & ((1ull << low) - 1));
}

/* A value that the encoder put open-ended, or -1. */
static inline int rt_decoder_open_ended(const rt_decoder *d, rt_bits_in *in, int context)
{
    uint32_t found = rt_decoder_symbol(d, in, rt_bits_peek(in), context);
    if (found == 0) {
        return -1;
    }
    uint32_t v = found >> 4;
    if (v == RT_MODEL_ESCAPE) {
        uint32_t more = rt_bits_get_gamma(in);
        if (more == 0 || more > RT_CODEC_MAX_TOTAL) {
            return -1;
        }
        v += more - 1;
    }
    return (int)v;
}

#endif
