/* plan.c - decisions about the length of a run, made from the clock or repeated from a record. */
#include "train/plan.h"

#include <math.h>
#include <stdio.h>

#define LEARN 3       /* step times needed before the clock is believed */
#define CHECK_EVERY 8 /* steps between prolongations */
#define TOLERANCE 0.1 /* of the steps left: smaller moves of the end are left alone */
#define KEPT_FOR_STOPPING 2

static void add_decision(rt_plan *p, int64_t step, double pace, double active, const char *why)
{
    const rt_schedule *s = &p->schedule;
    rt_decision *d = &p->list[p->n++];
    *d = (rt_decision){.step = step,
                       .warmup = s->warmup,
                       .decay_from = s->decay_from,
                       .total = s->total,
                       .seconds_per_step = pace,
                       .active = active};
    snprintf(d->why, sizeof d->why, "%s", why);
    p->in_force = p->n;
}

static void set_end(rt_plan *p, int64_t step, int64_t total)
{
    rt_schedule *s = &p->schedule;
    if (step == 0 || step < s->warmup) {
        s->warmup = p->warmup >= 0 ? p->warmup : rt_schedule_warmup(total);
        if (s->warmup < step) { /* the warm-up is over, not undone */
            s->warmup = step;
        }
    }
    if (total == RT_STEPS_UNKNOWN) {
        s->total = s->decay_from = total;
        return;
    }
    rt_schedule_move_end(s, step, total, p->decay);
    if (s->decay_from < s->warmup && step <= s->warmup) {
        s->decay_from = s->warmup < total ? s->warmup : total;
    }
}

void rt_plan_init(rt_plan *p, const rt_schedule *s, double decay, int64_t warmup, int64_t total, double budget)
{
    *p = (rt_plan){.schedule = *s, .decay = decay, .warmup = warmup, .budget = budget};
    p->schedule.total = p->schedule.decay_from = RT_STEPS_UNKNOWN;
    set_end(p, 0, total);
    if (total != RT_STEPS_UNKNOWN) {
        add_decision(p, 0, 0, 0, "length given");
        p->in_force = 0;
    }
}

void rt_plan_observe(rt_plan *p, double seconds)
{
    if (p->n_seen++ > 0) {
        p->recent[(p->n_seen - 2) % RT_PLAN_RECENT] = seconds;
    }
}

/* The mean, not the median: what slow spells cost is lost from the budget all the same. */
double rt_plan_pace(const rt_plan *p)
{
    int64_t n = p->n_seen - 1 < RT_PLAN_RECENT ? p->n_seen - 1 : RT_PLAN_RECENT;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += p->recent[i];
    }
    return n < LEARN ? 0 : sum / (double)n;
}

static const rt_decision *repeat_recorded(rt_plan *p)
{
    const rt_decision *d = &p->list[p->in_force++];
    p->schedule.warmup = d->warmup;
    p->schedule.decay_from = d->decay_from;
    p->schedule.total = d->total;
    return d;
}

static const rt_decision *decide(rt_plan *p, int64_t step, int64_t total, double pace, double active, const char *why)
{
    set_end(p, step, total);
    p->checked = step;
    add_decision(p, step, pace, active, why);
    return &p->list[p->n - 1];
}

/* Before there is an estimate only an overrun matters: the step to come would take as long as the last. */
static bool would_overrun(const rt_plan *p, const rt_plan_clock *c)
{
    double last = p->n_seen > 1 ? p->recent[(p->n_seen - 2) % RT_PLAN_RECENT] : 0;
    return c->active + c->reserve + last > p->budget;
}

static const rt_decision *follow_clock(rt_plan *p, int64_t step, const rt_plan_clock *c)
{
    if (step >= p->schedule.total) {
        return NULL;
    }
    double pace = rt_plan_pace(p);
    if (pace <= 0) {
        bool stop = step > 0 && would_overrun(p, c);
        return stop ? decide(p, step, step, 0, c->active, "budget spent") : NULL;
    }
    double fits = fmax(0, p->budget - c->active - c->reserve) / (pace + c->extra_per_step);
    if (p->schedule.total == RT_STEPS_UNKNOWN) {
        return decide(p, step, step + (int64_t)fits, pace, c->active, "measured");
    }
    double planned = (double)(p->schedule.total - step);
    if (fits < 0.5) {
        return decide(p, step, step, pace, c->active, "budget spent");
    }
    /* a run that comes out short is cut at once, so that the fall still finds its place; a gain can wait */
    bool room = p->n < RT_PLAN_MAX - KEPT_FOR_STOPPING;
    bool late = fits < planned - fmax(TOLERANCE * planned, 0.5);
    bool early = fits > planned + fmax(TOLERANCE * planned, 2) && step - p->checked >= CHECK_EVERY;
    int64_t left = fits < 1 ? 1 : (int64_t)fits;
    return room && (late || early) ? decide(p, step, step + left, pace, c->active, "estimate moved") : NULL;
}

const rt_decision *rt_plan_before(rt_plan *p, int64_t step, const rt_plan_clock *c)
{
    if (p->in_force < p->n) {
        return p->list[p->in_force].step <= step ? repeat_recorded(p) : NULL;
    }
    return p->budget > 0 && !p->replay && p->n < RT_PLAN_MAX ? follow_clock(p, step, c) : NULL;
}

const rt_decision *rt_plan_stop(rt_plan *p, int64_t step, const char *why, double active)
{
    if (p->replay || step >= p->schedule.total || p->n == RT_PLAN_MAX) {
        return NULL;
    }
    p->n = p->in_force; /* what was recorded for later steps will not be reached */
    p->schedule.total = step;
    add_decision(p, step, rt_plan_pace(p), active, why);
    return &p->list[p->n - 1];
}

bool rt_plan_done(const rt_plan *p, int64_t step)
{
    return step >= p->schedule.total;
}

/* --- record ----------------------------------------------------------------------------------------------------- */

#define FALL_FROM "fall_from"
#define OLD_FALL_FROM "decay_from" /* of records that said WSD's of every kind: the others fell from the warm-up on */

static json_t *steps_to_json(int64_t n)
{
    return n == RT_STEPS_UNKNOWN ? json_null() : json_integer(n);
}

json_t *rt_plan_to_json(const rt_plan *p)
{
    json_t *list = json_array();
    for (int i = 0; list && i < p->n; i++) {
        const rt_decision *d = &p->list[i];
        json_t *o =
            json_pack("{s:I, s:I, s:o, s:o, s:f, s:f, s:s}", "step", (json_int_t)d->step, "warmup",
                      (json_int_t)d->warmup, FALL_FROM, steps_to_json(d->decay_from), "total", steps_to_json(d->total),
                      "seconds_per_step", d->seconds_per_step, "active", d->active, "why", d->why);
        if (!o || json_array_append_new(list, o) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

rt_status rt_plan_from_json(rt_plan *p, const json_t *list, int in_force, const char *path, rt_err *err)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > RT_PLAN_MAX || in_force < 0 || (size_t)in_force > n) {
        return rt_fail(err, RT_INPUT, 0, "'%s' holds no list of schedule decisions", path);
    }
    p->n = p->in_force = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(list, i);
        rt_decision *d = &p->list[p->n++];
        *d = (rt_decision){.step = rt_json_i64(o, "step", -1),
                           .warmup = rt_json_i64(o, "warmup", -1),
                           .decay_from = rt_json_i64(o, FALL_FROM, RT_STEPS_UNKNOWN),
                           .total = rt_json_i64(o, "total", RT_STEPS_UNKNOWN),
                           .seconds_per_step = rt_json_f64(o, "seconds_per_step", 0),
                           .active = rt_json_f64(o, "active", 0)};
        snprintf(d->why, sizeof d->why, "%s", rt_json_str(o, "why", ""));
        if (json_object_get(o, FALL_FROM) == NULL) {
            d->decay_from =
                p->schedule.kind == RT_SCHEDULE_WSD ? rt_json_i64(o, OLD_FALL_FROM, RT_STEPS_UNKNOWN) : d->warmup;
        }
        if (d->step < (i ? d[-1].step : 0) || d->warmup < 0 || d->total < d->step) {
            return rt_fail(err, RT_INPUT, i, "'%s': schedule decision %zu is out of order or impossible", path, i);
        }
    }
    while (p->in_force < in_force) {
        (void)repeat_recorded(p);
    }
    return RT_OK;
}
