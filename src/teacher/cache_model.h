/* cache_model.h - contexts and symbols of the cache's codec, shared by its two directions. */
#ifndef RT_TEACHER_CACHE_MODEL_H
#define RT_TEACHER_CACHE_MODEL_H

#include "teacher/cache_bits.h"
#include "teacher/prefix_code.h"

enum {
    /* popularity class of an id = number of bits of its occurrences in the shard */
    RT_MODEL_CLASSES = 31,
    RT_MODEL_RANK_OCTAVES = 23, /* bits of rank + 1, rank below 2^21; 0: no entry before */
    RT_MODEL_LEFT_OCTAVES = 14, /* bits of the draws that remain, 1 .. 13 */
    RT_MODEL_ID = 0,            /* ids of the text: bits of rank + 1 */
    RT_MODEL_COUNT = 1,         /* counts above one */
    RT_MODEL_GAP = RT_MODEL_COUNT + RT_MODEL_LEFT_OCTAVES,
    RT_MODEL_CONTEXTS = RT_MODEL_GAP + RT_MODEL_RANK_OCTAVES * RT_MODEL_LEFT_OCTAVES,
    /* count symbols: count - 2; the last one says that the count follows as gamma code */
    RT_MODEL_COUNT_ESCAPE = RT_PREFIX_SYMBOLS - 1
};

static inline int rt_model_count_context(int left)
{
    return RT_MODEL_COUNT + rt_bit_length((uint32_t)left);
}

/* `rank` of the entry before, -1 at the beginning of a row. */
static inline int rt_model_gap_context(int32_t rank, int left)
{
    return RT_MODEL_GAP + rt_bit_length((uint32_t)(rank + 1)) * RT_MODEL_LEFT_OCTAVES + rt_bit_length((uint32_t)left);
}

#endif
