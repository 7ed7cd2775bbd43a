/* collect_record.h - the ledger's side of collecting: one entry a document and shard, each exactly once over all
 * restarts. */
#ifndef RT_TEACHER_COLLECT_RECORD_H
#define RT_TEACHER_COLLECT_RECORD_H

#include "teacher/collect.h"

typedef struct rt_collect_record {
    const rt_collect_job *job;
    const rt_cache_header *header;
    rt_ledger *ledger;
    json_t *fidelity; /* of the teacher, as the ledger tells it */
    bool degraded;    /* beyond its bound, which was accepted */
    json_t *known;    /* positions already in the ledger by cache name */
    char tag[9];      /* tells caches of one name apart */
    char *name;
    int64_t *positions; /* [corpus->n_docs] of the shard at hand, else zero */
    int32_t *docs;      /* those of the shard, in order of appearance */
} rt_collect_record;

/* Zero-initialise; close in every case. */
RT_MUST_USE rt_status rt_collect_record_open(rt_collect_record *r, const rt_collect_job *job, const rt_cache_header *h,
                                             const rt_teacher_fidelity *fidelity, rt_err *err);
/* Makes all outputs of a shard durable in the ledger; those already there are left alone. */
RT_MUST_USE rt_status rt_collect_record_shard(rt_collect_record *r, int64_t shard, rt_err *err);
RT_MUST_USE rt_status rt_collect_record_finish(rt_collect_record *r, rt_err *err);
void rt_collect_record_close(rt_collect_record *r);

#endif
