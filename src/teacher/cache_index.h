/* cache_index.h - cache.json, written when a cache is complete: what it holds, its shards with size and checksum, its
 * hash. */
#ifndef RT_TEACHER_CACHE_INDEX_H
#define RT_TEACHER_CACHE_INDEX_H

#include "teacher/cache_shard.h"

#define RT_CACHE_INDEX_FILE "cache.json"

typedef struct rt_cache_index {
    int64_t n_shards;
    uint64_t *checksums; /* [n_shards] */
    int64_t *bytes;      /* [n_shards] */
    rt_digest hash;
} rt_cache_index;
void rt_cache_index_release(rt_cache_index *x);

/* Over the fields about the cache and the checksums of all shards. */
rt_digest rt_cache_index_hash(const rt_cache_header *h, int version, const uint64_t *checksums, int64_t n_shards);
/* `fidelity` of the teacher, NULL: not said. */
RT_MUST_USE rt_status rt_cache_index_save(const char *dir, const rt_cache_header *h, const json_t *fidelity,
                                          const rt_shard_head *shards, int64_t n_shards, rt_err *err);
/* RT_NOT_FOUND: the cache was never finished. */
RT_MUST_USE rt_status rt_cache_index_load(rt_cache_index *x, const char *dir, rt_err *err);

#endif
