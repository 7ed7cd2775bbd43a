/* task_rows.c - the rows of a task's data as questions whose texts are token ids. */
#include "audit/task_rows.h"

#include <stdio.h>
#include <string.h>

#include "teacher/prompts.h"

static rt_status new_pair(rt_task_rows *r, rt_task_pair **out, rt_err *err)
{
    const rt_status st = RT_GROW(&r->pairs, r->n_pairs, &r->cap_pairs, "requests of questions", err);
    *out = st == RT_OK ? &r->pairs[r->n_pairs++] : NULL;
    return st;
}

static rt_status encode_text(rt_task_rows *r, const rt_task_item *item, rt_err *err)
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

/* A conversation has no beginning to do without. */
static rt_status encode_conversation(rt_task_rows *r, rt_task_pair *p, const rt_prompt_row *row, int64_t room,
                                     rt_err *err)
{
    *p = (rt_task_pair){.context = r->pool.n};
    const rt_status st = rt_prompt_encode(row, r->tokenizer, &r->pool, err);
    p->continuation = r->pool.n;
    p->n_context = r->pool.n - p->context;
    return st != RT_OK || p->n_context <= (size_t)room
               ? st
               : rt_fail(err, RT_INPUT, 0, "a prompt of %zu tokens and an answer of %lld exceed the context of %lld",
                         p->n_context, (long long)r->max_new, (long long)r->model->rope_rows);
}

static rt_status encode_prompt(rt_task_rows *r, const rt_task_item *item, const rt_prompt_row *row, rt_err *err)
{
    rt_status st = RT_OK;
    rt_task_pair *p;
    const int64_t room = r->model->rope_rows - r->max_new;
    if (room < 1) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "an answer of %lld tokens does not fit into the model's context of %lld",
                    (long long)r->max_new, (long long)r->model->rope_rows);
    }
    RT_TRY(new_pair(r, &p, err));
    if (r->task->chat) {
        return encode_conversation(r, p, row, room, err);
    }
    RT_TRY(rt_task_encode_prompt(p, &r->pool, r->tokenizer, item->requests[0].context, (size_t)room, err));
out:
    return st;
}

static rt_status encode_requests(rt_task_rows *r, const rt_task_item *item, rt_err *err)
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

/* A prompt and the beginnings of answers to it; where the tokenizer has a chat template, as a user's turn. */
static rt_status encode_openings(rt_task_rows *r, const rt_task_item *item, rt_err *err)
{
    rt_status st = RT_OK;
    rt_task_pair *p;
    const size_t context = r->pool.n;
    RT_TRY(rt_task_encode_turn(&r->pool, r->tokenizer, item->requests[0].context, err));
    const size_t n_context = r->pool.n - context;
    for (size_t i = 0; i < item->n; i++) {
        RT_TRY(new_pair(r, &p, err));
        *p = (rt_task_pair){.context = context, .n_context = n_context, .continuation = r->pool.n};
        const rt_slice opening = item->requests[i].continuation;
        RT_TRY(rt_encode_text(r->tokenizer, opening.p, opening.n, RT_ENCODE_PLAIN, &r->pool, err));
        p->n = r->pool.n - p->continuation;
    }
out:
    return st;
}

static rt_status encode(rt_task_rows *r, rt_task_question *q, const rt_prompt_row *prompt, rt_err *err)
{
    rt_status st = RT_OK;
    switch (r->task->scoring) {
    case RT_SCORING_ROLLING: RT_TRY(encode_text(r, &q->item, err)); break;
    case RT_SCORING_GENERATE: RT_TRY(encode_prompt(r, &q->item, prompt, err)); break;
    case RT_SCORING_REFUSAL: RT_TRY(encode_openings(r, &q->item, err)); break;
    default: RT_TRY(encode_requests(r, &q->item, err)); break;
    }
    q->n = r->n_pairs - q->first;
    for (size_t i = q->first; i < r->n_pairs; i++) {
        RT_TRY(rt_task_truncate(&r->pairs[i], r->model->rope_rows, err));
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
static rt_status keep_doc(rt_task_rows *r, const json_t *row, const rt_task_item *item, rt_err *err)
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
    if (doc != NULL && item->category != NULL) {
        json_object_set_new(doc, "category", json_string(item->category));
    }
    if (doc != NULL && item->secret) {
        json_object_set_new(doc, "harmful", json_true());
    }
    return doc != NULL && json_array_append_new(r->docs, doc) == 0 ? RT_OK
                                                                   : rt_fail(err, RT_MEMORY, 0, "no memory for rows");
}

static rt_status read_item(rt_task_rows *r, rt_task_question *q, const json_t *row, uint64_t line, size_t variant,
                           rt_err *err)
{
    const rt_status st = rt_task_item_read(&q->item, r->task, row, line, variant, &r->arena, err);
    return st != RT_INPUT ? st
                          : rt_err_wrap(err, st,
                                        "no row as task '%s' reads them; rows of another form are described in a .yaml "
                                        "file (docs/evaluation.md)",
                                        r->task->name);
}

static rt_status add_item(rt_task_rows *r, json_t *row, uint64_t line, size_t variant, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_prompt_row prompt = {.row = row, .path = r->path, .line = line};
    RT_TRY(RT_GROW(&r->questions, r->n, &r->cap, "questions", err));
    rt_task_question *q = &r->questions[r->n];
    *q = (rt_task_question){.first = r->n_pairs};
    RT_TRY(r->task->chat ? rt_prompt_check(&prompt, err) : RT_OK);
    RT_TRY(read_item(r, q, row, line, variant, err));
    RT_TRY(r->tokenizer != NULL ? encode(r, q, &prompt, err) : RT_OK);
    if (r->docs != NULL) {
        RT_TRY(keep_doc(r, row, &q->item, err));
    }
    r->n++;
out:
    return st == RT_OK ? st : rt_err_wrap(err, st, "'%s' line %llu", r->path, (unsigned long long)line);
}

static rt_status add_row(rt_task_rows *r, json_t *row, uint64_t line, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t v = 0, n = rt_task_item_variants(r->task, row); v < n && st == RT_OK; v++) {
        st = add_item(r, row, line, v, err);
    }
    return st;
}

rt_status rt_task_rows_read(rt_task_rows *r, int64_t limit, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl lines = {0};
    json_t *row = NULL;
    RT_TRY(rt_jsonl_open(&lines, r->path, err));
    while (limit <= 0 || (int64_t)r->n < limit) {
        RT_TRY(rt_jsonl_next(&lines, &row, err));
        if (row == NULL) {
            break;
        }
        if (rt_task_takes(r->task, row)) {
            RT_TRY(add_row(r, row, lines.line, err));
        }
        json_decref(row);
        row = NULL;
    }
    if (r->n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' has no rows%s", r->path,
                    r->task->rows != RT_SPLIT_ALL ? " with ids of the half that 'rows' names" : "");
    }
out:
    json_decref(row);
    rt_jsonl_close(&lines);
    return st;
}

uint64_t rt_task_rows_hash(const rt_task_rows *r)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < r->n; i++) {
        const rt_task_item *item = &r->questions[i].item;
        uint64_t part[4] = {hash, rt_xxh64(item->id, strlen(item->id))};
        for (size_t k = 0; k < item->n; k++) {
            const rt_task_request *q = &item->requests[k];
            part[2] = rt_xxh64(q->context.p, q->context.n);
            part[3] = rt_xxh64(q->continuation.p, q->continuation.n);
            part[0] = rt_xxh64(part, sizeof part);
        }
        hash = part[0];
    }
    return hash;
}

rt_status rt_task_docs(json_t **out, const rt_task *task, const char *data, int64_t limit, rt_err *err)
{
    rt_task_rows r = {.task = task, .path = data, .docs = json_array()};
    const rt_status st = rt_task_rows_read(&r, limit, err);
    *out = st == RT_OK ? json_incref(r.docs) : NULL;
    rt_task_rows_release(&r);
    return st;
}

void rt_task_rows_release(rt_task_rows *r)
{
    rt_arena_release(&r->arena);
    rt_ids_release(&r->pool);
    rt_free(r->questions);
    rt_free(r->pairs);
    json_decref(r->docs);
    *r = (rt_task_rows){0};
}
