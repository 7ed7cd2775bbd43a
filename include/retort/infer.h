/* infer.h - what a model says: log-probabilities of given text, and text of its own. */
#ifndef RETORT_INFER_H
#define RETORT_INFER_H

#include <retort/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Natural log-probability of ids[n] after context[n_context], both at least one token. `logprobs` [n] gets that of each
 * token and may be NULL; *total their sum. */
RT_API rt_status retort_score(const retort_model *m, const int32_t *context, size_t n_context, const int32_t *ids,
                              size_t n, float *logprobs, double *total, rt_err *err);

typedef struct retort_generate_options {
    size_t size;
    int64_t max_tokens;
    double temperature; /* 0: the most probable token each time */
    int64_t top_k;      /* 0: off; likewise the next two */
    double top_p, min_p;
    uint64_t seed;
    int ignore_end; /* 1: go on after an end token */
    /* Called after each token unless NULL; 0 ends the text. */
    int (*on_token)(void *user, int32_t id, float logprob);
    void *user;
} retort_generate_options;

static inline retort_generate_options retort_generate_defaults(void)
{
    retort_generate_options o = {sizeof(retort_generate_options), 128, 0.0, 0, 0.0, 0.0, 1, 0, NULL, NULL};
    return o;
}

/* Continues prompt[n_prompt]. `ids`, and `logprobs` unless NULL, have room for max_tokens; *n is how many were written,
 * an end token included. `t` tells the end tokens and may be NULL: there are none. */
RT_API rt_status retort_generate(const retort_model *m, const retort_tokenizer *t, const int32_t *prompt,
                                 size_t n_prompt, const retort_generate_options *o, int32_t *ids, float *logprobs,
                                 size_t *n, rt_err *err);

#ifdef __cplusplus
}
#endif
#endif
