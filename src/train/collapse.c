/* collapse.c - numbers of a batch of texts, and the bounds they are held to. */
#include "train/collapse.h"

#include <math.h>
#include <string.h>

enum { GRAM = 4 };
#define NEW_SHARE 0.25 /* of the latest texts in what is watched: a handful of texts is noisy */

/* --- numbers ---------------------------------------------------------------------------------------------------- */

static bool stood_before(const int32_t *ids, int64_t at)
{
    for (int64_t i = 0; i < at; i++) {
        if (memcmp(ids + i, ids + at, GRAM * sizeof *ids) == 0) {
            return true;
        }
    }
    return false;
}

rt_writing rt_writing_of(const rt_generation *g)
{
    int64_t tokens = 0, stubs = 0, ended = 0, grams = 0, repeated = 0;
    for (size_t i = 0; i < g->n; i++) {
        const rt_generated *t = &g->seq[i];
        tokens += t->n;
        ended += t->stop == RT_STOP_END;
        stubs += t->stop == RT_STOP_END && t->n == 1;
        for (int64_t at = 0; at + GRAM <= t->n; at++) {
            grams++;
            repeated += stood_before(t->ids, at);
        }
    }
    const double n = g->n > 0 ? (double)g->n : 1;
    return (rt_writing){.length = (double)tokens / n,
                        .stubs = (double)stubs / n,
                        .ended = (double)ended / n,
                        .repeated = grams > 0 ? (double)repeated / (double)grams : 0};
}

/* --- alarms ----------------------------------------------------------------------------------------------------- */

/* Bounds on a number that rises as the student collapses. */
typedef struct bound {
    double value, warn, stop;
    const char *what; /* follows "N % " */
} bound;

static rt_alarm level(const bound *b)
{
    return b->value > b->stop ? RT_ALARM_STOP : b->value > b->warn ? RT_ALARM_WARN : RT_ALARM_NONE;
}

static double lost(double first, double recent)
{
    return first > 0 ? 1 - recent / first : 0;
}

static void smooth(double *recent, double latest)
{
    *recent += NEW_SHARE * (latest - *recent);
}

static void take_in(rt_collapse *c, const rt_writing *w)
{
    if (c->seen++ == 0) {
        c->first = c->recent = *w;
        return;
    }
    smooth(&c->recent.length, w->length);
    smooth(&c->recent.stubs, w->stubs);
    smooth(&c->recent.ended, w->ended);
    smooth(&c->recent.repeated, w->repeated);
}

rt_alarm rt_collapse_watch(rt_collapse *c, const rt_writing *w, char what[160])
{
    take_in(c, w);
    const rt_writing *first = &c->first, *now = &c->recent;
    const bound bounds[] = {
        {now->stubs, 0.25, 0.75, "of the texts end with their first token"},
        {lost(first->length, now->length), 0.5, 0.875, "of the length that texts had at first is lost"},
        {now->repeated, 0.3, 0.7, "of the runs of four tokens stood before in the same text"},
        /* a student may rightly learn to write longer texts than there is room for, so this stops nothing */
        {first->ended >= 0.25 ? lost(first->ended, now->ended) : 0, 0.75, INFINITY,
         "of the texts that would have ended at first no longer do"},
    };
    rt_alarm worst = RT_ALARM_NONE;
    what[0] = '\0';
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (level(&bounds[i]) > worst) {
            worst = level(&bounds[i]);
            snprintf(what, 160, "%.0f %% %s", 100 * bounds[i].value, bounds[i].what);
        }
    }
    return worst;
}

/* --- kept ------------------------------------------------------------------------------------------------------- */

static json_t *writing_json(const rt_writing *w)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "length", w->length, "stubs", w->stubs, "ended", w->ended, "repeated",
                     w->repeated);
}

static bool parse_writing(const json_t *j, rt_writing *w)
{
    *w = (rt_writing){rt_json_f64(j, "length", NAN), rt_json_f64(j, "stubs", NAN), rt_json_f64(j, "ended", NAN),
                      rt_json_f64(j, "repeated", NAN)};
    return isfinite(w->length) && isfinite(w->stubs) && isfinite(w->ended) && isfinite(w->repeated);
}

json_t *rt_collapse_json(const rt_collapse *c)
{
    return json_pack("{s:I, s:o, s:o}", "seen", (json_int_t)c->seen, "first", writing_json(&c->first), "recent",
                     writing_json(&c->recent));
}

bool rt_collapse_parse(const json_t *j, rt_collapse *out)
{
    out->seen = rt_json_i64(j, "seen", -1);
    return out->seen >= 0 && parse_writing(json_object_get(j, "first"), &out->first) &&
           parse_writing(json_object_get(j, "recent"), &out->recent);
}
