/* gate.h - may this teacher be used? Only gate.c makes an rt_permit, and every writer of teacher outputs asks for one.
 *
 *   permit              a permit is issued; its duties are listed in card and report
 *   permit-with-duties  issued once a person has accepted the duties (decisions file)
 *   unknown             issued once a person has decided, with a reason (decisions file)
 *   deny                issued only with a written grant of the rights holder
 *
 * A refusal is RT_LICENCE; the message names file, evidence, verdict and remedy. See docs/gate.md. */
#ifndef RT_RECORD_GATE_H
#define RT_RECORD_GATE_H

#include "record/evidence.h"

typedef struct rt_gate_request {
    const char *model;        /* path or address, for messages and the record */
    const char *model_sha256; /* 64 hex digits; NULL for a model that cannot be hashed (declared) */
    const rt_evidence *evidence;
    unsigned uses;         /* RT_USE_... */
    bool noncommercial;    /* default: commercial */
    const char *decisions; /* append-only JSON lines, may not exist yet; NULL: none */
    const char
        *grant; /* JSON: {grantor, date, scope, uses[], licence | model_sha256, [commercial], [expires]}; NULL: none */
    const char *accept, *reason; /* what a plan takes as decided (rt_gate_decide), on no record; NULL: nothing */
} rt_gate_request;

typedef struct rt_permit rt_permit;

/* Permit or RT_LICENCE. *ruling (may be NULL) gets the judgement in either case, as rt_gate_judge gives it. */
RT_MUST_USE rt_status rt_gate_check(rt_permit **out, const rt_licence_table *t, const rt_gate_request *r,
                                    json_t **ruling, rt_err *err);
void rt_permit_free(rt_permit *p);

/* The judgement alone, for `inspect` and the planner; no permit. Returns owned:
 * {id, verdict, licences[], tag?, uses[], commercial, duties[], evidence[], base_models[], conflict, reason,
 * table_version, table_sha256, terms_sha256}. `id` is the licence that decided. */
RT_MUST_USE rt_status rt_gate_judge(json_t **out, const rt_licence_table *t, const rt_gate_request *r, rt_err *err);

/* Appends a person's decision to r->decisions: that the terms of licence `accept` (an id of the ruling) are accepted
 * for this model and these uses. `by` NULL: user@host. `reason` is required where the verdict is unknown. RT_LICENCE
 * where it is deny. */
RT_MUST_USE rt_status rt_gate_decide(const rt_licence_table *t, const rt_gate_request *r, const char *accept,
                                     const char *by, const char *reason, rt_err *err);

/* All live as long as the permit. */
rt_verdict rt_permit_verdict(const rt_permit *p);
const char *
rt_permit_id(const rt_permit *p); /* 64 hex digits over everything below; the same inputs give the same id */
const char *rt_permit_licence(const rt_permit *p);
const char *rt_permit_model(const rt_permit *p);
const char *rt_permit_model_sha256(const rt_permit *p); /* "" when declared */
unsigned rt_permit_uses(const rt_permit *p);
bool rt_permit_declared(const rt_permit *p);
const json_t *rt_permit_duties(const rt_permit *p);
const json_t *rt_permit_evidence(const rt_permit *p);
const char *rt_permit_decision(const rt_permit *p);     /* id of the decision it rests on, "" when none */
const char *rt_permit_grant_sha256(const rt_permit *p); /* "" when none */
/* For run.json, cache header, ledger, card: the ruling and {permit_id, model, model_sha256, declared, decision?,
 * grant?}. View. */
const json_t *rt_permit_json(const rt_permit *p);

#endif
