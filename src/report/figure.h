/* figure.h - figures with their intervals, and the models and tasks they belong to, as the facts hold them. A number
 * that is absent, null or no number is NAN throughout. */
#ifndef RT_REPORT_FIGURE_H
#define RT_REPORT_FIGURE_H

#include "format/json.h"
#include "report/number.h"

/* Half-width of a 95 % interval in standard errors. */
#define RT_INTERVAL_95 1.96

typedef struct rt_figure {
    double mean; /* NAN: not measured */
    double half; /* of the 95 % interval, NAN: unknown */
} rt_figure;
bool rt_figure_known(rt_figure f);
/* a - b with the interval of independent measurements. On the same text or questions the true one is usually narrower.
 */
rt_figure rt_figure_minus(rt_figure a, rt_figure b);
/* The interval is known and does not hold zero. */
bool rt_figure_beyond_error(rt_figure difference);
/* "beyond error", "within error" or "of unknown error" */
const char *rt_figure_verdict(rt_figure difference);
/* Its size without the sign: 0.28 ± 0.03, or 0.281 where the error is unknown. */
rt_num rt_figure_size(rt_figure difference);
/* The same of two shares: 8.5 ± 9.5 points. */
rt_num rt_figure_points(rt_figure difference);

/* Of a row of the comparison (audit/gap.h): is it about shares; the value under "teacher" or "student", and the change
 * with its interval. */
bool rt_gap_is_share(const json_t *row);
rt_num rt_gap_value(const json_t *row, const char *key);
rt_num rt_gap_change(const json_t *row);
/* Of a slice: a measure with its interval. */
rt_figure rt_figure_slice(const json_t *slice, const char *measure);

/* The four models a page compares, in the order in which they are shown. */
typedef enum rt_role { RT_ROLE_TEACHER, RT_ROLE_STUDENT, RT_ROLE_TWIN, RT_ROLE_CUT, RT_ROLE_COUNT } rt_role;
const char *rt_role_id(rt_role r);                           /* "cut"; also the CSS class */
const char *rt_role_name(rt_role r);                         /* "cut, untrained" */
const json_t *rt_role_model(const json_t *facts, rt_role r); /* NULL when it was not judged */

/* Measures of fidelity: "nll", "kl", "top1", "acceptance". */
rt_figure rt_figure_fidelity(const json_t *model, const char *measure);
/* Share of right answers in a task: per-character normalised where the task has it. *metric: "acc_norm", "acc" or
 * "exact_match...". */
rt_figure rt_figure_task(const json_t *model, const char *task, const char **metric);
const json_t *rt_figure_task_entry(const json_t *model, const char *task);
/* The i-th task that any model was given; NULL after the last. */
const char *rt_figure_task_name(const json_t *facts, size_t i);

/* Texts of an array in a row, with `between` them. */
void rt_texts_join(rt_str *out, const json_t *texts, const char *between);

#endif
