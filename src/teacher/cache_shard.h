/* cache_shard.h - one file of a target cache: head, index of sequences, book of codes, sequences. All numbers
 * little-endian. Layout: docs/cache.md. */
#ifndef RT_TEACHER_CACHE_SHARD_H
#define RT_TEACHER_CACHE_SHARD_H

#include "teacher/cache.h"
#include "teacher/cache_codec.h"

enum {
    RT_SHARD_VERSION = 2 /* written; 1 is read as well */,
    RT_CACHE_MAX_SEQUENCE = 1 << 20,
    RT_CACHE_MAX_WIDTH = 1 << 16
};
#define RT_SHARD_MAGIC "RTCACHE\n"

typedef struct rt_shard_head {
    char magic[8];
    uint64_t checksum; /* XXH3-64 of all bytes after this field */
    uint64_t file_bytes;
    uint32_t version;
    uint32_t kind;
    /* about the cache: equal in all shards */
    uint32_t draws, k, hidden_dtype, sequence;
    int64_t d_model, n_vocab;
    double temperature;
    uint64_t seed;
    int64_t n_sequences, n_tokens, n_targets, sequences_per_shard;
    uint8_t teacher[32], tokenizer[32], chat_template[32], data[32], layout[32];
    char teacher_name[128], licence[64], verdict[32];
    uint32_t provenance_incomplete, compute;
    /* about this file */
    int64_t shard, shard_sequences, shard_tokens, shard_targets;
    double shard_nll; /* sum over the targets: minus log p of the realised token, nats at T = 1 */
    uint64_t book_bytes, payload_bytes;
} rt_shard_head;
_Static_assert(sizeof(rt_shard_head) == 560, "on-disk size");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "shards are mapped as they are");

/* One a sequence, and a last one whose `at` is the payload's end. */
typedef struct rt_shard_entry {
    uint64_t at; /* byte in the payload */
    uint32_t n_tokens, n_targets;
} rt_shard_entry;
_Static_assert(sizeof(rt_shard_entry) == 16, "on-disk size");

typedef struct rt_shard {
    rt_map map; /* empty for bytes in memory */
    char *path; /* for messages */
    const uint8_t *data;
    size_t size;
    rt_shard_head head;
    const rt_shard_entry *entries; /* [shard_sequences + 1] */
    const uint8_t *payload;
    rt_decoder *decoder; /* NULL until rt_shard_check */
} rt_shard;

/* "00012.rtc"; file[16] */
void rt_shard_file_name(int64_t shard, char file[16]);
/* Fields about the cache; the rest is zero. */
void rt_shard_head_from(rt_shard_head *d, const rt_cache_header *h);
void rt_shard_head_to(rt_cache_header *h, const rt_shard_head *d);
/* SHA-256 of the fields about the cache. */
rt_digest rt_cache_header_hash(const rt_cache_header *h);
/* Name of the first field about the cache in which the two differ, NULL: none. */
const char *rt_shard_head_difference(const rt_shard_head *a, const rt_shard_head *b);
/* Limits every header must keep. */
RT_MUST_USE rt_status rt_cache_header_check(const rt_cache_header *h, rt_err *err);
/* Sequences of shard number `shard` under this header. */
int64_t rt_shard_n_sequences(const rt_cache_header *h, int64_t shard);

/* Maps or borrows; reads head and index, checks all bounds. `path` is copied. Release in every case. */
RT_MUST_USE rt_status rt_shard_open(rt_shard *s, const char *path, rt_err *err);
RT_MUST_USE rt_status rt_shard_from_bytes(rt_shard *s, const void *p, size_t n, const char *path, rt_err *err);
/* Checksum and book: to be called once before decoding. */
RT_MUST_USE rt_status rt_shard_check(rt_shard *s, rt_err *err);
void rt_shard_release(rt_shard *s);

/* Sequence number `local` of the shard. */
RT_MUST_USE rt_status rt_shard_read(const rt_shard *s, int64_t local, rt_cache_sequence *out, rt_err *err);

#endif
