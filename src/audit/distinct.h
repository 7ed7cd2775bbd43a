/* distinct.h - how varied a text is: a model that repeats itself says few different things. */
#ifndef RT_AUDIT_DISTINCT_H
#define RT_AUDIT_DISTINCT_H

#include "core/core.h"

/* Share of the n-grams of `order` tokens that are different ones (distinct-n, Li et al. 2016, arXiv 1510.03055,
 * section 5.2); 1: none twice. NAN where the text is shorter. Quadratic: for short continuations. */
double rt_distinct(const int32_t *ids, size_t n, size_t order);

#endif
