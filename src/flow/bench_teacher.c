/* The teacher over text, into a cache. */
#include "flow/bench_parts.h"

#include "teacher/collect.h"

/* Seconds after the start when a quick measurement goes on to the next part. */
enum { TEACHER_UNTIL = 12 };

/* A cache and its ledger made anew each round: what `collect` does. Where only the cache is wanted it is made once. */
rt_status rt_bench_teacher(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    rt_collect_options o = rt_collect_default();
    rt_collect_report r = {0};
    const bool counts = (b->job->parts & RT_BENCH_TEACHER) != 0;
    o.batch_tokens = b->tokens;
    /* the first makes primitives and touches memory */
    for (int i = 0; counts ? !rt_bench_time_is_up(b, i - 1, TEACHER_UNTIL) : i < 1; i++) {
        rt_bench_remove(b->cache_path);
        rt_bench_sample_bare(b);
        RT_TRY(rt_collect(&(rt_collect_job){.teacher = b->job->teacher,
                                            .tokenizer = b->job->tokenizer,
                                            .corpus = &b->corpus,
                                            .packed = &b->packed,
                                            .permit = b->job->permit,
                                            .dir = b->cache_path,
                                            .ledger = b->ledger_path,
                                            .options = o},
                          &r, err));
        if (i > 0 && r.tokens_per_s > b->out->teacher_tokens_per_s) {
            b->out->teacher_tokens_per_s = r.tokens_per_s;
        }
    }
    b->out->cache_bytes_per_token = r.bytes_per_token;
    b->out->draws = r.draws;
    RT_TRY(rt_cache_open(&b->cache, b->cache_path, err));
out:
    return st;
}
