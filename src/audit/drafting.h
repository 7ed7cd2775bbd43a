/* drafting.h - what a model is worth as the drafter of another: it drafts, the other verifies, over continuations of
 * held-out texts. */
#ifndef RT_AUDIT_DRAFTING_H
#define RT_AUDIT_DRAFTING_H

#include <jansson.h>

#include "audit/speedup.h"
#include "infer/speculate.h"
#include "text/text.h"

typedef struct rt_drafting_options {
    int draft;            /* tokens a round */
    double temperature;   /* 0: greedy */
    int64_t prompts;      /* documents at most */
    int64_t prompt, text; /* tokens a document gives, tokens written behind it */
    uint64_t seed;
} rt_drafting_options;

typedef struct rt_drafting {
    rt_drafting_options o;
    int64_t prompts, written;
    rt_stat alpha[RT_DRAFT_MOST]; /* share kept of the tokens at this place of a draft, when all before were kept */
    rt_stat tau;                  /* tokens a verifying step gives, 1 .. draft + 1 */
    double tokens_per_s, alone_tokens_per_s; /* of this engine, one sequence at a time: with drafts; without */
    rt_speedup predicted;                    /* from what the steps of this run took */
    rt_speedup bound; /* of a machine that takes the time of reading weights: v = 1, c by bytes of the files */
} rt_drafting;

/* Of models that were opened, not made. Standard errors are clustered by title. RT_INPUT when no document is longer
 * than a prompt. */
RT_MUST_USE rt_status rt_drafting_measure(rt_drafting *out, const rt_model *target, const rt_model *draft,
                                          const rt_tokenizer *t, const rt_corpus *corpus, const rt_drafting_options *o,
                                          rt_err *err);
/* Owned, NULL when memory is out. */
json_t *rt_drafting_json(const rt_drafting *d);

#endif
