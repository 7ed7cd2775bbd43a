/* facts.h - everything a run left behind, as one JSON object: what page and card are written from. Private to flow. */
#ifndef RT_FLOW_FACTS_H
#define RT_FLOW_FACTS_H

#include "flow/state.h"

/* Reads run.json, stage results and metrics from the run directory; what is absent stays absent. Owned by the caller.
 */
RT_MUST_USE rt_status rt_facts_collect(json_t **out, rt_flow *f, rt_err *err);
/* Entry of facts.models with this id, NULL when there is none. */
const json_t *rt_facts_model(const json_t *models, const char *id);
/* {cpu, isa, threads, gemm, precision} of this process. Owned. */
json_t *rt_facts_machine(const rt_flow *f);
/* [{name, use, documents, tokens, origin, licence}]; the texts are open. Owned. */
json_t *rt_facts_data(const rt_flow *f);
/* Every data set has a stated origin, rows that are only scored aside. */
bool rt_facts_data_stated(const json_t *data);
/* The part of the facts the model card takes (record/card.h names the fields). */
json_t *rt_facts_card(const json_t *facts);

/* {rt_flow_retain_json, kl, and where the recipe names a run beside it beside, kl_without, price = kl / kl_without -
 * 1}; owned, NULL: nothing was retained. */
json_t *rt_facts_retain(const rt_flow *f, const json_t *train, const json_t *models);

#endif
