/* task_pair.h - context and continuation as token ids, cut apart as the harness does. Private to audit. */
#ifndef RT_AUDIT_TASK_PAIR_H
#define RT_AUDIT_TASK_PAIR_H

#include "text/tokenizer.h"

/* Ranges of a pool of ids, which may move while it grows. */
typedef struct rt_task_pair {
    size_t context, n_context;
    size_t continuation, n;
} rt_task_pair;

/* Appends both to the pool. `before` (may be NULL): the pair of the same context text, whose context is used again. */
RT_MUST_USE rt_status rt_task_encode(rt_task_pair *out, rt_ids *pool, const rt_tokenizer *t, rt_slice context,
                                     rt_slice continuation, const rt_task_pair *before, rt_err *err);
/* A prompt alone: its last `room` ids at most, or the prefix token when it is empty; no continuation. */
RT_MUST_USE rt_status rt_task_encode_prompt(rt_task_pair *out, rt_ids *pool, const rt_tokenizer *t, rt_slice prompt,
                                            size_t room, rt_err *err);
/* Appends a prompt as a user's turn with the answer's turn opened, where the tokenizer's chat template is known; else
 * the prompt and a line feed. */
RT_MUST_USE rt_status rt_task_encode_turn(rt_ids *pool, const rt_tokenizer *t, rt_slice prompt, rt_err *err);
/* A text to be scored whole: at `first` the prefix token, then the text's n ids. */
RT_MUST_USE rt_status rt_task_encode_text(rt_ids *pool, size_t *first, size_t *n, const rt_tokenizer *t, rt_slice text,
                                          rt_err *err);
/* The w-th window of such a text for a model of n_ctx positions: every id is predicted once, behind as much as there is
 * room for. false: there are no more. */
bool rt_task_window(rt_task_pair *out, size_t first, size_t n, size_t w, size_t n_ctx);
/* Cuts the context from the left until a model of n_ctx positions takes the pair. */
RT_MUST_USE rt_status rt_task_truncate(rt_task_pair *p, int64_t n_ctx, rt_err *err);

#endif
