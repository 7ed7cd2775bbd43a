/* retain.h - the prompts of a recipe's `retain`, answered and made into a second source, and what is watched of them.
 * Private to flow. */
#ifndef RT_FLOW_RETAIN_H
#define RT_FLOW_RETAIN_H

#include "audit/task.h"
#include "flow/state.h"

bool rt_flow_retains(const rt_flow *f);
/* Refuses rows that would be taught and are also measured on, whatever was collected before; RT_OK without `retain`. */
RT_MUST_USE rt_status rt_flow_retain_check(const rt_flow *f, rt_err *err);
/* Chooses the rows, checked as above, and has the teacher answer them and say its distributions:
 * retain/answers.jsonl, retain/cache, both in ledgers. With a policy the rows alone: retain/answers.jsonl. */
RT_MUST_USE rt_status rt_flow_retain_collect(rt_flow *f, rt_err *err);

typedef struct rt_flow_retain { /* zero-initialise */
    rt_flow *f;
    rt_corpus corpus; /* of a policy */
    rt_packed packed;
    rt_cache *cache; /* of the teacher's answers */
    rt_task *tasks[RT_WATCHED];
    rt_retain_options options; /* for training */
    rt_watched last[RT_WATCHED];
    size_t n_last; /* found by the latest look, after training: in the weights that it left */
} rt_flow_retain;
/* Opens what was collected. */
RT_MUST_USE rt_status rt_flow_retain_open(rt_flow_retain *r, rt_flow *f, rt_err *err);
void rt_flow_retain_close(rt_flow_retain *r);
/* {answers, weight, batch_tokens, tokens, positions, watch: [{name, value, min, max, holds}]}; owned. */
json_t *rt_flow_retain_json(const rt_flow_retain *r);

#endif
