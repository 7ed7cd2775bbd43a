/* distinct.h - how varied a text is: a model that repeats itself says few different things. */
#ifndef RT_AUDIT_DISTINCT_H
#define RT_AUDIT_DISTINCT_H

#include "audit/family.h"

/* Share of the n-grams of `order` tokens that are different ones (distinct-n, Li et al. 2016, arXiv 1510.03055,
 * section 5.2); 1: none twice. NAN where the text is shorter. Quadratic: for short continuations. */
double rt_distinct(const int32_t *ids, size_t n, size_t order);

enum { RT_DISTINCT_ORDERS = 3 }; /* distinct-1 to distinct-3 are what is looked at */
/* A loss of variety up to this counts as kept, as a share of different n-grams. */
#define RT_DISTINCT_MARGIN 0.05
/* A row "distinct-<order>": the model's texts beside the reference's behind the same beginnings, [n], over those where
 * both are long enough; none where no text is. groups[n]: texts of one number are not independent. */
RT_MUST_USE rt_status rt_distinct_add(rt_family *f, size_t order, const double *reference, const double *model,
                                      const int64_t *groups, size_t n, uint64_t seed, rt_err *err);

#endif
