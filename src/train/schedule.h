/* schedule.h - learning rate by step: warm-up, then cosine, linear, or stable and decay (WSD). Pure functions. */
#ifndef RT_TRAIN_SCHEDULE_H
#define RT_TRAIN_SCHEDULE_H

#include "core/core.h"

typedef enum rt_schedule_kind {
    RT_SCHEDULE_WSD,
    RT_SCHEDULE_COSINE,
    RT_SCHEDULE_LINEAR,
    RT_SCHEDULE_COUNT
} rt_schedule_kind;
const char *rt_schedule_name(rt_schedule_kind k); /* "wsd" */
bool rt_schedule_from_name(const char *name, rt_schedule_kind *out);

#define RT_STEPS_UNKNOWN INT64_MAX

typedef struct rt_schedule {
    rt_schedule_kind kind;
    double lr;          /* peak */
    double floor;       /* share of the peak that is left at the end */
    int64_t warmup;     /* steps of linear rise: step s < warmup has (s + 1) / warmup of the peak */
    int64_t decay_from; /* step at which the fall begins; of one whose end has moved, would have begun */
    int64_t total;      /* steps; RT_STEPS_UNKNOWN keeps the peak after the warm-up */
} rt_schedule;

/* Rate of the 0-based update `step`. */
double rt_schedule_lr(const rt_schedule *s, int64_t step);
/* 2 % of the run, at least 50 steps, at most a tenth of it. */
int64_t rt_schedule_warmup(int64_t total);
/* Moves the end to `total` as seen from `step`: a fall that has not begun takes the last `decay` (0..1) of the run
 * (WSD) or all that is left after the warm-up, one that has begun goes on from the rate it has reached. */
void rt_schedule_move_end(rt_schedule *s, int64_t step, int64_t total, double decay);

#endif
