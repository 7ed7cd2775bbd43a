/* write.c - the engine's answers: prompts as the teacher's own template forms them, all of them one list to the
 * generator, so that no place waits for the others; answers go to the file as they end. */
#include "teacher/write.h"

#include <string.h>

typedef struct speaker {
    const rt_write_job *job;
    const rt_prompts *prompts;
    rt_ids *ids; /* [prompts->n] */
    rt_answer_file *file;
    int64_t first; /* answer the list begins with */
    rt_write_report *report;
} speaker;

static rt_status encode_prompts(speaker *s, rt_err *err)
{
    for (size_t i = 0; i < s->prompts->n; i++) {
        const rt_prompt_row *p = &s->prompts->rows[i];
        const rt_status st = rt_prompt_encode(p, s->job->tokenizer, &s->ids[i], err);
        if (st != RT_OK) {
            return rt_err_wrap(err, st, "%s:%llu", p->path, (unsigned long long)p->line);
        }
    }
    return RT_OK;
}

static rt_prompt prompt_at(void *ud, size_t index)
{
    const speaker *s = ud;
    const rt_ids *ids = &s->ids[(s->first + (int64_t)index) / s->job->answers];
    return (rt_prompt){.ids = ids->p, .n = (int64_t)ids->n};
}

static rt_status put(void *ud, size_t index, const rt_generated *g, rt_err *err)
{
    rt_status st = RT_OK;
    const speaker *s = ud;
    rt_answer a = {.tokens = g->n};
    const int64_t shown = g->stop == RT_STOP_END ? g->n - 1 : g->n;
    RT_TRY(rt_decode_ids(s->job->tokenizer, g->ids, (size_t)shown, &a.text, err));
    snprintf(a.stop, sizeof a.stop, "%s", rt_stop_name(g->stop));
    RT_TRY(rt_answer_put(s->file, s->first + (int64_t)index, &a, err));
out:
    rt_str_release(&a.text);
    return st;
}

/* As many at a time, up to the usual, as half of the free memory takes: the answers are the same. */
static void plan_memory(const speaker *s)
{
    enum { USUAL = 32 };
    const rt_write_job *job = s->job;
    rt_write_report *r = s->report;
    const int64_t free_bytes = rt_mem_available();
    int64_t longest = 1;
    for (size_t i = 0; i < s->prompts->n; i++) {
        longest = (int64_t)s->ids[i].n > longest ? (int64_t)s->ids[i].n : longest;
    }
    for (r->batch = USUAL;; r->batch /= 2) {
        r->bytes = rt_generate_bytes(job->teacher, longest, job->max_new, r->batch);
        if (r->batch == 1 || free_bytes < 0 || r->bytes <= (size_t)free_bytes / 2) {
            break;
        }
    }
    rt_log(RT_LOG_INFO, "writing %d answers at a time, %.0f MiB beside the model", r->batch,
           (double)r->bytes / (1024.0 * 1024.0));
}

/* The answer's number alone decides the random stream. */
static rt_status answer(void *ud, rt_answer_file *f, int64_t first, int64_t end, rt_err *err)
{
    speaker *s = ud;
    const rt_write_job *job = s->job;
    s->file = f;
    s->first = first;
    plan_memory(s);
    return rt_generate_each(job->teacher, job->tokenizer, &(rt_prompt_list){(size_t)(end - first), prompt_at, s},
                            &(rt_generate_options){.sampling = job->sampling,
                                                   .max_new = job->max_new,
                                                   .max_batch = s->report->batch,
                                                   .max_ahead = RT_ANSWER_AHEAD,
                                                   .first_sequence = (uint64_t)first,
                                                   .on_end = put,
                                                   .ud = s},
                            &s->report->counts, err);
}

rt_status rt_write_answers(const rt_write_job *job, rt_write_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    speaker s = {.job = job, .prompts = job->prompts, .report = report};
    *report = (rt_write_report){0};
    RT_TRY(RT_NEW(&s.ids, job->prompts->n, "prompts", err));
    RT_TRY(encode_prompts(&s, err));
    const rt_answer_job file = {.permit = job->permit,
                                .prompts = job->prompts,
                                .dir = job->dir,
                                .answers = job->answers,
                                .form = rt_chat_hash(job->tokenizer),
                                .max_new = job->max_new,
                                .sampling = job->sampling,
                                .answer = answer,
                                .ud = &s};
    RT_TRY(rt_answer_file_write(&file, &report->file, err));
out:
    for (size_t i = 0; s.ids != NULL && i < job->prompts->n; i++) {
        rt_ids_release(&s.ids[i]);
    }
    rt_free(s.ids);
    return st;
}
