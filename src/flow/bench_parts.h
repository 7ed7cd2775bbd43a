/* bench_parts.h - the parts of a benchmark and what they share. Private to flow. */
#ifndef RT_FLOW_BENCH_PARTS_H
#define RT_FLOW_BENCH_PARTS_H

#include "flow/bench.h"
#include "teacher/cache.h"

enum { RT_BENCH_SAMPLES = 64, RT_BENCH_PROMPT = 16 /* tokens before writing begins */ };

typedef struct rt_bench_work {
    const rt_bench_job *job;
    rt_bench *out;
    char dir[128], text_path[160], cache_path[160], copy_path[160], ledger_path[160];
    rt_corpus corpus;
    rt_packed packed;
    rt_cache *cache; /* NULL: nothing was permitted */
    int64_t tokens;  /* of text, a batch of the teacher and a step of the student */
    int64_t sequence;
    int rounds; /* counted ones, at most */
    double t0;
    double bare[2][RT_BENCH_SAMPLES]; /* f32, bf16 */
    int n_bare;
} rt_bench_work;

/* A round has been counted and this part's share of the time (seconds after the start) is over. */
bool rt_bench_time_is_up(const rt_bench_work *b, int counted, double until);
/* Takes a sample of the bare loops. */
void rt_bench_sample_bare(rt_bench_work *b);
/* Removes a directory of files; a rest in /tmp is no reason to fail. */
void rt_bench_remove(const char *dir);
double rt_bench_median(double *x, int n); /* sorts x; 0 of none */

RT_MUST_USE rt_status rt_bench_teacher(rt_bench_work *b, rt_err *err);  /* makes the cache */
RT_MUST_USE rt_status rt_bench_io(rt_bench_work *b, rt_err *err);       /* cache and tokenizer */
RT_MUST_USE rt_status rt_bench_training(rt_bench_work *b, rt_err *err); /* products, steps, lengths */
RT_MUST_USE rt_status rt_bench_decoding(rt_bench_work *b, rt_err *err);
RT_MUST_USE rt_status rt_bench_answering(rt_bench_work *b, rt_err *err);

#endif
