/* hash_split.h - rows of a data set cut in two by a hash of their ids, so that what was trained on and what figures
 * come from stay apart wherever the rows lie. */
#ifndef RT_AUDIT_HASH_SPLIT_H
#define RT_AUDIT_HASH_SPLIT_H

#include "core/core.h"

typedef enum rt_hash_split {
    RT_SPLIT_ALL,
    RT_SPLIT_EVEN, /* SHA-256 of the id (UTF-8), in hex, ends in an even digit */
    RT_SPLIT_ODD
} rt_hash_split;
#define RT_HASH_SPLITS "all|even-hash|odd-hash"

/* One of RT_HASH_SPLITS; others are all. */
rt_hash_split rt_hash_split_of(const char *name);
bool rt_hash_split_has(rt_hash_split split, const char *id);

#endif
