/* generate.h - continuations of many prompts. A prompt is read alone, in pieces of a fixed size; then all unfinished
 * sequences take a step together, and the place of one that ends goes to the next prompt. What a sequence becomes
 * depends on its prompt, its index and the options only: alone or among others, on any number of threads, the same
 * bits. */
#ifndef RT_INFER_GENERATE_H
#define RT_INFER_GENERATE_H

#include "infer/sample.h"
#include "model/models.h"
#include "text/tokenizer.h"

typedef struct rt_prompt {
    const int32_t *ids;
    int64_t n; /* 1 .. m->rope_rows */
} rt_prompt;

typedef enum rt_stop {
    RT_STOP_LENGTH,  /* max_new tokens */
    RT_STOP_END,     /* an end token, which is the last of the ids */
    RT_STOP_CONTEXT, /* the context of the model is full */
    RT_STOP_CALLER   /* on_token said so */
} rt_stop;
const char *rt_stop_name(rt_stop s); /* "length" */

typedef struct rt_generated {
    int32_t *ids;    /* [n] the continuation alone */
    float *logprobs; /* [n] as rt_sampled */
    int64_t n;
    rt_stop stop; /* why it ended, once it has */
} rt_generated;

typedef struct rt_generate_options {
    rt_sampling sampling;
    int64_t max_new;         /* tokens a sequence, at least 1 */
    bool ignore_end;         /* end tokens are tokens like others */
    int max_batch;           /* sequences at a time; 0: 32 */
    uint64_t first_sequence; /* index of the first prompt in the random streams */
    /* Called by the caller's thread; may be NULL. `index` counts prompts from 0; the last id is the new one.
     * on_token: false ends the sequence. on_end: once a sequence, in the order they end. */
    bool (*on_token)(void *ud, size_t index, const rt_generated *g);
    void (*on_end)(void *ud, size_t index, const rt_generated *g);
    void *ud;
} rt_generate_options;

typedef struct rt_generation { /* rt_generation_release frees */
    rt_generated *seq;         /* [n] in the order of the prompts */
    size_t n;
    void *blocks[2]; /* ids and log-probabilities of all */
} rt_generation;

/* `t` tells the end tokens and may be NULL: there are none. Nothing is allocated after the last prompt has been read.
 * RT_CANCELLED on an interrupt; `out` is empty after a failure. */
RT_MUST_USE rt_status rt_generate(rt_generation *out, const rt_model *m, const rt_tokenizer *t,
                                  const rt_prompt *prompts, size_t n, const rt_generate_options *o, rt_err *err);
void rt_generation_release(rt_generation *g);

/* Bytes of activations, keys and values for prompts up to `longest`. */
size_t rt_generate_bytes(const rt_model *m, int64_t longest, int64_t max_new, int max_batch);

#endif
