/* licence.c - loads and checks the licence table, finds entries by name, text, family or host, judges a use. */
#include "record/licence.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "format/json.h"

static const unsigned char builtin_json[] = {
#include "record/licences.json.inc"
};

enum { NAME_MAX_BYTES = 96, TEXT_MAX_BYTES = 1 << 20 /* as a licence file may have */ };

struct rt_licence_table {
    json_t *root;
    const json_t *licences, *duties, *rules, *families; /* views into root */
    char sha256[65];
};

static const char *const use_key[] = {"train-on-outputs", "derive-weights"};

const char *rt_verdict_name(rt_verdict v)
{
    static const char *const name[] = {"permit", "permit-with-duties", "unknown", "deny"};
    return name[v];
}

static bool verdict_from_name(const char *s, rt_verdict *out)
{
    for (int v = RT_VERDICT_PERMIT; s && v <= RT_VERDICT_DENY; v++) {
        if (strcmp(s, rt_verdict_name((rt_verdict)v)) == 0) {
            *out = (rt_verdict)v;
            return true;
        }
    }
    return false;
}

/* ---- loading ---- */

/* The verdict of one use: spelled out in the entry, or by the name of a rule. */
static bool use_verdict(const rt_licence_table *t, const json_t *use, bool noncommercial, rt_verdict *out)
{
    const char *rule = rt_json_str(use, "rule", NULL);
    const json_t *o = rule ? json_object_get(t->rules, rule) : use;
    return verdict_from_name(rt_json_str(o, noncommercial ? "noncommercial" : "commercial", NULL), out);
}

static rt_status check_use(const rt_licence_table *t, const char *id, const char *key, const json_t *use, rt_err *err)
{
    rt_verdict v;
    if (!use_verdict(t, use, false, &v) || !use_verdict(t, use, true, &v)) {
        return rt_fail(err, RT_INPUT, 0, "licence '%s': '%s' has no verdict", id, key);
    }
    size_t i;
    json_t *duty;
    json_array_foreach(json_object_get(use, "duties"), i, duty)
    {
        const json_t *d = json_is_string(duty) ? json_object_get(t->duties, json_string_value(duty)) : NULL;
        if (!rt_json_str(d, "text", NULL) || !rt_json_str(d, "kind", NULL)) {
            return rt_fail(err, RT_INPUT, 0, "licence '%s': duty %zu of '%s' is not described", id, i, key);
        }
    }
    return RT_OK;
}

static const json_t *entry_of(const rt_licence_table *t, const char *id)
{
    size_t i;
    json_t *o;
    json_array_foreach(t->licences, i, o)
    {
        if (id && strcmp(json_string_value(json_object_get(o, "id")), id) == 0) {
            return o;
        }
    }
    return NULL;
}

static rt_status check_table(const rt_licence_table *t, rt_err *err)
{
    if (!rt_json_str(t->root, "table_version", NULL) || !json_is_array(t->licences) || !json_is_array(t->families)) {
        return rt_fail(err, RT_INPUT, 0, "licence table lacks 'table_version', 'licences' or 'families'");
    }
    size_t i;
    json_t *o;
    json_array_foreach(t->licences, i, o)
    {
        if (!rt_json_str(o, "id", NULL)) {
            return rt_fail(err, RT_INPUT, 0, "licence %zu of the table has no id", i);
        }
    }
    json_array_foreach(t->licences, i, o)
    {
        const char *id = rt_json_str(o, "id", NULL);
        if (entry_of(t, id) != o) {
            return rt_fail(err, RT_INPUT, 0, "licence '%s' is twice in the table", id);
        }
        for (int u = 0; u < 2; u++) {
            rt_status st = check_use(t, id, use_key[u], json_object_get(o, use_key[u]), err);
            if (st != RT_OK) {
                return st;
            }
        }
    }
    json_array_foreach(t->families, i, o)
    {
        if (!rt_json_str(o, "name", NULL) || !entry_of(t, rt_json_str(o, "licence", NULL))) {
            return rt_fail(err, RT_INPUT, 0, "family %zu of the licence table names no licence of it", i);
        }
    }
    return RT_OK;
}

rt_status rt_licence_table_open(rt_licence_table **out, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_licence_table *t = NULL;
    rt_str text = {0};
    const char *what = path ? path : "built-in licence table";
    *out = NULL;
    if (path) {
        RT_TRY(rt_file_read(&text, path, (size_t)16 << 20, err));
    } else {
        rt_str_add(&text, builtin_json, sizeof builtin_json);
    }
    if (text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the licence table");
    }
    RT_TRY(RT_NEW(&t, 1, "licence table", err));
    RT_TRY(rt_json_parse(&t->root, text.p, text.n, what, err));
    t->licences = json_object_get(t->root, "licences");
    t->duties = json_object_get(t->root, "duties");
    t->rules = json_object_get(t->root, "rules");
    t->families = json_object_get(t->root, "families");
    rt_digest_hex(rt_sha256_of(text.p, text.n), t->sha256);
    st = check_table(t, err);
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "loading '%s'", what);
        goto out;
    }
    *out = t;
    t = NULL;
out:
    rt_licence_table_close(t);
    rt_str_release(&text);
    return st;
}

void rt_licence_table_close(rt_licence_table *t)
{
    if (t) {
        json_decref(t->root);
        rt_free(t);
    }
}

const char *rt_licence_table_version(const rt_licence_table *t)
{
    return rt_json_str(t->root, "table_version", "");
}

const char *rt_licence_table_sha256(const rt_licence_table *t)
{
    return t->sha256;
}

/* ---- finding ---- */

/* Lower case; runs of blanks, underscores and dashes become one dash; none at the ends. false: longer than any name. */
static bool fold_name(const char *s, char out[NAME_MAX_BYTES])
{
    size_t n = 0;
    for (; *s; s++) {
        bool gap = *s == ' ' || *s == '_' || *s == '-' || *s == '\t';
        if (gap && (n == 0 || out[n - 1] == '-')) {
            continue;
        }
        if (n + 1 >= NAME_MAX_BYTES) {
            return false;
        }
        out[n++] = gap ? '-' : (char)tolower((unsigned char)*s);
    }
    while (n > 0 && out[n - 1] == '-') {
        n--;
    }
    out[n] = '\0';
    return n > 0;
}

static bool same_name(const char *folded, const char *name)
{
    char other[NAME_MAX_BYTES];
    return name && fold_name(name, other) && strcmp(folded, other) == 0;
}

const char *rt_licence_find(const rt_licence_table *t, const char *name)
{
    char folded[NAME_MAX_BYTES];
    if (!name || !fold_name(name, folded)) {
        return NULL;
    }
    size_t i, k;
    json_t *o, *alias;
    json_array_foreach(t->licences, i, o)
    {
        const char *id = rt_json_str(o, "id", NULL);
        if (same_name(folded, id) || same_name(folded, rt_json_str(o, "tag", NULL))) {
            return id;
        }
        json_array_foreach(json_object_get(o, "names"), k, alias)
        {
            if (same_name(folded, json_string_value(alias))) {
                return id;
            }
        }
    }
    return NULL;
}

/* Lower case, every run of white space one blank: licence texts differ in their line breaks. false: not all of it. */
static bool fold_text(rt_str *out, const char *text, size_t n)
{
    size_t i = 0;
    for (; i < n && out->n < TEXT_MAX_BYTES; i++) {
        char c = text[i];
        if (c == '\0' || isspace((unsigned char)c)) {
            if (out->n > 0 && out->p[out->n - 1] != ' ') {
                rt_str_putc(out, ' ');
            }
        } else {
            rt_str_putc(out, (char)tolower((unsigned char)c));
        }
    }
    return i == n && !out->failed;
}

size_t rt_licence_find_text(const rt_licence_table *t, const char *text, size_t n, const char **ids, size_t max)
{
    rt_str folded = {0};
    const bool whole = fold_text(&folded, text, n); /* of half a text the stricter half may be missing */
    size_t found = 0, i, k;
    json_t *o, *phrase;
    json_array_foreach(t->licences, i, o)
    {
        const json_t *phrases = json_object_get(o, "text");
        bool all = json_array_size(phrases) > 0 && whole;
        json_array_foreach(phrases, k, phrase)
        {
            all = all && json_is_string(phrase) && strstr(rt_str_cstr(&folded), json_string_value(phrase));
        }
        if (all && found < max) {
            ids[found++] = rt_json_str(o, "id", NULL);
        }
    }
    rt_str_release(&folded);
    return found;
}

/* Does the family name start at `at`? Dashes in it are optional, and no digit may follow: "llama-3" is not in
 * "llama-30b". */
static bool family_at(const char *at, const char *family)
{
    for (; *family; family++) {
        if (*family == *at) {
            at++;
        } else if (*family != '-') {
            return false;
        }
    }
    return !isdigit((unsigned char)*at);
}

const char *rt_licence_find_family(const rt_licence_table *t, const char *model_name)
{
    char folded[NAME_MAX_BYTES];
    const char *best = NULL;
    size_t best_len = 0, i;
    if (!model_name) {
        return NULL;
    }
    /* Of a path or a long name the end says most. */
    size_t n = strlen(model_name);
    if (!fold_name(n < NAME_MAX_BYTES ? model_name : model_name + n - NAME_MAX_BYTES + 1, folded)) {
        return NULL;
    }
    json_t *o;
    json_array_foreach(t->families, i, o)
    {
        const char *family = rt_json_str(o, "name", "");
        for (const char *at = folded; *at && strlen(family) > best_len; at++) {
            if (family_at(at, family)) {
                best = rt_json_str(o, "licence", NULL);
                best_len = strlen(family);
            }
        }
    }
    return best;
}

const char *rt_licence_find_host(const rt_licence_table *t, const char *host)
{
    size_t n = strlen(host), i, k;
    json_t *o, *name;
    json_array_foreach(t->licences, i, o)
    {
        json_array_foreach(json_object_get(o, "hosts"), k, name)
        {
            const char *h = json_is_string(name) ? json_string_value(name) : "";
            size_t m = strlen(h);
            if (m > 0 && n >= m && strcasecmp(host + n - m, h) == 0 && (n == m || host[n - m - 1] == '.')) {
                return rt_json_str(o, "id", NULL);
            }
        }
    }
    return "hosted-service";
}

bool rt_licence_is_generic(const rt_licence_table *t, const char *id)
{
    return rt_json_bool(entry_of(t, id), "generic", false);
}

const char *rt_licence_tag(const rt_licence_table *t, const char *id)
{
    return rt_json_str(entry_of(t, id), "tag", NULL);
}

const char *rt_licence_reason(const rt_licence_table *t, const char *id)
{
    return rt_json_str(entry_of(t, id), "reason", "The table does not know this licence.");
}

/* ---- judging ---- */

rt_verdict rt_licence_judge(const rt_licence_table *t, const char *id, unsigned uses, bool noncommercial)
{
    const json_t *o = entry_of(t, id);
    rt_verdict worst = RT_VERDICT_PERMIT;
    if (!o) {
        return RT_VERDICT_UNKNOWN;
    }
    for (unsigned u = 0; u < 2; u++) {
        rt_verdict v;
        if ((uses & 1u << u) == 0) {
            continue;
        }
        if (!use_verdict(t, json_object_get(o, use_key[u]), noncommercial, &v)) {
            v = RT_VERDICT_UNKNOWN;
        }
        worst = v > worst ? v : worst;
    }
    return worst;
}

static bool has_duty(const json_t *duties, const char *id)
{
    size_t i;
    json_t *d;
    json_array_foreach(duties, i, d)
    {
        if (strcmp(rt_json_str(d, "id", ""), id) == 0) {
            return true;
        }
    }
    return false;
}

rt_status rt_licence_duties(const rt_licence_table *t, const char *id, unsigned uses, json_t *duties, rt_err *err)
{
    const json_t *o = entry_of(t, id);
    for (unsigned u = 0; o && u < 2; u++) {
        size_t i;
        json_t *name;
        if ((uses & 1u << u) == 0) {
            continue;
        }
        json_array_foreach(json_object_get(json_object_get(o, use_key[u]), "duties"), i, name)
        {
            const char *duty = json_string_value(name);
            if (has_duty(duties, duty)) {
                continue;
            }
            json_t *d = json_pack("{s:s}", "id", duty);
            if (!d || json_object_update(d, json_object_get(t->duties, duty)) != 0 ||
                json_array_append(duties, d) != 0) {
                json_decref(d);
                return rt_fail(err, RT_MEMORY, 0, "no memory for licence duties");
            }
            json_decref(d);
        }
    }
    return RT_OK;
}
