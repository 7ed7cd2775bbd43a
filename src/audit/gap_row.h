/* gap_row.h - a row of the report of a gap (gap.h), for those who only read it. */
#ifndef RT_AUDIT_GAP_ROW_H
#define RT_AUDIT_GAP_ROW_H

#include <jansson.h>

/* Of the student beside its teacher on the task. A view; NULL: none. */
const json_t *rt_gap_row(const json_t *report, const char *task);

#endif
