/* decision.c - records and finds decisions about licences, reads grants. */
#include "record/decision.h"

#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "format/json.h"

enum { GRANT_BYTES = 1 << 20, DECISIONS_BYTES = 64 << 20 };

bool rt_uses_within(const json_t *wanted, const json_t *given)
{
    size_t i, k;
    json_t *w, *g;
    json_array_foreach(wanted, i, w)
    {
        bool found = false;
        json_array_foreach(given, k, g)
        {
            found = found || json_equal(w, g);
        }
        if (!found) {
            return false;
        }
    }
    return json_array_size(wanted) > 0;
}

/* ---- decisions ---- */

static void who_am_i(char *out, size_t n)
{
    char host[128] = "unknown-host";
    const struct passwd *pw = getpwuid(geteuid());
    if (gethostname(host, sizeof host - 1) != 0) {
        host[0] = '\0';
    }
    snprintf(out, n, "%s@%s", pw ? pw->pw_name : "unknown", host);
}

static json_t *duty_ids(const json_t *ruling)
{
    json_t *ids = json_array(), *d;
    size_t i;
    json_array_foreach(json_object_get(ruling, "duties"), i, d)
    {
        json_array_append(ids, json_object_get(d, "id"));
    }
    return ids;
}

/* A model that cannot be hashed is known by what it is called. */
static bool same_model(const json_t *decision, const rt_gate_request *r)
{
    if (r->model_sha256) {
        return strcmp(rt_json_str(decision, "model_sha256", ""), r->model_sha256) == 0;
    }
    return !json_object_get(decision, "model_sha256") && strcmp(rt_json_str(decision, "model", ""), r->model) == 0;
}

static json_t *new_decision(const rt_gate_request *r, const json_t *ruling, const json_t *licence, const char *by,
                            const char *reason)
{
    char me[256], now[21], hex[65];
    rt_str line = {0};
    who_am_i(me, sizeof me);
    rt_timestamp(now);
    json_t *d = json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:o, s:s, s:s*, s:O, s:O, s:O, s:s*}", "time", now, "by",
                          by && *by ? by : me, "licence", rt_json_str(licence, "id", ""), "verdict",
                          rt_json_str(licence, "verdict", ""), "uses", json_object_get(ruling, "uses"), "commercial",
                          json_object_get(ruling, "commercial"), "duties", duty_ids(ruling), "model", r->model,
                          "model_sha256", r->model_sha256, "terms_sha256", json_object_get(ruling, "terms_sha256"),
                          "table_version", json_object_get(ruling, "table_version"), "table_sha256",
                          json_object_get(ruling, "table_sha256"), "reason", reason && *reason ? reason : NULL);
    rt_json_append(&line, d);
    if (!d || line.failed) {
        json_decref(d);
        d = NULL;
    } else {
        rt_digest_hex(rt_sha256_of(line.p, line.n), hex);
        json_object_set_new(d, "id", json_string(hex));
    }
    rt_str_release(&line);
    return d;
}

rt_status rt_decision_append(const char *path, const rt_gate_request *r, const json_t *ruling, const json_t *licence,
                             const char *by, const char *reason, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str file = {0};
    char *dir = NULL;
    json_t *d = new_decision(r, ruling, licence, by, reason);
    if (!d || !json_object_get(d, "id")) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a decision (or text that is not UTF-8)");
    }
    if (rt_path_exists(path)) {
        RT_TRY(rt_file_read(&file, path, DECISIONS_BYTES, err));
        if (file.n > 0 && file.p[file.n - 1] != '\n') {
            rt_str_putc(&file, '\n');
        }
    } else {
        dir = rt_path_dir(path);
        RT_TRY(dir ? rt_mkdirs(dir, err) : rt_fail(err, RT_MEMORY, 0, "no memory for a path"));
    }
    rt_json_append(&file, d);
    rt_str_putc(&file, '\n');
    RT_TRY(file.failed ? rt_fail(err, RT_MEMORY, 0, "no memory for '%s'", path) : RT_OK);
    RT_TRY(rt_file_write(path, file.p, file.n, err));
out:
    rt_free(dir);
    json_decref(d);
    rt_str_release(&file);
    return st;
}

rt_status rt_decision_find(json_t **out, const char *path, const rt_gate_request *r, const json_t *ruling, rt_err *err)
{
    rt_jsonl lines = {0};
    json_t *d = NULL, *found = NULL;
    *out = NULL;
    if (!path || !rt_path_exists(path)) {
        return RT_OK;
    }
    rt_status st = rt_jsonl_open(&lines, path, err);
    while (st == RT_OK && (st = rt_jsonl_next(&lines, &d, err)) == RT_OK && d) {
        bool fits = same_model(d, r) && rt_uses_within(json_object_get(ruling, "uses"), json_object_get(d, "uses"));
        fits = fits && strcmp(rt_json_str(d, "terms_sha256", ""), rt_json_str(ruling, "terms_sha256", "?")) == 0;
        if (fits && rt_json_str(d, "id", NULL)) {
            json_decref(found);
            found = json_incref(d);
        }
        json_decref(d);
    }
    rt_jsonl_close(&lines);
    if (st != RT_OK) {
        json_decref(found);
        return st;
    }
    *out = found;
    return RT_OK;
}

/* ---- grants ---- */

static bool is_date(const char *s)
{
    int y, m, d;
    char rest;
    return strlen(s) == 10 && sscanf(s, "%4d-%2d-%2d%c", &y, &m, &d, &rest) == 3 && m >= 1 && m <= 12 && d >= 1 &&
           d <= 31;
}

static const char *grant_fault(const json_t *g, const rt_licence_table *t, const rt_gate_request *r, const json_t *uses)
{
    const char *licence = rt_json_str(g, "licence", NULL), *sha = rt_json_str(g, "model_sha256", NULL);
    const char *expires = rt_json_str(g, "expires", NULL), *date = rt_json_str(g, "date", "");
    char now[21];
    rt_timestamp(now);
    now[10] = '\0';
    if (!*rt_json_str(g, "grantor", "") || !*rt_json_str(g, "scope", "") || !is_date(date)) {
        return "it needs 'grantor', 'scope' and 'date' (YYYY-MM-DD)";
    }
    if (strcmp(date, now) > 0) {
        return "its date is in the future";
    }
    if (expires && (!is_date(expires) || strcmp(expires, now) < 0)) {
        return "it has expired";
    }
    if (!licence && !sha) {
        return "it names neither 'licence' nor 'model_sha256'";
    }
    if (licence && !rt_licence_find(t, licence)) {
        return "its 'licence' is not in the table";
    }
    if (sha && (!r->model_sha256 || strcasecmp(sha, r->model_sha256) != 0)) {
        return "it is for another model";
    }
    if (!rt_uses_within(uses, json_object_get(g, "uses"))) {
        return "its 'uses' do not include what is asked";
    }
    return !r->noncommercial && !rt_json_bool(g, "commercial", false) ? "it is not for commercial use" : NULL;
}

rt_status rt_grant_load(json_t **out, const rt_licence_table *t, const rt_gate_request *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    json_t *g = NULL, *uses = json_array(), *kept = NULL;
    char hex[65];
    *out = NULL;
    if (uses && (r->uses & RT_USE_TRAIN_ON_OUTPUTS)) {
        json_array_append_new(uses, json_string("train-on-outputs"));
    }
    if (uses && (r->uses & RT_USE_DERIVE_WEIGHTS)) {
        json_array_append_new(uses, json_string("derive-weights"));
    }
    RT_TRY(rt_file_read(&text, r->grant, GRANT_BYTES, err));
    RT_TRY(rt_json_parse(&g, rt_str_cstr(&text), text.n, r->grant, err));
    const char *fault = grant_fault(g, t, r, uses);
    if (fault) {
        RT_FAIL_OUT(err, RT_LICENCE, 0, "grant '%s' does not help: %s", r->grant, fault);
    }
    rt_digest_hex(rt_sha256_of(text.p, text.n), hex);
    kept = json_pack("{s:O, s:O, s:O, s:s}", "grantor", json_object_get(g, "grantor"), "date",
                     json_object_get(g, "date"), "scope", json_object_get(g, "scope"), "sha256", hex);
    const char *licence = rt_licence_find(t, rt_json_str(g, "licence", NULL));
    if (!kept || (licence && json_object_set_new(kept, "licence", json_string(licence)) != 0)) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for grant '%s'", r->grant);
    }
    *out = json_incref(kept);
out:
    json_decref(kept);
    json_decref(uses);
    json_decref(g);
    rt_str_release(&text);
    return st;
}

bool rt_grant_covers(const json_t *grant, const char *licence)
{
    const char *own = rt_json_str(grant, "licence", NULL);
    return grant && (!own || strcmp(own, licence) == 0);
}
