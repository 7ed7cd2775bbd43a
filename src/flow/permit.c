/* Asking the gate. */
#include "flow/permit.h"

#include "model/identity.h"

static rt_status declare(rt_evidence *e, const rt_licence_table *t, const rt_permit_ask *ask, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_declared *d = ask->declared;
    RT_TRY(rt_evidence_declare(e, t, ask->model, d->licence, d->base_model, err));
    if (d->served != NULL) {
        RT_TRY(rt_evidence_declare(e, t, d->served, NULL, NULL, err));
    }
    if (d->weights != NULL) {
        RT_TRY(rt_evidence_collect(e, t, d->weights, err));
    }
    if (d->host != NULL) {
        RT_TRY(rt_evidence_add_host(e, t, d->host, err));
    }
out:
    return st;
}

rt_status rt_permit_get(rt_permit **out, const rt_permit_ask *ask, rt_evidence *evidence, rt_err *err)
{
    rt_status st = RT_OK;
    rt_licence_table *table = NULL;
    rt_evidence own = {0}, *found = evidence != NULL ? evidence : &own;
    rt_digest digest;
    char hex[65], *decisions = rt_path_join(ask->dir, "decisions.jsonl");
    if (decisions == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_licence_table_open(&table, NULL, err));
    if (ask->declared == NULL) {
        RT_TRY(rt_model_sha256(ask->model, ask->hashes, &digest, err));
        rt_digest_hex(digest, hex);
        RT_TRY(rt_evidence_collect(found, table, ask->model, err));
    } else {
        RT_TRY(declare(found, table, ask, err));
    }
    const rt_gate_request r = {.model = ask->model,
                               .model_sha256 = ask->declared == NULL ? hex : NULL,
                               .evidence = found,
                               .uses = ask->uses,
                               .noncommercial = ask->noncommercial,
                               .decisions = decisions,
                               .grant = ask->grant,
                               .accept = ask->planned ? ask->accept : NULL,
                               .reason = ask->reason};
    if (ask->accept != NULL && !ask->planned) {
        RT_TRY(rt_gate_decide(table, &r, ask->accept, NULL, ask->reason, err));
    }
    RT_TRY(rt_gate_check(out, table, &r, NULL, err));
out:
    rt_free(decisions);
    rt_evidence_release(&own);
    rt_licence_table_close(table);
    return st;
}
