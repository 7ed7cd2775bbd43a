/* judge.c - weighs the evidence about one model: the strictest licence in it decides, duties add up.
 * Names of families are weak evidence: they count when they are stricter, they never stand in for a licence. */
#include <string.h>

#include "format/json.h"
#include "record/gate.h"

static rt_status out_of_memory(rt_err *err)
{
    return rt_fail(err, RT_MEMORY, 0, "no memory to judge a licence");
}

static bool is_own_statement(const json_t *item)
{
    return !rt_json_bool(item, "weak", false) && strcmp(rt_json_str(item, "about", ""), "model") == 0;
}

/* What the model itself states: nothing, only tags without terms, or real licences; and do these differ? */
typedef struct statements {
    bool any, specific, conflict;
    const char *first;
} statements;

static statements read_statements(const rt_licence_table *t, const json_t *items)
{
    statements s = {0};
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        const char *id = rt_json_str(item, "licence", "");
        if (!is_own_statement(item)) {
            continue;
        }
        s.any = true;
        if (!rt_licence_is_generic(t, id)) {
            s.conflict = s.conflict || (s.specific && strcmp(s.first, id) != 0);
            s.first = s.specific ? s.first : id;
            s.specific = true;
        }
    }
    return s;
}

static bool has_licence(const json_t *licences, const char *id)
{
    size_t i;
    json_t *o;
    json_array_foreach(licences, i, o)
    {
        if (strcmp(rt_json_str(o, "id", ""), id) == 0) {
            return true;
        }
    }
    return false;
}

static rt_status add_licence(json_t *licences, const rt_licence_table *t, const char *id, const rt_gate_request *r,
                             rt_err *err)
{
    if (has_licence(licences, id)) {
        return RT_OK;
    }
    rt_verdict v = rt_licence_judge(t, id, r->uses, r->noncommercial);
    json_t *o =
        json_pack("{s:s, s:s, s:s}", "id", id, "verdict", rt_verdict_name(v), "reason", rt_licence_reason(t, id));
    return o && json_array_append_new(licences, o) == 0 ? RT_OK : out_of_memory(err);
}

/* The licences that count, each once. */
static rt_status list_licences(json_t *licences, json_t *evidence, const rt_licence_table *t, const rt_gate_request *r,
                               statements s, rt_err *err)
{
    size_t i;
    json_t *item;
    if (!s.any) {
        json_t *none =
            json_pack("{s:s, s:s, s:s, s:s}", "source", "none", "value", "", "licence", "missing", "about", "model");
        if (!none || json_array_append_new(evidence, none) != 0) {
            return out_of_memory(err);
        }
    }
    json_array_foreach(evidence, i, item)
    {
        const char *id = rt_json_str(item, "licence", "");
        if (is_own_statement(item) && s.specific && rt_licence_is_generic(t, id)) {
            continue;
        }
        rt_status st = add_licence(licences, t, id, r, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

/* Hash over what a person accepts: the licences, their verdicts and duties for either use. A table that changes any of
 * these makes an old decision void; one that changes other licences does not. */
static rt_status hash_terms(char hex[65], const rt_licence_table *t, const json_t *licences, bool noncommercial,
                            rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    json_t *terms = json_array();
    size_t i;
    json_t *o;
    json_array_foreach(licences, i, o)
    {
        const char *id = rt_json_str(o, "id", "");
        json_t *duties = json_array();
        st = duties ? rt_licence_duties(t, id, RT_USE_ALL, duties, err) : out_of_memory(err);
        if (st != RT_OK) {
            json_decref(duties);
            goto out;
        }
        const char *outputs = rt_verdict_name(rt_licence_judge(t, id, RT_USE_TRAIN_ON_OUTPUTS, noncommercial));
        const char *weights = rt_verdict_name(rt_licence_judge(t, id, RT_USE_DERIVE_WEIGHTS, noncommercial));
        json_t *one = json_pack("[s, s, s, o]", id, outputs, weights, duties);
        if (!one || json_array_append_new(terms, one) != 0) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to judge a licence");
        }
    }
    rt_str_puts(&text, noncommercial ? "noncommercial " : "commercial ");
    rt_json_append(&text, terms);
    if (!terms || text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to judge a licence");
    }
    rt_digest_hex(rt_sha256_of(text.p, text.n), hex);
out:
    json_decref(terms);
    rt_str_release(&text);
    return st;
}

static json_t *use_names(unsigned uses)
{
    json_t *a = json_array();
    if (a && (uses & RT_USE_TRAIN_ON_OUTPUTS)) {
        json_array_append_new(a, json_string("train-on-outputs"));
    }
    if (a && (uses & RT_USE_DERIVE_WEIGHTS)) {
        json_array_append_new(a, json_string("derive-weights"));
    }
    return a;
}

/* The licence with the strictest verdict; of equals, the first, which is the model's own statement where it makes one.
 */
static const json_t *strictest(const json_t *licences)
{
    const json_t *worst = NULL;
    rt_verdict worst_v = RT_VERDICT_PERMIT;
    size_t i;
    json_t *o;
    json_array_foreach(licences, i, o)
    {
        rt_verdict v = RT_VERDICT_PERMIT;
        while (strcmp(rt_verdict_name(v), rt_json_str(o, "verdict", "")) != 0) {
            v++;
        }
        if (!worst || v > worst_v) {
            worst = o;
            worst_v = v;
        }
    }
    return worst;
}

rt_status rt_gate_judge(json_t **out, const rt_licence_table *t, const rt_gate_request *r, rt_err *err)
{
    rt_status st = RT_OK;
    char terms[65];
    json_t *licences = json_array(), *duties = json_array(), *evidence = json_deep_copy(r->evidence->items), *o = NULL;
    size_t i;
    json_t *l;
    *out = NULL;
    if (r->uses == 0 || (r->uses & ~(unsigned)RT_USE_ALL) != 0) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "licence check without a use");
    }
    if (!evidence || !licences || !duties) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to judge a licence");
    }
    statements s = read_statements(t, evidence);
    RT_TRY(list_licences(licences, evidence, t, r, s, err));
    json_array_foreach(licences, i, l)
    {
        RT_TRY(rt_licence_duties(t, rt_json_str(l, "id", ""), r->uses, duties, err));
    }
    RT_TRY(hash_terms(terms, t, licences, r->noncommercial, err));
    const json_t *top = strictest(licences);
    const char *id = rt_json_str(top, "id", "missing");
    o = json_pack("{s:s, s:s, s:O, s:s*, s:o, s:b, s:O, s:O, s:O, s:b, s:s, s:s, s:s, s:s}", "id", id, "verdict",
                  rt_json_str(top, "verdict", "unknown"), "licences", licences, "tag", rt_licence_tag(t, id), "uses",
                  use_names(r->uses), "commercial", !r->noncommercial, "duties", duties, "evidence", evidence,
                  "base_models", r->evidence->base_models, "conflict", s.conflict, "reason", rt_licence_reason(t, id),
                  "table_version", rt_licence_table_version(t), "table_sha256", rt_licence_table_sha256(t),
                  "terms_sha256", terms);
    if (!o) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to judge a licence");
    }
    *out = o;
out:
    json_decref(licences);
    json_decref(duties);
    json_decref(evidence);
    return st;
}
