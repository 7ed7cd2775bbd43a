/* choice.c - a task: rows read and encoded, all requests scored together, picks and their means. */
#include "audit/choice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/choice_item.h"
#include "audit/choice_pair.h"
#include "audit/heldout.h"
#include "infer/score.h"

typedef struct question {
    rt_choice_item item;
    size_t first; /* request */
} question;

typedef struct run {
    const rt_choice_task *task;
    const rt_tokenizer *tokenizer;
    const char *path;
    rt_arena arena;
    question *questions;
    size_t n, cap;
    rt_choice_pair *pairs; /* [requests] */
    size_t n_requests, cap_requests;
    rt_ids pool;
    rt_score_request *requests;
    rt_score *scores;
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

static rt_status encode_question(run *r, const rt_choice_item *item, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < item->n; i++) {
        const rt_choice_request *q = &item->requests[i];
        RT_TRY(grow((void **)&r->pairs, r->n_requests, &r->cap_requests, sizeof *r->pairs, err));
        const bool same = i > 0 && q->context.p == q[-1].context.p;
        const rt_choice_pair *before = same ? &r->pairs[r->n_requests - 1] : NULL;
        RT_TRY(rt_choice_encode(&r->pairs[r->n_requests], &r->pool, r->tokenizer, q->context, q->continuation, before,
                                err));
        r->n_requests++;
    }
out:
    return st;
}

static rt_status add_row(run *r, const json_t *row, uint64_t line, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(grow((void **)&r->questions, r->n, &r->cap, sizeof *r->questions, err));
    question *q = &r->questions[r->n];
    q->first = r->n_requests;
    RT_TRY(rt_choice_item_read(&q->item, r->task, row, line, &r->arena, err));
    RT_TRY(encode_question(r, &q->item, err));
    r->n++;
out:
    return st == RT_OK ? st : rt_err_wrap(err, st, "'%s' line %llu", r->path, (unsigned long long)line);
}

static rt_status read_rows(run *r, int64_t limit, rt_err *err)
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
        RT_TRY(add_row(r, row, lines.line, err));
        json_decref(row);
        row = NULL;
    }
    if (r->n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' has no rows", r->path);
    }
out:
    json_decref(row);
    rt_jsonl_close(&lines);
    return st;
}

/* --- scoring ------------------------------------------------------------------------------------------------------ */

static void show_progress(void *ud, size_t done, size_t n)
{
    run *r = ud;
    rt_progress_update(&r->progress, (double)done, (double)n, "%zu of %zu requests", done, n);
}

static rt_status score(run *r, const rt_model *m, const char *name, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(RT_NEW(&r->requests, r->n_requests, "requests", err));
    RT_TRY(RT_NEW(&r->scores, r->n_requests, "scores", err));
    for (size_t i = 0; i < r->n_requests; i++) {
        rt_choice_pair *p = &r->pairs[i];
        RT_TRY(rt_choice_truncate(p, m->rope_rows, err));
        r->requests[i] = (rt_score_request){.context = r->pool.p + p->context,
                                            .n_context = (int64_t)p->n_context,
                                            .ids = r->pool.p + p->continuation,
                                            .n = (int64_t)p->n};
    }
    rt_progress_begin(&r->progress, name);
    st = rt_score_run(m, r->requests, r->n_requests, r->scores,
                      &(rt_score_options){.on_progress = show_progress, .ud = r}, err);
    if (st == RT_OK) {
        rt_progress_end(&r->progress, "%zu questions", r->n);
    }
out:
    return st;
}

/* --- results ------------------------------------------------------------------------------------------------------ */

/* First of the best, as numpy's argmax. */
static int64_t pick(const run *r, const question *q, bool per_character)
{
    int64_t best = 0;
    double best_value = -INFINITY;
    for (size_t i = 0; i < q->item.n; i++) {
        const double value =
            r->scores[q->first + i].logprob / (per_character ? (double)q->item.requests[i].length : 1.0);
        if (value > best_value) {
            best_value = value;
            best = (int64_t)i;
        }
    }
    return best;
}

static json_t *item_json(const run *r, const question *q, int64_t acc, int64_t acc_norm)
{
    json_t *logprobs = json_array(), *tokens = json_array();
    for (size_t i = 0; i < q->item.n; i++) {
        json_array_append_new(logprobs, json_real(r->scores[q->first + i].logprob));
        json_array_append_new(tokens, json_integer((json_int_t)r->pairs[q->first + i].n));
    }
    json_t *picks = json_pack("{s:I}", "acc", (json_int_t)acc);
    if (rt_choice_task_has_norm(r->task)) {
        json_object_set_new(picks, "acc_norm", json_integer((json_int_t)acc_norm));
    }
    return json_pack("{s:s, s:o, s:o, s:I, s:o}", "id", q->item.id, "loglikelihoods", logprobs, "n_tokens", tokens,
                     "gold", (json_int_t)q->item.gold, "picks", picks);
}

/* A context shared by the choices counts once. */
static int64_t tokens_of(const run *r, const question *q)
{
    int64_t n = 0;
    for (size_t i = 0; i < q->item.n; i++) {
        const rt_choice_pair *p = &r->pairs[q->first + i];
        const bool shared = i > 0 && p->context == p[-1].context && p->n_context == p[-1].n_context;
        n += (int64_t)p->n + (shared ? 0 : (int64_t)p->n_context);
    }
    return n;
}

static rt_status conclude(rt_choice_result *out, const run *r, rt_err *err)
{
    rt_status st = RT_OK;
    double *right = NULL, *right_norm = NULL;
    RT_TRY(RT_NEW(&right, r->n, "answers", err));
    RT_TRY(RT_NEW(&right_norm, r->n, "answers", err));
    out->items = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const question *q = &r->questions[i];
        const int64_t acc = pick(r, q, false), acc_norm = pick(r, q, true);
        right[i] = acc == q->item.gold;
        right_norm[i] = acc_norm == q->item.gold;
        out->tokens += tokens_of(r, q);
        out->chance += 1.0 / (double)q->item.n / (double)r->n;
        if (json_array_append_new(out->items, item_json(r, q, acc, acc_norm)) != 0) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the results of %zu questions", r->n);
        }
    }
    out->n = (int64_t)r->n;
    out->acc = rt_stat_plain(right, r->n);
    out->acc_norm = rt_stat_plain(right_norm, rt_choice_task_has_norm(r->task) ? r->n : 0);
out:
    rt_free(right);
    rt_free(right_norm);
    return st;
}

rt_status rt_choice_run(rt_choice_result *out, const rt_model *m, const rt_tokenizer *t, const char *task,
                        const char *path, int64_t limit, rt_err *err)
{
    rt_status st = RT_OK;
    run r = {.task = rt_choice_task_find(task), .tokenizer = t, .path = path};
    *out = (rt_choice_result){0};
    if (r.task == NULL) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "task '%s' is not known; known are %s", task, rt_choice_tasks());
    }
    snprintf(out->task, sizeof out->task, "%s", task);
    RT_TRY(read_rows(&r, limit, err));
    RT_TRY(score(&r, m, task, err));
    RT_TRY(conclude(out, &r, err));
out:
    rt_arena_release(&r.arena);
    rt_ids_release(&r.pool);
    rt_free(r.questions);
    rt_free(r.pairs);
    rt_free(r.requests);
    rt_free(r.scores);
    if (st != RT_OK) {
        rt_choice_result_release(out);
    }
    return st;
}

void rt_choice_result_release(rt_choice_result *r)
{
    json_decref(r->items);
    *r = (rt_choice_result){0};
}

json_t *rt_choice_json(const rt_choice_result *r)
{
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:f}", "task", r->task, "n", (json_int_t)r->n, "acc",
                     rt_number_json(r->acc.mean), "acc_norm", rt_number_json(r->acc_norm.mean), "stderr",
                     rt_number_json(r->acc.stderr_), "acc_norm_stderr", rt_number_json(r->acc_norm.stderr_), "chance",
                     r->chance);
}
