/* state.h - what the stages of a run share: the recipe, the manifest, and models and texts opened when first needed.
 * Private to flow. */
#ifndef RT_FLOW_STATE_H
#define RT_FLOW_STATE_H

#include "flow/flow.h"
#include "flow/recipe.h"
#include "record/record.h"

/* How the budget is spent; measured once a run and kept in run.json, so that a resumed run follows the same plan. */
typedef struct rt_split {
    double teacher_tokens_per_s, step_tokens_per_s, score_tokens_per_s;
    int64_t collect_tokens; /* 0: all */
    double train_seconds;   /* 0: by tokens */
    int64_t train_tokens;   /* 0: by seconds */
    int64_t audit_tokens, audit_limit;
    double predicted_seconds[8]; /* by stage, in the order of the stage table */
} rt_split;

typedef struct rt_flow {
    const rt_flow_options *o;
    rt_run_recipe recipe;
    char *dir;
    rt_manifest manifest;

    rt_licence_table *licences;
    rt_evidence evidence;
    rt_permit *permit;
    json_t *ruling;
    char teacher_sha[65];

    rt_split split;

    rt_tokenizer *tokenizer;
    rt_model *teacher;       /* frozen, recipe's precision */
    rt_corpus text, valid;
    rt_packed packed;        /* of text */
    bool texts_open;
} rt_flow;

/* One stage. `inputs` describes everything its result depends on beside the stages before it (owned by the caller). */
typedef struct rt_stage {
    const char *name;
    bool (*wanted)(const rt_flow *f); /* NULL: always */
    json_t *(*inputs)(const rt_flow *f);
    rt_status (*run)(rt_flow *f, rt_err *err);
} rt_stage;

rt_status rt_stage_collect(rt_flow *f, rt_err *err);
rt_status rt_stage_init(rt_flow *f, rt_err *err);
rt_status rt_stage_train(rt_flow *f, rt_err *err);
rt_status rt_stage_twin(rt_flow *f, rt_err *err);
rt_status rt_stage_export(rt_flow *f, rt_err *err);
rt_status rt_stage_audit(rt_flow *f, rt_err *err);
rt_status rt_stage_report(rt_flow *f, rt_err *err);

/* Recipe and, when the run `writes`, directory and manifest. Zero-initialise. Close in every case. */
RT_MUST_USE rt_status rt_flow_open(rt_flow *f, const rt_flow_options *o, bool writes, rt_err *err);
void rt_flow_close(rt_flow *f);
/* Gate: evidence, verdict, permit. Runs before anything else, every time. */
RT_MUST_USE rt_status rt_flow_gate(rt_flow *f, rt_err *err);
/* Measures the machine and splits the budget, or takes the split kept in run.json. */
RT_MUST_USE rt_status rt_flow_split(rt_flow *f, rt_err *err);
json_t *rt_split_json(const rt_split *s);
bool rt_split_parse(const json_t *o, rt_split *out);

/* Opened on first use, closed with the flow. */
RT_MUST_USE rt_status rt_flow_need_teacher(rt_flow *f, rt_err *err);
RT_MUST_USE rt_status rt_flow_need_texts(rt_flow *f, rt_err *err);
rt_precision rt_flow_precision(const rt_flow *f);

/* "<run>/<name>"; caller frees; NULL when memory is out. */
char *rt_flow_path(const rt_flow *f, const char *name);
/* rt_flow_path into `out` with the error filled. */
RT_MUST_USE rt_status rt_flow_path_to(const rt_flow *f, const char *name, char **out, rt_err *err);
/* JSON file of the run directory, written atomically and noted as an output of `stage`. */
RT_MUST_USE rt_status rt_flow_save_json(rt_flow *f, const char *stage, const char *name, const json_t *j, rt_err *err);

#endif
