/* remote.h - a teacher that is not the engine, as collecting sees it: rows of targets for a batch of given text. */
#ifndef RT_TEACHER_REMOTE_H
#define RT_TEACHER_REMOTE_H

#include "teacher/gather.h"

typedef struct rt_remote {
    int64_t n_vocab;
    int64_t context;        /* longest sequence; 0: not known */
    int64_t batch_tokens;   /* whole sequences are asked together up to this many tokens */
    bool whole;             /* knows whole distributions: SAMPLE too, at any temperature; else TOPK at 1 */
    const json_t *identity; /* who answers, for the ledger */
    /* One row for each of g->rows; a view until the next call. */
    rt_status (*answer)(void *ud, const rt_gather *g, const rt_cache_row **rows, rt_err *err);
    void *ud;
} rt_remote;

#endif
