/* The planner: measures the machine for a few seconds and splits the budget between collecting, training, the twin and
 * the audit. What it decides is written to run.json before anything acts on it. */
#include <math.h>
#include <string.h>

#include "flow/asked.h"
#include "flow/inputs.h"
#include "flow/measure.h"
#include "flow/own_text.h"
#include "teacher/answer_file.h"

/* Share of the budget kept back, because the machine may be slower later than while it was measured. */
#define RESERVE 0.08
/* Opening, hashing, tokenising, cutting; then exporting and the report: measured 12 to 16 s for a 135 M teacher. */
#define EARLY_SECONDS 10.0
#define LATE_SECONDS 12.0
/* Tokens one multiple-choice item costs, four endings with their context. */
#define TOKENS_PER_ITEM 420.0
/* The update and the reading of batches, on top of forward and backward. */
#define STEP_OVERHEAD 1.12

/* --- kept in run.json -------------------------------------------------------------------------------------------- */

json_t *rt_split_json(const rt_split *s)
{
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:I, s:f, s:I, s:b, s:I, s:I, s:f, s:I, s:f, s:f, s:f}", "inputs",
                     s->inputs, "teacher_tokens_per_s", s->teacher_tokens_per_s, "step_tokens_per_s",
                     s->step_tokens_per_s, "measured_seconds", s->measured_seconds, "student_share", s->student_share,
                     "collect_tokens", (json_int_t)s->collect_tokens, "train_seconds", s->train_seconds, "train_tokens",
                     (json_int_t)s->train_tokens, "settled", (int)s->settled, "audit_tokens",
                     (json_int_t)s->audit_tokens, "audit_limit", (json_int_t)s->audit_limit, "write_tokens_per_s",
                     s->write_tokens_per_s, "prompts", (json_int_t)s->prompts, "answer_seconds", s->answer_seconds,
                     "held_out_seconds", s->held_out_seconds, "own_token_seconds", s->own_token_seconds);
}

bool rt_split_parse(const json_t *o, rt_split *out)
{
    if (!json_is_object(o) || !json_is_integer(json_object_get(o, "collect_tokens"))) {
        return false;
    }
    *out = (rt_split){
        .teacher_tokens_per_s = rt_json_f64(o, "teacher_tokens_per_s", 0),
        .step_tokens_per_s = rt_json_f64(o, "step_tokens_per_s", 0),
        .measured_seconds = rt_json_f64(o, "measured_seconds", 0),
        .student_share = rt_json_f64(o, "student_share", 0),
        .collect_tokens = rt_json_i64(o, "collect_tokens", 0),
        .train_seconds = rt_json_f64(o, "train_seconds", 0),
        .train_tokens = rt_json_i64(o, "train_tokens", 0),
        .settled = rt_json_bool(o, "settled", false),
        .audit_tokens = rt_json_i64(o, "audit_tokens", 0),
        .audit_limit = rt_json_i64(o, "audit_limit", 0),
        .write_tokens_per_s = rt_json_f64(o, "write_tokens_per_s", 0),
        .prompts = rt_json_i64(o, "prompts", 0),
        .answer_seconds = rt_json_f64(o, "answer_seconds", 0),
        .held_out_seconds = rt_json_f64(o, "held_out_seconds", 0),
        .own_token_seconds = rt_json_f64(o, "own_token_seconds", 0),
    };
    snprintf(out->inputs, sizeof out->inputs, "%s", rt_json_str(o, "inputs", ""));
    return true;
}

static rt_status keep(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *plan = NULL;
    if (f->manifest.root == NULL) {
        return RT_OK;
    }
    plan = rt_split_json(&f->split);
    if (plan == NULL) {
        RT_FAIL_OUT(err, RT_NUMERIC, 0, "the plan has a value that is no number");
    }
    RT_TRY(rt_manifest_set(&f->manifest, "plan", plan, err));
    RT_TRY(rt_manifest_save(&f->manifest, err));
out:
    json_decref(plan);
    return st;
}

/* --- dividing ---------------------------------------------------------------------------------------------------- */

static double usable_seconds(const rt_run_recipe *r, const rt_split *s)
{
    return r->budget * (1.0 - RESERVE) - s->measured_seconds - LATE_SECONDS;
}

/* Seconds the audit takes: teacher, exported student, cut and twin over the held-out text and the tasks' items; further
 * exports over the text alone. */
static double audit_seconds(const rt_run_recipe *r, const rt_split *s)
{
    const double models = 1.0 + s->student_share * (r->twin ? 3.0 : 2.0);
    const double texts = models + s->student_share * (double)(r->n_exports - 1);
    const double items = TOKENS_PER_ITEM * (double)(s->audit_limit * (int64_t)r->n_tasks);
    return (texts * (double)s->audit_tokens + models * items) / s->teacher_tokens_per_s + models * s->held_out_seconds;
}

/* The audit as the recipe wants it, made smaller until it takes no more than a quarter of the budget. */
static void fit_audit(const rt_run_recipe *r, rt_split *s)
{
    s->audit_tokens = r->audit_tokens;
    s->audit_limit = r->audit_limit;
    while (r->budget > 0 && audit_seconds(r, s) > 0.25 * usable_seconds(r, s) &&
           (s->audit_limit > 20 || s->audit_tokens > 4000)) {
        s->audit_limit = s->audit_limit > 20 ? s->audit_limit * 3 / 4 : s->audit_limit;
        s->audit_tokens = s->audit_tokens > 4000 ? s->audit_tokens * 3 / 4 : s->audit_tokens;
    }
}

double rt_split_train_token(const rt_run_recipe *r, const rt_split *s)
{
    bool along = false; /* a term between layers that does not fade: the teacher runs beside every step */
    for (int i = 0; i < r->n_losses; i++) {
        along = along || (r->losses[i].layers && (r->losses[i].over == 0 || r->losses[i].to > 0));
    }
    return 1.0 / s->step_tokens_per_s + (along ? 1.0 / s->teacher_tokens_per_s : 0.0);
}

/* Seconds a token of the student's training and of its twin's. */
static double both_token(const rt_run_recipe *r, const rt_split *s)
{
    return rt_split_train_token(r, s) + (r->twin ? 1.0 / s->step_tokens_per_s : 0.0);
}

/* Seconds for training the student when `spent` went to everything before it; its twin sees as many tokens. */
static double train_seconds(const rt_run_recipe *r, const rt_split *s, double spent)
{
    const double left = usable_seconds(r, s) - audit_seconds(r, s) - spent;
    return fmax(left, 0.1 * r->budget) * rt_split_train_token(r, s) / both_token(r, s);
}

/* As many tokens as can be both collected and trained on; fewer where the texts have fewer. */
static rt_status choose_collection(rt_flow *f, rt_err *err)
{
    const rt_run_recipe *r = &f->recipe;
    rt_split *s = &f->split;
    if (s->collect_tokens == 0) {
        const double per_token = 1.0 / s->teacher_tokens_per_s + STEP_OVERHEAD * both_token(r, s);
        const double left = usable_seconds(r, s) - EARLY_SECONDS - s->answer_seconds - audit_seconds(r, s);
        s->collect_tokens = (int64_t)(fmax(left, 0.2 * r->budget) / per_token) + 1;
    }
    if (rt_flow_has_prompts(f)) { /* how much text they give is not known yet */
        return RT_OK;
    }
    const rt_status st = rt_flow_need_texts(f, err);
    if (st == RT_OK && (int64_t)f->text.ids.n < s->collect_tokens) {
        s->collect_tokens = (int64_t)f->text.ids.n;
        rt_flow_drop_texts(f);
    }
    return st;
}

static rt_status split_budget(rt_flow *f, rt_err *err)
{
    rt_split *s = &f->split;
    const rt_status st = choose_collection(f, err);
    if (st == RT_OK && f->recipe.tokens == 0) {
        const double collect = (double)s->collect_tokens / s->teacher_tokens_per_s;
        s->train_seconds = train_seconds(&f->recipe, s, EARLY_SECONDS + s->answer_seconds + collect);
    }
    return st;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* The teacher may write for so much of a budget. */
#define ANSWER_SHARE 0.4

/* Seconds for the answers to all prompts; with a budget so few prompts that they fit into their share. */
static rt_status plan_answers(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *r = &f->recipe;
    rt_split *s = &f->split;
    rt_asked a = {0};
    int64_t tokens, longest;
    RT_TRY(rt_flow_need_tokenizer(f, err));
    RT_TRY(rt_asked_read(&a, f, err));
    RT_TRY(rt_asked_tokens(&a, f->tokenizer, &tokens, &longest, err));
    const double n = (double)a.prompts.n;
    RT_TRY(rt_pace_writing(&s->write_tokens_per_s, &s->measured_seconds, f->teacher, RT_ANSWER_BATCH,
                           tokens / (int64_t)a.prompts.n, err));
    rt_log(RT_LOG_INFO, "plan: the teacher writes %.0f tokens/s", s->write_tokens_per_s);
    /* a prompt is read once for all its answers */
    const double read = (double)tokens / n / s->teacher_tokens_per_s;
    const double written = (double)r->new_tokens / s->write_tokens_per_s;
    const double one = read + r->answers * written;
    const double share = ANSWER_SHARE * usable_seconds(r, s);
    if (r->budget > 0 && n * one > share) {
        s->prompts = share > one ? (int64_t)(share / one) : 1;
        rt_log(RT_LOG_INFO, "plan: the budget lets %lld of %zu prompts be answered", (long long)s->prompts,
               a.prompts.n);
    }
    s->held_out_seconds = (double)a.held_out.n * (read + written);
    s->answer_seconds = one * (s->prompts > 0 ? (double)s->prompts : n);
out:
    rt_asked_release(&a);
    return st;
}

static rt_status measure(rt_flow *f, const rt_model *student, rt_err *err)
{
    const rt_run_recipe *r = &f->recipe;
    rt_pace pace = {0};
    const int64_t rows = r->batch_tokens < 2048 ? r->batch_tokens : 2048;
    rt_log(RT_LOG_INFO, "plan: measuring this machine");
    const rt_status st =
        rt_pace_measure(&pace, f->teacher, student, rows, r->sequence < rows ? r->sequence : rows, err);
    if (st != RT_OK) {
        return st;
    }
    f->split.teacher_tokens_per_s = pace.teacher_tokens_per_s;
    f->split.step_tokens_per_s = pace.step_tokens_per_s;
    f->split.measured_seconds = pace.seconds;
    rt_log(RT_LOG_INFO, "plan: teacher %.0f tokens/s, training %.0f tokens/s", pace.teacher_tokens_per_s,
           pace.step_tokens_per_s);
    return RT_OK;
}

/* The student writes its share, the teacher reads everything, and then it is a step like others. */
static rt_status measure_own_text(rt_flow *f, const rt_model *student, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_on_policy_options *o = &f->recipe.own_text.own;
    rt_split *s = &f->split;
    const double text = (double)(o->prompt_tokens + o->new_tokens);
    const double texts = o->fraction * (double)f->recipe.batch_tokens / text;
    const int together = texts < 1 ? 1 : texts > RT_ANSWER_BATCH ? RT_ANSWER_BATCH : (int)texts;
    double rate;
    RT_TRY(rt_pace_outline_writing(&rate, &s->measured_seconds, student, f->teacher, together, o->prompt_tokens, err));
    const double written = o->fraction * (double)o->new_tokens / text / (double)o->refresh;
    s->own_token_seconds = STEP_OVERHEAD / s->step_tokens_per_s + 1 / s->teacher_tokens_per_s + written / rate;
    rt_log(RT_LOG_INFO, "plan: the student writes %.0f tokens/s", rate);
out:
    return st;
}

/* What the recipe asks of this teacher must be possible before any time is spent. */
static rt_status check_shapes(const rt_flow *f, rt_err *err)
{
    const rt_run_recipe *r = &f->recipe;
    const rt_model *t = f->teacher;
    const char *const files[] = {r->ranking, r->importance}, *const keys[] = {"ranking", "importance"};
    for (int i = 0; i < 2; i++) {
        if (files[i] != NULL && !rt_path_exists(files[i])) {
            return rt_fail(err, RT_RECIPE, 0,
                           "'student.%s' names '%s', which does not exist; leave it out to measure now", keys[i],
                           files[i]);
        }
    }
    if (r->sequence > t->rope_rows) {
        return rt_fail(err, RT_RECIPE, 0, "'train.sequence' is %lld, the teacher's context is %lld",
                       (long long)r->sequence, (long long)t->rope_rows);
    }
    return RT_OK;
}

static bool take_kept(rt_flow *f, const char *inputs)
{
    rt_split kept;
    if (f->manifest.root == NULL || !rt_split_parse(rt_manifest_get(&f->manifest, "plan"), &kept)) {
        return false;
    }
    if (strcmp(kept.inputs, inputs) != 0) {
        rt_log(RT_LOG_INFO, "plan: made for another recipe, made anew");
        return false;
    }
    f->split = kept;
    return true;
}

rt_status rt_flow_split(rt_flow *f, rt_err *err)
{
    const rt_run_recipe *r = &f->recipe;
    rt_status st = RT_OK;
    char inputs[65];
    rt_model *student = NULL;
    RT_TRY(rt_inputs_digest("", "plan", rt_inputs_plan(f), inputs, err));
    if (take_kept(f, inputs)) {
        fit_audit(r, &f->split);
        return keep(f, err);
    }
    RT_TRY(rt_flow_need_teacher(f, err));
    RT_TRY(check_shapes(f, err));
    RT_TRY(rt_flow_outline(f, &student, err));
    f->split = (rt_split){.collect_tokens = r->collect_tokens,
                          .train_tokens = r->tokens,
                          .student_share = rt_model_flops_per_token(student) / rt_model_flops_per_token(f->teacher)};
    memcpy(f->split.inputs, inputs, sizeof inputs);
    /* a dry run tells the time of a recipe without a budget too */
    if (r->budget > 0 || f->manifest.root == NULL) {
        RT_TRY(measure(f, student, err));
        RT_TRY(rt_flow_has_prompts(f) && !rt_flow_is_served(f) ? plan_answers(f, err) : RT_OK);
        RT_TRY(rt_flow_writes(f) ? measure_own_text(f, student, err) : RT_OK);
    }
    fit_audit(r, &f->split);
    if (r->budget > 0) {
        RT_TRY(split_budget(f, err));
    }
    RT_TRY(keep(f, err));
out:
    rt_model_close(student);
    return st;
}

rt_status rt_flow_settle(rt_flow *f, rt_err *err)
{
    static const char *const before[] = {"answers", "filter", "collect", "init"};
    rt_split *s = &f->split;
    double spent = 0;
    if (s->settled || s->train_seconds == 0) {
        return RT_OK;
    }
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        spent += rt_json_f64(rt_manifest_find(&f->manifest, before[i]), "active_s", 0);
    }
    s->train_seconds = train_seconds(&f->recipe, s, spent);
    s->settled = true;
    rt_log(RT_LOG_INFO, "plan: %.0f s went to what comes before, training gets %.0f s", spent, s->train_seconds);
    return keep(f, err);
}
