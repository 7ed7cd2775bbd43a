/* cache_model.h - contexts and symbols of the cache's codec, shared by its two directions. */
#ifndef RT_TEACHER_CACHE_MODEL_H
#define RT_TEACHER_CACHE_MODEL_H

#include "teacher/cache_bits.h"
#include "teacher/prefix_code.h"

enum {
    /* popularity class of an id = number of bits of its occurrences in the shard (or among rows of one kind) */
    RT_MODEL_CLASSES = 31,
    RT_MODEL_OCTAVES = 23,   /* bits of rank + 1, rank below 2^22; 0: no entry before */
    RT_MODEL_MAX_KINDS = 16, /* kinds of rows */
    RT_MODEL_LISTED = 4,     /* least number of such bits within a kind to stand in its list */
    RT_MODEL_LIST_CLASSES = RT_MODEL_CLASSES - RT_MODEL_LISTED + 1,
    RT_MODEL_TO_COME = 5,     /* steps of the number of entries that remain */
    RT_MODEL_SPARE = 4,       /* steps of the draws beyond one for each of them, as gaps see it */
    RT_MODEL_SPARE_FINE = 14, /* the same as counts see it: bits */

    RT_MODEL_ID = 0,          /* ids of the text: bits of rank + 1 */
    RT_MODEL_NEXT = 1,        /* an id of the text after a row: its place in the row, by the largest count's bits */
    RT_MODEL_KIND = 15,       /* kind of a row, by the kind of the last row after the same id of the text */
    RT_MODEL_ENTROPY = 32,    /* high bits of the entropy */
    RT_MODEL_SIZE = 33,       /* entries of a row - 1, by the entropy's symbol */
    RT_MODEL_COUNT = 33 + 64, /* counts above one: count - 2 */
    RT_MODEL_GAP = RT_MODEL_COUNT + RT_MODEL_SPARE_FINE * RT_MODEL_TO_COME,
    RT_MODEL_CONTEXTS = RT_MODEL_GAP + RT_MODEL_OCTAVES * RT_MODEL_TO_COME * RT_MODEL_SPARE,

    RT_MODEL_ESCAPE = RT_PREFIX_SYMBOLS - 1, /* of open-ended symbols: the rest follows as gamma code */
    RT_MODEL_ENTROPY_LOW = 8,                /* bits of an entropy after its symbol ... */
    RT_MODEL_ENTROPY_FIRST = 0x1d            /* ... symbol 1; symbol 0: 15 bits follow */
};

static inline int rt_model_to_come(int entries)
{
    return entries <= 2 ? 0 : entries <= 5 ? 1 : entries <= 10 ? 2 : entries <= 18 ? 3 : 4;
}

static inline int rt_model_next_context(int largest_count)
{
    return RT_MODEL_NEXT + rt_bit_length((uint32_t)largest_count);
}

/* `spare`: draws that remain beyond one for each entry that remains. */
static inline int rt_model_count_context(int entries, int spare)
{
    return RT_MODEL_COUNT + rt_bit_length((uint32_t)spare) * RT_MODEL_TO_COME + rt_model_to_come(entries);
}

/* `rank` of the entry before, -1 at the beginning of a row. */
static inline int rt_model_gap_context(int32_t rank, int entries, int spare)
{
    int step = spare == 0 ? 0 : spare <= 5 ? 1 : spare <= 15 ? 2 : 3;
    return RT_MODEL_GAP +
           (rt_bit_length((uint32_t)(rank + 1)) * RT_MODEL_TO_COME + rt_model_to_come(entries)) * RT_MODEL_SPARE + step;
}

/* Symbol 0 is for entropies outside the usual range. */
static inline int rt_model_entropy_symbol(uint16_t entropy)
{
    int high = (entropy >> RT_MODEL_ENTROPY_LOW) - RT_MODEL_ENTROPY_FIRST;
    return high >= 0 && high < RT_PREFIX_SYMBOLS - 1 ? high + 1 : 0;
}

static inline int rt_model_entropy_low_bits(int symbol)
{
    return symbol == 0 ? 15 : RT_MODEL_ENTROPY_LOW;
}

static inline int rt_model_largest(const int32_t *counts, int n)
{
    int32_t largest = 0;
    for (int i = 0; i < n; i++) {
        largest = counts[i] > largest ? counts[i] : largest;
    }
    return largest;
}

/* Entry number `place` of a row by falling counts, the first of equals first; -1: there is none. */
static inline int rt_model_entry_at(const int32_t *counts, int n, int place)
{
    int at = -1;
    for (; place >= 0; place--) {
        int next = -1;
        for (int i = 0; i < n; i++) {
            bool later = at < 0 || counts[i] < counts[at] || (counts[i] == counts[at] && i > at);
            if (later && (next < 0 || counts[i] > counts[next])) {
                next = i;
            }
        }
        if (next < 0) {
            return -1;
        }
        at = next;
    }
    return at;
}

/* Place of an id in that order; RT_MODEL_ESCAPE: it is not among the first. */
static inline int rt_model_place(const int32_t *counts, int n, const int32_t *ids, int32_t id)
{
    int at = 0, place = 0;
    while (at < n && ids[at] != id) {
        at++;
    }
    if (at == n) {
        return RT_MODEL_ESCAPE;
    }
    for (int i = 0; i < n; i++) {
        place += counts[i] > counts[at] || (counts[i] == counts[at] && i < at);
    }
    return place < RT_MODEL_ESCAPE ? place : RT_MODEL_ESCAPE;
}

#endif
