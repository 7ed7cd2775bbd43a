/* flow.h - a recipe carried out in a run directory, stage after stage. A stage whose inputs are unchanged is not done
 * again; after a kill the same call goes on where it was. */
#ifndef RT_FLOW_FLOW_H
#define RT_FLOW_FLOW_H

#include <jansson.h>

#include "core/core.h"

#define RT_FLOW_TEACHER_SECONDS 86400.0

typedef struct rt_flow_options {
    const char *recipe;      /* YAML file */
    const char *const *sets; /* "key.sub=value" */
    size_t n_sets;
    const char *runs_dir;       /* NULL: "runs" */
    const char *accept_licence; /* id of a licence whose duties (or unknown terms) the user accepts; recorded */
    const char *accept_reason;  /* why, where the verdict is unknown */
    double accept_seconds;      /* the teacher may take so long; 0: RT_FLOW_TEACHER_SECONDS, or the budget if longer */
    int64_t memory;             /* bytes the teacher's weights may take, as in model.h; 0: what the machine has */
} rt_flow_options;

/* All stages. *summary (may be NULL) gets {name, dir, report, model, active_seconds, stages: [{name, state,
 * active_s}]}; `model` is the first GGUF that was exported, or the folder of the safetensors. Owned by the caller.
 * RT_IO when another process works in the run directory. */
RT_MUST_USE rt_status rt_flow_run(const rt_flow_options *o, json_t **summary, rt_err *err);
/* What a run would do: licence verdict, split of the budget, tokens, time, memory and disk. Writes nothing. */
RT_MUST_USE rt_status rt_flow_plan(const rt_flow_options *o, json_t **plan, rt_err *err);
/* Report and card of a run again, from its files: nothing is planned, measured or done again. */
RT_MUST_USE rt_status rt_flow_report(const char *run_dir, rt_err *err);
/* Runs under `runs_dir`: [{name, dir, state, created, active_s, stages}]. */
RT_MUST_USE rt_status rt_flow_list(const char *runs_dir, json_t **out, rt_err *err);

#endif
