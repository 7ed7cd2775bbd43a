/* write.c - the engine's answers: prompts as the teacher's own template forms them, generated side by side. */
#include "teacher/write.h"

#include <string.h>

typedef struct speaker {
    const rt_write_job *job;
    const rt_prompts *prompts;
    rt_ids *ids; /* [prompts->n] */
} speaker;

/* Without a known chat template a prompt is continued as plain text. */
static rt_status encode_prompt(const rt_tokenizer *t, const rt_prompt_row *p, rt_ids *ids, rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_message turns[RT_PROMPT_TURNS];
    const size_t n = rt_prompt_turns(p, turns);
    if (json_is_array(json_object_get(p->row, "messages")) || rt_chat_form(t) != NULL) {
        return rt_chat_encode(t, turns, n, true, ids, NULL, err);
    }
    if (rt_tokenizer_adds_bos(t)) {
        RT_TRY(rt_ids_push(ids, rt_tokenizer_bos(t), err));
    }
    RT_TRY(rt_encode_text(t, turns[0].content, strlen(turns[0].content), 0, ids, err));
out:
    return st;
}

static rt_status encode_prompts(speaker *s, rt_err *err)
{
    for (size_t i = 0; i < s->prompts->n; i++) {
        const rt_prompt_row *p = &s->prompts->rows[i];
        const rt_status st = encode_prompt(s->job->tokenizer, p, &s->ids[i], err);
        if (st != RT_OK) {
            return rt_err_wrap(err, st, "%s:%llu", p->path, (unsigned long long)p->line);
        }
    }
    return RT_OK;
}

/* The answer's number alone decides the random stream. */
static rt_status answer(void *ud, const rt_prompt_row *const *of, int64_t first, int64_t n, rt_answer *out, rt_err *err)
{
    rt_status st = RT_OK;
    const speaker *s = ud;
    const rt_write_job *job = s->job;
    rt_prompt list[RT_ANSWER_BATCH] = {0};
    rt_generation g = {0};
    for (int64_t i = 0; i < n; i++) {
        const rt_ids *ids = &s->ids[of[i] - s->prompts->rows];
        list[i] = (rt_prompt){.ids = ids->p, .n = (int64_t)ids->n};
    }
    const rt_generate_options o = {
        .sampling = job->sampling, .max_new = job->max_new, .first_sequence = (uint64_t)first};
    RT_TRY(rt_generate(&g, job->teacher, job->tokenizer, list, (size_t)n, &o, err));
    for (int64_t i = 0; i < n; i++) {
        const rt_generated *a = &g.seq[i];
        const int64_t shown = a->n > 0 && a->stop == RT_STOP_END ? a->n - 1 : a->n;
        RT_TRY(rt_decode_ids(job->tokenizer, a->ids, (size_t)shown, &out[i].text, err));
        out[i].tokens = a->n;
        snprintf(out[i].stop, sizeof out[i].stop, "%s", rt_stop_name(a->stop));
    }
out:
    rt_generation_release(&g);
    return st;
}

rt_status rt_write_answers(const rt_write_job *job, rt_answer_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    speaker s = {.job = job, .prompts = job->prompts};
    RT_TRY(RT_NEW(&s.ids, job->prompts->n, "prompts", err));
    RT_TRY(encode_prompts(&s, err));
    const rt_answer_job file = {.permit = job->permit,
                                .prompts = job->prompts,
                                .dir = job->dir,
                                .answers = job->answers,
                                .answer = answer,
                                .ud = &s};
    RT_TRY(rt_answer_file_write(&file, report, err));
out:
    for (size_t i = 0; s.ids != NULL && i < job->prompts->n; i++) {
        rt_ids_release(&s.ids[i]);
    }
    rt_free(s.ids);
    return st;
}
