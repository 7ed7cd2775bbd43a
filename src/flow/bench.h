/* bench.h - how fast this machine does each part of the work with a given teacher: one number a part, and yardsticks
 * that need no other machine: the same matrix products alone, and bare multiply-adds in the same seconds. */
#ifndef RT_FLOW_BENCH_H
#define RT_FLOW_BENCH_H

#include "infer/generate.h"
#include "model/models.h"
#include "record/gate.h"
#include "text/text.h"

#define RT_BENCH_DECODES 3
extern const int rt_bench_batches[RT_BENCH_DECODES]; /* 1, 8, 32 */
#define RT_BENCH_LENGTHS 5
extern const int rt_bench_lengths[RT_BENCH_LENGTHS]; /* 512, 1024, ... 8192 */

/* One shape of a product y[rows, out] = x[rows, in] W^T and its two gradients, in FLOP/s; 0: not measured. */
typedef struct rt_bench_product {
    rt_dtype type; /* of the inputs */
    const char *path;
    int64_t rows, out, in;
    double forward, dx, dw;
} rt_bench_product;
#define RT_BENCH_PRODUCTS 16

/* Training at one sequence length; 0: not measured. */
typedef struct rt_bench_length {
    double tokens_per_s;
    double attention_share; /* of the step's time: scores, softmax and their products, without projections */
} rt_bench_length;

/* Smallest, median and largest of samples taken beside every part, FLOP/s of the whole team. */
typedef struct rt_bench_bare {
    double least, median, most;
} rt_bench_bare;

/* Several answers to prompts with a beginning in common: lengths in tokens, and the time with and without sharing. */
typedef struct rt_bench_answers {
    int prompts, answers; /* answers a prompt */
    int64_t shared, own;  /* of a prompt */
    int64_t written;      /* of an answer */
    rt_generate_counts counts;
    double seconds, seconds_apart; /* shared parts read once; read every time */
} rt_bench_answers;

/* Steps and their bare products as they were run by turns, seconds. */
#define RT_BENCH_TURNS 8
typedef struct rt_bench_turn {
    double step, gemm;
} rt_bench_turn;

/* A part that could not be measured is 0. */
typedef struct rt_bench {
    rt_bench_bare bare_f32, bare_bf16; /* bf16: where it is fast */
    rt_bench_product products[RT_BENCH_PRODUCTS];
    int n_products;

    double teacher_tokens_per_s; /* forward, 50 draws a position, cache and ledger written */
    double cache_bytes_per_token;
    int draws;
    double cache_write_bytes_per_s, cache_read_bytes_per_s, cache_read_tokens_per_s; /* one thread, bytes on disk */
    double tokenizer_bytes_per_s;                                                    /* one thread, bytes of text */

    double step_tokens_per_s; /* forward, losses from the cache, backward, update; the median */
    double step_seconds, gemm_seconds, step_over_gemm; /* medians of the turns */
    rt_bench_turn turns[RT_BENCH_TURNS];
    int n_turns;
    double head_share, attention_share; /* of step_seconds */
    int student_layers;
    int64_t step_tokens;
    rt_bench_length lengths[RT_BENCH_LENGTHS];
    double decode_tokens_per_s[RT_BENCH_DECODES];
    rt_bench_answers answers;
    size_t predicted_bytes, training_bytes; /* what training takes, as foreseen and as the process grew by */
    size_t peak_bytes;                      /* of the whole process */
    double seconds;
} rt_bench;

/* Parts to measure; bare loops are sampled whichever are asked for. */
enum {
    RT_BENCH_TEACHER = 1,
    RT_BENCH_IO = 2, /* cache and tokenizer */
    RT_BENCH_DECODE = 4,
    RT_BENCH_STEP = 8,
    RT_BENCH_LENGTH = 16,
    RT_BENCH_ANSWERS = 32,
    RT_BENCH_ALL = 63
};

typedef struct rt_bench_job {
    const rt_model *teacher;
    const rt_tokenizer *tokenizer;
    const rt_permit *permit; /* NULL: nothing is collected, and steps learn from labels */
    unsigned parts;
    unsigned lengths; /* bit i: rt_bench_lengths[i]; 0: all of them */
    bool recompute;   /* steps run layers again in the backward pass */
    bool quick;       /* fewer repetitions and smaller batches: a minute at most */
} rt_bench_job;

/* Works in a temporary directory that is gone afterwards. */
RT_MUST_USE rt_status rt_bench_run(const rt_bench_job *job, rt_bench *out, rt_err *err);

#endif
