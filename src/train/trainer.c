/* trainer.c - the loop: decide, step, look, validate, save. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/run.h"

#define MISSING_SHARE 1e-3    /* of counted positions without a target: more is no accident */
#define NEGLIGIBLE_RATIO 1e-3 /* distillation gradient beside cross-entropy's */
#define NEGLIGIBLE_NORM 1e-8
#define NEGLIGIBLE_STEPS 50

/* --- one step --------------------------------------------------------------------------------------------------- */

/* A term that has faded to nothing need not teach anything. */
static bool distils_now(const rt_run *r)
{
    bool any = false;
    for (int i = 0; i < r->o.n_losses; i++) {
        const rt_train_loss *l = &r->o.losses[i];
        any = any || (rt_losses_distil(l, 1) && rt_train_loss_weight(l, r->n.step) > 0);
    }
    return any;
}

/* A distillation that does nothing looks like one that works: this is where it is found out. */
static rt_status look_for_nothing(rt_run *r, const rt_step_report *s, rt_err *err)
{
    if ((double)r->n.missing > MISSING_SHARE * (double)(r->n.rows + r->n.missing)) {
        return rt_fail(
            err, RT_INPUT, 0,
            "targets are missing at %lld of %lld counted positions by step %lld (more than 0.1 %%): the cache "
            "does not belong to this text, or is damaged",
            (long long)r->n.missing, (long long)(r->n.rows + r->n.missing), (long long)r->n.step + 1);
    }
    if (s->probed == 0 || !distils_now(r)) {
        return RT_OK;
    }
    bool negligible = s->kd_norm < NEGLIGIBLE_RATIO * s->ce_norm || s->kd_norm < NEGLIGIBLE_NORM;
    r->n.negligible = negligible ? r->n.negligible + 1 : 0;
    if (r->n.negligible >= NEGLIGIBLE_STEPS) {
        return rt_fail(err, RT_NUMERIC, 0,
                       "the distillation gradient has been negligible for %d steps (norm %.3g, cross-entropy's %.3g): "
                       "the student learns nothing from these targets",
                       NEGLIGIBLE_STEPS, s->kd_norm, s->ce_norm);
    }
    return RT_OK;
}

static rt_status look_at_numbers(const rt_run *r, const rt_step_report *s, double norm, rt_err *err)
{
    const char *what = !isfinite(s->loss) ? "loss" : !isfinite(norm) ? "gradient" : NULL;
    if (what) {
        return rt_fail(err, RT_NUMERIC, 0,
                       "the %s is not a finite number at step %lld: try a smaller lr; the last checkpoint is intact",
                       what, (long long)r->n.step + 1);
    }
    return RT_OK;
}

typedef struct step_line {
    rt_step_report s, retained;
    double norm, lr, seconds;
} step_line;

static rt_status write_line(rt_run *r, const step_line *l, rt_err *err)
{
    rt_metrics *m = &r->metrics;
    rt_metrics_begin(m, NULL);
    rt_metrics_int(m, "step", r->n.step + 1);
    rt_metrics_num(m, "loss", l->s.loss);
    rt_metrics_num(m, "loss_sum", l->s.loss_sum);
    if (l->s.probed) {
        rt_metrics_num(m, "kl", l->s.kl);
        rt_metrics_num(m, "kd_norm", l->s.kd_norm);
        rt_metrics_num(m, "ce_norm", l->s.ce_norm);
    }
    rt_metrics_num(m, "ce", l->s.ce);
    if (rt_losses_compare_states(r->o.losses, r->o.n_losses) || rt_losses_compare_layers(r->o.losses, r->o.n_losses)) {
        rt_metrics_num(m, "state", l->s.state);
    }
    if (l->retained.rows > 0) {
        rt_metrics_num(m, "retain_loss", l->retained.loss);
        rt_metrics_int(m, "retain_rows", l->retained.rows);
    }
    rt_metrics_num(m, "grad_norm", l->norm);
    rt_metrics_num(m, "lr", l->lr);
    rt_metrics_int(m, "tokens", l->s.tokens);
    rt_metrics_int(m, "rows", l->s.rows);
    rt_metrics_int(m, "missing", l->s.missing);
    rt_metrics_int(m, "total_tokens", r->n.tokens);
    rt_metrics_num(m, "seconds", l->seconds);
    rt_metrics_num(m, "tokens_per_s", (double)l->s.tokens / l->seconds);
    rt_metrics_num(m, "active", rt_run_active(r));
    return rt_metrics_end(m, err);
}

static rt_status one_step(rt_run *r, rt_step_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_source_batch batch;
    rt_source_cursor cursor = r->n.cursor, retained = r->n.retained;
    double t0 = rt_now();
    step_line line = {.lr = rt_schedule_lr(&r->plan.schedule, r->n.step)};
    RT_TRY(rt_run_write(r, err));
    RT_TRY(rt_source_next(r->source, &cursor, rt_run_corpus_tokens(r), &batch, err));
    if (r->o.scored) {
        rt_scored_add(r->o.scored, &batch);
    }
    rt_step_weigh(r->step, r->n.step);
    RT_TRY(rt_step_run(r->step, &batch, r->optim.grads, &line.s, err));
    if (r->retain != NULL) {
        RT_TRY(rt_retain_step(r->retain, r->n.step, &retained, r->optim.grads, &line.retained, err));
    }
    line.norm = rt_optim_norm(&r->optim);
    r->n.tokens += line.s.tokens;
    r->n.rows += line.s.rows;
    r->n.missing += line.s.missing;
    rt_status finite = look_at_numbers(r, &line.s, line.norm, err);
    if (finite == RT_OK) {
        RT_TRY(look_for_nothing(r, &line.s, err));
        rt_optim_update(&r->optim, line.lr, line.norm);
    }
    line.seconds = rt_now() - t0;
    rt_plan_observe(&r->plan, line.seconds);
    RT_TRY(write_line(r, &line, finite == RT_OK ? err : NULL));
    RT_TRY(finite);
    if (r->n.step == 0) {
        r->n.first_loss = line.s.loss;
    }
    r->n.last_loss = line.s.loss;
    r->n.cursor = cursor;
    r->n.retained = retained;
    r->n.step++;
    *report = line.s;
    rt_crash_point("train.step");
out:
    return st;
}

/* --- validation ------------------------------------------------------------------------------------------------- */

static bool watches(const rt_run *r)
{
    return r->o.retain != NULL && r->o.retain->look != NULL;
}

/* By the latest look; before the first one nobody knows of a loss. */
static bool retained(const rt_run *r)
{
    return !watches(r) || r->n.watched_step < 0 || r->n.holds;
}

/* While an alarm sounds nothing is saved. */
static bool is_candidate(const rt_run *r)
{
    return retained(r) && r->alarm == RT_ALARM_NONE;
}

static rt_status validate(rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_train_counts *n = &r->n;
    double t0 = rt_now();
    RT_TRY(r->o.validate(r->o.validate_ud, r->student, &n->last_kl, &n->last_top1, err));
    r->validation_took = rt_now() - t0;
    n->validated_step = n->step;
    if (!isfinite(n->last_kl)) {
        RT_FAIL_OUT(err, RT_NUMERIC, 0, "validation at step %lld gives a KL that is not a finite number",
                    (long long)n->step);
    }
    /* the start is shown for comparison but is no candidate: training is asked for, and its weights are not saved */
    const bool candidate = n->step > 0 && is_candidate(r);
    if (candidate && (n->best_step < 0 || n->last_kl < n->best_kl)) {
        n->best_step = n->step;
        n->best_kl = n->last_kl;
        n->best_top1 = n->last_top1;
        n->stale = 0;
    } else if (candidate) {
        n->stale++;
    }
    rt_metrics_begin(&r->metrics, "validation");
    rt_metrics_int(&r->metrics, "step", n->step);
    rt_metrics_int(&r->metrics, "total_tokens", n->tokens);
    rt_metrics_num(&r->metrics, "kl", n->last_kl);
    rt_metrics_num(&r->metrics, "top1", n->last_top1);
    rt_metrics_num(&r->metrics, "seconds", r->validation_took);
    rt_metrics_num(&r->metrics, "active", rt_run_active(r));
    RT_TRY(rt_metrics_end(&r->metrics, err));
out:
    return st;
}

static rt_status stop_now(rt_run *r, const char *why, rt_err *err)
{
    const rt_decision *d = rt_plan_stop(&r->plan, r->n.step, why, rt_run_active(r));
    return d ? rt_run_note_decision(r, d, err) : RT_OK;
}

static rt_status maybe_look(rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t passed = r->n.passed_step;
    if (rt_retain_is_due(r->retain, &r->n)) {
        RT_TRY(rt_retain_look(r->retain, r->student, &r->n, &r->metrics, err));
        r->n.passed_step = r->alarm == RT_ALARM_NONE ? r->n.passed_step : passed; /* these weights are not saved */
        RT_TRY(rt_retain_judge(r->retain, &r->n, false, err));
    }
out:
    return st;
}

static rt_status maybe_validate(rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    if (!r->o.validate || r->o.eval_every == 0 || r->n.step % r->o.eval_every != 0 ||
        r->n.validated_step == r->n.step) {
        return RT_OK;
    }
    RT_TRY(validate(r, err));
    if (r->o.patience > 0 && r->n.stale >= r->o.patience) {
        RT_TRY(stop_now(r, "early stop", err));
    }
out:
    return st;
}

/* --- checkpoints ------------------------------------------------------------------------------------------------ */

static bool checkpoint_due(const rt_run *r)
{
    const rt_train_options *o = &r->o;
    bool by_steps = o->checkpoint_steps > 0 && r->n.step % o->checkpoint_steps == 0;
    bool by_time = o->checkpoint_seconds > 0 && rt_now() - r->t_checkpoint >= o->checkpoint_seconds;
    bool best = r->n.best_step == r->n.step; /* the weights of the best validation must be on disk */
    bool passed = o->retain != NULL && o->retain->keep && r->n.passed_step == r->n.step;
    return (by_steps || by_time || best || passed) && r->saved_step != r->n.step && r->alarm == RT_ALARM_NONE;
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static rt_plan_clock clock_of(const rt_run *r)
{
    const rt_train_options *o = &r->o;
    double pace = rt_plan_pace(&r->plan), extra = 0;
    if (o->validate && o->eval_every > 0) {
        extra += (r->validation_took + r->checkpoint_took) / (double)o->eval_every;
    }
    if (o->checkpoint_steps > 0) {
        extra += r->checkpoint_took / (double)o->checkpoint_steps;
    } else if (o->checkpoint_seconds > 0) {
        extra += r->checkpoint_took * pace / o->checkpoint_seconds;
    }
    return (rt_plan_clock){
        .active = rt_run_active(r), .extra_per_step = extra, .reserve = r->checkpoint_took + r->validation_took};
}

/* Every decision is on disk before the step it governs. */
static rt_status settle_plan(rt_run *r, rt_err *err)
{
    rt_plan_clock clock = clock_of(r);
    for (const rt_decision *d; (d = rt_plan_before(&r->plan, r->n.step, &clock));) {
        rt_status st = rt_run_note_decision(r, d, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

static void show(rt_run *r, rt_progress *p, const rt_step_report *s)
{
    double pace = rt_plan_pace(&r->plan);
    int64_t total = r->plan.schedule.total;
    double done = total == RT_STEPS_UNKNOWN ? rt_run_active(r) : (double)r->n.step;
    double all = total == RT_STEPS_UNKNOWN ? r->o.budget : (double)total;
    char kl[32] = "";
    if (s->probed) {
        snprintf(kl, sizeof kl, ", KL %.3f", s->kl);
    }
    rt_progress_update(p, done, all, "step %lld, %.0f tokens/s, loss %.3f%s, %.2f GB", (long long)r->n.step,
                       pace > 0 ? (double)s->tokens / pace : 0, s->loss, kl,
                       (double)rt_mem_get_stats().live_bytes / 1e9);
}

static rt_status give_up_for_signal(rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    if (r->saved_step != r->n.step) {
        RT_TRY(rt_run_save(r, err));
    }
    RT_FAIL_OUT(err, RT_CANCELLED, 0, "interrupted after step %lld, saved: the same command goes on from there",
                (long long)r->n.step);
out:
    return st;
}

static rt_status loop(rt_run *r, rt_progress *p, rt_step_report *last, rt_err *err)
{
    rt_status st = RT_OK;
    if (r->o.validate && r->n.step == 0 && r->n.validated_step < 0) {
        RT_TRY(validate(r, err));
    }
    for (;;) {
        RT_TRY(settle_plan(r, err));
        if (rt_plan_done(&r->plan, r->n.step)) {
            break;
        }
        if (rt_interrupted()) {
            RT_TRY(give_up_for_signal(r, err));
        }
        st = one_step(r, last, err);
        if (st == RT_CANCELLED) { /* while the student was writing: nothing of the step has been done */
            RT_TRY(give_up_for_signal(r, err));
        }
        RT_TRY(st);
        show(r, p, last);
        RT_TRY(maybe_look(r, err));
        RT_TRY(maybe_validate(r, err));
        if (checkpoint_due(r) && !rt_plan_done(&r->plan, r->n.step)) {
            RT_TRY(rt_run_save(r, err));
        }
    }
out:
    return st;
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

static rt_status finish(rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    if (r->n.finished) {
        return RT_OK;
    }
    if (watches(r) && r->n.watched_step != r->n.step) {
        RT_TRY(rt_retain_look(r->retain, r->student, &r->n, &r->metrics, err));
    }
    if (r->o.validate && r->n.validated_step != r->n.step) {
        RT_TRY(validate(r, err));
    }
    r->n.finished = true;
    const rt_plan *p = &r->plan;
    snprintf(r->n.stopped, sizeof r->n.stopped, "%s", p->in_force ? p->list[p->in_force - 1].why : "");
    rt_metrics_begin(&r->metrics, "finished");
    rt_metrics_int(&r->metrics, "step", r->n.step);
    rt_metrics_int(&r->metrics, "total_tokens", r->n.tokens);
    rt_metrics_num(&r->metrics, "active", rt_run_active(r));
    rt_metrics_str(&r->metrics, "why", r->n.stopped);
    RT_TRY(rt_metrics_end(&r->metrics, err));
    RT_TRY(rt_run_save(r, err));
out:
    return st;
}

/* The step whose weights are left: the last one; the best validated where that is better; where the last one lost what
 * is to be retained, the last that had it. */
static int64_t step_of_choice(const rt_run *r)
{
    const rt_train_counts *n = &r->n;
    if (!retained(r)) {
        return n->passed_step;
    }
    return n->best_step >= 0 && n->best_kl < n->last_kl ? n->best_step : n->step;
}

static rt_status restore_weights(const rt_run *r, int64_t step, rt_err *err)
{
    char *path = rt_checkpoint_path(r->dir, step);
    if (!path) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the path of a checkpoint");
    }
    const rt_status st = rt_checkpoint_restore_weights(path, r->student, err);
    rt_free(path);
    return st;
}

/* What is reported as retained was found in the weights that are left, which no look need have seen yet. */
static rt_status choose_weights(rt_run *r, rt_train_result *out, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_train_counts *n = &r->n;
    int64_t step = step_of_choice(r);
    bool holds;
    if (step != n->step) {
        RT_TRY(restore_weights(r, step, err));
    }
    RT_TRY(rt_retain_look_again(r->retain, r->student, step, &r->metrics, &holds, err));
    if (!holds && retained(r) && step != n->step) {
        rt_log(RT_LOG_WARN, "the best validated weights, of step %lld, lost what is to be retained: the last are left",
               (long long)step);
        step = n->step;
        RT_TRY(restore_weights(r, step, err));
        RT_TRY(rt_retain_look_again(r->retain, r->student, step, &r->metrics, &holds, err));
    }
    out->weights_step = step;
    if (step == n->validated_step) {
        out->final_kl = n->last_kl;
        out->final_top1 = n->last_top1;
    } else if (step == n->best_step) {
        out->final_kl = n->best_kl;
        out->final_top1 = n->best_top1;
    }
out:
    return st;
}

/* The recent pace; the mean of the whole run where this call made too few steps to have one. */
static double tokens_per_s(const rt_run *r, const rt_step_report *last)
{
    double pace = rt_plan_pace(&r->plan);
    if (pace > 0) {
        return (double)last->tokens / pace;
    }
    return r->n.active > 0 ? (double)r->n.tokens / r->n.active : 0;
}

rt_status rt_train_run(rt_model *student, rt_source *source, const rt_model *teacher, const rt_train_options *o,
                       rt_train_result *result, rt_err *err)
{
    rt_status st = RT_OK;
    rt_run r = {0};
    rt_progress progress;
    *result = (rt_train_result){.final_kl = NAN, .final_top1 = NAN};
    RT_TRY(rt_run_open(&r, student, source, teacher, o, err));
    result->predicted_bytes = r.predicted_bytes;
    result->resumed = r.resumed;
    if (!r.n.finished) {
        rt_progress_begin(&progress, "train");
        st = loop(&r, &progress, &result->last, err);
        r.n.active = rt_run_active(&r);
        rt_progress_end(&progress, "%lld steps, %lld tokens, loss %.3f, %.0f s", (long long)r.n.step,
                        (long long)r.n.tokens, r.n.last_loss, rt_run_active(&r));
        RT_TRY(st);
    }
    RT_TRY(finish(&r, err));
    if (o->scored) {
        RT_TRY(rt_scored_finish(o->scored, &result->ledger, err));
    }
    RT_TRY(rt_retain_judge(r.retain, &r.n, true, err));
    RT_TRY(choose_weights(&r, result, err));
    result->tokens_per_s = tokens_per_s(&r, &result->last);
out:
    result->counts = r.n;
    result->comparable = !r.n.mixed;
    rt_run_release(&r);
    return st;
}
