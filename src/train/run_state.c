/* run_state.c - what a run leaves in its directory, and how the next call takes it up. */
#include <math.h>
#include <string.h>

#include "train/run.h"

/* --- finding ---------------------------------------------------------------------------------------------------- */

/* The run's own newest checkpoint that can be read: two are kept so that damage to one costs steps, not the run. When
 * none can, the newest one's failure is reported. */
static rt_status choose_own(rt_prior *p, const rt_run *r, rt_err *err)
{
    rt_err first = {0}, why = {0};
    rt_status st = RT_OK, failed = RT_OK;
    for (int64_t step = INT64_MAX; (step = rt_checkpoint_before(r->dir, step)) >= 0;) {
        char *path = rt_checkpoint_path(r->dir, step);
        if (!path) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for the path of a checkpoint");
        }
        st = rt_checkpoint_read(path, &p->c, &why);
        if (st == RT_OK) {
            p->path = path;
            p->own = true;
            return RT_OK;
        }
        rt_free(path);
        if (st != RT_INPUT) {
            return rt_fail(err, st, why.pos, "%s", why.msg);
        }
        rt_log(RT_LOG_WARN, "a checkpoint is damaged, trying the one before: %s", why.msg);
        first = failed == RT_OK ? why : first;
        failed = st;
    }
    return failed == RT_OK ? RT_OK : rt_fail(err, failed, first.pos, "%s", first.msg);
}

/* The run's own newest checkpoint, unless `from` is further. */
static rt_status choose_checkpoint(rt_prior *p, const rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_checkpoint c = {0};
    RT_TRY(choose_own(p, r, err));
    if (r->o.from) {
        RT_TRY(rt_checkpoint_read(r->o.from, &c, err));
        if (!p->path || c.counts.step > p->c.counts.step) {
            rt_checkpoint_release(&p->c);
            rt_free(p->path);
            p->c = c;
            c = (rt_checkpoint){0};
            p->own = false;
            p->path = rt_strdup(r->o.from);
            if (!p->path) {
                RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the path '%s'", r->o.from);
            }
        }
    }
out:
    rt_checkpoint_release(&c);
    return st;
}

static rt_status load_replay(rt_prior *p, const char *run, rt_err *err)
{
    char *path = rt_path_join(run, "checkpoints/schedule.json");
    if (!path) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the path of '%s'", run);
    }
    rt_status st = rt_json_load(&p->schedule, path, err);
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "replaying '%s'", run);
    }
    rt_free(path);
    return st;
}

rt_status rt_prior_find(rt_prior *p, const rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(choose_checkpoint(p, r, err));
    if (r->o.replay) {
        RT_TRY(load_replay(p, r->o.replay, err));
    } else if (p->own && rt_path_exists(r->schedule_path)) {
        RT_TRY(rt_json_load(&p->schedule, r->schedule_path, err));
    }
out:
    return st;
}

void rt_prior_release(rt_prior *p)
{
    rt_checkpoint_release(&p->c);
    json_decref(p->schedule);
    rt_free(p->path);
    *p = (rt_prior){0};
}

/* --- checking --------------------------------------------------------------------------------------------------- */

static rt_status refuse_differences(const char *what, const json_t *then, const json_t *now, const char *const *skip,
                                    rt_err *err)
{
    rt_status st = RT_OK;
    rt_str diff = {0};
    rt_config_differences(&diff, then, now, skip);
    if (diff.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to compare settings");
    }
    if (diff.n > 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' was made with other settings: %s; use the same, or a new run directory",
                    what, rt_str_cstr(&diff));
    }
out:
    rt_str_release(&diff);
    return st;
}

rt_status rt_prior_check(const rt_prior *p, rt_run *r, rt_err *err)
{
    /* a run may be prolonged from another's checkpoint, and a replay takes its length from the record */
    static const char *const length[] = {"steps", "tokens", "budget", "eval_every", "patience", NULL};
    rt_status st = RT_OK;
    if (p->path) {
        RT_TRY(refuse_differences(p->path, p->c.config, r->config, p->own ? NULL : length, err));
    }
    if (r->o.replay) {
        RT_TRY(refuse_differences(r->o.replay, json_object_get(p->schedule, "config"), r->config, length, err));
    }
out:
    return st;
}

/* --- restoring -------------------------------------------------------------------------------------------------- */

/* The list on disk may know later decisions than the checkpoint: they were written before they took effect, so they
 * hold. */
static const json_t *longer_list(const rt_prior *p)
{
    const json_t *known = json_object_get(p->schedule, "decisions"), *saved = p->c.decisions;
    size_t n = json_array_size(saved);
    if (json_array_size(known) < n) {
        return saved;
    }
    for (size_t i = 0; i < n; i++) {
        if (!json_equal(json_array_get(known, i), json_array_get(saved, i))) {
            return saved;
        }
    }
    return known;
}

static rt_status restore_plan(const rt_prior *p, rt_run *r, rt_err *err)
{
    if (r->o.replay) {
        r->plan.replay = true;
        return rt_plan_from_json(&r->plan, json_object_get(p->schedule, "decisions"), p->path ? p->c.in_force : 0,
                                 r->o.replay, err);
    }
    if (p->path && p->own) {
        return rt_plan_from_json(&r->plan, longer_list(p), p->c.in_force, p->path, err);
    }
    return RT_OK;
}

static rt_status restore_metrics(const rt_prior *p, rt_run *r, double *lost, rt_err *err)
{
    rt_status st = rt_metrics_resume(&r->metrics, r->metrics_path, p->c.metrics_bytes, lost, err);
    if (st != RT_OK) {
        return rt_err_wrap(err, st, "going on from '%s'", p->path);
    }
    rt_metrics_begin(&r->metrics, "resume");
    rt_metrics_int(&r->metrics, "step", r->n.step);
    rt_metrics_str(&r->metrics, "bits", r->n.mixed ? "not bit-comparable" : "comparable");
    return rt_metrics_end(&r->metrics, err);
}

static void compare_machines(const rt_prior *p, rt_run *r, rt_str *diff)
{
    rt_config_differences(diff, p->c.machine, r->machine, NULL);
    if (diff->n > 0) {
        r->n.mixed = true;
        rt_log(RT_LOG_WARN, "not bit-comparable: the checkpoint comes from another machine or build: %s",
               rt_str_cstr(diff));
    }
}

/* Whoever goes on from the checkpoint before a damaged one may find the best of that time pruned. */
static bool is_lost(const rt_run *r, int64_t step, const char *what)
{
    char *path = step >= 0 ? rt_checkpoint_path(r->dir, step) : NULL;
    const bool lost = path && !rt_path_exists(path);
    if (lost) {
        rt_log(RT_LOG_WARN, "the %s, '%s', are no longer there", what, path);
    }
    rt_free(path);
    return lost;
}

static void forget_lost(rt_run *r)
{
    if (is_lost(r, r->n.best_step, "best validated weights")) {
        r->n.best_step = -1;
        r->n.stale = 0;
    }
    if (r->o.retain && r->o.retain->keep && is_lost(r, r->n.passed_step, "last weights that held")) {
        r->n.passed_step = -1;
    }
}

rt_status rt_prior_restore(const rt_prior *p, rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str diff = {0};
    double lost = 0;
    RT_TRY(restore_plan(p, r, err));
    if (r->o.scored && !(p->path && p->own)) {
        RT_TRY(rt_scored_begin(r->o.scored, err));
    }
    if (!p->path) {
        goto out;
    }
    r->n = p->c.counts;
    RT_TRY(rt_checkpoint_restore(p->path, &p->c, &r->optim, err));
    compare_machines(p, r, &diff);
    r->cpu_before = r->n.cpu;
    r->active0 = r->n.active;
    r->resumed = true;
    if (p->own) {
        RT_TRY(rt_run_restore_text(r, &p->c, err));
        RT_TRY(restore_metrics(p, r, &lost, err));
        forget_lost(r);
        r->active0 = fmax(r->active0, lost); /* seconds of steps that were lost are spent all the same */
        r->saved_step = r->n.step;
    } else {
        r->n.finished = false;
        r->n.best_step = r->n.passed_step = -1; /* their files lie elsewhere */
        r->n.watched_step = -1;
        r->n.holds = false;
        r->n.stale = 0;
    }
    rt_log(RT_LOG_INFO, "going on from step %lld of '%s'", (long long)r->n.step, p->path);
out:
    rt_str_release(&diff);
    return st;
}

/* --- saving ----------------------------------------------------------------------------------------------------- */

/* The ledger is ahead of the weights, never behind them. */
static rt_status add_text(rt_run *r, rt_checkpoint *c, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ledger_mark mark;
    if (r->o.on_policy) {
        c->on_policy = rt_on_policy_json(r->o.on_policy);
    }
    if (r->o.scored) {
        RT_TRY(rt_scored_commit(r->o.scored, r->n.step, &mark, err));
        c->ledger = rt_ledger_mark_json(&mark);
    }
    if ((r->o.on_policy && !c->on_policy) || (r->o.scored && !c->ledger)) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the text of a checkpoint");
    }
out:
    return st;
}

rt_status rt_run_save(rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_checkpoint c = {.config = r->config, .machine = r->machine, .in_force = r->plan.in_force};
    RT_TRY(add_text(r, &c, err));
    RT_TRY(rt_metrics_sync(&r->metrics, err));
    c.metrics_bytes = r->metrics.bytes;
    r->n.active = rt_run_active(r);
    r->n.cpu = r->cpu_before + rt_cpu_seconds() - r->cpu0;
    c.counts = r->n;
    c.decisions = rt_plan_to_json(&r->plan);
    if (!c.decisions) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the schedule's decisions");
    }
    RT_TRY(rt_checkpoint_save(r->dir, &c, &r->optim, &r->checkpoint_took, err));
    r->saved_step = r->n.step;
    r->t_checkpoint = rt_now();
    rt_metrics_begin(&r->metrics, "checkpoint");
    rt_metrics_int(&r->metrics, "step", r->n.step);
    rt_metrics_num(&r->metrics, "active", rt_run_active(r));
    rt_metrics_num(&r->metrics, "seconds", r->checkpoint_took);
    RT_TRY(rt_metrics_end(&r->metrics, err));
out:
    json_decref(c.decisions);
    json_decref(c.on_policy);
    json_decref(c.ledger);
    return st;
}

static rt_status save_schedule(rt_run *r, rt_err *err)
{
    json_t *list = rt_plan_to_json(&r->plan);
    json_t *doc = list ? json_pack("{s:i, s:O, s:o}", "version", 1, "config", r->config, "decisions", list) : NULL;
    if (!doc) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the schedule's decisions");
    }
    rt_status st = rt_json_save(doc, r->schedule_path, err);
    json_decref(doc);
    return st;
}

static void add_steps(rt_metrics *m, const char *key, int64_t n)
{
    if (n == RT_STEPS_UNKNOWN) {
        rt_metrics_num(m, key, NAN);
    } else {
        rt_metrics_int(m, key, n);
    }
}

rt_status rt_run_note_decision(rt_run *r, const rt_decision *d, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(save_schedule(r, err));
    rt_crash_point("train.decision");
    rt_metrics_begin(&r->metrics, "schedule");
    rt_metrics_int(&r->metrics, "step", d->step);
    rt_metrics_int(&r->metrics, "warmup", d->warmup);
    add_steps(&r->metrics, "decay_from", d->decay_from);
    add_steps(&r->metrics, "total", d->total);
    rt_metrics_num(&r->metrics, "seconds_per_step", d->seconds_per_step);
    rt_metrics_num(&r->metrics, "active", rt_run_active(r));
    rt_metrics_str(&r->metrics, "why", d->why);
    RT_TRY(rt_metrics_end(&r->metrics, err));
    RT_TRY(rt_metrics_sync(&r->metrics, err));
out:
    return st;
}
