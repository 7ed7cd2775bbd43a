/* audit_answers.c - held-out rows answered, scored and compared. */
#include "flow/audit_answers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/gap.h"
#include "audit/task_match.h"
#include "flow/asked.h"

enum { EXAMPLES = 6 };

static const char constant_id[] = "constant";

rt_status rt_answer_audit_open(rt_answer_audit *a, rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    a->f = f;
    if (f->recipe.n_held_out == 0) {
        return RT_OK;
    }
    RT_TRY(rt_task_open(&a->task, f->recipe.task, err));
    RT_TRY(rt_flow_path_to(f, RT_ANSWERS_HELD_OUT, &a->data, err));
    RT_TRY(rt_task_run_constant(&a->result[0], a->task, a->data, 0, err));
    a->id[0] = constant_id;
    a->label[0] = "best constant answer";
    a->n = 1;
out:
    return st;
}

rt_status rt_answer_audit_model(rt_answer_audit *a, const rt_model *m, const char *id, const char *label, json_t *tasks,
                                rt_err *err)
{
    rt_status st = RT_OK;
    char name[96], *path = NULL;
    if (a->task == NULL) {
        return RT_OK;
    }
    RT_BUG_IF(a->n == RT_ANSWER_MODELS);
    rt_task_result *r = &a->result[a->n];
    rt_log(RT_LOG_INFO, "audit: held-out rows on %s", label);
    RT_TRY(rt_task_run(r, a->task, m, a->f->tokenizer, a->data, &(rt_task_options){.max_new = a->f->recipe.new_tokens},
                       err));
    a->id[a->n] = id;
    a->label[a->n++] = label;
    snprintf(name, sizeof name, "audit/answers-%s.json", id);
    RT_TRY(rt_flow_path_to(a->f, name, &path, err));
    RT_TRY(rt_json_save(r->items, path, err));
    json_array_append_new(tasks, rt_task_json(r));
    rt_log(RT_LOG_INFO, "audit: %s: %s %.1f %%, the best constant answer %.1f %%", label, r->metrics[0].name,
           100 * r->metrics[0].value, 100 * a->result[0].metrics[0].value);
out:
    rt_free(path);
    return st;
}

/* --- beside each other -------------------------------------------------------------------------------------------- */

static const rt_task_result *result_of(const rt_answer_audit *a, const char *id)
{
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->id[i], id) == 0) {
            return &a->result[i];
        }
    }
    return NULL;
}

/* Every metric of one model beside those of another, judged together. */
static rt_status compare(const rt_answer_audit *a, size_t i, const char *other, json_t *into, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_task_result *base = result_of(a, other), *own = &a->result[i];
    rt_family family = {.name = "held_out", .table = "Held-out rows", .model = a->id[i], .reference = other};
    if (base == NULL || base == own) {
        return RT_OK;
    }
    for (size_t k = 0; k < own->n_metrics; k++) {
        /* the constant answer is what guessing is worth, by each metric: of itself there is nothing to keep */
        const double chance = base == &a->result[0] ? NAN : a->result[0].metrics[k].value;
        const rt_gap_options o = {
            .margin = RT_GAP_MARGIN, .seed = a->f->recipe.seed, .metric = own->metrics[k].name, .chance = &chance};
        RT_TRY(rt_gap_add(&family, base, own, &o, err));
    }
    RT_TRY(rt_family_conclude(&family, err));
    json_object_set_new(into, other, rt_family_json(&family));
out:
    rt_family_release(&family);
    return st;
}

static rt_status put_model(const rt_answer_audit *a, size_t i, json_t *models, rt_err *err)
{
    rt_status st = RT_OK;
    static const char *const others[] = {"teacher", constant_id, "twin"};
    json_t *task = rt_task_json(&a->result[i]), *beside = json_object();
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
        RT_TRY(compare(a, i, others[k], beside, err));
    }
    json_array_append_new(models, json_pack("{s:s, s:s, s:O, s:O}", "id", a->id[i], "label", a->label[i], "metrics",
                                            json_object_get(task, "metrics"), "beside", beside));
out:
    json_decref(task);
    json_decref(beside);
    return st;
}

/* --- examples ----------------------------------------------------------------------------------------------------- */

static rt_status put_example(const rt_answer_audit *a, const rt_prompt_row *p, size_t at, json_t *examples, rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_message turns[RT_PROMPT_TURNS];
    rt_str gold = {0};
    json_t *outputs = json_object();
    if (rt_task_hides(a->task, p->row)) { /* that it was asked is no secret; its texts are nobody's example */
        json_array_append_new(examples, json_pack("{s:b, s:O}", "harmful", 1, "outputs", outputs));
        goto out;
    }
    const size_t n = rt_prompt_turns(p, turns);
    RT_TRY(rt_task_gold(&gold, a->task, p->row, err));
    for (size_t i = 1; i < a->n; i++) {
        json_object_set(outputs, a->id[i], json_object_get(json_array_get(a->result[i].items, at), "answer"));
    }
    json_array_append_new(examples, json_pack("{s:s, s:s, s:O}", "prompt", turns[n - 1].content, "gold",
                                              rt_str_cstr(&gold), "outputs", outputs));
out:
    json_decref(outputs);
    rt_str_release(&gold);
    return st;
}

/* Spread evenly, so that none is picked by hand. */
static rt_status put_examples(const rt_answer_audit *a, json_t *examples, rt_err *err)
{
    rt_status st = RT_OK;
    rt_prompts rows = {0};
    RT_TRY(rt_prompts_read(&rows, (const char *const *)&a->data, 1, err));
    const size_t n = rows.n < EXAMPLES ? rows.n : EXAMPLES;
    for (size_t i = 0; i < n; i++) {
        const size_t at = i * rows.n / n;
        RT_TRY(put_example(a, &rows.rows[at], at, examples, err));
    }
out:
    rt_prompts_release(&rows);
    return st;
}

rt_status rt_answer_audit_json(const rt_answer_audit *a, json_t **out, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *models = json_array(), *examples = json_array();
    *out = NULL;
    if (a->task == NULL) {
        goto out;
    }
    for (size_t i = 0; i < a->n; i++) {
        RT_TRY(put_model(a, i, models, err));
    }
    RT_TRY(put_examples(a, examples, err));
    *out = json_pack("{s:s, s:s, s:I, s:f, s:O, s:O}", "task", rt_task_name(a->task), "metric",
                     a->result[0].metrics[0].name, "n", (json_int_t)a->result[0].n, "margin", RT_GAP_MARGIN, "models",
                     models, "examples", examples);
    if (*out == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
out:
    json_decref(models);
    json_decref(examples);
    return st;
}

void rt_answer_audit_close(rt_answer_audit *a)
{
    rt_task_close(a->task);
    for (size_t i = 0; i < a->n; i++) {
        rt_task_result_release(&a->result[i]);
    }
    rt_free(a->data);
    *a = (rt_answer_audit){0};
}
