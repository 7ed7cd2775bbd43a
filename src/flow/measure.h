/* measure.h - what this machine does in a second with this teacher and this student: the planner's yardstick. */
#ifndef RT_FLOW_MEASURE_H
#define RT_FLOW_MEASURE_H

#include "model/models.h"

typedef struct rt_pace {
    double teacher_tokens_per_s; /* forward and head over batches of text */
    double step_tokens_per_s;    /* student forward, head with gradient, backward; the update is left out */
    double seconds;              /* spent measuring */
} rt_pace;

/* Tokens/s of text scored, `rows` at a time in sequences; and written one by one after each other, `n` of them. */
RT_MUST_USE rt_status rt_pace_forward(double *tokens_per_s, const rt_model *m, int64_t rows, int64_t sequence,
                                      rt_err *err);
RT_MUST_USE rt_status rt_pace_decode(double *tokens_per_s, const rt_model *m, int n, rt_err *err);

/* `student`: an outline. A few seconds: two warm runs of each are not counted, the faster of two that are is taken. */
RT_MUST_USE rt_status rt_pace_measure(rt_pace *out, const rt_model *teacher, const rt_model *student,
                                      int64_t batch_tokens, int64_t sequence, rt_err *err);

/* Tokens a second of answers to prompts of `prompt_tokens`, `together` of them at a time (RT_ANSWER_BATCH at most),
 * reading those left out; *seconds are added. */
RT_MUST_USE rt_status rt_pace_writing(double *tokens_per_s, double *seconds, const rt_model *m, int together,
                                      int64_t prompt_tokens, rt_err *err);
/* The same of a student of which there is an outline, in the arithmetic of its teacher. */
RT_MUST_USE rt_status rt_pace_outline_writing(double *tokens_per_s, double *seconds, const rt_model *student,
                                              const rt_model *teacher, int together, int64_t prompt_tokens,
                                              rt_err *err);

#endif
