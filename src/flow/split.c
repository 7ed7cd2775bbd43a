/* The planner: measures the machine for a few seconds and splits the budget between collecting, training, the twin and
 * the audit. What it decides is written to run.json before anything acts on it. */
#include <math.h>
#include <string.h>

#include "flow/measure.h"
#include "flow/state.h"

/* Share of the budget kept back, because the machine may be slower later than while it was measured. */
#define RESERVE 0.08
/* Opening, hashing, tokenising, cutting, exporting, writing the report: measured 12 to 16 s for a 135 M teacher. */
#define FIXED_SECONDS 22.0
/* Tokens one multiple-choice item costs, four endings with their context. */
#define TOKENS_PER_ITEM 420.0
/* The update and the reading of batches, on top of forward and backward. */
#define STEP_OVERHEAD 1.12

json_t *rt_split_json(const rt_split *s)
{
    return json_pack("{s:f, s:f, s:I, s:f, s:I, s:I, s:I}", "teacher_tokens_per_s", s->teacher_tokens_per_s, "step_tokens_per_s",
                     s->step_tokens_per_s, "collect_tokens", (json_int_t)s->collect_tokens, "train_seconds", s->train_seconds,
                     "train_tokens", (json_int_t)s->train_tokens, "audit_tokens", (json_int_t)s->audit_tokens, "audit_limit",
                     (json_int_t)s->audit_limit);
}

bool rt_split_parse(const json_t *o, rt_split *out)
{
    if (!json_is_object(o) || !json_is_integer(json_object_get(o, "collect_tokens"))) {
        return false;
    }
    *out = (rt_split){
        .teacher_tokens_per_s = rt_json_f64(o, "teacher_tokens_per_s", 0), .step_tokens_per_s = rt_json_f64(o, "step_tokens_per_s", 0),
        .collect_tokens = rt_json_i64(o, "collect_tokens", 0), .train_seconds = rt_json_f64(o, "train_seconds", 0),
        .train_tokens = rt_json_i64(o, "train_tokens", 0), .audit_tokens = rt_json_i64(o, "audit_tokens", 0),
        .audit_limit = rt_json_i64(o, "audit_limit", 0),
    };
    return true;
}

/* Seconds the audit takes: teacher, exported student, cut and twin over the held-out text and the tasks' items. */
static double audit_seconds(const rt_run_recipe *r, const rt_split *s, double student_share)
{
    const double models = 1.0 + student_share * (r->twin ? 3.0 : 2.0);
    const double tokens = (double)s->audit_tokens + TOKENS_PER_ITEM * (double)(s->audit_limit * (int64_t)r->n_tasks);
    return models * tokens / s->teacher_tokens_per_s;
}

static void split_budget(const rt_run_recipe *r, rt_split *s, double spent, double student_share)
{
    const double usable = r->budget * (1.0 - RESERVE) - spent - FIXED_SECONDS;
    const double students = r->twin ? 2.0 : 1.0;
    const double per_step_token = STEP_OVERHEAD / s->step_tokens_per_s;
    while (audit_seconds(r, s, student_share) > 0.25 * usable && (s->audit_limit > 20 || s->audit_tokens > 4000)) {
        s->audit_limit = s->audit_limit > 20 ? s->audit_limit * 3 / 4 : s->audit_limit;
        s->audit_tokens = s->audit_tokens > 4000 ? s->audit_tokens * 3 / 4 : s->audit_tokens;
    }
    const double left = fmax(usable - audit_seconds(r, s, student_share), 0.2 * r->budget);
    const double per_token = 1.0 / s->teacher_tokens_per_s + students * per_step_token;
    if (s->collect_tokens == 0) {
        s->collect_tokens = (int64_t)(left / per_token);
    }
    if (r->tokens > 0) {
        s->train_tokens = r->tokens;
    } else {
        s->train_seconds = fmax(left - (double)s->collect_tokens / s->teacher_tokens_per_s, 0.1 * left) / students;
    }
}

rt_status rt_flow_split(rt_flow *f, rt_err *err)
{
    const rt_run_recipe *r = &f->recipe;
    rt_status st = RT_OK;
    rt_pace pace = {0};
    json_t *kept = NULL;
    if (f->manifest.root != NULL && rt_split_parse(rt_manifest_get(&f->manifest, "plan"), &f->split)) {
        return RT_OK;
    }
    RT_TRY(rt_flow_need_teacher(f, err));
    const int layers = r->n_keep > 0 ? r->n_keep : r->layers;
    if (layers > f->teacher->hp.n_layer) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'student.layers' is %d, the teacher has %lld", layers, (long long)f->teacher->hp.n_layer);
    }
    const int64_t rows = r->batch_tokens < 2048 ? r->batch_tokens : 2048;
    rt_log(RT_LOG_INFO, "plan: measuring this machine");
    RT_TRY(rt_pace_measure(&pace, f->teacher, layers, rows, r->sequence < rows ? r->sequence : rows, err));
    f->split = (rt_split){.teacher_tokens_per_s = pace.teacher_tokens_per_s, .step_tokens_per_s = pace.step_tokens_per_s,
                          .collect_tokens = r->collect_tokens, .train_tokens = r->tokens, .audit_tokens = r->audit_tokens,
                          .audit_limit = r->audit_limit};
    if (r->budget > 0) {
        split_budget(r, &f->split, pace.seconds, (double)layers / (double)f->teacher->hp.n_layer);
    }
    rt_log(RT_LOG_INFO, "plan: teacher %.0f tokens/s, training %.0f tokens/s", pace.teacher_tokens_per_s, pace.step_tokens_per_s);
    if (f->manifest.root != NULL) {
        kept = rt_split_json(&f->split);
        RT_TRY(rt_manifest_set(&f->manifest, "plan", kept, err));
        RT_TRY(rt_manifest_save(&f->manifest, err));
    }
out:
    json_decref(kept);
    return st;
}
