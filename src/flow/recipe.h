/* recipe.h - what a user asks for, typed. The schema is the documentation of the keys (docs/recipe.md prints it). */
#ifndef RT_FLOW_RECIPE_H
#define RT_FLOW_RECIPE_H

#include <jansson.h>

#include "audit/hash_split.h"
#include "format/recipe.h"
#include "infer/sample.h"
#include "model/adapter.h"
#include "model/cut.h"
#include "teacher/cache.h"
#include "teacher/endpoint.h"
#include "train/trainer.h"

extern const rt_field rt_run_schema[];

/* Which answers of the teacher are kept. */
typedef struct rt_answer_filter {
    bool finished, majority, distinct;
    int64_t min_tokens, max_tokens;
    double repetition;
    const char *verifier; /* a command; NULL: none */
    bool exact;           /* in its place: the row's right answer decides */
    double verifier_seconds;
} rt_answer_filter;

typedef struct rt_export_spec {
    const char *type;      /* "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1": GGUF; "safetensors": folder */
    const char *draft_for; /* NULL: nobody's drafter */
} rt_export_spec;
#define RT_MAX_EXPORTS 8
#define RT_MAX_PATHS 64
#define RT_MAX_TASKS 8

/* A metric of a task that is looked at while training. */
typedef struct rt_watch_spec {
    const char *task, *data, *metric;
    double min, max; /* NAN: no bound */
} rt_watch_spec;

/* Behaviour of the teacher that must not be lost (docs/retention.md). */
typedef struct rt_retain_spec {
    const char *prompts[RT_MAX_PATHS];
    size_t n_prompts; /* 0: nothing is taught */
    bool policy;      /* the rows bring their answers; else the teacher writes them */
    rt_hash_split split;
    double weight;
    int64_t batch_tokens, new_tokens, every;
    rt_watch_spec watch[RT_WATCHED];
    size_t n_watch;
    bool keep;
    const char *beside; /* run without it, NULL: none */
} rt_retain_spec;

/* A phase on the student's own text after the cache (docs/on-policy.md). */
typedef struct rt_own_text_spec {
    bool wanted;
    rt_on_policy_options own;
    const char *prompts[RT_MAX_PATHS];
    size_t n_prompts; /* 0: the beginnings of the texts */
    int64_t tokens;   /* 0: a share of the training before */
    double lr;
    rt_train_loss losses[RT_TRAIN_LOSSES];
    int n_losses;
} rt_own_text_spec;

/* Strings are views into `json` unless marked owned. */
typedef struct rt_run_recipe {
    json_t *json; /* canonical, owned */
    char name[96];
    double budget; /* seconds for the whole recipe; 0: none */
    uint64_t seed;
    int threads; /* 0: all */

    const char *teacher; /* weights that are here: the teacher's, or where a server has those, student.from */
    bool noncommercial;
    const char *grant;
    bool accept_degraded;             /* a teacher that its products round too far */
    rt_endpoint_options server;       /* url NULL: the teacher is here */
    const char *licence, *base_model; /* declared of what the server serves */
    const char *tokenizer;            /* of what it serves; NULL: the student's */

    const char *text[RT_MAX_PATHS], *valid[RT_MAX_PATHS];
    size_t n_text, n_valid;

    const char *prompts[RT_MAX_PATHS], *held_out[RT_MAX_PATHS]; /* none: the texts are all there is */
    size_t n_prompts, n_held_out;
    int answers; /* a prompt */
    int64_t new_tokens;
    rt_sampling sampling; /* of answers */
    const char *task;     /* how answers are read */
    rt_answer_filter filter;

    rt_cache_kind targets;
    int draws, k;
    rt_dtype hidden_dtype;
    double temperature;
    int64_t collect_tokens; /* 0: planner or all */
    const char *chat_form;  /* of conversations in the texts; NULL: the one the teacher's template says */

    const char *init; /* "prune", "random", "model" */
    const char *from; /* the model whose weights or shape the student begins with: the teacher, or student.from */
    rt_shape shape;   /* layers 0 when `keep` is given; other zeros: as in `from` */
    int keep[RT_MAX_LAYERS];
    int n_keep;                       /* 0: ranked */
    const char *ranking, *importance; /* files or NULL */
    rt_adapter_options adapter;       /* rank 0: all of the student is trained */

    rt_train_loss losses[RT_TRAIN_LOSSES];
    int n_losses;
    double loss_temperature;
    int64_t batch_tokens, sequence, tokens; /* tokens 0: planner or one pass */
    double lr, warmup_steps, decay, weight_decay, clip;
    const char *schedule, *optimizer, *recompute;
    int64_t patience, eval_every;
    const char *precision;
    rt_own_text_spec own_text;
    rt_retain_spec retain;

    rt_export_spec exports[RT_MAX_EXPORTS];
    size_t n_exports;

    char *tasks[RT_MAX_TASKS]; /* audit tasks and the data file of each, owned */
    char *task_data[RT_MAX_TASKS];
    size_t n_tasks;
    const char *seen[RT_MAX_TASKS]; /* those of the kind it is trained on, where the recipe says so */
    size_t n_seen;
    bool seen_declared;
    int64_t audit_limit, audit_tokens;
    bool twin;
} rt_run_recipe;

/* `sets`: "key.sub=value". Zero-initialise the recipe. Relative paths in a recipe are relative to the working
 * directory. */
RT_MUST_USE rt_status rt_run_recipe_load(rt_run_recipe *r, const char *path, const char *const *sets, size_t n_sets,
                                         rt_err *err);
void rt_run_recipe_release(rt_run_recipe *r);
/* recipe_teacher.c: the block `teacher`, and what a server as teacher rules out of a recipe that is read otherwise. */
extern const rt_field rt_recipe_teacher_fields[];
RT_MUST_USE rt_status rt_recipe_read_teacher(rt_run_recipe *r, const json_t *teacher, const json_t *student,
                                             rt_err *err);
RT_MUST_USE rt_status rt_recipe_check_server(const rt_run_recipe *r, const char *path, rt_err *err);
/* recipe_train.c: the block `train`, read after `collect`. */
extern const rt_field rt_recipe_train_fields[];
RT_MUST_USE rt_status rt_recipe_read_train(rt_run_recipe *r, const json_t *train, rt_err *err);
/* recipe_student.c: the block `student`, read after `teacher`. */
extern const rt_field rt_recipe_student_fields[];
RT_MUST_USE rt_status rt_recipe_read_student(rt_run_recipe *r, const json_t *student, rt_err *err);
/* recipe_audit.c: the block `audit`, read after `data`. */
extern const rt_field rt_recipe_audit_fields[];
RT_MUST_USE rt_status rt_recipe_read_audit(rt_run_recipe *r, const json_t *audit, rt_err *err);
/* recipe_retain.c: the block `retain`, NULL: there is none. `batch_tokens` and `sequence` are those of training. */
extern const rt_field rt_retain_schema[];
RT_MUST_USE rt_status rt_retain_spec_read(rt_retain_spec *out, const json_t *block, int64_t batch_tokens, rt_err *err);
/* recipe_on_policy.c: the block `train.on_policy`, where there is one; the rest of `train` has been read. */
extern const rt_field rt_on_policy_schema[];
RT_MUST_USE rt_status rt_own_text_spec_read(rt_own_text_spec *out, const rt_run_recipe *r, rt_err *err);
/* Appends docs/recipe.md. */
void rt_run_recipe_doc(rt_str *s);

#endif
