/* sample.h - the next token from a row of logits: greedy, or drawn at a temperature from what top-k, top-p and min-p
 * leave. The draw is a pure function of (seed, sequence, step) and the logits, so a sequence does not depend on what
 * else is generated with it. */
#ifndef RT_INFER_SAMPLE_H
#define RT_INFER_SAMPLE_H

#include "core/core.h"

/* All zero is greedy. Applied in this order: temperature, top_k, top_p, min_p. */
typedef struct rt_sampling {
    double temperature; /* 0: greedy, and the next three do not matter */
    int64_t top_k;      /* the k most probable; 0: off */
    double
        top_p; /* the fewest most probable whose share of what top_k left reaches p (Holtzman et al. 2020); 0, 1: off */
    double min_p; /* those with at least this share of the largest probability; 0: off */
    uint64_t seed;
} rt_sampling;
RT_MUST_USE rt_status rt_sampling_check(const rt_sampling *s, rt_err *err);

typedef struct rt_sampled {
    int32_t id;
    /* log softmax of the row as the model gave it: temperature 1, nothing cut off. NaN when the row is not finite. */
    float logprob;
} rt_sampled;

/* Bytes of scratch one thread needs for rows of n logits. */
size_t rt_sample_scratch_bytes(int64_t n);
rt_sampled rt_sample(const rt_sampling *s, const float *logits, int64_t n, uint64_t sequence, uint64_t step,
                     void *scratch);

#endif
