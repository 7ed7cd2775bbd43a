/* audit_samples.h - what the models of a run say behind the same beginnings: a few texts to look at, and how varied all
 * of them are. Private to flow. */
#ifndef RT_FLOW_AUDIT_SAMPLES_H
#define RT_FLOW_AUDIT_SAMPLES_H

#include "audit/distinct.h"
#include "flow/state.h"

enum { RT_CONTINUED = 12 };

typedef struct rt_continued { /* zero-initialise */
    size_t n;                 /* texts; 0: none was written */
    int64_t group[RT_CONTINUED];
    double distinct[RT_DISTINCT_ORDERS][RT_CONTINUED]; /* NAN: too short */
} rt_continued;

/* Greedy, behind the beginnings of held-out documents that are not harmful; the first few texts go to `samples` under
 * `id`. */
RT_MUST_USE rt_status rt_audit_continue(rt_continued *out, const rt_flow *f, const rt_model *m, const char *id,
                                        json_t *samples, rt_err *err);
/* [{order, mean, stderr, n}] over the texts that are long enough; [] where none is, NULL where none was written. Owned.
 */
json_t *rt_continued_json(const rt_continued *c);
/* rt_family_json "variety" of the student beside the teacher; null where either wrote nothing. Owned. */
RT_MUST_USE rt_status rt_continued_compare(json_t **out, const rt_continued *teacher, const rt_continued *student,
                                           uint64_t seed, rt_err *err);

#endif
