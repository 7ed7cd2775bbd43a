/* The gate, before the teacher is opened: whose model is it, on what terms, and may these uses be made of it. */
#include "flow/state.h"

#include <string.h>

/* A folder is known by its weights. */
static rt_status hash_teacher(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_digest d;
    char *file = rt_path_is_dir(f->recipe.teacher) ? rt_path_join(f->recipe.teacher, "model.safetensors") : rt_strdup(f->recipe.teacher);
    if (file == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (!rt_path_exists(file)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "teacher '%s' does not exist; run ./quickstart or make fetch, or name another teacher.model", file);
    }
    RT_TRY(rt_file_sha256(file, NULL, &d, err));
    rt_digest_hex(d, f->teacher_sha);
out:
    rt_free(file);
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
