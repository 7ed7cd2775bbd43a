/* frontier.h - what runs cost beside what they kept of their teacher, and which of them no other beats in both.
 *
 * A frontier: {groups: [{teacher, teacher_sha256, positions, teacher_perplexity, runs: [run]}], left_out: [{name,
 * why}]} where a run is {name, seconds, tokens, flop, parameters, bytes, kl, kl_half, perplexity_ratio, on_frontier};
 * what is not known is null. Runs of one group were judged beside the same teacher on the same text: others have no
 * common scale. `flop` is an estimate: 6 a parameter and token that the student was trained on, 2 a parameter and token
 * that the teacher read (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). */
#ifndef RT_REPORT_FRONTIER_H
#define RT_REPORT_FRONTIER_H

#include <jansson.h>

#include "core/core.h"

json_t *rt_frontier_new(void); /* NULL: no memory */
/* Puts a run, by the facts of its report (report.h), into its group; one without time or distance is left out and says
 * why. */
void rt_frontier_add(json_t *frontier, const char *name, const json_t *facts);
/* A file that is no report. */
void rt_frontier_leave_out(json_t *frontier, const char *name, const char *why);
/* Sorts the runs of every group by time and marks those on the frontier: no other takes as little time and is as near
 * the teacher, and better in one. RT_MEMORY. */
RT_MUST_USE rt_status rt_frontier_conclude(json_t *frontier, rt_err *err);

/* A page as rt_report_html's, and Markdown. */
RT_MUST_USE rt_status rt_frontier_html(rt_str *out, const json_t *frontier, rt_err *err);
RT_MUST_USE rt_status rt_frontier_markdown(rt_str *out, const json_t *frontier, rt_err *err);

#endif
