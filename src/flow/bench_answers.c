/* Several answers to each of many prompts that begin the same, with what they share read once and read every time. */
#include "flow/bench_parts.h"
#include "infer/infer.h"

#include <string.h>

typedef struct questions {
    int32_t *ids; /* [prompts][shared + own] */
    int64_t n;
    int answers;
} questions;

static rt_prompt prompt_at(void *ud, size_t index)
{
    const questions *q = ud;
    return (rt_prompt){.ids = q->ids + (int64_t)index / q->answers * q->n, .n = q->n};
}

static rt_status answer(const rt_bench_work *b, const rt_prompt_list *list, bool apart, double *seconds,
                        rt_generate_counts *counts, rt_err *err)
{
    const rt_generate_options o = {
        .max_new = b->out->answers.written, .ignore_end = true, .apart = apart, .sampling = {.temperature = 1}};
    const double t0 = rt_now();
    const rt_status st = rt_generate_each(b->job->teacher, b->job->tokenizer, list, &o, counts, err);
    *seconds = rt_now() - t0;
    return st;
}

rt_status rt_bench_answering(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    const bool small = b->job->quick || b->sequence < 512;
    rt_bench_answers *a = &b->out->answers;
    *a = small ? (rt_bench_answers){.prompts = 2, .answers = 4, .shared = 8, .own = 4, .written = 4}
               : (rt_bench_answers){.prompts = 64, .answers = 4, .shared = 200, .own = 56, .written = 64};
    questions q = {.n = a->shared + a->own, .answers = a->answers};
    const rt_prompt_list list = {(size_t)(a->prompts * a->answers), prompt_at, &q};
    rt_generate_counts apart;
    RT_TRY(RT_NEW(&q.ids, (size_t)(a->prompts * q.n), "prompts", err));
    for (int64_t i = 0; i < a->prompts; i++) {
        const int64_t own = a->shared + i * a->own % ((int64_t)b->corpus.ids.n - q.n);
        memcpy(q.ids + i * q.n, b->corpus.ids.p, (size_t)a->shared * sizeof *q.ids);
        memcpy(q.ids + i * q.n + a->shared, b->corpus.ids.p + own, (size_t)a->own * sizeof *q.ids);
    }
    RT_TRY(answer(b, &list, false, &a->seconds, &a->counts, err));
    RT_TRY(answer(b, &list, true, &a->seconds_apart, &apart, err));
out:
    rt_free(q.ids);
    return st;
}
