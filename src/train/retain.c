/* retain.c - the second source of a step, and the looks (retain.h). */
#include "train/retain.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct rt_retain {
    const rt_retain_options *o;
    rt_step *step;   /* NULL: nothing is taught */
    rt_watched fell; /* at the latest look by this process; no name: nothing */
    int64_t seen;    /* step whose weights that was at, -1: there was none */
};

static rt_step_options step_options(const rt_retain_options *o, const rt_step_options *data)
{
    rt_step_options s = *data;
    s.n_losses = o->n_losses;
    s.batch_tokens = o->batch_tokens;
    memcpy(s.losses, o->losses, sizeof s.losses);
    return s;
}

double rt_retain_rest(const rt_retain_options *o)
{
    return o != NULL && o->source != NULL ? 1 - o->weight : 1;
}

size_t rt_retain_bytes(const rt_model *student, const rt_retain_options *o, const rt_step_options *data)
{
    if (o == NULL || o->source == NULL) {
        return 0;
    }
    const rt_step_options s = step_options(o, data);
    return rt_step_bytes(student, rt_source_get_info(o->source), &s);
}

/* The n-th term that needs a map, NULL: there are fewer. */
static const rt_train_loss *mapped_term(const rt_train_loss *l, int n_losses, int n, int64_t d_teacher,
                                        int64_t d_student)
{
    for (int i = 0; i < n_losses; i++) {
        if (rt_projection_needed(&l[i], d_teacher, d_student) && n-- == 0) {
            return &l[i];
        }
    }
    return NULL;
}

static rt_status check_maps(const rt_retain_options *o, const rt_model *student, const rt_step_options *data,
                            rt_err *err)
{
    for (int n = 0; data->teacher != NULL && n < o->n_losses; n++) {
        const int64_t dt = data->teacher->hp.d_model, ds = student->hp.d_model;
        const rt_train_loss *own = mapped_term(o->losses, o->n_losses, n, dt, ds);
        const rt_train_loss *theirs = mapped_term(data->losses, data->n_losses, n, dt, ds);
        if (own != NULL && (theirs == NULL || theirs->state != own->state || theirs->layers != own->layers)) {
            return rt_fail(err, RT_USAGE, 0, "loss '%s' needs a map that the loss of the data beside does not learn",
                           rt_train_loss_name(own));
        }
    }
    return RT_OK;
}

rt_status rt_retain_new(rt_retain **out, const rt_model *student, const rt_retain_options *o,
                        const rt_step_options *data, rt_err *err)
{
    rt_status st = RT_OK;
    rt_retain *r = NULL;
    RT_TRY(RT_NEW(&r, 1, "what is retained", err));
    r->o = o;
    r->seen = -1;
    if (o->source != NULL) {
        const rt_step_options s = step_options(o, data);
        if (!(o->weight > 0 && o->weight < 1) || o->batch_tokens < 1) {
            RT_FAIL_OUT(err, RT_USAGE, 0, "retain: weight %g of a step is no share above 0 and below 1", o->weight);
        }
        RT_TRY(check_maps(o, student, data, err));
        RT_TRY(rt_step_new(&r->step, student, rt_source_get_info(o->source), &s, err));
        rt_step_scale(r->step, o->weight);
    }
    *out = r;
    r = NULL;
out:
    rt_retain_free(r);
    return st == RT_OK ? st : rt_err_wrap(err, st, "retain");
}

void rt_retain_free(rt_retain *r)
{
    if (r != NULL) {
        rt_step_free(r->step);
        rt_free(r);
    }
}

json_t *rt_retain_config(const rt_retain_options *o)
{
    char data[65] = "";
    rt_str loss = {0};
    if (o->source != NULL) {
        rt_digest_hex(rt_source_get_info(o->source)->hash, data);
        rt_losses_print(&loss, o->losses, o->n_losses);
    }
    json_t *j = json_pack("{s:s, s:f, s:I, s:s, s:I, s:b}", "data", data, "weight", o->weight, "batch_tokens",
                          (json_int_t)o->batch_tokens, "loss", rt_str_cstr(&loss), "every", (json_int_t)o->every,
                          "keep", (int)o->keep);
    rt_str_release(&loss);
    return j;
}

rt_status rt_retain_step(rt_retain *r, int64_t step, rt_source_cursor *cursor, float *grads, rt_step_report *report,
                         rt_err *err)
{
    rt_status st = RT_OK;
    rt_source_batch batch;
    *report = (rt_step_report){.loss = NAN};
    if (r->step == NULL) {
        return RT_OK;
    }
    RT_TRY(rt_source_next(r->o->source, cursor, r->o->batch_tokens, &batch, err));
    rt_step_weigh(r->step, step);
    RT_TRY(rt_step_run(r->step, &batch, grads, report, err));
out:
    return st;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

bool rt_watched_holds(const rt_watched *w)
{
    return isfinite(w->value) && !(w->value < w->min) && !(w->value > w->max);
}

bool rt_retain_is_due(const rt_retain *r, const rt_train_counts *n)
{
    return r != NULL && r->o->look != NULL && r->o->every > 0 && n->step % r->o->every == 0 &&
           n->watched_step != n->step;
}

rt_status rt_retain_look(rt_retain *r, const rt_model *m, rt_train_counts *n, rt_metrics *metrics, rt_err *err)
{
    rt_status st = RT_OK;
    rt_watched list[RT_WATCHED];
    size_t count = 0;
    RT_TRY(r->o->look(r->o->ud, m, list, &count, err));
    r->fell = (rt_watched){.value = NAN};
    n->holds = true;
    rt_metrics_begin(metrics, "watch");
    rt_metrics_int(metrics, "step", n->step);
    for (size_t i = 0; i < count; i++) {
        rt_metrics_num(metrics, list[i].name, list[i].value);
        if (n->holds && !rt_watched_holds(&list[i])) {
            n->holds = false;
            r->fell = list[i];
        }
    }
    rt_metrics_str(metrics, "fell", r->fell.name);
    RT_TRY(rt_metrics_end(metrics, err));
    r->seen = n->watched_step = n->step;
    n->passed_step = n->holds ? n->step : n->passed_step;
out:
    return st;
}

rt_status rt_retain_look_again(rt_retain *r, const rt_model *m, int64_t step, rt_metrics *metrics, bool *holds,
                               rt_err *err)
{
    rt_status st = RT_OK;
    rt_train_counts n = {.step = step};
    if (r != NULL && r->o->look != NULL && r->seen != step) {
        RT_TRY(rt_retain_look(r, m, &n, metrics, err));
    }
    *holds = r == NULL || r->fell.name[0] == '\0';
out:
    return st;
}

rt_status rt_retain_judge(const rt_retain *r, const rt_train_counts *n, bool over, rt_err *err)
{
    const bool held = n->passed_step >= 0;
    if (r == NULL || r->o->look == NULL || n->holds || (held && r->o->keep) || (!held && !over)) {
        return RT_OK;
    }
    const rt_watched *w = &r->fell;
    if (w->name[0] == '\0') { /* found by an earlier call */
        return rt_fail(err, RT_FINDING, 0,
                       "retain: what is watched does not hold at step %lld; metrics.jsonl says what",
                       (long long)n->watched_step);
    }
    const bool high = w->value > w->max;
    return rt_fail(err, RT_FINDING, 0, "retain: %s is %.3g at step %lld, %s its bound %.3g", w->name, w->value,
                   (long long)n->watched_step, high ? "above" : "below", high ? w->max : w->min);
}
