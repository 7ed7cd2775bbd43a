/* task_run.c - a task on a model: rows read and encoded, then scored in chunks of a fixed size, so that what was scored
 * before and what is scored now are the same bits. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/task_generate.h"
#include "audit/task_log.h"
#include "audit/task_rows.h"
#include "infer/score.h"

enum { CHUNK = 64 };
#define SAVE_EVERY 20.0 /* seconds */

typedef struct run {
    const rt_task_options *o;
    rt_task_rows rows;
    uint64_t *keys;   /* [rows.n] */
    double *logprobs; /* [rows.n_pairs] */
    bool *greedy;     /* [rows.n_pairs] */
    size_t done;      /* questions */
    rt_progress progress;
} run;

/* --- what was there before ------------------------------------------------------------------------------------------
 */

/* By what the model's words are judged: where the data was corrected a line has the figures of before. */
static void add_right_answer(rt_str *s, const rt_task_item *item)
{
    const uint64_t marks[] = {item->right, (uint64_t)item->gold, item->follows, item->ambiguous, item->answer.n};
    rt_str_add(s, marks, sizeof marks);
    rt_str_add(s, item->answer.p, item->answer.n);
}

/* Whose item a line is: model, description, place, the right answer and every id that the model reads. */
static rt_status make_keys(run *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str s = {0};
    RT_TRY(RT_NEW(&r->keys, r->rows.n, "keys of items", err));
    rt_str_puts(&s, r->o->model_id != NULL ? r->o->model_id : "");
    rt_str_putc(&s, '\n');
    rt_json_append(&s, r->rows.task->spec);
    rt_str_add(&s, &r->o->max_new, r->o->max_new > 0 ? sizeof r->o->max_new : 0);
    const size_t fixed = s.n;
    for (size_t i = 0; i < r->rows.n; i++) {
        const rt_task_question *q = &r->rows.questions[i];
        s.n = fixed;
        rt_str_add(&s, &i, sizeof i);
        rt_str_puts(&s, r->rows.task->scoring == RT_SCORING_GENERATE && q->item.secret ? "secret" : "");
        add_right_answer(&s, &q->item);
        for (size_t k = q->first; k < q->first + q->n; k++) {
            const rt_task_pair *p = &r->rows.pairs[k];
            rt_str_add(&s, &p->n_context, sizeof p->n_context);
            rt_str_add(&s, r->rows.pool.p + p->context, p->n_context * sizeof *r->rows.pool.p);
            rt_str_add(&s, r->rows.pool.p + p->continuation, p->n * sizeof *r->rows.pool.p);
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

static bool take_hash(rt_task_question *q, const json_t *line)
{
    const char *hash = rt_json_str(line, "answer_sha256", "");
    const bool fits = strlen(hash) == sizeof q->answer_sha256 - 1;
    if (fits) {
        memcpy(q->answer_sha256, hash, sizeof q->answer_sha256);
    }
    return fits;
}

/* Of a refusal the answer itself is not kept. */
static rt_status take_refusal(const run *r, size_t i, const json_t *line, rt_err *err)
{
    rt_task_question *q = &r->rows.questions[i];
    const json_t *rules = json_object_get(line, "refused");
    if (!json_is_object(rules) || !take_hash(q, line)) {
        return rt_fail(err, RT_INPUT, 0, "'%s' line %zu does not say whether the model refused", r->o->items, i + 1);
    }
    q->refusal =
        (rt_refusal){.prefix = rt_json_bool(rules, "prefix", false), .phrase = rt_json_bool(rules, "phrase", false)};
    return RT_OK;
}

/* Nor that to a harmful row; its values are. */
static rt_status take_judged(run *r, size_t i, const json_t *line, rt_err *err)
{
    rt_task_question *q = &r->rows.questions[i];
    rt_task_metric list[RT_TASK_METRICS];
    const size_t n = rt_score_metrics(r->rows.task, list);
    double *values = rt_arena_alloc(&r->rows.arena, RT_TASK_METRICS * sizeof *values);
    bool all = take_hash(q, line);
    for (size_t k = 0; values != NULL && k < n; k++) {
        const json_t *value = json_object_get(json_object_get(line, "metrics"), list[k].name);
        all &= json_is_number(value) || json_is_null(value);
        values[k] = json_is_number(value) ? json_number_value(value) : NAN;
    }
    q->judged = values;
    q->answer_bytes = rt_json_i64(line, "answer_bytes", 0);
    return values == NULL ? rt_fail(err, RT_MEMORY, 0, "no memory for an answer")
           : all
               ? RT_OK
               : rt_fail(err, RT_INPUT, 0, "'%s' line %zu does not say what its answer was worth", r->o->items, i + 1);
}

static rt_status take_answer(run *r, size_t i, const json_t *line, rt_err *err)
{
    const json_t *answer = json_object_get(line, "answer");
    rt_slice *own = &r->rows.questions[i].answer;
    if (!json_is_string(answer)) {
        return rt_fail(err, RT_INPUT, 0, "'%s' line %zu has no answer", r->o->items, i + 1);
    }
    *own = (rt_slice){rt_arena_strndup(&r->rows.arena, json_string_value(answer), json_string_length(answer)),
                      json_string_length(answer)};
    return own->p != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for an answer");
}

static rt_status take_line(run *r, size_t i, const json_t *line, rt_err *err)
{
    const rt_task_question *q = &r->rows.questions[i];
    const json_t *logprobs = json_object_get(line, "loglikelihoods"), *greedy = json_object_get(line, "is_greedy");
    if (r->rows.task->scoring == RT_SCORING_GENERATE) {
        return q->item.secret ? take_judged(r, i, line, err) : take_answer(r, i, line, err);
    }
    if (json_array_size(logprobs) != q->n || json_array_size(greedy) != q->n) {
        return rt_fail(err, RT_INPUT, 0, "'%s' line %zu does not have %zu log-likelihoods", r->o->items, i + 1, q->n);
    }
    for (size_t k = 0; k < q->n; k++) {
        r->logprobs[q->first + k] = json_number_value(json_array_get(logprobs, k));
        r->greedy[q->first + k] = json_is_true(json_array_get(greedy, k));
    }
    return r->rows.task->scoring == RT_SCORING_REFUSAL ? take_refusal(r, i, line, err) : RT_OK;
}

static rt_status resume(run *r, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *lines = NULL, *line;
    RT_TRY(make_keys(r, err));
    RT_TRY(rt_task_log_read(&lines, r->o->items, r->keys, r->rows.n, err));
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
    const size_t first = r->rows.questions[from].first,
                 n = r->rows.questions[to - 1].first + r->rows.questions[to - 1].n - first;
    rt_score_request *requests = NULL;
    rt_score *scores = NULL;
    RT_TRY(RT_NEW(&requests, n, "requests", err));
    RT_TRY(RT_NEW(&scores, n, "scores", err));
    for (size_t i = 0; i < n; i++) {
        const rt_task_pair *p = &r->rows.pairs[first + i];
        requests[i] = (rt_score_request){.context = r->rows.pool.p + p->context,
                                         .n_context = (int64_t)p->n_context,
                                         .ids = r->rows.pool.p + p->continuation,
                                         .n = (int64_t)p->n};
    }
    RT_TRY(rt_score_run(r->rows.model, requests, n, scores, NULL, err));
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
    rt_prompt prompts[CHUNK] = {{0}};
    rt_slice answers[CHUNK];
    for (size_t i = from; i < to; i++) {
        const rt_task_pair *p = &r->rows.pairs[r->rows.questions[i].first];
        prompts[i - from] = (rt_prompt){.ids = r->rows.pool.p + p->context, .n = (int64_t)p->n_context};
    }
    RT_TRY(rt_task_generate(answers, r->rows.task, r->rows.max_new, r->rows.model, r->rows.tokenizer, prompts,
                            to - from, &r->rows.arena, err));
    for (size_t i = from; i < to; i++) {
        r->rows.questions[i].answer = answers[i - from];
        r->rows.questions[i].judged = NULL;
    }
out:
    return st;
}

/* What a harmful prompt was answered is judged here and goes no further. */
static rt_status refusal_chunk(run *r, size_t from, size_t to, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_task *t = r->rows.task;
    RT_TRY(score_chunk(r, from, to, err));
    for (size_t i = from; i < to; i++) {
        r->rows.questions[i].refusal.unknown = r->o->no_answers;
    }
    if (r->o->no_answers) {
        return RT_OK;
    }
    RT_TRY(generate_chunk(r, from, to, err));
    for (size_t i = from; i < to; i++) {
        rt_task_question *q = &r->rows.questions[i];
        RT_TRY(rt_refusal_of(&q->refusal, t->refusal_prefixes, t->refusal_phrases, q->answer, err));
        rt_digest_hex(rt_sha256_of(q->answer.p, q->answer.n), q->answer_sha256);
    }
out:
    return st;
}

static rt_status compute_chunk(run *r, size_t from, size_t to, rt_err *err)
{
    switch (r->rows.task->scoring) {
    case RT_SCORING_GENERATE: return generate_chunk(r, from, to, err);
    case RT_SCORING_REFUSAL: return refusal_chunk(r, from, to, err);
    default: return score_chunk(r, from, to, err);
    }
}

static rt_status save(const run *r, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *lines = NULL;
    RT_TRY(rt_task_result_items(&lines, r->rows.task, r->rows.questions, r->done, r->rows.pairs, r->logprobs, r->greedy,
                                NULL, err));
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
    rt_progress_begin(&r->progress, r->rows.task->name);
    for (r->done = known < r->rows.n ? known - known % CHUNK : r->rows.n; r->done < r->rows.n;) {
        const size_t to = r->rows.n - r->done > CHUNK ? r->done + CHUNK : r->rows.n;
        st = compute_chunk(r, r->done, to, err);
        if (st != RT_OK) {
            break;
        }
        r->done = to;
        rt_progress_update(&r->progress, (double)to, (double)r->rows.n, "%zu of %zu items", to, r->rows.n);
        if (r->o->items != NULL && r->done > known && rt_now() - saved > SAVE_EVERY) {
            RT_TRY(save(r, err));
            saved = rt_now();
        }
    }
    if (st == RT_OK) {
        rt_progress_end(&r->progress, "%zu items", r->rows.n);
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

/* Under what conditions: results of others are unlike these. */
static void describe(rt_task_result *out, const rt_task_rows *rows)
{
    const bool by_chat = rows->task->scoring == RT_SCORING_REFUSAL || rows->task->chat;
    const bool chat = by_chat && rt_chat_form(rows->tokenizer) != NULL;
    char hex[65] = "none";
    if (chat) {
        rt_digest_hex(rt_chat_hash(rows->tokenizer), hex);
    }
    snprintf(out->harness, sizeof out->harness, "%s", RT_TASK_HARNESS);
    snprintf(out->chat, sizeof out->chat, "%.16s", hex);
    snprintf(out->precision, sizeof out->precision, "%s", rt_dtype_name(rows->model->compute));
    out->items_hash = rt_task_rows_hash(rows);
}

rt_status rt_task_run(rt_task_result *out, const rt_task *task, const rt_model *m, const rt_tokenizer *t,
                      const char *data, const rt_task_options *o, rt_err *err)
{
    static const rt_task_options none;
    rt_status st = RT_OK;
    run r = {.o = o != NULL ? o : &none, .rows = {.task = task, .model = m, .tokenizer = t, .path = data}};
    rt_task_rows *rows = &r.rows;
    rows->max_new = r.o->max_new > 0 ? r.o->max_new : task->max_tokens;
    *out = (rt_task_result){0};
    if (r.o->keep_texts) {
        rows->docs = json_array();
    }
    RT_TRY(rt_task_rows_read(rows, r.o->limit, err));
    RT_TRY(RT_NEW(&r.logprobs, rows->n_pairs, "scores", err));
    RT_TRY(RT_NEW(&r.greedy, rows->n_pairs, "scores", err));
    if (r.o->items != NULL) {
        RT_TRY(resume(&r, err));
    }
    out->reused = (int64_t)(r.done < rows->n ? r.done - r.done % CHUNK : rows->n);
    RT_TRY(compute(&r, err));
    out->docs = json_incref(rows->docs);
    describe(out, rows);
    RT_TRY(rt_task_result_fill(out, task, rows->questions, rows->n, rows->pairs, r.logprobs, r.greedy, err));
out:
    rt_task_rows_release(rows);
    rt_free(r.keys);
    rt_free(r.logprobs);
    rt_free(r.greedy);
    if (st != RT_OK) {
        rt_task_result_release(out);
    }
    return st;
}
