/* The gate, before the teacher is opened: whose model is it, on what terms, and may these uses be made of it. */
#include <string.h>

#include "flow/permit.h"
#include "flow/state.h"

rt_status rt_flow_gate(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const bool writes = f->manifest.root != NULL;
    if (!rt_path_exists(f->recipe.teacher)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0,
                    "teacher '%s' does not exist; run ./quickstart or make fetch, or name another teacher.model",
                    f->recipe.teacher);
    }
    const rt_permit_ask ask = {
        .model = f->recipe.teacher,
        .uses = RT_USE_TRAIN_ON_OUTPUTS | (strcmp(f->recipe.init, "prune") == 0 ? RT_USE_DERIVE_WEIGHTS : 0u),
        .dir = f->dir,
        .accept = writes ? f->o->accept_licence : NULL, /* a dry run records nothing */
        .reason = f->o->accept_reason,
        .grant = f->recipe.grant,
        .noncommercial = f->recipe.noncommercial,
        .hashes = f->hashes,
    };
    RT_TRY(rt_permit_get(&f->permit, &ask, &f->evidence, err));
    snprintf(f->teacher_sha, sizeof f->teacher_sha, "%s", rt_permit_model_sha256(f->permit));
    if (writes) {
        RT_TRY(rt_manifest_set(&f->manifest, "permit", (json_t *)rt_permit_json(f->permit), err));
    }
    rt_log(RT_LOG_INFO, "gate: %s, licence %s: %s", f->recipe.teacher, rt_permit_licence(f->permit),
           rt_verdict_name(rt_permit_verdict(f->permit)));
out:
    return st;
}
