/* bench.h - how fast this machine does each part of the work with a given teacher: one number a part, and a yardstick
 * that needs no other machine: the same matrix products alone. */
#ifndef RT_FLOW_BENCH_H
#define RT_FLOW_BENCH_H

#include "model/models.h"
#include "record/gate.h"
#include "text/text.h"

#define RT_BENCH_DECODES 3
extern const int rt_bench_batches[RT_BENCH_DECODES]; /* 1, 8, 32 */

/* A part that could not be measured is 0. */
typedef struct rt_bench {
    double teacher_tokens_per_s; /* forward, 50 draws a position, cache and ledger written */
    double cache_bytes_per_token;
    int draws;
    double step_tokens_per_s; /* forward, losses from the cache, backward, update */
    double step_seconds, gemm_seconds, step_over_gemm;
    int student_layers;
    int64_t step_tokens;
    double decode_tokens_per_s[RT_BENCH_DECODES];
    size_t peak_bytes; /* of the process */
    double seconds;
} rt_bench;

typedef struct rt_bench_job {
    const rt_model *teacher;
    const rt_tokenizer *tokenizer;
    const rt_permit *permit; /* NULL: nothing is collected, and steps learn from labels */
    bool quick;              /* fewer repetitions and smaller batches: a minute at most */
} rt_bench_job;

/* Works in a temporary directory that is gone afterwards. */
RT_MUST_USE rt_status rt_bench_run(const rt_bench_job *job, rt_bench *out, rt_err *err);

#endif
