/* gate.c - the one place where an rt_permit comes into being. */
#include "record/gate.h"

#include <string.h>

#include "format/json.h"
#include "record/decision.h"

struct rt_permit {
    json_t *record; /* everything below is a view into it, or derived from it */
    rt_verdict verdict;
    unsigned uses;
    char id[65];
};

static rt_verdict verdict_of(const json_t *o)
{
    rt_verdict v = RT_VERDICT_PERMIT;
    while (v < RT_VERDICT_DENY && strcmp(rt_verdict_name(v), rt_json_str(o, "verdict", "")) != 0) {
        v++;
    }
    return v;
}

/* ---- refusals ---- */

/* "general.license in 'x.gguf' says gemma" */
static void describe_evidence(rt_str *s, const json_t *ruling, const char *id)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(ruling, "evidence"), i, item)
    {
        const char *file = rt_json_str(item, "file", NULL);
        if (strcmp(rt_json_str(item, "licence", ""), id) != 0) {
            continue;
        }
        if (strcmp(rt_json_str(item, "source", ""), "none") == 0) {
            rt_str_puts(s, "the model states no licence");
        } else {
            rt_str_printf(s, "%s%s%s%s says '%s'", rt_json_str(item, "source", ""), file ? " in '" : "",
                          file ? file : "", file ? "'" : "", rt_json_str(item, "value", ""));
        }
        return;
    }
}

static void list_duties(rt_str *s, const json_t *ruling)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(ruling, "duties"), i, d)
    {
        rt_str_printf(s, "%s%s", i ? ", " : "", rt_json_str(d, "id", ""));
    }
}

static void list_uses(rt_str *s, const json_t *ruling)
{
    size_t i;
    json_t *u;
    json_array_foreach(json_object_get(ruling, "uses"), i, u)
    {
        rt_str_printf(s, "%s%s", i ? ", " : "", json_string_value(u));
    }
    rt_str_puts(s, rt_json_bool(ruling, "commercial", true) ? " (commercial)" : " (non-commercial)");
}

/* The message names the file, the evidence, the verdict and the way on. `open` is the licence that stands in the way.
 */
static rt_status refuse(const rt_licence_table *t, const rt_gate_request *r, const json_t *ruling, const json_t *open,
                        rt_err *err)
{
    const char *id = rt_json_str(open, "id", "");
    rt_verdict v = verdict_of(open);
    rt_str why = {0}, uses = {0}, duties = {0};
    rt_status st = RT_OK;
    describe_evidence(&why, ruling, id);
    list_uses(&uses, ruling);
    list_duties(&duties, ruling);
    const char *said = rt_str_cstr(&why), *use = rt_str_cstr(&uses);
    if (v == RT_VERDICT_DUTIES) {
        st = rt_fail(err, RT_LICENCE, 0,
                     "'%s': %s; licence %s is permit-with-duties for %s; accept the duties (%s) with "
                     "--accept-licence %s",
                     r->model, said, id, use, rt_str_cstr(&duties), id);
    } else if (v == RT_VERDICT_UNKNOWN) {
        st = rt_fail(err, RT_LICENCE, 0,
                     "'%s': %s; licence %s is unknown for %s; find out, then record the decision%s%s%s with "
                     "--accept-licence %s --reason TEXT",
                     r->model, said, id, use, duties.n ? " and accept the duties (" : "", rt_str_cstr(&duties),
                     duties.n ? ")" : "", id);
    } else {
        bool private_ok = !r->noncommercial && rt_licence_judge(t, id, r->uses, true) != RT_VERDICT_DENY;
        st = rt_fail(err, RT_LICENCE, 0,
                     "'%s': %s; licence %s is denied for %s: %s only a written grant changes that "
                     "(--grant FILE)%s",
                     r->model, said, id, use, rt_licence_reason(t, id),
                     private_ok ? "; non-commercial use is not denied" : "");
    }
    rt_str_release(&why);
    rt_str_release(&uses);
    rt_str_release(&duties);
    return st;
}

/* ---- the permit ---- */

/* The strictest licence that no grant lifts; NULL when every one is lifted or permits as it is. */
static const json_t *standing_licence(const json_t *ruling, const json_t *grant)
{
    const json_t *worst = NULL;
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(ruling, "licences"), i, o)
    {
        bool lifted = verdict_of(o) >= RT_VERDICT_UNKNOWN && rt_grant_covers(grant, rt_json_str(o, "id", ""));
        if (!lifted && verdict_of(o) != RT_VERDICT_PERMIT && (!worst || verdict_of(o) > verdict_of(worst))) {
            worst = o;
        }
    }
    return worst;
}

static rt_status permit_new(rt_permit **out, const rt_gate_request *r, const json_t *ruling, const json_t *decision,
                            const json_t *grant, rt_err *err)
{
    rt_status st = RT_OK;
    rt_permit *p = NULL;
    rt_str text = {0};
    RT_TRY(RT_NEW(&p, 1, "permit", err));
    p->record = json_pack("{s:s, s:s, s:b}", "model", r->model, "model_sha256", r->model_sha256 ? r->model_sha256 : "",
                          "declared", r->evidence->declared || !r->model_sha256);
    bool ok = p->record && json_object_update(p->record, (json_t *)ruling) == 0;
    ok = ok && (!decision || json_object_set(p->record, "decision", (json_t *)decision) == 0);
    ok = ok && (!grant || json_object_set(p->record, "grant", (json_t *)grant) == 0);
    rt_json_append(&text, p->record);
    if (!ok || text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a permit (or a model name that is not UTF-8)");
    }
    rt_digest_hex(rt_sha256_of(text.p, text.n), p->id);
    if (json_object_set_new(p->record, "permit_id", json_string(p->id)) != 0) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a permit");
    }
    p->verdict = verdict_of(ruling);
    p->uses = r->uses;
    *out = p;
    p = NULL;
out:
    rt_permit_free(p);
    rt_str_release(&text);
    return st;
}

/* Are these the terms that stand in the way, and is what a person says about them enough? */
static rt_status check_acceptance(const rt_licence_table *t, const rt_gate_request *r, const json_t *ruling,
                                  const json_t *open, const char *accept, const char *reason, rt_err *err)
{
    const char *id = rt_json_str(open, "id", ""), *found = rt_licence_find(t, accept);
    if (verdict_of(open) == RT_VERDICT_DENY) {
        return refuse(t, r, ruling, open, err);
    }
    if (strcmp(found ? found : accept, id) != 0) {
        return rt_fail(err, RT_LICENCE, 0,
                       "'%s' is under licence %s, not '%s': read its terms, then --accept-licence %s", r->model, id,
                       accept, id);
    }
    if (verdict_of(open) == RT_VERDICT_UNKNOWN && (!reason || !*reason)) {
        return rt_fail(err, RT_LICENCE, 0, "licence %s of '%s' is unknown: the decision needs a reason (--reason TEXT)",
                       id, r->model);
    }
    return RT_OK;
}

rt_status rt_gate_check(rt_permit **out, const rt_licence_table *t, const rt_gate_request *r, json_t **ruling_out,
                        rt_err *err)
{
    rt_status st = RT_OK;
    json_t *ruling = NULL, *grant = NULL, *decision = NULL;
    *out = NULL;
    RT_TRY(rt_gate_judge(&ruling, t, r, err));
    if (r->grant) {
        RT_TRY(rt_grant_load(&grant, t, r, err));
    }
    const json_t *open = standing_licence(ruling, grant);
    if (open && verdict_of(open) != RT_VERDICT_DENY) {
        RT_TRY(rt_decision_find(&decision, r->decisions, r, ruling, err));
    }
    if (open && r->accept) {
        RT_TRY(check_acceptance(t, r, ruling, open, r->accept, r->reason, err));
    } else if (open && !decision) {
        st = refuse(t, r, ruling, open, err);
        goto out;
    }
    RT_TRY(permit_new(out, r, ruling, decision, grant, err));
out:
    if (ruling_out) {
        *ruling_out = json_incref(ruling);
    }
    json_decref(ruling);
    json_decref(grant);
    json_decref(decision);
    return st;
}

rt_status rt_gate_decide(const rt_licence_table *t, const rt_gate_request *r, const char *accept, const char *by,
                         const char *reason, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *ruling = NULL, *grant = NULL;
    if (!r->decisions) {
        return rt_fail(err, RT_USAGE, 0, "no file to record the decision about '%s' in", r->model);
    }
    RT_TRY(rt_gate_judge(&ruling, t, r, err));
    if (r->grant) {
        RT_TRY(rt_grant_load(&grant, t, r, err));
    }
    const json_t *open = standing_licence(ruling, grant);
    if (!open) {
        goto out; /* nothing to decide */
    }
    RT_TRY(check_acceptance(t, r, ruling, open, accept, reason, err));
    RT_TRY(rt_decision_append(r->decisions, r, ruling, open, by, reason, err));
out:
    json_decref(ruling);
    json_decref(grant);
    return st;
}

void rt_permit_free(rt_permit *p)
{
    if (p) {
        json_decref(p->record);
        rt_free(p);
    }
}

/* ---- getters ---- */

rt_verdict rt_permit_verdict(const rt_permit *p)
{
    return p->verdict;
}

const char *rt_permit_id(const rt_permit *p)
{
    return p->id;
}

const char *rt_permit_licence(const rt_permit *p)
{
    return rt_json_str(p->record, "id", "");
}

const char *rt_permit_model(const rt_permit *p)
{
    return rt_json_str(p->record, "model", "");
}

const char *rt_permit_model_sha256(const rt_permit *p)
{
    return rt_json_str(p->record, "model_sha256", "");
}

unsigned rt_permit_uses(const rt_permit *p)
{
    return p->uses;
}

bool rt_permit_declared(const rt_permit *p)
{
    return rt_json_bool(p->record, "declared", true);
}

const json_t *rt_permit_duties(const rt_permit *p)
{
    return json_object_get(p->record, "duties");
}

const json_t *rt_permit_evidence(const rt_permit *p)
{
    return json_object_get(p->record, "evidence");
}

const char *rt_permit_decision(const rt_permit *p)
{
    return rt_json_str(json_object_get(p->record, "decision"), "id", "");
}

const char *rt_permit_grant_sha256(const rt_permit *p)
{
    return rt_json_str(json_object_get(p->record, "grant"), "sha256", "");
}

const json_t *rt_permit_json(const rt_permit *p)
{
    return p->record;
}
