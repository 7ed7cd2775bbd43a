/* endpoint_way.c - llama-server's /completion, vLLM's prompt_logprobs and echo, SGLang's /generate. */
#include "teacher/endpoint_way.h"

#include <string.h>

static json_t *id_array(const int32_t *ids, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) {
        json_array_append_new(list, json_integer(ids[i]));
    }
    return list;
}

static const json_t *first_choice(const json_t *answer)
{
    return json_array_get(json_object_get(answer, "choices"), 0);
}

/* ---- llama-server: the next token's distribution; the bias makes it choose the label, and changes no figure ---- */

static json_t *llama_question(const char *model, const int32_t *ids, int64_t n, int k, int32_t label)
{
    return json_pack("{s:s, s:o, s:i, s:i, s:f, s:b, s:[[i, f]]}", "model", model, "prompt", id_array(ids, n),
                     "n_predict", 1, "n_probs", k, "temperature", 0.0, "cache_prompt", 1, "logit_bias", (int)label,
                     1e6);
}

static const json_t *llama_position(const json_t *answer)
{
    return json_array_get(json_object_get(answer, "completion_probabilities"), 0);
}

static bool llama_honoured(const json_t *answer, const int32_t *ids, int64_t n)
{
    (void)ids;
    return json_is_array(json_object_get(llama_position(answer), "top_logprobs")) &&
           rt_json_i64(answer, "tokens_evaluated", n) == n && !rt_json_bool(answer, "truncated", false);
}

/* `bytes`: a list of numbers. */
static rt_slice bytes_of(const json_t *entry, char *buf, size_t cap)
{
    const json_t *bytes = json_object_get(entry, "bytes");
    size_t n = json_array_size(bytes);
    if (n > cap) {
        n = 0; /* longer than any token that is worth the comparison */
    }
    for (size_t i = 0; i < n; i++) {
        buf[i] = (char)json_integer_value(json_array_get(bytes, i));
    }
    return (rt_slice){buf, n};
}

static rt_status llama_read(const json_t *answer, int64_t at, rt_endpoint_row *row, rt_err *err)
{
    (void)at;
    rt_status st = RT_OK;
    const json_t *position = llama_position(answer);
    size_t i;
    json_t *entry;
    char buf[256];
    json_array_foreach(json_object_get(position, "top_logprobs"), i, entry)
    {
        const rt_slice text = bytes_of(entry, buf, sizeof buf);
        RT_TRY(rt_endpoint_row_add(row, rt_json_i64(entry, "id", -1), json_object_get(entry, "logprob"), &text, true,
                                   err));
    }
    RT_TRY(rt_endpoint_row_label(row, rt_json_i64(position, "id", -1), json_object_get(position, "logprob"), err));
out:
    return st;
}

/* ---- vLLM: prompt_logprobs ---- */

static json_t *prompt_question(const char *model, const int32_t *ids, int64_t n, int k, int32_t label)
{
    (void)label;
    return json_pack("{s:s, s:o, s:i, s:f, s:i}", "model", model, "prompt", id_array(ids, n), "max_tokens", 1,
                     "temperature", 1.0, "prompt_logprobs", k);
}

static bool prompt_honoured(const json_t *answer, const int32_t *ids, int64_t n)
{
    (void)ids;
    return json_array_size(json_object_get(first_choice(answer), "prompt_logprobs")) == (size_t)n;
}

/* The number behind `prefix`; -1: it is none. */
static int64_t id_of(const char *key, const char *prefix)
{
    int64_t id;
    const size_t n = strlen(prefix);
    return strncmp(key, prefix, n) == 0 && rt_parse_i64(key + n, &id) ? id : -1;
}

static rt_status prompt_read(const json_t *answer, int64_t at, rt_endpoint_row *row, rt_err *err)
{
    rt_status st = RT_OK;
    const char *key;
    json_t *entry;
    json_t *position = json_array_get(json_object_get(first_choice(answer), "prompt_logprobs"), (size_t)at);
    json_object_foreach(position, key, entry)
    {
        const json_t *token = json_object_get(entry, "decoded_token");
        const rt_slice text = {json_string_value(token), json_string_length(token)};
        RT_TRY(rt_endpoint_row_add(row, id_of(key, ""), json_object_get(entry, "logprob"), &text, false, err));
    }
out:
    return st;
}

/* ---- echo with logprobs: the prompt given back as if it had been written ---- */

#define TOKEN_ID "token_id:"

static json_t *echo_question(const char *model, const int32_t *ids, int64_t n, int k, int32_t label)
{
    (void)label;
    return json_pack("{s:s, s:o, s:i, s:f, s:i, s:b, s:b}", "model", model, "prompt", id_array(ids, n), "max_tokens", 1,
                     "temperature", 1.0, "logprobs", k, "echo", 1, "return_tokens_as_token_ids", 1);
}

static const json_t *echo_part(const json_t *answer, const char *name)
{
    return json_object_get(json_object_get(first_choice(answer), "logprobs"), name);
}

static bool echo_honoured(const json_t *answer, const int32_t *ids, int64_t n)
{
    const json_t *tokens = echo_part(answer, "tokens");
    bool same = json_array_size(tokens) >= (size_t)n &&
                json_array_size(echo_part(answer, "top_logprobs")) >= (size_t)n &&
                json_array_size(echo_part(answer, "token_logprobs")) >= (size_t)n;
    for (int64_t i = 0; same && i < n; i++) {
        const char *token = json_string_value(json_array_get(tokens, (size_t)i));
        same = token != NULL && id_of(token, TOKEN_ID) == ids[i];
    }
    return same;
}

static rt_status echo_read(const json_t *answer, int64_t at, rt_endpoint_row *row, rt_err *err)
{
    rt_status st = RT_OK;
    const char *key;
    json_t *logprob;
    json_object_foreach(json_array_get(echo_part(answer, "top_logprobs"), (size_t)at), key, logprob)
    {
        RT_TRY(rt_endpoint_row_add(row, id_of(key, TOKEN_ID), logprob, NULL, false, err));
    }
    RT_TRY(
        rt_endpoint_row_label(row, row->label, json_array_get(echo_part(answer, "token_logprobs"), (size_t)at), err));
out:
    return st;
}

/* ---- SGLang: /generate ---- */

static json_t *generate_question(const char *model, const int32_t *ids, int64_t n, int k, int32_t label)
{
    (void)model;
    (void)label;
    return json_pack("{s:o, s:{s:i, s:f}, s:b, s:i, s:i, s:b}", "input_ids", id_array(ids, n), "sampling_params",
                     "max_new_tokens", 1, "temperature", 1.0, "return_logprob", 1, "logprob_start_len", 0,
                     "top_logprobs_num", k, "return_text_in_logprobs", 1);
}

static const json_t *generate_part(const json_t *answer, const char *name)
{
    return json_object_get(json_object_get(answer, "meta_info"), name);
}

static bool generate_honoured(const json_t *answer, const int32_t *ids, int64_t n)
{
    const json_t *tokens = generate_part(answer, "input_token_logprobs");
    bool same = json_array_size(tokens) == (size_t)n &&
                json_array_size(generate_part(answer, "input_top_logprobs")) == (size_t)n;
    for (int64_t i = 0; same && i < n; i++) {
        const json_t *id = json_array_get(json_array_get(tokens, (size_t)i), 1);
        same = json_is_integer(id) && json_integer_value(id) == ids[i];
    }
    return same;
}

/* [log p, id, text] */
static rt_status generate_read(const json_t *answer, int64_t at, rt_endpoint_row *row, rt_err *err)
{
    rt_status st = RT_OK;
    size_t i;
    json_t *entry;
    const json_t *own = json_array_get(generate_part(answer, "input_token_logprobs"), (size_t)at);
    json_array_foreach(json_array_get(generate_part(answer, "input_top_logprobs"), (size_t)at), i, entry)
    {
        const json_t *id = json_array_get(entry, 1), *token = json_array_get(entry, 2);
        const rt_slice text = {json_string_value(token), json_string_length(token)};
        RT_TRY(rt_endpoint_row_add(row, json_is_integer(id) ? json_integer_value(id) : -1, json_array_get(entry, 0),
                                   &text, false, err));
    }
    RT_TRY(rt_endpoint_row_label(row, row->label, json_array_get(own, 0), err));
out:
    return st;
}

const rt_endpoint_way rt_endpoint_ways[] = {
    {"n_probs", "/completion", true, true, llama_question, llama_honoured, llama_read},
    {"prompt_logprobs", "/v1/completions", false, false, prompt_question, prompt_honoured, prompt_read},
    {"echo", "/v1/completions", false, false, echo_question, echo_honoured, echo_read},
    {"return_logprob", "/generate", false, false, generate_question, generate_honoured, generate_read},
    {0},
};
