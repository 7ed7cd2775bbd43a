/* metrics.h - metrics.jsonl of a run: a header line, one line a step, events. What cannot be a JSON number (NaN,
 * infinity) is null and named under "nonfinite". Lines written after the checkpoint a run goes on from are cut, never
 * doubled. */
#ifndef RT_TRAIN_METRICS_H
#define RT_TRAIN_METRICS_H

#include "format/json.h"

typedef struct rt_metrics {
    FILE *f;
    char *path;
    rt_str line;    /* reused: a step line allocates nothing once it has its size */
    rt_str missing; /* names of values that were no numbers */
    int64_t bytes;  /* length of the file so far */
} rt_metrics;

/* A new file that starts with `header` (one JSON object), in place of one that is there. */
RT_MUST_USE rt_status rt_metrics_create(rt_metrics *m, const char *path, const json_t *header, rt_err *err);
/* Goes on with an existing file cut to its first `bytes` bytes. *last_active: largest "active" of the lines cut (0:
 * none), seconds of the budget that were spent although their steps are lost. RT_NOT_FOUND when the file is absent or
 * shorter. */
RT_MUST_USE rt_status rt_metrics_resume(rt_metrics *m, const char *path, int64_t bytes, double *last_active,
                                        rt_err *err);
void rt_metrics_close(rt_metrics *m);

/* One line: begin, fields, end. */
void rt_metrics_begin(rt_metrics *m, const char *event); /* NULL: a step */
void rt_metrics_int(rt_metrics *m, const char *key, int64_t v);
void rt_metrics_num(rt_metrics *m, const char *key, double v); /* shortest text that reads back as the same double */
void rt_metrics_str(rt_metrics *m, const char *key, const char *v);
RT_MUST_USE rt_status rt_metrics_end(rt_metrics *m, rt_err *err); /* written and flushed */
/* On disk, before a checkpoint that counts on it. */
RT_MUST_USE rt_status rt_metrics_sync(rt_metrics *m, rt_err *err);

#endif
