/* task_generate.c - greedy answers that end at a stop text. */
#define _GNU_SOURCE

#include "audit/task_generate.h"

#include <string.h>

#include "text/utf8.h"

typedef struct watch {
    const rt_task *task;
    const rt_tokenizer *tokenizer;
    rt_str text; /* scratch */
} watch;

size_t rt_task_before_stop(const json_t *stops, rt_slice s, size_t *stop)
{
    size_t shortest = s.n, bytes = 0, i;
    json_t *text;
    json_array_foreach(stops, i, text)
    {
        const size_t n = json_string_length(text);
        const char *at = n > 0 ? memmem(s.p, shortest, json_string_value(text), n) : NULL;
        shortest = at != NULL ? (size_t)(at - s.p) : shortest;
        bytes = at != NULL ? n : bytes;
    }
    if (stop != NULL) {
        *stop = bytes;
    }
    return shortest;
}

/* The end token is no part of the answer. */
static rt_status decode(rt_str *out, const rt_tokenizer *t, const rt_generated *g, rt_err *err)
{
    const size_t end = g->n > 0 && rt_tokenizer_is_end(t, g->ids[g->n - 1]);
    return rt_decode_ids(t, g->ids, (size_t)g->n - end, out, err);
}

static bool goes_on(void *ud, size_t index, const rt_generated *g)
{
    watch *w = ud;
    (void)index;
    rt_str_clear(&w->text);
    /* what fails here fails again when the answer is read */
    return decode(&w->text, w->tokenizer, g, NULL) != RT_OK ||
           rt_task_before_stop(w->task->stop, (rt_slice){rt_str_cstr(&w->text), w->text.n}, NULL) == w->text.n;
}

rt_status rt_task_generate(rt_slice *answers, const rt_task *task, int64_t max_new, const rt_model *m,
                           const rt_tokenizer *t, const rt_prompt *prompts, size_t n, rt_arena *arena, rt_err *err)
{
    rt_status st = RT_OK;
    watch w = {.task = task, .tokenizer = t};
    rt_generation gen = {0};
    rt_str clean = {0};
    RT_TRY(rt_generate(&gen, m, t, prompts, n,
                       &(rt_generate_options){.max_new = max_new, .on_token = goes_on, .ud = &w}, err));
    for (size_t i = 0; i < n; i++) {
        rt_str_clear(&w.text);
        rt_str_clear(&clean);
        RT_TRY(decode(&w.text, t, &gen.seq[i], err));
        const rt_slice all = {rt_str_cstr(&w.text), w.text.n};
        rt_utf8_repair(&clean, all.p, rt_task_before_stop(task->stop, all, NULL));
        answers[i] = (rt_slice){clean.failed ? NULL : rt_arena_strndup(arena, rt_str_cstr(&clean), clean.n), clean.n};
        if (answers[i].p == NULL) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for an answer");
        }
    }
out:
    rt_generation_release(&gen);
    rt_str_release(&w.text);
    rt_str_release(&clean);
    return st;
}
