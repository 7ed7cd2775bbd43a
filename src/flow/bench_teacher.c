/* The teacher over text, into a cache. */
#include "flow/bench_parts.h"

#include "teacher/collect.h"

/* Seconds after the start when a quick measurement goes on to the next part. */
enum { TEACHER_UNTIL = 12 };

/* A cache and its ledger made anew each round: what `collect` does. */
rt_status rt_bench_teacher(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    rt_collect_options o = rt_collect_default();
    rt_collect_report r = {0};
    o.batch_tokens = b->tokens;
    for (int i = 0; !rt_bench_time_is_up(b, i - 1, TEACHER_UNTIL);
         i++) { /* the first makes primitives and touches memory */
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
