/* state.h - what the stages of a run share: the recipe, the manifest, and models and texts opened when first needed.
 * Private to flow. */
#ifndef RT_FLOW_STATE_H
#define RT_FLOW_STATE_H

#include "flow/flow.h"
#include "flow/recipe.h"
#include "flow/served.h"
#include "record/record.h"
#include "teacher/collect.h"

/* How the budget is spent; decided once for a recipe and kept in run.json, so that a resumed run follows the same plan.
 */
typedef struct rt_split {
    char inputs[65]; /* digest of what the plan was made from; another recipe gets another plan */
    double teacher_tokens_per_s, step_tokens_per_s, measured_seconds; /* 0: there was no budget to split */
    double student_share;                                             /* of the teacher's work a token */
    int64_t collect_tokens;                                           /* 0: all */
    double train_seconds;                                             /* 0: by tokens */
    int64_t train_tokens;                                             /* 0: by seconds */
    bool settled; /* train_seconds counts the time collecting really took */
    int64_t audit_tokens, audit_limit;
    double write_tokens_per_s; /* of the teacher; 0: it writes nothing, or nothing was measured */
    int64_t prompts;           /* first so many are answered; 0: all */
    double answer_seconds;     /* what answers are thought to take */
    double held_out_seconds;   /* and the teacher's answers to the held-out rows */
    double own_token_seconds;  /* a token of the phase on the student's own text; 0: there is none, or not measured */
} rt_split;

typedef struct rt_flow {
    const rt_flow_options *o;
    rt_run_recipe recipe;
    char *dir;
    char *hashes; /* memo of file digests, NULL when nothing may be written */
    int lock_fd;  /* of <run>/.lock */
    bool locked;
    int threads_before; /* of the process; the recipe's are its own */
    rt_manifest manifest;

    rt_evidence evidence;
    rt_permit *permit;         /* for everything that goes into the student */
    rt_permit *weights_permit; /* for the weights here alone, where a server speaks; else NULL */
    char teacher_sha[65];      /* of the weights here */

    rt_split split;

    rt_tokenizer *tokenizer;
    rt_model *teacher; /* frozen, recipe's precision */
    rt_corpus text, valid;
    rt_corpus audited, watched; /* views of `valid`: documents of the audit, and those validations see while training */
    bool held_out_shared;       /* too few documents to keep the two apart */
    rt_packed packed;           /* of text */
    bool texts_open;
    char *kept; /* file of the answers among them; NULL: none */
} rt_flow;

/* One stage. `inputs` describes everything its result depends on beside the stages before it (owned by the caller). */
typedef struct rt_stage {
    const char *name;
    bool (*wanted)(const rt_flow *f); /* NULL: always */
    json_t *(*inputs)(const rt_flow *f);
    rt_status (*run)(rt_flow *f, rt_err *err);
    rt_status (*settle)(rt_flow *f, rt_err *err); /* before `inputs` is asked; NULL: nothing to settle */
} rt_stage;

rt_status rt_stage_answers(rt_flow *f, rt_err *err);
rt_status rt_stage_filter(rt_flow *f, rt_err *err);
rt_status rt_stage_collect(rt_flow *f, rt_err *err);
rt_status rt_stage_init(rt_flow *f, rt_err *err);
rt_status rt_stage_train(rt_flow *f, rt_err *err);
rt_status rt_stage_twin(rt_flow *f, rt_err *err);
rt_status rt_stage_export(rt_flow *f, rt_err *err);
rt_status rt_stage_audit(rt_flow *f, rt_err *err);
rt_status rt_stage_report(rt_flow *f, rt_err *err);

/* Recipe and, when the run `writes`, directory, lock and manifest. Zero-initialise. Close in every case. */
RT_MUST_USE rt_status rt_flow_open(rt_flow *f, const rt_flow_options *o, bool writes, rt_err *err);
/* A run that exists, with the recipe it keeps. Otherwise the same. */
RT_MUST_USE rt_status rt_flow_reopen(rt_flow *f, const char *run_dir, rt_err *err);
/* recipe.yaml of the run directory, which `retort report` reads: written once a stage begins under it, so that a recipe
 * that was refused says nothing of what is there. */
RT_MUST_USE rt_status rt_flow_keep_recipe(const rt_flow *f, rt_err *err);
void rt_flow_close(rt_flow *f);
/* Gate: evidence, verdict, permit. Runs before anything else, every time. */
RT_MUST_USE rt_status rt_flow_gate(rt_flow *f, rt_err *err);
/* Texts and prompts that the recipe names are there. RT_NOT_FOUND names key and file. */
RT_MUST_USE rt_status rt_flow_check_files(const rt_flow *f, rt_err *err);
/* The permit of the model the student's weights come from. */
const rt_permit *rt_flow_weights_permit(const rt_flow *f);
/* A run whose teacher is behind a server: how it is asked. `dir` is the cache's, owned by the caller. */
rt_served_ask rt_flow_served_ask(const rt_flow *f, const char *dir);
bool rt_flow_is_served(const rt_flow *f);
/* Once the server has said who it is: the permit that the ledger names takes the place of the one before. Takes it. */
RT_MUST_USE rt_status rt_flow_take_permit(rt_flow *f, rt_permit **permit, rt_err *err);
/* The teacher answers prompts, and training text is made of that. */
bool rt_flow_has_prompts(const rt_flow *f);
/* Seconds the teacher may take. */
double rt_flow_accepted_seconds(const rt_flow *f);
/* How the teacher here is asked for its distributions. */
rt_collect_options rt_flow_collect_options(const rt_flow *f);
/* Measures the machine and splits the budget, or takes the split kept in run.json if it was made from the same. */
RT_MUST_USE rt_status rt_flow_split(rt_flow *f, rt_err *err);
/* Once collecting is done: gives training what is really left of the budget, and keeps that. */
RT_MUST_USE rt_status rt_flow_settle(rt_flow *f, rt_err *err);
/* What the student will be, told from the headers of the model it begins with: its parameters without memory behind
 * them. RT_RECIPE where the recipe's sizes are none of a student. The teacher is open. */
RT_MUST_USE rt_status rt_flow_outline(const rt_flow *f, rt_model **out, rt_err *err);
/* Seconds a token of the student's training; of terms that fade the end is what counts. */
double rt_split_train_token(const rt_run_recipe *r, const rt_split *s);
json_t *rt_split_json(const rt_split *s);
bool rt_split_parse(const json_t *o, rt_split *out);

/* Opened on first use, closed with the flow. */
RT_MUST_USE rt_status rt_flow_need_tokenizer(rt_flow *f, rt_err *err);
RT_MUST_USE rt_status rt_flow_need_teacher(rt_flow *f, rt_err *err);
RT_MUST_USE rt_status rt_flow_need_texts(rt_flow *f, rt_err *err);
/* Needed again, they are read again, with the split as it is then. */
void rt_flow_drop_texts(rt_flow *f);
/* Held-out tokens that are read: the same whatever the audit takes, unless that is very much. */
int64_t rt_flow_held_out_tokens(const rt_flow *f);
rt_precision rt_flow_precision(const rt_flow *f);

/* Held-out tokens of a validation during training, at most. */
#define RT_VALIDATION_TOKENS 4096

/* The export that speaks for the student: the first GGUF, else the first. */
size_t rt_export_first(const rt_run_recipe *r);
/* Weights of export i, below the run directory. */
void rt_export_file(const rt_run_recipe *r, size_t i, char out[64]);

/* Puts the time so far on the stage's account, so that a kill loses little of it. */
RT_MUST_USE rt_status rt_flow_tick(rt_flow *f, const char *stage, rt_err *err);

/* "<run>/<name>"; caller frees; NULL when memory is out. */
char *rt_flow_path(const rt_flow *f, const char *name);
/* rt_flow_path into `out` with the error filled. */
RT_MUST_USE rt_status rt_flow_path_to(const rt_flow *f, const char *name, char **out, rt_err *err);
/* JSON file of the run directory, written atomically and noted as an output of `stage`. */
RT_MUST_USE rt_status rt_flow_save_json(rt_flow *f, const char *stage, const char *name, const json_t *j, rt_err *err);

#endif
