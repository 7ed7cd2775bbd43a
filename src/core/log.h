/* log.h - messages for people go to a sink (default: standard error), never to standard output. */
#ifndef RT_CORE_LOG_H
#define RT_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

typedef enum rt_log_level { RT_LOG_DEBUG, RT_LOG_INFO, RT_LOG_WARN, RT_LOG_ERROR } rt_log_level;
typedef void (*rt_log_fn)(void *ud, rt_log_level level, const char *msg);
void rt_log_set(rt_log_fn fn, void *ud); /* NULL restores the default */
void rt_log_set_level(rt_log_level least);
void rt_log(rt_log_level level, const char *fmt, ...) RT_PRINTF(2, 3);

/* One live line with ETA on a TTY; otherwise a plain line at most every 10 s. `done` of `total` (0 = unknown). */
typedef struct rt_progress {
    const char *what; /* borrows */
    double t0, t_last;
    bool live;
} rt_progress;
void rt_progress_begin(rt_progress *p, const char *what);
void rt_progress_update(rt_progress *p, double done, double total, const char *fmt, ...) RT_PRINTF(4, 5);
void rt_progress_end(rt_progress *p, const char *fmt, ...) RT_PRINTF(2, 3);

#endif
