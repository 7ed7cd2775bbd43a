/* collect.h - runs the teacher over a packed corpus once and fills a target cache. What ends up in the cache does not
 * depend on threads, on interruptions, or on when it was made; every shard's outputs are in the ledger before the shard
 * exists. */
#ifndef RT_TEACHER_COLLECT_H
#define RT_TEACHER_COLLECT_H

#include "model/models.h"
#include "record/ledger.h"
#include "teacher/fidelity.h"
#include "teacher/remote.h"

typedef struct rt_collect_options {
    rt_cache_kind kind;
    int draws; /* SAMPLE */
    int k;     /* TOPK */
    double temperature;
    uint64_t seed;
    rt_dtype hidden_dtype;       /* HIDDEN: F16 or F32 */
    int64_t batch_tokens;        /* whole sequences are run together up to this many tokens */
    int64_t sequences_per_shard; /* 0: about 32 thousand tokens, 4 thousand of a remote teacher, or 8 MiB of hidden
                                    states. At most one shard's work is lost */
    double accepted_seconds;     /* a teacher that would take longer is refused (RT_USAGE); 0: none is */
    bool accept_degraded;        /* a teacher beyond RT_TEACHER_KL_BOUND is not refused; the ledger has the decision */
} rt_collect_options;
rt_collect_options rt_collect_default(void); /* 50 draws at T = 1; k 32; f16; 2048 tokens */

/* All borrowed. */
typedef struct rt_collect_job {
    const rt_model *teacher;
    const rt_remote *remote; /* in place of `teacher` (NULL then) */
    const rt_tokenizer *tokenizer;
    const rt_corpus *corpus;
    const rt_packed *packed; /* of this corpus */
    const rt_permit *permit;
    const char *dir;    /* the cache */
    const char *ledger; /* path */
    const char *name;   /* how the ledger calls the directory; NULL: its last part */
    rt_collect_options options;
} rt_collect_job;

typedef struct rt_collect_report {
    int64_t tokens, targets, sequences; /* of the whole cache */
    int64_t bytes;
    double bytes_per_token;
    int draws;           /* SAMPLE: bytes a token mean nothing without it */
    double teacher_nll;  /* nats a target, T = 1: of the text as it stands */
    int64_t tokens_now;  /* collected by this call */
    double seconds;      /* of this call */
    double tokens_per_s; /* of this call; 0 when everything was there */
    rt_digest hash;
    rt_teacher_fidelity fidelity; /* also where it was refused for it */
} rt_collect_report;

/* Collects, or goes on where an earlier call was stopped; a complete cache is left as it is. RT_FINDING: the teacher as
 * it speaks is too far from its own f32 path (fidelity.h). RT_CANCELLED after an
 * interrupt: what is complete is kept. A document enters the ledger as the salted hash of its text's SHA-256
 * (rt_document.text_hash), once a shard that holds positions of it; the ledger's `cache` is "<name>/<file>#<cache>". */
RT_MUST_USE rt_status rt_collect(const rt_collect_job *job, rt_collect_report *report, rt_err *err);

/* Header of the cache that this job makes. */
RT_MUST_USE rt_status rt_collect_header(const rt_collect_job *job, rt_cache_header *h, rt_err *err);
size_t rt_collect_bytes(const rt_collect_job *job); /* memory beside the teacher */
/* rt_model_options.beside of a teacher that is opened to be collected from with these rt_collect_options: then a
 * ceiling under which it opens is one under which it is asked. */
int64_t rt_collect_beside(const rt_model *teacher, int64_t sequence, const void *options);

#endif
