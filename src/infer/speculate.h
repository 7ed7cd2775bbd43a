/* speculate.h - a small model drafts, the large one verifies a whole draft in one step (Leviathan et al. 2023,
 * algorithm 1). Greedy text is that of the large model alone, bit for bit; drawn text has its distribution, though not
 * the draws rt_generate makes. */
#ifndef RT_INFER_SPECULATE_H
#define RT_INFER_SPECULATE_H

#include "infer/generate.h"

#define RT_DRAFT_MOST 16 /* tokens of a draft */

typedef struct rt_speculation_options {
    int draft;          /* tokens a round, 1 .. RT_DRAFT_MOST */
    double temperature; /* of both models; 0: greedy */
    uint64_t seed;
    int64_t max_new;
    bool ignore_end;
} rt_speculation_options;

/* What became of the drafts; sums over sequences. */
typedef struct rt_speculation {
    int64_t rounds;                                     /* verifying steps */
    int64_t judged[RT_DRAFT_MOST], kept[RT_DRAFT_MOST]; /* by place in the draft: all before it were kept; it was too */
    int64_t written; /* tokens, without the first of a sequence, which the prompt gives */
    int64_t drafted; /* steps of the draft */
    double drafting; /* seconds in them */
    double seconds;  /* in rounds */
} rt_speculation;

typedef struct rt_speculator rt_speculator;
/* For prompts up to `longest`. Both models take the same ids; `t` may be NULL: no token ends a sequence. RT_UNSUPPORTED
 * for a model whose state cannot be wound back. Nothing is allocated after this. */
RT_MUST_USE rt_status rt_speculator_new(rt_speculator **out, const rt_model *target, const rt_model *draft,
                                        const rt_tokenizer *t, const rt_speculation_options *o, int64_t longest,
                                        rt_err *err);
void rt_speculator_free(rt_speculator *s);
/* Continues one prompt; `sequence` numbers the random streams. g->ids and g->logprobs: room of the caller's for
 * rt_generate_room tokens. Adds to `sum`. */
RT_MUST_USE rt_status rt_speculate(rt_speculator *s, const rt_prompt *p, uint64_t sequence, rt_generated *g,
                                   rt_speculation *sum, rt_err *err);

/* The rule itself, for probabilities p of the target and q of the draft over n tokens: whether the drafted token x
 * stays, given uniform u; and the token that takes its place. */
bool rt_draft_stays(const float *p, const float *q, int32_t x, double u);
int32_t rt_draft_replace(const float *p, const float *q, int64_t n, double u);

#endif
