/* cache_read.c - a finished cache: all shards mapped, each checked in full when first read from. */
#include <pthread.h>
#include <stdatomic.h>

#include "teacher/cache_index.h"

typedef struct lazy_shard {
    rt_shard shard;
    atomic_bool checked;
} lazy_shard;

struct rt_cache {
    rt_cache_header header;
    lazy_shard *shards; /* [n_shards] */
    int64_t n_shards;
    int64_t bytes;
    rt_digest hash;
    pthread_mutex_t *first_touch;
};

/* The shard's place in the cache must be the one its file name says, its head the one the index and the others show. */
static rt_status check_place(const rt_cache *c, int64_t i, const rt_cache_index *index, rt_err *err)
{
    const rt_shard *s = &c->shards[i].shard;
    const char *field = rt_shard_head_difference(&c->shards[0].shard.head, &s->head);
    if (field || s->head.shard != i) {
        return rt_fail(err, RT_INPUT, 0, "cache shard '%s' belongs elsewhere (%s differs)", s->path,
                       field ? field : "shard number");
    }
    if (s->head.checksum != index->checksums[i] || (int64_t)s->size != index->bytes[i]) {
        return rt_fail(err, RT_INPUT, 0, "cache shard '%s' is not the one that %s lists", s->path, RT_CACHE_INDEX_FILE);
    }
    return RT_OK;
}

static rt_status open_shards(rt_cache *c, const char *dir, const rt_cache_index *index, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = NULL;
    int64_t n_tokens = 0, n_targets = 0;
    for (int64_t i = 0; i < c->n_shards; i++) {
        char file[16];
        rt_shard *s = &c->shards[i].shard;
        rt_shard_file_name(i, file);
        rt_free(path);
        path = rt_path_join(dir, file);
        if (!path) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
        }
        RT_TRY(rt_shard_open(s, path, err));
        RT_TRY(check_place(c, i, index, err));
        c->bytes += (int64_t)s->size;
        n_tokens += s->head.shard_tokens;
        n_targets += s->head.shard_targets;
    }
    rt_shard_head_to(&c->header, &c->shards[0].shard.head);
    const rt_cache_header *h = &c->header;
    if (c->n_shards != (h->n_sequences - 1) / h->sequences_per_shard + 1 || n_tokens != h->n_tokens ||
        n_targets != h->n_targets) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "cache '%s': the shards do not add up to what their heads say", dir);
    }
    c->hash = rt_cache_index_hash(h, (int)c->shards[0].shard.head.version, index->checksums, index->n_shards);
    if (memcmp(&c->hash, &index->hash, sizeof c->hash) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "cache '%s': hash in %s does not match", dir, RT_CACHE_INDEX_FILE);
    }
out:
    rt_free(path);
    return st;
}

rt_status rt_cache_open(rt_cache **out, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_cache *c = NULL;
    rt_cache_index index = {0};
    RT_TRY(rt_cache_index_load(&index, dir, err));
    RT_TRY(RT_NEW(&c, 1, "cache", err));
    RT_TRY(RT_NEW(&c->shards, (size_t)index.n_shards, "cache shards", err));
    c->n_shards = index.n_shards;
    RT_TRY(RT_NEW(&c->first_touch, 1, "a lock", err));
    pthread_mutex_init(c->first_touch, NULL);
    RT_TRY(open_shards(c, dir, &index, err));
    *out = c;
    c = NULL;
out:
    rt_cache_close(c);
    rt_cache_index_release(&index);
    return st;
}

void rt_cache_close(rt_cache *c)
{
    if (!c) {
        return;
    }
    for (int64_t i = 0; i < c->n_shards; i++) {
        rt_shard_release(&c->shards[i].shard);
    }
    if (c->first_touch) {
        pthread_mutex_destroy(c->first_touch);
    }
    rt_free(c->first_touch);
    rt_free(c->shards);
    rt_free(c);
}

const rt_cache_header *rt_cache_get_header(const rt_cache *c)
{
    return &c->header;
}

double rt_cache_teacher_nll(const rt_cache *c)
{
    double sum = 0;
    for (int64_t i = 0; i < c->n_shards; i++) {
        sum += c->shards[i].shard.head.shard_nll;
    }
    return c->header.n_targets > 0 ? sum / (double)c->header.n_targets : 0;
}

rt_digest rt_cache_hash(const rt_cache *c)
{
    return c->hash;
}

int64_t rt_cache_bytes(const rt_cache *c)
{
    return c->bytes;
}

void rt_cache_sequence_size(const rt_cache *c, int64_t sequence, int64_t *n_tokens, int64_t *n_targets)
{
    RT_BUG_IF(sequence < 0 || sequence >= c->header.n_sequences);
    const rt_shard *s = &c->shards[sequence / c->header.sequences_per_shard].shard;
    const rt_shard_entry *e = &s->entries[sequence % c->header.sequences_per_shard];
    *n_tokens = e->n_tokens;
    *n_targets = e->n_targets;
}

static rt_status touch(const rt_cache *c, lazy_shard *l, rt_err *err)
{
    rt_status st = RT_OK;
    if (atomic_load_explicit(&l->checked, memory_order_acquire)) {
        return RT_OK;
    }
    pthread_mutex_lock(c->first_touch);
    if (!atomic_load_explicit(&l->checked, memory_order_relaxed)) {
        st = rt_shard_check(&l->shard, err);
        atomic_store_explicit(&l->checked, st == RT_OK, memory_order_release);
    }
    pthread_mutex_unlock(c->first_touch);
    return st;
}

rt_status rt_cache_read(const rt_cache *c, int64_t sequence, rt_cache_sequence *out, rt_err *err)
{
    RT_BUG_IF(sequence < 0 || sequence >= c->header.n_sequences);
    lazy_shard *l = &c->shards[sequence / c->header.sequences_per_shard];
    rt_status st = touch(c, l, err);
    return st == RT_OK ? rt_shard_read(&l->shard, sequence % c->header.sequences_per_shard, out, err) : st;
}
