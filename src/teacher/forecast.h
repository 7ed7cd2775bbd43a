/* forecast.h - how long a teacher will take, from a few layers and a few rows of the head. */
#ifndef RT_TEACHER_FORECAST_H
#define RT_TEACHER_FORECAST_H

#include "model/models.h"

/* Seconds for `tokens` tokens, `batch_tokens` of them at a time in sequences of `sequence`. Takes a few of its own. */
RT_MUST_USE rt_status rt_forecast(double *seconds, const rt_model *m, int64_t tokens, int64_t batch_tokens,
                                  int64_t sequence, rt_err *err);
/* Says in the log how long `work` will take when the teacher is streamed (model.h: memory): as a warning, with the ways
 * out, when it is more than an hour. RT_USAGE, with them, when it is more than `accepted` seconds (0: any time is). */
RT_MUST_USE rt_status rt_forecast_judge(const rt_model *m, double seconds, double accepted, const char *work,
                                        const char *ways_out, rt_err *err);
/* Both, for a pass over text. */
RT_MUST_USE rt_status rt_forecast_say(const rt_model *m, int64_t tokens, int64_t batch_tokens, int64_t sequence,
                                      double accepted, rt_err *err);

#endif
