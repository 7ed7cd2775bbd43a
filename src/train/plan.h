/* plan.h - how long a run lasts. Its length in steps is known at once (steps, tokens), or follows from measured step
 * times (a budget of seconds), or repeats what another run decided (replay). Whatever changes the schedule is a
 * decision, kept in a list: the list and the seed give the same bits again. */
#ifndef RT_TRAIN_PLAN_H
#define RT_TRAIN_PLAN_H

#include "format/json.h"
#include "train/schedule.h"

typedef struct rt_decision {
    int64_t step; /* first step it governs */
    int64_t warmup, decay_from, total;
    double seconds_per_step; /* measured; 0: nothing measured */
    double active;           /* seconds of the budget spent when it was made */
    char why[24];
} rt_decision;

#define RT_PLAN_MAX 256   /* decisions; the last places are kept for stopping */
#define RT_PLAN_RECENT 15 /* step times the estimate rests on */

typedef struct rt_plan {
    rt_schedule schedule; /* in force */
    double decay;         /* share of the run that falls (WSD) */
    int64_t warmup;       /* asked for, -1: by the length of the run */
    double budget;        /* seconds; 0: the length does not depend on the clock */
    bool replay;          /* only recorded decisions count */
    rt_decision list[RT_PLAN_MAX];
    int n, in_force; /* decisions known, and how many of them have taken effect */
    double recent[RT_PLAN_RECENT];
    int64_t n_seen;  /* steps timed by this process */
    int64_t checked; /* step at which the estimate was last compared */
} rt_plan;

/* What the rest of the run costs beside its steps. */
typedef struct rt_plan_clock {
    double active;         /* seconds spent so far, over all restarts */
    double extra_per_step; /* validation and checkpoints spread over steps, seconds */
    double reserve;        /* last checkpoint and validation, seconds */
} rt_plan_clock;

/* `total` steps, or RT_STEPS_UNKNOWN with a budget. `s` gives kind, peak and floor; warmup -1: chosen. */
void rt_plan_init(rt_plan *p, const rt_schedule *s, double decay, int64_t warmup, int64_t total, double budget);
/* Seconds step `step` took. The first ones of a process (primitives, page faults) do not count. */
void rt_plan_observe(rt_plan *p, double seconds);
/* Before step `step`: recorded decisions due now take effect, or the clock leads to a new one. The decision is returned
 * so that the caller can write it down before the step runs; NULL: nothing changes. Call until NULL. */
const rt_decision *rt_plan_before(rt_plan *p, int64_t step, const rt_plan_clock *c);
/* The run ends before `step`. NULL when it would have ended there anyway, or in a replay. */
const rt_decision *rt_plan_stop(rt_plan *p, int64_t step, const char *why, double active);
/* No step is left. */
bool rt_plan_done(const rt_plan *p, int64_t step);
/* Mean seconds of recent steps, 0 before three have been seen. */
double rt_plan_pace(const rt_plan *p);

/* The list as a JSON array, and back (replacing the list; the first `in_force` take effect at once). `path` names it in
 * errors. */
json_t *rt_plan_to_json(const rt_plan *p); /* NULL when memory is out */
RT_MUST_USE rt_status rt_plan_from_json(rt_plan *p, const json_t *list, int in_force, const char *path, rt_err *err);

#endif
