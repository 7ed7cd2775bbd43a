/* distil.h - the work itself, stage by stage on folders, or as a recipe. A stage that takes something from a teacher
 * asks the licence gate first; one that was killed goes on where it was when it is called again. */
#ifndef RETORT_DISTIL_H
#define RETORT_DISTIL_H

#include <retort/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- collect: what a teacher says about texts --------------------------------------------------------------------- */

typedef struct retort_collect_options {
    size_t size;
    const char *targets; /* "sample", "topk" or "hidden" */
    int draws;           /* sample: a position */
    int k;               /* topk: entries a position */
    double temperature;  /* of the distribution */
    int64_t tokens;      /* of text, whole documents; 0: all */
    int64_t sequence;    /* longest sequence; 0: 512, or the teacher's context */
    uint64_t seed;
    int precision;              /* RETORT_PRECISION_... */
    int hidden_f32;             /* hidden: states in f32 instead of f16 */
    const char *accept_licence; /* id of a licence whose duties, or unknown terms, are accepted; recorded. NULL: none */
    const char *reason;         /* why, where the terms are unknown */
    const char *grant;          /* file with a written grant of the rights holder; NULL: none */
    int64_t memory; /* bytes the process may hold meanwhile, 0: what the machine has; larger teachers are read layer by
                       layer */
    const char *chat_form;       /* of conversations: "chatml", ...; NULL: the one the teacher's template says */
    int accept_degraded_teacher; /* go on where teacher_kl exceeds 0.05; recorded */
} retort_collect_options;

static inline retort_collect_options retort_collect_defaults(void)
{
    retort_collect_options o = {sizeof(retort_collect_options), "sample", 50,   32,   1.0,  0, 0,    1,
                                RETORT_PRECISION_AUTO,          0,        NULL, NULL, NULL, 0, NULL, 0};
    return o;
}

typedef struct retort_collect_result {
    int64_t tokens, positions, bytes; /* of the whole cache; positions with a target */
    double bytes_per_token;
    int draws;                    /* a position; 0 unless sampled */
    double teacher_nll;           /* nats a position */
    double seconds, tokens_per_s; /* of this call */
    /* the teacher as it speaks against the f32 path of its own file: KL in nats a position, NAN error: one text */
    double teacher_kl, teacher_kl_stderr;
    int64_t teacher_kl_positions; /* 0: not measured */
    char teacher_unmeasured[160]; /* why not; "" when it was */
} retort_collect_result;

/* Teacher's answers about the documents of `texts` (.jsonl or .txt) into folder `cache`, with cache/ledger.jsonl.
 * `result` may be NULL. RT_LICENCE: the gate refuses; nothing was made. RT_FINDING: teacher_kl exceeds 0.05. */
RT_API rt_status retort_collect(const char *teacher, const char *const *texts, size_t n_texts, const char *cache,
                                const retort_collect_options *o, retort_collect_result *result, rt_err *err);

/* --- train: a student from a cache ----------------------------------------------------------------------------------
 */

typedef struct retort_train_options {
    size_t size;
    const char *loss;    /* "forward_kl", "forward_kl:0.9,ce:0.1", ...: docs/losses.md */
    double temperature;  /* of the loss */
    const char *teacher; /* for a cache of hidden states, or a loss between layers (evenly spaced); else NULL */
    int64_t tokens;      /* how long: tokens, or active seconds; the other is 0 */
    double seconds;
    int64_t batch_tokens; /* a step */
    double lr;            /* peak */
    uint64_t seed;
    int precision;
    const char *optimizer; /* "adamw" or "muon" */
} retort_train_options;

static inline retort_train_options retort_train_defaults(void)
{
    retort_train_options o = {sizeof(retort_train_options), "forward_kl", 1.0, NULL, 0, 0.0, 4096, 6e-4, 1,
                              RETORT_PRECISION_AUTO,        "adamw"};
    return o;
}

typedef struct retort_train_result {
    int64_t steps, tokens;
    double seconds, tokens_per_s;
    double first_loss, last_loss;
    int resumed; /* an earlier call had begun this run */
} retort_train_result;

/* Trains the model at `student` on `cache`; the result is <run>/student, metrics and checkpoints lie in <run>. RT_INPUT
 * where the student's tokenizer is not the one the cache was collected with, or the teacher is another. */
RT_API rt_status retort_train(const char *student, const char *cache, const char *run, const retort_train_options *o,
                              retort_train_result *result, rt_err *err);

/* --- evaluate: a model on held-out text ------------------------------------------------------------------------------
 */

/* Means over tokens with standard errors clustered by title; NaN where there is none. */
typedef struct retort_fidelity {
    int64_t positions, documents;
    double nll, nll_stderr;               /* nats a token; perplexity = exp(nll) */
    double kl, kl_stderr;                 /* KL(teacher | model) */
    double top1, top1_stderr;             /* share of tokens with the same most probable token */
    double acceptance, acceptance_stderr; /* sum of min(p, q): share of drafted tokens a teacher accepts */
} retort_fidelity;

/* `t` is the tokenizer of both. `teacher` NULL: nll alone. max_tokens 0: all. */
RT_API rt_status retort_evaluate(const retort_model *m, const retort_model *teacher, const retort_tokenizer *t,
                                 const char *const *texts, size_t n_texts, int64_t max_tokens, retort_fidelity *out,
                                 rt_err *err);

/* --- run: a whole recipe ---------------------------------------------------------------------------------------------
 */

typedef struct retort_run_options {
    size_t size;
    const char *const *sets; /* "train.lr=3e-4": keys of the recipe to override */
    size_t n_sets;
    const char *runs_dir;                /* NULL: "runs" */
    const char *accept_licence, *reason; /* as for retort_collect */
} retort_run_options;

static inline retort_run_options retort_run_defaults(void)
{
    retort_run_options o = {sizeof(retort_run_options), NULL, 0, NULL, NULL, NULL};
    return o;
}

/* All stages. *json (may be NULL) gets {name, dir, report, model, active_seconds} as text: retort_free. */
RT_API rt_status retort_run(const char *recipe, const retort_run_options *o, char **json, rt_err *err);
/* What a run would do and cost; writes nothing. */
RT_API rt_status retort_plan(const char *recipe, const retort_run_options *o, char **json, rt_err *err);
/* Gives back what the functions above returned as text. */
RT_API void retort_free(void *p);

#ifdef __cplusplus
}
#endif
#endif
