/* cache_model.h - contexts and symbols of the cache's codec, shared by its two directions. */
#ifndef RT_TEACHER_CACHE_MODEL_H
#define RT_TEACHER_CACHE_MODEL_H

#include <math.h>

#include "teacher/cache_bits.h"
#include "teacher/prefix_code.h"

enum {
    /* popularity class of an id = number of bits of its occurrences in the shard (or among rows of one kind) */
    RT_MODEL_CLASSES = 31,
    RT_MODEL_RANKED = 2,      /* least class to be told in the table of ids; all others follow, ascending */
    RT_MODEL_LISTED = 3,      /* least class within a kind to stand in its list */
    RT_MODEL_OCTAVES = 23,    /* bits of rank + 1, rank below 2^22; 0: no entry before */
    RT_MODEL_MAX_KINDS = 32,  /* kinds of rows */
    RT_MODEL_TO_COME = 5,     /* steps of the number of entries that remain */
    RT_MODEL_SPARE = 4,       /* steps of the draws beyond one for each of them, as gaps see it */
    RT_MODEL_SPARE_FINE = 44, /* the same as counts see it: quarters of octaves */

    /* an entropy is told in steps */
    RT_MODEL_ENTROPY_STEPS = 16, /* a nat */
    RT_MODEL_ENTROPY_LOW = 2,    /* plain bits of them */
    RT_MODEL_ENTROPY_HIGH = 64,  /* values of the other bits */
    RT_MODEL_ENTROPY_MOST = 15,  /* nats; log of the largest vocabulary is 14.6 */

    RT_MODEL_ID = 0,    /* ids of the text: bits of rank + 1 */
    RT_MODEL_NEXT = 1,  /* an id of the text after a row: its place in the row, by the largest count's bits */
    RT_MODEL_KIND = 15, /* kind of a row, by the kind of the last row after the same id of the text */
    RT_MODEL_ENTROPY = RT_MODEL_KIND + 1 + RT_MODEL_MAX_KINDS, /* high bits of the entropy, by kind */
    RT_MODEL_SIZE = RT_MODEL_ENTROPY + RT_MODEL_MAX_KINDS,     /* entries of a row - 1, by those bits */
    RT_MODEL_COUNT = RT_MODEL_SIZE + RT_MODEL_ENTROPY_HIGH,    /* counts above one: count - 2 */
    RT_MODEL_GAP = RT_MODEL_COUNT + RT_MODEL_SPARE_FINE * RT_MODEL_TO_COME,
    RT_MODEL_LIST = RT_MODEL_GAP + RT_MODEL_OCTAVES * RT_MODEL_TO_COME * RT_MODEL_SPARE, /* lists of kinds */
    RT_MODEL_LENGTH = RT_MODEL_LIST + RT_MODEL_CLASSES + 1, /* code lengths of the contexts before, by an earlier one */
    RT_MODEL_CONTEXTS = RT_MODEL_LENGTH + RT_PREFIX_LIMIT + 1,

    RT_MODEL_ESCAPE = 63 /* of open-ended symbols: the rest follows as gamma code */
};

static inline int rt_model_entropy_steps(float nats)
{
    return (int)lrintf(nats * RT_MODEL_ENTROPY_STEPS);
}

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
    int low = rt_bits_below_top((uint32_t)spare) - 2;
    int step = low <= 0 ? spare : 4 * low + (spare >> low);
    return RT_MODEL_COUNT + step * RT_MODEL_TO_COME + rt_model_to_come(entries);
}

/* Codes of neighbouring gaps are about as long: the symbol two before it, of the same meaning of the count, tells. */
static inline int rt_model_length_context(const uint8_t length[RT_PREFIX_SYMBOLS], int symbol)
{
    return RT_MODEL_LENGTH + (symbol < 2 ? 0 : length[symbol - 2]);
}

/* `rank` of the entry before, -1 at the beginning of a row. */
static inline int rt_model_gap_context(int32_t rank, int entries, int spare)
{
    int step = spare == 0 ? 0 : spare <= 5 ? 1 : spare <= 15 ? 2 : 3;
    return RT_MODEL_GAP +
           (rt_bit_length((uint32_t)(rank + 1)) * RT_MODEL_TO_COME + rt_model_to_come(entries)) * RT_MODEL_SPARE + step;
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
