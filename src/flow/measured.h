/* measured.h - rows that a run is measured on: those of the audit's tasks, of what is watched, and the held-out ones.
 * What the student is taught or goes on from is none of them. Private to flow. */
#ifndef RT_FLOW_MEASURED_H
#define RT_FLOW_MEASURED_H

#include "flow/overlap.h"
#include "flow/state.h"

typedef struct rt_measured { /* zero-initialise; release in every case */
    rt_prompts rows;
    rt_overlap *overlap;
} rt_measured;

/* Paths are views into the recipe. */
RT_MUST_USE rt_status rt_measured_read(rt_measured *m, const rt_flow *f, rt_err *err);
void rt_measured_release(rt_measured *m);
/* RT_INPUT: a row to train on has the id, the text, or 13 words in a row of one that is measured on. */
RT_MUST_USE rt_status rt_measured_refuse(const rt_measured *m, const char *path, uint64_t line, const json_t *row,
                                         rt_err *err);
/* The same for all rows of prompt files. */
RT_MUST_USE rt_status rt_measured_refuse_files(const rt_flow *f, const char *const *paths, size_t n, rt_err *err);
/* What a row asks: `prompt`, `question` or `instruction`; NULL: none of them. */
const char *rt_measured_text(const json_t *row);

#endif
