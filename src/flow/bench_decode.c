/* The teacher writing, one and several sequences at a time. */
#include "flow/bench_parts.h"
#include "infer/infer.h"

const int rt_bench_batches[RT_BENCH_DECODES] = {1, 8, 32};

enum { PROMPT = RT_BENCH_PROMPT };

typedef struct stopwatch {
    double begin, end; /* after the last sequence's second token; after the last token */
} stopwatch;

static bool note_time(void *ud, size_t index, const rt_generated *g)
{
    (void)index;
    stopwatch *w = ud;
    w->end = rt_now();
    if (g->n <= 2) {
        w->begin = w->end;
    }
    return true;
}

static rt_status measure(rt_bench_work *b, int which, rt_err *err)
{
    rt_status st = RT_OK;
    rt_generation g = {0};
    stopwatch w = {0};
    const int batch = rt_bench_batches[which];
    const int64_t wanted = b->job->quick ? 8 : 34, room = b->sequence - PROMPT, n_new = wanted < room ? wanted : room;
    rt_prompt *prompts = NULL;
    const rt_generate_options o = {
        .max_new = n_new, .ignore_end = true, .max_batch = batch, .on_token = note_time, .ud = &w};
    RT_TRY(RT_NEW(&prompts, (size_t)batch, "prompts", err));
    for (int i = 0; i < batch; i++) {
        prompts[i] = (rt_prompt){.ids = b->corpus.ids.p + i * PROMPT, .n = PROMPT};
    }
    RT_TRY(rt_generate(&g, b->job->teacher, b->job->tokenizer, prompts, (size_t)batch, &o, err));
    b->out->decode_tokens_per_s[which] = (double)(batch * (n_new - 2)) / (w.end - w.begin);
out:
    rt_generation_release(&g);
    rt_free(prompts);
    return st;
}

rt_status rt_bench_decoding(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    for (int i = 0; i < RT_BENCH_DECODES; i++) {
        rt_bench_sample_bare(b);
        RT_TRY(measure(b, i, err));
    }
out:
    return st;
}
