/* api_options.h - options given by a program that may have been compiled with an older header. Private to the api_*.c
 * files but for the result, which the command line prints. */
#ifndef RT_FLOW_API_OPTIONS_H
#define RT_FLOW_API_OPTIONS_H

#include <retort/distil.h>

#include "model/models.h"
#include "teacher/collect.h"

/* Overlays what the caller has on the defaults in `dst`. Both structures begin with their size; `given` may be NULL. */
RT_MUST_USE rt_status rt_api_take_options(void *dst, const void *given, rt_err *err);
RT_MUST_USE rt_status rt_api_precision(int given, rt_precision *out, rt_err *err);
/* What the library tells of a collection. */
retort_collect_result rt_api_collect_result(const rt_collect_report *r);

#endif
