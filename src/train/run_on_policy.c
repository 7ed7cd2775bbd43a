/* run_on_policy.c - the student's own text within a run: its share of a step, its line in metrics, and the end of a run
 * whose student no longer writes. */
#include "train/run.h"

int64_t rt_run_corpus_tokens(const rt_run *r)
{
    return r->o.batch_tokens - (r->o.on_policy ? rt_on_policy_share(r->o.on_policy) : 0);
}

int64_t rt_run_batch_capacity(const rt_train_options *o, const rt_source_info *source)
{
    if (!o->on_policy || rt_on_policy_share(o->on_policy) == 0) {
        return o->batch_tokens;
    }
    const int64_t corpus = o->batch_tokens - rt_on_policy_share(o->on_policy);
    const int64_t least = corpus == 0 || corpus > source->sequence ? corpus : source->sequence;
    return least + rt_on_policy_tokens(o->on_policy);
}

static rt_status note(rt_run *r, const rt_on_policy_report *w, double seconds, rt_err *err)
{
    rt_metrics *m = &r->metrics;
    rt_metrics_begin(m, "written");
    rt_metrics_int(m, "step", r->n.step);
    rt_metrics_int(m, "texts", w->texts);
    rt_metrics_int(m, "tokens", w->tokens);
    rt_metrics_num(m, "nll", w->nll);
    rt_metrics_num(m, "length", w->writing.length);
    rt_metrics_num(m, "stubs", w->writing.stubs);
    rt_metrics_num(m, "ended", w->writing.ended);
    rt_metrics_num(m, "repeated", w->writing.repeated);
    rt_metrics_str(m, "alarm", w->what);
    rt_metrics_num(m, "seconds", seconds);
    rt_metrics_num(m, "active", rt_run_active(r));
    return rt_metrics_end(m, err);
}

static rt_status judge(rt_run *r, const rt_on_policy_report *w, rt_err *err)
{
    const bool louder = w->alarm > r->alarm;
    r->alarm = w->alarm;
    if (w->alarm == RT_ALARM_STOP) {
        return rt_fail(
            err, RT_NUMERIC, 0,
            "the student collapses on its own text at step %lld: %s; the last checkpoint is from before: try "
            "a smaller lr, a smaller share of own text, or jsd in place of reverse_kl",
            (long long)r->n.step, w->what);
    }
    if (louder) {
        rt_log(RT_LOG_WARN, "step %lld: %s; no checkpoint is made while this lasts", (long long)r->n.step, w->what);
    }
    return RT_OK;
}

rt_status rt_run_write(rt_run *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_on_policy_report w;
    const double t0 = rt_now();
    if (!r->o.on_policy) {
        return RT_OK;
    }
    RT_TRY(rt_on_policy_write(r->o.on_policy, r->n.step, &w, err));
    if (w.written) {
        RT_TRY(note(r, &w, rt_now() - t0, err));
    }
    RT_TRY(judge(r, &w, err));
out:
    return st;
}

rt_status rt_run_restore_text(rt_run *r, const rt_checkpoint *c, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ledger_mark mark = {0};
    if (r->o.on_policy && c->on_policy) {
        RT_TRY(rt_on_policy_restore(r->o.on_policy, c->on_policy, err));
    }
    if (r->o.scored) {
        if (!rt_ledger_mark_parse(c->ledger, &mark)) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "the checkpoint does not say where its teacher's ledger stood");
        }
        RT_TRY(rt_scored_resume(r->o.scored, c->counts.step, &mark, err));
    }
out:
    return st;
}
