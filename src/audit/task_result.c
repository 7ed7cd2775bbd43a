/* task_result.c - items and results as JSON. */
#include "audit/task_result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/task_constant.h"
#include "audit/task_kin.h"
#include "format/json.h"

/* --- an item --------------------------------------------------------------------------------------------------------
 */

static void set(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value);
}

static json_t *picks_json(const rt_task *t, const rt_task_item *item, const rt_outcome *o, const rt_task_metric *list,
                          size_t n)
{
    json_t *picks = NULL;
    for (size_t k = 0; k < n; k++) {
        const int64_t pick = strncmp(list[k].name, "acc", 3) == 0 && strncmp(list[k].name, "accuracy", 8) != 0
                                 ? rt_score_pick(t, item, o, list[k].name)
                                 : -1;
        if (pick >= 0) {
            picks = picks != NULL ? picks : json_object();
            set(picks, list[k].name, json_integer((json_int_t)pick));
        }
    }
    return picks;
}

static void set_requests(json_t *line, const rt_task_question *q, const rt_outcome *o, const rt_task_pair *pairs)
{
    json_t *logprobs = json_array(), *tokens = json_array(), *greedy = json_array();
    for (size_t i = 0; i < o->n; i++) {
        json_array_append_new(logprobs, json_real(o->logprobs[i]));
        json_array_append_new(tokens, json_integer((json_int_t)pairs[q->first + i].n));
        json_array_append_new(greedy, json_boolean(o->greedy[i]));
    }
    set(line, "loglikelihoods", logprobs);
    set(line, "n_tokens", tokens);
    set(line, "is_greedy", greedy);
}

/* Whether the model refused, and a hash that tells two answers apart; never the answer. */
static void set_refusal(json_t *line, const rt_task_question *q)
{
    set(line, "harmful", json_boolean(q->item.gold == 1));
    set(line, "refused", json_pack("{s:b, s:b}", "prefix", (int)q->refusal.prefix, "phrase", (int)q->refusal.phrase));
    set(line, "answer_sha256", json_string(q->answer_sha256));
}

/* How long it was and a hash, to tell two answers apart; what it was worth stands in the metrics. */
static void set_secret(json_t *line, const rt_task_question *q)
{
    char hash[65];
    rt_digest_hex(rt_sha256_of(q->answer.p, q->answer.n), hash);
    set(line, "harmful", json_true());
    set(line, "answer_sha256", json_string(q->judged != NULL ? q->answer_sha256 : hash));
    set(line, "answer_bytes", json_integer(q->judged != NULL ? q->answer_bytes : (json_int_t)q->answer.n));
}

static json_t *line_json(const rt_task *t, const rt_task_question *q, const rt_outcome *o, const rt_task_pair *pairs,
                         const rt_task_metric *list, size_t n, const double *values)
{
    json_t *line = json_pack("{s:s}", "id", q->item.id), *metrics = json_object();
    if (q->item.group != NULL) {
        set(line, "group", json_string(q->item.group));
    }
    if (q->item.category != NULL) {
        set(line, "category", json_string(q->item.category));
    }
    if (t->scoring == RT_SCORING_GENERATE && q->item.secret) {
        set_secret(line, q);
    } else if (t->scoring == RT_SCORING_GENERATE) {
        set(line, "answer", json_stringn(q->answer.p, q->answer.n));
    } else {
        set_requests(line, q, o, pairs);
    }
    if (q->item.side >= 0) {
        set(line, "side", json_integer(q->item.side));
    }
    if (t->scoring == RT_SCORING_REFUSAL) {
        set_refusal(line, q);
    }
    if (t->scoring == RT_SCORING_CHOICE || t->scoring == RT_SCORING_BBQ) {
        /* Of several right ones none is the one that the model should be sure of. */
        set(line, "gold", json_integer(__builtin_popcountll(q->item.right) == 1 ? (json_int_t)q->item.gold : -1));
        set(line, "picks", picks_json(t, &q->item, o, list, n));
    }
    for (size_t k = 0; k < n; k++) {
        set(metrics, list[k].name, rt_number_json(values[k]));
    }
    set(line, "metrics", metrics);
    return line;
}

rt_status rt_task_result_items(json_t **out, const rt_task *t, const rt_task_question *questions, size_t n,
                               const rt_task_pair *pairs, const double *logprobs, const bool *greedy, double *values,
                               rt_err *err)
{
    rt_status st = RT_OK;
    rt_task_metric list[RT_TASK_METRICS];
    rt_task_kin kin = {0};
    const size_t n_metrics = rt_score_metrics(t, list);
    *out = json_array();
    for (size_t i = 0; i < n; i++) {
        const rt_task_question *q = &questions[i];
        const rt_outcome o = {logprobs + q->first, greedy + q->first, q->n, q->answer, q->refusal};
        double own[RT_TASK_METRICS] = {0};
        if (q->judged != NULL) {
            memcpy(own, q->judged, sizeof own);
        } else {
            RT_TRY(rt_score_item(own, t, &q->item, &o, err));
        }
        RT_TRY(rt_task_kin_look(&kin, t, &q->item, rt_score_pick(t, &q->item, &o, "acc"), own, err));
        if (values != NULL) {
            memcpy(values + i * RT_TASK_METRICS, own, sizeof own);
        }
        if (json_array_append_new(*out, line_json(t, q, &o, pairs, list, n_metrics, own)) != 0) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the results of %zu questions", n);
        }
    }
out:
    rt_task_kin_release(&kin);
    return st;
}

/* --- all of them ----------------------------------------------------------------------------------------------------
 */

/* A context shared by the choices counts once. */
static int64_t tokens_of(const rt_task_question *q, const rt_task_pair *pairs)
{
    int64_t n = 0;
    for (size_t i = 0; i < q->n; i++) {
        const rt_task_pair *p = &pairs[q->first + i];
        const bool shared = i > 0 && p->context == p[-1].context && p->n_context == p[-1].n_context;
        n += (int64_t)p->n + (shared ? 0 : (int64_t)p->n_context);
    }
    return n;
}

rt_status rt_task_result_fill(rt_task_result *out, const rt_task *t, const rt_task_question *questions, size_t n,
                              const rt_task_pair *pairs, const double *logprobs, const bool *greedy, rt_err *err)
{
    rt_status st = RT_OK;
    double *values = NULL;
    const rt_task_item **items = NULL;
    RT_TRY(RT_NEW(&values, n * RT_TASK_METRICS, "values of items", err));
    RT_TRY(RT_NEW(&items, n, "items", err));
    snprintf(out->task, sizeof out->task, "%s", t->name);
    snprintf(out->version, sizeof out->version, "%s", t->version);
    snprintf(out->skill, sizeof out->skill, "%s", t->skill);
    RT_TRY(rt_task_result_items(&out->items, t, questions, n, pairs, logprobs, greedy, values, err));
    for (size_t i = 0; i < n; i++) {
        items[i] = &questions[i].item;
        out->tokens += tokens_of(&questions[i], pairs);
        out->chance += rt_score_chance(t, items[i]) / (double)n;
    }
    if (t->chat) {
        size_t best = 0;
        RT_TRY(rt_task_constant(&best, &out->chance, t, questions, n, err));
    }
    out->n = (int64_t)n;
    out->n_metrics = rt_score_metrics(t, out->metrics);
    RT_TRY(rt_score_means(out->metrics, out->n_metrics, t, values, items, n, err));
    RT_TRY(rt_calibration_of_items(&out->calibration, out->items, err));
out:
    rt_free(values);
    rt_free(items);
    return st;
}

void rt_task_result_release(rt_task_result *r)
{
    json_decref(r->items);
    json_decref(r->docs);
    *r = (rt_task_result){0};
}

const rt_task_metric *rt_task_result_metric(const rt_task_result *r, const char *name)
{
    for (size_t k = 0; k < r->n_metrics; k++) {
        if (strcmp(r->metrics[k].name, name) == 0) {
            return &r->metrics[k];
        }
    }
    return NULL;
}

json_t *rt_task_json(const rt_task_result *r)
{
    json_t *all = json_object();
    json_t *j = json_pack("{s:s, s:s, s:I, s:o, s:o}", "task", r->task, "version", r->version, "n", (json_int_t)r->n,
                          "chance", rt_number_json(r->chance), "metrics", all);
    for (size_t k = 0; k < r->n_metrics; k++) {
        const rt_task_metric *m = &r->metrics[k];
        set(all, m->name,
            json_pack("{s:o, s:o, s:I, s:b}", "value", rt_number_json(m->value), "stderr", rt_number_json(m->stderr_),
                      "n", (json_int_t)m->n, "higher_is_better", (int)m->higher_is_better));
    }
    const rt_task_metric *acc = rt_task_result_metric(r, "acc"), *norm = rt_task_result_metric(r, "acc_norm");
    if (acc != NULL) {
        set(j, "acc", rt_number_json(acc->value));
        set(j, "acc_norm", rt_number_json(norm != NULL ? norm->value : NAN));
        set(j, "stderr", rt_number_json(acc->stderr_));
        set(j, "acc_norm_stderr", rt_number_json(norm != NULL ? norm->stderr_ : NAN));
    }
    if (r->calibration.n > 0) {
        set(j, "calibration", rt_calibration_json(&r->calibration));
    }
    return j;
}
