/* claim.h - what a family of verdicts allows to be said: competitive on these, lacking those, and whether what was kept
 * are the benchmarks it was trained for. */
#ifndef RT_AUDIT_CLAIM_H
#define RT_AUDIT_CLAIM_H

#include "audit/family.h"

/* {statement, worse_everywhere, competitive, lacking, open, not_measurable: [name]}. Competitive: kept or gained.
 * Lacking: lost. Open: worse by an unknown size, or too few items. These after Holm; worse_everywhere by each row
 * alone: a claim that needs all rows needs no correction (intersection-union, Berger 1982, Technometrics 24:295).
 * `statement` is one sentence; it claims nothing for a model without a row that is kept. Owned. */
json_t *rt_claims_json(const rt_family *f);
/* Retention above chance on the tasks of trained_for, [{task, how}], less that on the others: {seen: {tasks,
 * retention}, unseen, difference, low, high}; the interval takes tasks as independent. null where either side has
 * nothing that can be measured. Owned. */
json_t *rt_claims_seen_json(const rt_family *f, const json_t *trained_for);

#endif
