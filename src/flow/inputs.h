/* inputs.h - what each result of a run depends on, as JSON whose digest decides what is done again. Private to flow. */
#ifndef RT_FLOW_INPUTS_H
#define RT_FLOW_INPUTS_H

#include "flow/state.h"

/* Of a stage, beside the stages before it; owned, NULL when memory is out. */
json_t *rt_inputs_answers(const rt_flow *f);
json_t *rt_inputs_filter(const rt_flow *f);
json_t *rt_inputs_collect(const rt_flow *f);
json_t *rt_inputs_init(const rt_flow *f);
json_t *rt_inputs_train(const rt_flow *f);
json_t *rt_inputs_twin(const rt_flow *f);
json_t *rt_inputs_export(const rt_flow *f);
json_t *rt_inputs_audit(const rt_flow *f);
json_t *rt_inputs_report(const rt_flow *f);
/* Of the split of the budget. */
json_t *rt_inputs_plan(const rt_flow *f);

/* Digest of "<before> <what> <inputs>" into `hex`, which may be `before`. Takes `inputs`. */
RT_MUST_USE rt_status rt_inputs_digest(const char *before, const char *what, json_t *inputs, char hex[65], rt_err *err);

#endif
