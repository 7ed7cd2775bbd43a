/* Answers that are worth it become training text. */
#include <string.h>

#include "flow/answer_filter.h"
#include "flow/asked.h"
#include "infer/generate.h"

typedef struct sieve {
    rt_flow *f;
    rt_task *task;
    rt_prompts asked;
    json_t *rows; /* of answers */
    rt_candidate *c;
    size_t n;
} sieve;

static rt_status read_answers(sieve *s, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl lines = {0};
    json_t *row;
    char *path = NULL;
    s->rows = json_array();
    RT_TRY(rt_flow_path_to(s->f, RT_ANSWERS_WRITTEN, &path, err));
    RT_TRY(rt_jsonl_open(&lines, path, err));
    for (;;) {
        RT_TRY(rt_jsonl_next(&lines, &row, err));
        if (row == NULL) {
            break;
        }
        if (json_array_append_new(s->rows, row) != 0) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the answers");
        }
    }
    s->n = json_array_size(s->rows);
    if (s->n != s->asked.n * (size_t)s->f->recipe.answers) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' has %zu answers to %zu prompts; remove the folder to begin anew", path,
                    s->n, s->asked.n);
    }
out:
    rt_jsonl_close(&lines);
    rt_free(path);
    return st;
}

static rt_candidate candidate_of(const sieve *s, size_t i)
{
    const json_t *row = json_array_get(s->rows, i), *text = json_object_get(row, "answer");
    rt_candidate c = {.prompt = &s->asked.rows[i / (size_t)s->f->recipe.answers],
                      .text = {json_string_value(text), json_string_length(text)}};
    bool stopped;
    c.text.n = rt_task_cut(s->task, c.text, &stopped);
    c.ended = !stopped && strcmp(rt_json_str(row, "stop", ""), rt_stop_name(RT_STOP_END)) == 0;
    c.finished = stopped || c.ended;
    return c;
}

static rt_status open_sieve(sieve *s, rt_err *err)
{
    rt_status st = RT_OK;
    char *asked = NULL;
    RT_TRY(rt_flow_need_tokenizer(s->f, err));
    RT_TRY(rt_task_open(&s->task, s->f->recipe.task, err));
    RT_TRY(rt_flow_path_to(s->f, RT_ANSWERS_ASKED, &asked, err));
    RT_TRY(rt_prompts_read(&s->asked, (const char *const *)&asked, 1, err));
    for (size_t i = 0; i < s->asked.n; i++) {
        s->asked.rows[i].path = RT_ANSWERS_ASKED; /* for messages, when `asked` is gone */
    }
    RT_TRY(read_answers(s, err));
    RT_TRY(RT_NEW(&s->c, s->n, "answers", err));
    for (size_t i = 0; i < s->n; i++) {
        s->c[i] = candidate_of(s, i);
    }
out:
    rt_free(asked);
    return st;
}

static void close_sieve(sieve *s)
{
    rt_task_close(s->task);
    rt_prompts_release(&s->asked);
    json_decref(s->rows);
    rt_free(s->c);
}

/* A document as the student will read it: the turns of a conversation, or a text that goes on where the prompt ends. */
static void put_document(rt_str *out, const sieve *s, size_t i)
{
    const rt_candidate *c = &s->c[i];
    const json_t *answer = json_array_get(s->rows, i);
    json_t *row =
        json_pack("{s:O, s:O}", "id", json_object_get(answer, "id"), "origin", json_object_get(answer, "origin"));
    if (rt_prompt_is_chat(c->prompt, s->f->tokenizer)) {
        rt_chat_message turns[RT_PROMPT_TURNS];
        json_t *messages = json_array();
        const size_t n = rt_prompt_turns(c->prompt, turns);
        for (size_t k = 0; k < n; k++) {
            json_array_append_new(messages,
                                  json_pack("{s:s, s:s}", "role", turns[k].role, "content", turns[k].content));
        }
        json_array_append_new(
            messages, json_pack("{s:s, s:o}", "role", "assistant", "content", json_stringn(c->text.p, c->text.n)));
        json_object_set_new(row, "messages", messages);
    } else {
        json_object_set(row, "prompt", json_object_get(c->prompt->row, "prompt"));
        json_object_set_new(row, "answer", json_stringn(c->text.p, c->text.n));
        json_object_set_new(row, "between", json_string(""));
        json_object_set_new(row, "end", json_boolean(c->ended && rt_tokenizer_eos(s->f->tokenizer) >= 0));
    }
    rt_json_append(out, row);
    rt_str_putc(out, '\n');
    json_decref(row);
}

/* {answers, kept, prompts, prompts_kept, dropped: {rule: n}} */
static json_t *count(const sieve *s)
{
    int64_t by[RT_FATE_COUNT] = {0}, prompts = 0;
    const rt_prompt_row *last = NULL;
    json_t *dropped = json_object();
    for (size_t i = 0; i < s->n; i++) {
        by[s->c[i].fate]++;
        if (s->c[i].fate == RT_FATE_KEPT && s->c[i].prompt != last) {
            last = s->c[i].prompt;
            prompts++;
        }
    }
    for (int k = RT_FATE_KEPT + 1; k < RT_FATE_COUNT; k++) {
        json_object_set_new(dropped, rt_fate_name((rt_fate)k), json_integer(by[k]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "answers", (json_int_t)s->n, "kept", (json_int_t)by[RT_FATE_KEPT],
                     "prompts", (json_int_t)s->asked.n, "prompts_kept", (json_int_t)prompts, "dropped", dropped);
}

static rt_status save_kept(sieve *s, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str lines = {0}, dropped = {0};
    char *path = NULL;
    json_t *counts = count(s), *n;
    const char *rule;
    for (size_t i = 0; i < s->n; i++) {
        if (s->c[i].fate == RT_FATE_KEPT) {
            put_document(&lines, s, i);
        }
    }
    json_object_foreach(json_object_get(counts, "dropped"), rule, n)
    {
        if (json_integer_value(n) > 0) {
            rt_str_printf(&dropped, "%s %s %lld", dropped.n > 0 ? "," : ": dropped", rule,
                          (long long)json_integer_value(n));
        }
    }
    if (lines.failed || dropped.failed || counts == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    rt_log(RT_LOG_INFO, "filter: %lld of %zu answers are kept%s", (long long)rt_json_i64(counts, "kept", 0), s->n,
           rt_str_cstr(&dropped));
    RT_TRY(rt_flow_save_json(s->f, "filter", RT_ANSWERS_DIR "/filter.json", counts, err));
    if (lines.n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no answer is left to train on%s", rt_str_cstr(&dropped));
    }
    RT_TRY(rt_flow_path_to(s->f, RT_ANSWERS_KEPT, &path, err));
    RT_TRY(rt_file_write(path, rt_str_cstr(&lines), lines.n, err));
    RT_TRY(rt_manifest_add_output(&s->f->manifest, "filter", RT_ANSWERS_KEPT, err));
out:
    rt_str_release(&lines);
    rt_str_release(&dropped);
    json_decref(counts);
    rt_free(path);
    return st;
}

rt_status rt_stage_filter(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    sieve s = {.f = f};
    char *verify = NULL;
    RT_TRY(open_sieve(&s, err));
    RT_TRY(rt_flow_path_to(f, RT_ANSWERS_DIR "/verify.jsonl", &verify, err));
    RT_TRY(rt_answers_filter(&(rt_filter_job){.rules = &f->recipe.filter,
                                              .task = s.task,
                                              .tokenizer = f->tokenizer,
                                              .sequence = f->recipe.sequence,
                                              .verify = verify},
                             s.c, s.n, err));
    RT_TRY(save_kept(&s, err));
    rt_flow_drop_texts(f); /* what was planned with is not what there is */
out:
    close_sieve(&s);
    rt_free(verify);
    return st;
}
