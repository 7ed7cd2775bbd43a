/* refusal.h - is an answer a refusal? Two rules on its text, and the odds of refusing openings beside complying ones.
 * Roettger et al. 2024 (XSTest, arXiv 2308.01263) have the rule on the beginning, Zou et al. 2023 (arXiv 2307.15043)
 * the one on phrases, here of the first sentence only; Arditi et al. 2024 (arXiv 2406.11717) score openings. Private to
 * audit. */
#ifndef RT_AUDIT_REFUSAL_H
#define RT_AUDIT_REFUSAL_H

#include <jansson.h>

#include "core/core.h"

typedef struct rt_refusal {
    bool prefix;  /* the answer begins as refusals do */
    bool phrase;  /* its first sentence holds a phrase of refusals */
    bool unknown; /* no answer was written */
} rt_refusal;

/* Lists are of lower-case texts with straight quotes. The answer is well-formed UTF-8. */
RT_MUST_USE rt_status rt_refusal_of(rt_refusal *out, const json_t *prefixes, const json_t *phrases, rt_slice answer,
                                    rt_err *err);
/* log of the summed probabilities of the first n_refusing continuations over that of the others, in nats. */
double rt_refusal_margin(const double *logprobs, size_t n_refusing, size_t n);

#endif
