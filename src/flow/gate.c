/* The gate, before the teacher is opened: whose model is it, on what terms, and may these uses be made of it. */
#include "flow/state.h"

#include <string.h>

#include "model/identity.h"

static rt_status hash_teacher(rt_flow *f, rt_err *err)
{
    rt_digest d;
    if (!rt_path_exists(f->recipe.teacher)) {
        return rt_fail(err, RT_NOT_FOUND, 0,
                       "teacher '%s' does not exist; run ./quickstart or make fetch, or name another teacher.model",
                       f->recipe.teacher);
    }
    const rt_status st = rt_model_sha256(f->recipe.teacher, f->hashes, &d, err);
    if (st == RT_OK) {
        rt_digest_hex(d, f->teacher_sha);
    }
    return st;
}

rt_status rt_flow_gate(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    char *decisions = NULL;
    RT_TRY(hash_teacher(f, err));
    RT_TRY(rt_licence_table_open(&f->licences, NULL, err));
    RT_TRY(rt_evidence_collect(&f->evidence, f->licences, f->recipe.teacher, err));
    RT_TRY(rt_flow_path_to(f, "decisions.jsonl", &decisions, err));
    const rt_gate_request request = {
        .model = f->recipe.teacher,
        .model_sha256 = f->teacher_sha,
        .evidence = &f->evidence,
        .uses = RT_USE_TRAIN_ON_OUTPUTS | (strcmp(f->recipe.init, "prune") == 0 ? RT_USE_DERIVE_WEIGHTS : 0u),
        .noncommercial = f->recipe.noncommercial,
        .decisions = decisions,
        .grant = f->recipe.grant,
    };
    if (f->o->accept_licence != NULL && f->manifest.root != NULL) {
        RT_TRY(rt_gate_decide(f->licences, &request, f->o->accept_licence, NULL, f->o->accept_reason, err));
    }
    RT_TRY(rt_gate_check(&f->permit, f->licences, &request, &f->ruling, err));
    if (f->manifest.root != NULL) {
        RT_TRY(rt_manifest_set(&f->manifest, "permit", (json_t *)rt_permit_json(f->permit), err));
    }
    rt_log(RT_LOG_INFO, "gate: %s, licence %s: %s", f->recipe.teacher, rt_permit_licence(f->permit),
           rt_verdict_name(rt_permit_verdict(f->permit)));
out:
    rt_free(decisions);
    return st;
}
