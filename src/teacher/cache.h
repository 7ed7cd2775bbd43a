/* cache.h - what the teacher said about a packed corpus, once and for all: shards NNNNN.rtc in a directory, each a run
 * of whole sequences (ids, segments, mask, targets), each written atomically; a killed collect continues at the first
 * missing shard. Self-contained: training needs the cache alone. Layout: docs/cache.md. */
#ifndef RT_TEACHER_CACHE_H
#define RT_TEACHER_CACHE_H

#include "record/gate.h"
#include "tensor/loss.h"
#include "text/text.h"

typedef enum rt_cache_kind { RT_CACHE_SAMPLE, RT_CACHE_TOPK, RT_CACHE_HIDDEN } rt_cache_kind;
const char *rt_cache_kind_name(rt_cache_kind k);

typedef struct rt_cache_header {
    rt_cache_kind kind;
    int draws;             /* SAMPLE: draws with replacement a position */
    int k;                 /* TOPK */
    rt_dtype hidden_dtype; /* HIDDEN: F16 or F32 */
    rt_dtype compute;      /* F32 or BF16: inputs of the teacher's matrix products */
    int64_t d_model;       /* HIDDEN: width */
    int64_t n_vocab;
    double temperature;
    uint64_t seed;                            /* draws are Philox(seed, position): reproducible and auditable */
    int sequence;                             /* longest sequence in tokens */
    int64_t n_sequences, n_tokens, n_targets; /* whole cache; targets = positions with a target */
    int64_t sequences_per_shard;
    rt_digest teacher, tokenizer, chat_template, data, layout;
    char teacher_name[128];
    char licence[64], verdict[32]; /* from the permit */
    bool provenance_incomplete;    /* some document states no origin */
} rt_cache_header;

/* Who answers and on which terms, as the header has room for it: a long name is cut, between characters. */
void rt_cache_header_name(rt_cache_header *h, const rt_permit *permit);

/* --- writing (collect) --- */
typedef struct rt_cache_writer rt_cache_writer;
/* Continues a directory with an equal header at its first missing shard; refuses one with another header, naming the
 * field. */
RT_MUST_USE rt_status rt_cache_create(rt_cache_writer **out, const char *dir, const rt_cache_header *h,
                                      const rt_permit *permit, rt_err *err);
int64_t rt_cache_next_sequence(const rt_cache_writer *w); /* first sequence not yet on disk */
/* What is known of one position. */
typedef struct rt_cache_row {
    int n; /* SAMPLE: distinct ids; TOPK: k */
    const int32_t *ids;
    const int32_t *counts; /* SAMPLE */
    const float *logp;     /* TOPK */
    float log_tail;        /* TOPK */
    float entropy;         /* SAMPLE: nats */
    const float *hidden;   /* HIDDEN [d_model] */
    float label_logp;      /* log p of the realised next token at T = 1: summed, not stored */
} rt_cache_row;
/* `rows`: one a token of the sequence; those with mask 0 are not looked at. */
RT_MUST_USE rt_status rt_cache_append(rt_cache_writer *w, const rt_packed *p, int64_t sequence,
                                      const rt_cache_row *rows, rt_err *err);
/* For the index: the teacher's fidelity as JSON (fidelity.h). Shares it. */
void rt_cache_keep_fidelity(rt_cache_writer *w, json_t *fidelity);
/* Index file; frees w in every case. */
RT_MUST_USE rt_status rt_cache_finish(rt_cache_writer *w, rt_err *err);
void rt_cache_abandon(rt_cache_writer *w); /* frees, complete shards stay */

/* --- reading --- */
typedef struct rt_cache rt_cache;
/* Every shard's checksum, counts and bounds are checked when it is first read from. */
RT_MUST_USE rt_status rt_cache_open(rt_cache **out, const char *dir, rt_err *err);
void rt_cache_close(rt_cache *c);
const rt_cache_header *rt_cache_get_header(const rt_cache *c);
rt_digest rt_cache_hash(const rt_cache *c); /* over header and shard checksums: a checkpoint remembers it */
int64_t rt_cache_bytes(const rt_cache *c);  /* on disk */
/* The teacher's mean negative log-likelihood of the realised tokens, nats at T = 1, as it was seen while collecting. */
double rt_cache_teacher_nll(const rt_cache *c);

/* Tokens and targets of a sequence, from the index alone. */
void rt_cache_sequence_size(const rt_cache *c, int64_t sequence, int64_t *n_tokens, int64_t *n_targets);

/* One decoded sequence; zero-initialise, reuse, release. Views stay valid until the next read into the same struct. */
typedef struct rt_cache_sequence {
    int64_t n;      /* tokens */
    int32_t *ids;   /* [n] */
    uint8_t *mask;  /* [n] 1: position has a target and counts */
    int32_t *label; /* [n] realised next id where mask = 1, else -1 */
    int64_t n_segments;
    int32_t *segment_start; /* [n_segments + 1] */
    int32_t *segment_doc;   /* [n_segments] */
    rt_target *targets;     /* [n] kind and views; SAMPLE, TOPK only */
    const float **hidden;   /* HIDDEN: [n] d_model values where mask = 1, else NULL */
    void *storage;
    size_t storage_cap;
} rt_cache_sequence;
/* May be called from several threads at once, each with its own `out`. */
RT_MUST_USE rt_status rt_cache_read(const rt_cache *c, int64_t sequence, rt_cache_sequence *out, rt_err *err);
void rt_cache_sequence_release(rt_cache_sequence *s);

#endif
