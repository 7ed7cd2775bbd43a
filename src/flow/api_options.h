/* api_options.h - options given by a program that may have been compiled with an older header. Private to the api_*.c
 * files. */
#ifndef RT_FLOW_API_OPTIONS_H
#define RT_FLOW_API_OPTIONS_H

#include "model/models.h"

/* Overlays what the caller has on the defaults in `dst`. Both structures begin with their size; `given` may be NULL. */
RT_MUST_USE rt_status rt_api_take_options(void *dst, const void *given, rt_err *err);
RT_MUST_USE rt_status rt_api_precision(int given, rt_precision *out, rt_err *err);

#endif
