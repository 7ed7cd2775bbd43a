/* own_text.h - the phase of a recipe in which the student learns on what it writes, after the cache. Its metrics,
 * checkpoints and ledger are in <run>/on_policy. Private to flow. */
#ifndef RT_FLOW_OWN_TEXT_H
#define RT_FLOW_OWN_TEXT_H

#include "flow/state.h"

bool rt_flow_writes(const rt_flow *f);
/* `student` goes on as `before` says but for length, rate and loss; its counts are added to *res. A call that was
 * killed is taken up again. *summary (owned by the caller) is for train.json. */
RT_MUST_USE rt_status rt_flow_own_text(rt_flow *f, rt_model *student, const rt_train_options *before,
                                       rt_train_result *res, json_t **summary, rt_err *err);
/* What the phase takes of `seconds` for the student's training, or, where these are 0, beside `tokens` of it. All zero
 * without a phase; seconds are 0 where nothing was measured. */
typedef struct rt_own_share {
    double seconds;
    int64_t tokens; /* about so many where it is seconds that are given */
} rt_own_share;
rt_own_share rt_flow_own_share(const rt_flow *f, double seconds, int64_t tokens);

#endif
