/* score.h - log-probabilities of given continuations after given contexts, many at a time: multiple choice and
 * perplexity. Requests with the same context that follow each other share its computation. */
#ifndef RT_INFER_SCORE_H
#define RT_INFER_SCORE_H

#include "model/models.h"

typedef struct rt_score_request {
    const int32_t *context; /* at least one token */
    int64_t n_context;
    const int32_t *ids; /* continuation, at least one token */
    int64_t n;          /* n_context + n - 1 <= m->rope_rows */
    float *logprobs;    /* [n] filled with log p of each continuation token in nats; NULL: not wanted */
} rt_score_request;

typedef struct rt_score {
    double logprob; /* sum over the continuation */
    bool greedy;    /* every token is the most probable one (first of equals) */
} rt_score;

typedef struct rt_score_options {
    int64_t max_rows; /* of a forward pass; raised to the longest request; 0: 2048 */
    void (*on_progress)(void *ud, size_t done, size_t n); /* requests; may be NULL */
    void *ud;
} rt_score_options;

/* scores[n], in the order of requests. Depends on the list of requests and max_rows in the last bits, since products
 * over more or fewer rows may round differently; the same call gives the same bits. `o` may be NULL. */
RT_MUST_USE rt_status rt_score_run(const rt_model *m, const rt_score_request *requests, size_t n, rt_score *scores,
                                   const rt_score_options *o, rt_err *err);

#endif
