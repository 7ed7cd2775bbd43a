/* generate.h - continuations of many prompts. A prompt is read alone, in pieces of a fixed size; what another prompt
 * that begins the same has left is not read again. Then all unfinished sequences take a step together, and the place of
 * one that ends goes to the next prompt. What a sequence becomes depends on its prompt, its index and the options only:
 * alone or among others, with anything shared or not, on any number of threads, the same bits. */
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
    size_t max_ahead;        /* prompts begun behind the first one unfinished, at most; 0: any number */
    bool apart;              /* every prompt is read whole, whatever another has left (to measure what sharing gives) */
    uint64_t first_sequence; /* index of the first prompt in the random streams */
    /* Called by the caller's thread; may be NULL. `index` counts prompts from 0; the last id is the new one.
     * on_token: false ends the sequence. on_end: once a sequence, in the order they end; a failure ends everything. */
    bool (*on_token)(void *ud, size_t index, const rt_generated *g);
    rt_status (*on_end)(void *ud, size_t index, const rt_generated *g, rt_err *err);
    void *ud;
} rt_generate_options;

/* Prompts by number. at: cheap, the same answer every time; its ids stay until generation ends. */
typedef struct rt_prompt_list {
    size_t n;
    rt_prompt (*at)(void *ud, size_t index);
    void *ud;
} rt_prompt_list;

typedef struct rt_generate_counts {
    int64_t read, reused; /* tokens of prompts: through the layers; there already */
    int64_t written;
} rt_generate_counts;

/* One after the other, as far as o->max_batch places reach; on_token and on_end see views of what is under way, gone
 * after on_end. `t` tells the end tokens and may be NULL: there are none. Nothing is allocated after the beginning.
 * RT_CANCELLED on an interrupt. `counts` may be NULL and is filled in any case. */
RT_MUST_USE rt_status rt_generate_each(const rt_model *m, const rt_tokenizer *t, const rt_prompt_list *prompts,
                                       const rt_generate_options *o, rt_generate_counts *counts, rt_err *err);

/* The same for many calls: everything is laid out once, and the model's weights may change between calls. */
typedef struct rt_generator_size {
    int64_t longest, max_new; /* tokens of a prompt, and after it */
    int64_t places;           /* sequences at a time */
} rt_generator_size;
typedef struct rt_generator rt_generator;
/* Borrows model and tokenizer. */
RT_MUST_USE rt_status rt_generator_new(rt_generator **out, const rt_model *m, const rt_tokenizer *t,
                                       const rt_generator_size *size, rt_err *err);
void rt_generator_free(rt_generator *g); /* accepts NULL */
size_t rt_generator_bytes(const rt_model *m, const rt_generator_size *size);
/* As rt_generate_each, within the size, whose places stand for o->max_batch. Allocates nothing. */
RT_MUST_USE rt_status rt_generator_run(rt_generator *g, const rt_prompt_list *prompts, const rt_generate_options *o,
                                       rt_generate_counts *counts, rt_err *err);

typedef struct rt_generation { /* rt_generation_release frees */
    rt_generated *seq;         /* [n] in the order of the prompts */
    size_t n;
    rt_generate_counts counts;
    void *blocks[2]; /* ids and log-probabilities of all */
} rt_generation;

/* The same with all continuations kept; `out` is empty after a failure. */
RT_MUST_USE rt_status rt_generate(rt_generation *out, const rt_model *m, const rt_tokenizer *t,
                                  const rt_prompt *prompts, size_t n, const rt_generate_options *o, rt_err *err);
void rt_generation_release(rt_generation *g);

/* Tokens that can follow a prompt of n. */
int64_t rt_generate_room(const rt_model *m, int64_t n, int64_t max_new);
/* Bytes rt_generate_each takes for prompts up to `longest`. */
size_t rt_generate_bytes(const rt_model *m, int64_t longest, int64_t max_new, int max_batch);

#endif
