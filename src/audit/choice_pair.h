/* choice_pair.h - context and continuation as token ids, cut apart as the harness does. Private to audit. */
#ifndef RT_AUDIT_CHOICE_PAIR_H
#define RT_AUDIT_CHOICE_PAIR_H

#include "text/tokenizer.h"

/* Ranges of a pool of ids, which may move while it grows. */
typedef struct rt_choice_pair {
    size_t context, n_context;
    size_t continuation, n;
} rt_choice_pair;

/* Appends both to the pool. `before` (may be NULL): the pair of the same context text, whose context is used again. */
RT_MUST_USE rt_status rt_choice_encode(rt_choice_pair *out, rt_ids *pool, const rt_tokenizer *t, rt_slice context,
                                       rt_slice continuation, const rt_choice_pair *before, rt_err *err);
/* Cuts the context from the left until a model of n_ctx positions takes the pair. */
RT_MUST_USE rt_status rt_choice_truncate(rt_choice_pair *p, int64_t n_ctx, rt_err *err);

#endif
