/* task_log.h - the items file: a line an item, in order, so that a run goes on where another stopped. Private to audit.
 */
#ifndef RT_AUDIT_TASK_LOG_H
#define RT_AUDIT_TASK_LOG_H

#include <jansson.h>

#include "core/core.h"

/* Reads what is there (nothing is fine): an array of lines, at most `n`, whose "key" is that of keys[n]. RT_INPUT when
 * a line is another's: nobody's results are written over. */
RT_MUST_USE rt_status rt_task_log_read(json_t **lines, const char *path, const uint64_t *keys, size_t n, rt_err *err);
/* The lines with their keys; atomic. */
RT_MUST_USE rt_status rt_task_log_write(const json_t *lines, const char *path, const uint64_t *keys, rt_err *err);

#endif
