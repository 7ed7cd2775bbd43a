/* endpoint_text.c - /v1/chat/completions, and what came back compared with what was asked. */
#include "teacher/endpoint_text.h"

#include <string.h>

static json_t *messages_of(const rt_prompt_row *p)
{
    rt_chat_message turns[RT_PROMPT_TURNS];
    const size_t n = rt_prompt_turns(p, turns);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s}", "role", turns[i].role, "content", turns[i].content));
    }
    return list;
}

/* Only settings that were made are sent: a server may refuse those it does not know. */
static json_t *question_of(const rt_endpoint_text_job *job, const rt_prompt_row *p, int64_t index)
{
    const rt_sampling *s = &job->sampling;
    rt_rng rng = rt_rng_init(s->seed, "endpoint answers", (uint64_t)index);
    json_t *q = json_pack("{s:s, s:o, s:I, s:f, s:I, s:b}", "model", rt_endpoint_served(job->endpoint), "messages",
                          messages_of(p), "max_tokens", (json_int_t)job->max_new, "temperature", s->temperature, "seed",
                          (json_int_t)(rt_rng_u32(&rng) >> 1), "stream", 0);
    if (s->top_p > 0) {
        json_object_set_new(q, "top_p", json_real(s->top_p));
    }
    if (s->top_k > 0) {
        json_object_set_new(q, "top_k", json_integer((json_int_t)s->top_k));
    }
    if (s->min_p > 0) {
        json_object_set_new(q, "min_p", json_real(s->min_p));
    }
    return q;
}

/* "stop" and "length" in the engine's words; others, such as "content_filter", in the server's. */
static const char *stop_word(const char *reason)
{
    return strcmp(reason, "stop") == 0 ? "end" : reason;
}

static rt_status read_answer(const rt_endpoint_text_job *job, const json_t *j, rt_answer *out, rt_err *err)
{
    const char *url = rt_endpoint_url(job->endpoint)->text;
    const json_t *choices = json_object_get(j, "choices"), *choice = json_array_get(choices, 0);
    const json_t *content = json_object_get(json_object_get(choice, "message"), "content");
    const char *reason = rt_json_str(choice, "finish_reason", NULL);
    const int64_t tokens = rt_json_i64(json_object_get(j, "usage"), "completion_tokens", -1);
    if (json_array_size(choices) != 1 || !json_is_string(content) || reason == NULL) {
        return rt_fail(err, RT_REMOTE, 0, "'%s' answers a chat without one text and the reason it ended", url);
    }
    if (tokens < 0) {
        return rt_fail(err, RT_REMOTE, 0, "'%s' does not say how many tokens it wrote (usage.completion_tokens)", url);
    }
    if (tokens > job->max_new) {
        return rt_fail(err, RT_REMOTE, 0,
                       "'%s' was asked for at most %lld tokens and wrote %lld: it ignores max_tokens", url,
                       (long long)job->max_new, (long long)tokens);
    }
    rt_str_add(&out->text, json_string_value(content), json_string_length(content));
    out->tokens = tokens;
    snprintf(out->stop, sizeof out->stop, "%s", stop_word(reason));
    return RT_OK;
}

/* Answers [first, first + n), asked for together. */
static rt_status ask_batch(const rt_endpoint_text_job *job, rt_answer_file *f, int64_t first, int64_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ask asks[RT_ANSWER_BATCH] = {0};
    rt_answer answers[RT_ANSWER_BATCH] = {0};
    for (int64_t i = 0; i < n; i++) {
        asks[i] = (rt_ask){.path = "/v1/chat/completions",
                           .question = question_of(job, rt_answer_prompt(f, first + i), first + i)};
        RT_TRY(asks[i].question != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for a request"));
    }
    RT_TRY(rt_endpoint_ask(job->endpoint, asks, (size_t)n, err));
    for (int64_t i = 0; i < n; i++) {
        RT_TRY(read_answer(job, asks[i].answer, &answers[i], err));
    }
    RT_TRY(rt_endpoint_identify(job->endpoint, err));
    for (int64_t i = 0; i < n; i++) {
        RT_TRY(rt_answer_put(f, first + i, &answers[i], err));
    }
out:
    rt_asks_release(asks, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        rt_str_release(&answers[i].text);
    }
    return st;
}

static rt_status answer(void *ud, rt_answer_file *f, int64_t first, int64_t end, rt_err *err)
{
    rt_status st = RT_OK;
    while (st == RT_OK && first < end) {
        const int64_t n = end - first < RT_ANSWER_BATCH ? end - first : RT_ANSWER_BATCH;
        st = rt_interrupted() ? rt_fail(err, RT_CANCELLED, 0, "interrupted") : ask_batch(ud, f, first, n, err);
        first += n;
    }
    return st;
}

rt_status rt_endpoint_write_answers(const rt_endpoint_text_job *job, rt_answer_report *report, rt_err *err)
{
    const rt_answer_job file = {.permit = job->permit,
                                .prompts = job->prompts,
                                .dir = job->dir,
                                .answers = job->answers,
                                .max_new = job->max_new,
                                .sampling = job->sampling,
                                .settings = job->settings,
                                .answer = answer,
                                .ud = (void *)job};
    const rt_status st = rt_sampling_check(&job->sampling, err);
    return st == RT_OK ? rt_answer_file_write(&file, report, err) : st;
}
