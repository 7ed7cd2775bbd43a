/* schedule.c - learning rate by step. */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

static const char *const names[RT_SCHEDULE_COUNT] = {
    [RT_SCHEDULE_WSD] = "wsd",
    [RT_SCHEDULE_COSINE] = "cosine",
    [RT_SCHEDULE_LINEAR] = "linear",
};

const char *rt_schedule_name(rt_schedule_kind k)
{
    return names[k];
}

bool rt_schedule_from_name(const char *name, rt_schedule_kind *out)
{
    for (int k = 0; k < RT_SCHEDULE_COUNT; k++) {
        if (strcmp(name, names[k]) == 0) {
            *out = (rt_schedule_kind)k;
            return true;
        }
    }
    return false;
}

/* Share of the fall that lies behind `step`, 0..1. */
static double fallen(const rt_schedule *s, int64_t step)
{
    if (s->total == RT_STEPS_UNKNOWN || step <= s->decay_from) {
        return 0;
    }
    if (step >= s->total) {
        return 1;
    }
    return (double)(step - s->decay_from) / (double)(s->total - s->decay_from);
}

double rt_schedule_lr(const rt_schedule *s, int64_t step)
{
    if (step < s->warmup) {
        return s->lr * (double)(step + 1) / (double)s->warmup;
    }
    double u = fallen(s, step);
    double left = s->kind == RT_SCHEDULE_COSINE ? 0.5 * (1 + cos(M_PI * u)) : 1 - u;
    return s->lr * (s->floor + (1 - s->floor) * left);
}

int64_t rt_schedule_warmup(int64_t total)
{
    if (total == RT_STEPS_UNKNOWN) {
        return 50;
    }
    int64_t steps = total / 50 > 50 ? total / 50 : 50;
    return steps < total / 10 ? steps : total / 10;
}

void rt_schedule_move_end(rt_schedule *s, int64_t step, int64_t total, double decay)
{
    double u = fallen(s, step);
    s->total = total;
    if (u > 0 && u < 1 && total > step) {
        /* (step - from) / (total - from) = u keeps the rate where it is */
        s->decay_from = (int64_t)floor(((double)step - u * (double)total) / (1 - u));
    } else if (u < 1) {
        int64_t from = s->kind == RT_SCHEDULE_WSD ? total - (int64_t)llround((double)total * decay) : s->warmup;
        s->decay_from = from > step ? from : step;
    }
}
