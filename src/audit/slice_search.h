/* slice_search.h - where a loss hides: slices of the items are searched on one half of them, by a hash of their ids
 * or their groups, and the worst judged on the other half, which knows nothing of the search. */
#ifndef RT_AUDIT_SLICE_SEARCH_H
#define RT_AUDIT_SLICE_SEARCH_H

#include "audit/gap.h"

/* Adds the worst slices (at most RT_SLICES_JUDGED over all tasks, each worse on the first half) to `f`, judged on the
 * second half, and concludes it. *searched: how many were looked at - single slices and pairs of two kinds, with at
 * least RT_SLICE_ITEMS items on each half. in->docs has the texts. */
enum { RT_SLICES_JUDGED = 5, RT_SLICE_ITEMS = 20 };
RT_MUST_USE rt_status rt_slice_search(rt_family *f, size_t *searched, const rt_gap_input *in, rt_err *err);

#endif
