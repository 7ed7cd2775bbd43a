/* task_run.c - a task on a model: rows read and encoded, then scored in chunks of a fixed size, so that what was scored
 * before and what is scored now are the same bits. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/task_generate.h"
#include "audit/task_log.h"
#include "audit/task_pair.h"
#include "audit/task_result.h"
#include "infer/score.h"

enum { CHUNK = 64 };
#define SAVE_EVERY 20.0 /* seconds */

typedef struct run {
    const rt_task *task;
    const rt_model *model;
    const rt_tokenizer *tokenizer;
    const char *path;
    const rt_task_options *o;
    rt_arena arena;
    rt_task_question *questions;
    size_t n, cap;
    uint64_t *keys;
    rt_task_pair *pairs; /* [n_pairs] */
    size_t n_pairs, cap_pairs;
    rt_ids pool;
    double *logprobs; /* [n_pairs] */
    bool *greedy;     /* [n_pairs] */
    json_t *docs;
    size_t done; /* questions */
    rt_progress progress;
} run;

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Room for one more of `size` bytes. */
static rt_status grow(void **p, size_t n, size_t *cap, size_t size, rt_err *err)
{
    size_t bytes, wanted = *cap > 0 ? *cap * 2 : 256;
    if (n < *cap) {
        return RT_OK;
    }
    void *bigger = rt_mul_size(wanted, size, &bytes) ? rt_realloc(*p, bytes) : NULL;
    if (bigger == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for %zu questions", wanted);
    }
    *p = bigger;
    *cap = wanted;
    return RT_OK;
}

static rt_status new_pair(run *r, rt_task_pair **out, rt_err *err)
{
    const rt_status st = grow((void **)&r->pairs, r->n_pairs, &r->cap_pairs, sizeof *r->pairs, err);
    *out = st == RT_OK ? &r->pairs[r->n_pairs++] : NULL;
    return st;
}

static rt_status encode_text(run *r, const rt_task_item *item, rt_err *err)
{
    rt_status st = RT_OK;
    size_t first, n;
    rt_task_pair window, *p;
    RT_TRY(rt_task_encode_text(&r->pool, &first, &n, r->tokenizer, item->requests[0].continuation, err));
    if (n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the text has no tokens");
    }
    for (size_t w = 0; rt_task_window(&window, first, n, w, (size_t)r->model->rope_rows); w++) {
        RT_TRY(new_pair(r, &p, err));
        *p = window;
    }
out:
    return st;
}

static rt_status encode_prompt(run *r, const rt_task_item *item, rt_err *err)
{
    rt_status st = RT_OK;
    rt_task_pair *p;
    const int64_t room = r->model->rope_rows - r->task->max_tokens;
    if (room < 1) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "an answer of %lld tokens does not fit into the model's context of %lld",
                    (long long)r->task->max_tokens, (long long)r->model->rope_rows);
    }
    RT_TRY(new_pair(r, &p, err));
    RT_TRY(rt_task_encode_prompt(p, &r->pool, r->tokenizer, item->requests[0].context, (size_t)room, err));
out:
    return st;
}

static rt_status encode_requests(run *r, const rt_task_item *item, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < item->n; i++) {
        const rt_task_request *q = &item->requests[i];
        const bool same = i > 0 && q->context.p == q[-1].context.p;
        rt_task_pair *p, before = same ? r->pairs[r->n_pairs - 1] : (rt_task_pair){0};
        RT_TRY(new_pair(r, &p, err));
        RT_TRY(rt_task_encode(p, &r->pool, r->tokenizer, q->context, q->continuation, same ? &before : NULL, err));
    }
out:
    return st;
}

/* As text: the answer, the word, or the right choice's number. */
static json_t *target_json(const rt_task *t, const rt_task_item *item)
{
    char number[24];
    const rt_slice text = t->scoring == RT_SCORING_GENERATE ? item->answer : item->requests[0].continuation;
    if (t->scoring == RT_SCORING_GENERATE || t->scoring == RT_SCORING_GREEDY) {
        return json_stringn(text.p, text.n);
    }
    snprintf(number, sizeof number, "%lld", (long long)(item->gold >= 0 ? item->gold : 0));
    return json_string(number);
}

/* The harness's document and requests. */
static rt_status keep_doc(run *r, const json_t *row, const rt_task_item *item, rt_err *err)
{
    json_t *arguments = json_array();
    for (size_t i = 0; i < item->n; i++) {
        const rt_task_request *q = &item->requests[i];
        json_t *pair = json_array();
        if (q->context.p != NULL || r->task->scoring != RT_SCORING_ROLLING) {
            json_array_append_new(pair, json_stringn(q->context.p, q->context.n));
        }
        if (q->continuation.p != NULL) {
            json_array_append_new(pair, json_stringn(q->continuation.p, q->continuation.n));
        }
        json_array_append_new(arguments, pair);
    }
    json_t *doc =
        json_pack("{s:O, s:o, s:o}", "doc", row, "arguments", arguments, "target", target_json(r->task, item));
    return doc != NULL && json_array_append_new(r->docs, doc) == 0 ? RT_OK
                                                                   : rt_fail(err, RT_MEMORY, 0, "no memory for rows");
}

static rt_status add_row(run *r, const json_t *row, uint64_t line, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(grow((void **)&r->questions, r->n, &r->cap, sizeof *r->questions, err));
    rt_task_question *q = &r->questions[r->n];
    *q = (rt_task_question){.first = r->n_pairs};
    RT_TRY(rt_task_item_read(&q->item, r->task, row, line, &r->arena, err));
    switch (r->task->scoring) {
    case RT_SCORING_ROLLING: RT_TRY(encode_text(r, &q->item, err)); break;
    case RT_SCORING_GENERATE: RT_TRY(encode_prompt(r, &q->item, err)); break;
    default: RT_TRY(encode_requests(r, &q->item, err)); break;
    }
    q->n = r->n_pairs - q->first;
    for (size_t i = q->first; i < r->n_pairs; i++) {
        RT_TRY(rt_task_truncate(&r->pairs[i], r->model->rope_rows, err));
    }
    if (r->docs != NULL) {
        RT_TRY(keep_doc(r, row, &q->item, err));
    }
    r->n++;
out:
    return st == RT_OK ? st : rt_err_wrap(err, st, "'%s' line %llu", r->path, (unsigned long long)line);
}

static rt_status read_rows(run *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl lines = {0};
    json_t *row = NULL;
    RT_TRY(rt_jsonl_open(&lines, r->path, err));
    while (r->o->limit <= 0 || (int64_t)r->n < r->o->limit) {
        RT_TRY(rt_jsonl_next(&lines, &row, err));
        if (row == NULL) {
            break;
        }
        RT_TRY(add_row(r, row, lines.line, err));
        json_decref(row);
        row = NULL;
    }
    if (r->n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' has no rows", r->path);
    }
    RT_TRY(RT_NEW(&r->logprobs, r->n_pairs, "scores", err));
    RT_TRY(RT_NEW(&r->greedy, r->n_pairs, "scores", err));
out:
    json_decref(row);
    rt_jsonl_close(&lines);
    return st;
}

/* --- what was there before ------------------------------------------------------------------------------------------
 */

/* Whose item a line is: model, description, place and every id that the model reads. */
static rt_status make_keys(run *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str s = {0};
    RT_TRY(RT_NEW(&r->keys, r->n, "keys of items", err));
    rt_str_puts(&s, r->o->model_id != NULL ? r->o->model_id : "");
    rt_str_putc(&s, '\n');
    rt_json_append(&s, r->task->spec);
    const size_t fixed = s.n;
    for (size_t i = 0; i < r->n; i++) {
        const rt_task_question *q = &r->questions[i];
        s.n = fixed;
        rt_str_add(&s, &i, sizeof i);
        for (size_t k = q->first; k < q->first + q->n; k++) {
            const rt_task_pair *p = &r->pairs[k];
            rt_str_add(&s, &p->n_context, sizeof p->n_context);
            rt_str_add(&s, r->pool.p + p->context, p->n_context * sizeof *r->pool.p);
            rt_str_add(&s, r->pool.p + p->continuation, p->n * sizeof *r->pool.p);
        }
        if (s.failed) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the keys of items");
        }
        r->keys[i] = rt_xxh64(s.p, s.n);
    }
out:
    rt_str_release(&s);
    return st;
}

static rt_status take_line(run *r, size_t i, const json_t *line, rt_err *err)
{
    rt_task_question *q = &r->questions[i];
    const json_t *logprobs = json_object_get(line, "loglikelihoods"), *greedy = json_object_get(line, "is_greedy"),
                 *answer = json_object_get(line, "answer");
    if (r->task->scoring == RT_SCORING_GENERATE) {
        if (!json_is_string(answer)) {
            return rt_fail(err, RT_INPUT, 0, "'%s' line %zu has no answer", r->o->items, i + 1);
        }
        q->answer = (rt_slice){rt_arena_strndup(&r->arena, json_string_value(answer), json_string_length(answer)),
                               json_string_length(answer)};
        return q->answer.p != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for an answer");
    }
    if (json_array_size(logprobs) != q->n || json_array_size(greedy) != q->n) {
        return rt_fail(err, RT_INPUT, 0, "'%s' line %zu does not have %zu log-likelihoods", r->o->items, i + 1, q->n);
    }
    for (size_t k = 0; k < q->n; k++) {
        r->logprobs[q->first + k] = json_number_value(json_array_get(logprobs, k));
        r->greedy[q->first + k] = json_is_true(json_array_get(greedy, k));
    }
    return RT_OK;
}

static rt_status resume(run *r, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *lines = NULL, *line;
    RT_TRY(make_keys(r, err));
    RT_TRY(rt_task_log_read(&lines, r->o->items, r->keys, r->n, err));
    json_array_foreach(lines, r->done, line)
    {
        RT_TRY(take_line(r, r->done, line, err));
    }
out:
    json_decref(lines);
    return st;
}

/* --- scoring ------------------------------------------------------------------------------------------------------ */

static rt_status score_chunk(run *r, size_t from, size_t to, rt_err *err)
{
    rt_status st = RT_OK;
    const size_t first = r->questions[from].first, n = r->questions[to - 1].first + r->questions[to - 1].n - first;
    rt_score_request *requests = NULL;
    rt_score *scores = NULL;
    RT_TRY(RT_NEW(&requests, n, "requests", err));
    RT_TRY(RT_NEW(&scores, n, "scores", err));
    for (size_t i = 0; i < n; i++) {
        const rt_task_pair *p = &r->pairs[first + i];
        requests[i] = (rt_score_request){.context = r->pool.p + p->context,
                                         .n_context = (int64_t)p->n_context,
                                         .ids = r->pool.p + p->continuation,
                                         .n = (int64_t)p->n};
    }
    RT_TRY(rt_score_run(r->model, requests, n, scores, NULL, err));
    for (size_t i = 0; i < n; i++) {
        r->logprobs[first + i] = scores[i].logprob;
        r->greedy[first + i] = scores[i].greedy;
    }
out:
    rt_free(requests);
    rt_free(scores);
    return st;
}

static rt_status generate_chunk(run *r, size_t from, size_t to, rt_err *err)
{
    rt_status st = RT_OK;
    rt_prompt prompts[CHUNK];
    rt_slice answers[CHUNK];
    for (size_t i = from; i < to; i++) {
        const rt_task_pair *p = &r->pairs[r->questions[i].first];
        prompts[i - from] = (rt_prompt){.ids = r->pool.p + p->context, .n = (int64_t)p->n_context};
    }
    RT_TRY(rt_task_generate(answers, r->task, r->model, r->tokenizer, prompts, to - from, &r->arena, err));
    for (size_t i = from; i < to; i++) {
        r->questions[i].answer = answers[i - from];
    }
out:
    return st;
}

static rt_status save(const run *r, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *lines = NULL;
    RT_TRY(rt_task_result_items(&lines, r->task, r->questions, r->done, r->pairs, r->logprobs, r->greedy, NULL, err));
    RT_TRY(rt_task_log_write(lines, r->o->items, r->keys, err));
out:
    json_decref(lines);
    return st;
}

/* A chunk of which some items are there already is computed whole: then the file is what one run would have left. */
static rt_status compute(run *r, rt_err *err)
{
    rt_status st = RT_OK;
    double saved = rt_now();
    const size_t known = r->done;
    rt_progress_begin(&r->progress, r->task->name);
    for (r->done = known < r->n ? known - known % CHUNK : r->n; r->done < r->n;) {
        const size_t to = r->n - r->done > CHUNK ? r->done + CHUNK : r->n;
        st = r->task->scoring == RT_SCORING_GENERATE ? generate_chunk(r, r->done, to, err)
                                                     : score_chunk(r, r->done, to, err);
        if (st != RT_OK) {
            break;
        }
        r->done = to;
        rt_progress_update(&r->progress, (double)to, (double)r->n, "%zu of %zu items", to, r->n);
        if (r->o->items != NULL && r->done > known && rt_now() - saved > SAVE_EVERY) {
            RT_TRY(save(r, err));
            saved = rt_now();
        }
    }
    if (st == RT_OK) {
        rt_progress_end(&r->progress, "%zu items", r->n);
    }
    if (r->done > known && r->o->items != NULL && (st == RT_OK || st == RT_CANCELLED)) {
        rt_err second = {0};
        const rt_status kept = save(r, &second);
        if (st == RT_OK && kept != RT_OK) {
            st = kept;
            *err = second;
        }
    }
out:
    return st;
}

rt_status rt_task_run(rt_task_result *out, const rt_task *task, const rt_model *m, const rt_tokenizer *t,
                      const char *data, const rt_task_options *o, rt_err *err)
{
    static const rt_task_options none;
    rt_status st = RT_OK;
    run r = {.task = task, .model = m, .tokenizer = t, .path = data, .o = o != NULL ? o : &none};
    *out = (rt_task_result){0};
    if (r.o->keep_texts) {
        r.docs = json_array();
    }
    RT_TRY(read_rows(&r, err));
    if (r.o->items != NULL) {
        RT_TRY(resume(&r, err));
    }
    out->reused = (int64_t)(r.done < r.n ? r.done - r.done % CHUNK : r.n);
    RT_TRY(compute(&r, err));
    out->docs = json_incref(r.docs);
    RT_TRY(rt_task_result_fill(out, task, r.questions, r.n, r.pairs, r.logprobs, r.greedy, err));
out:
    rt_arena_release(&r.arena);
    rt_ids_release(&r.pool);
    rt_free(r.questions);
    rt_free(r.keys);
    rt_free(r.pairs);
    rt_free(r.logprobs);
    rt_free(r.greedy);
    json_decref(r.docs);
    if (st != RT_OK) {
        rt_task_result_release(out);
    }
    return st;
}
