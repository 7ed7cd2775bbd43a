/* evidence.c - turns statements about a model (tags, licence texts, names, hosts) into items of evidence.
 * Names are weak: they can make a verdict stricter, they never establish a licence (record/judge.c). */
#include <ctype.h>
#include <string.h>

#include "format/json.h"
#include "record/evidence_item.h"

enum { VALUE_BYTES = RT_EVIDENCE_VALUE_BYTES, ID_BYTES = 64, MAX_TEXTS = 8 };

/* Text from a file as a JSON string: cut, one line, and always valid UTF-8. */
static json_t *safe_text(const char *p, size_t n)
{
    char buf[VALUE_BYTES];
    const size_t len = rt_utf8_cut(p, n, sizeof buf);
    memcpy(buf, p, len);
    bool utf8 = rt_utf8_valid(buf, len);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)buf[i] < ' ' || buf[i] == 127) {
            buf[i] = ' ';
        } else if (!utf8 && (unsigned char)buf[i] > 127) {
            buf[i] = '?';
        } else if (i + 1 < len && (unsigned char)buf[i] == 0xc2 && (unsigned char)buf[i + 1] < 0xa0) {
            buf[i] = ' '; /* a C1 control, which some terminals obey */
            buf[i + 1] = ' ';
        }
    }
    return json_stringn(buf, len);
}

/* Id for a licence that the table lacks: what the model wrote, in a form one can type after --accept-licence. */
static void foreign_id(const char *value, size_t n, char out[ID_BYTES])
{
    size_t k = 0;
    for (size_t i = 0; i < n && k + 1 < ID_BYTES; i++) {
        char c = (char)tolower((unsigned char)value[i]);
        bool plain = isalnum((unsigned char)c) || c == '.' || c == '+';
        if (plain || (k > 0 && out[k - 1] != '-')) {
            out[k++] = plain ? c : '-';
        }
    }
    while (k > 0 && out[k - 1] == '-') {
        k--;
    }
    out[k] = '\0';
    if (k == 0) {
        memcpy(out, "other", 6);
    }
}

rt_status rt_evidence_add(rt_evidence *e, const rt_evidence_item *it, rt_err *err)
{
    json_t *o = json_pack("{s:s, s:o*, s:s, s:s}", "source", it->source, "value", safe_text(it->value.p, it->value.n),
                          "licence", it->licence, "about", it->about);
    bool ok = o != NULL;
    ok = ok && (!it->file || json_object_set_new(o, "file", safe_text(it->file, strlen(it->file))) == 0);
    ok = ok && (!it->weak || json_object_set_new(o, "weak", json_true()) == 0);
    ok = ok && (!it->text_sha256 || json_object_set_new(o, "text_sha256", json_string(it->text_sha256)) == 0);
    ok = ok && json_array_append(e->items, o) == 0;
    json_decref(o);
    return ok ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for licence evidence");
}

rt_status rt_evidence_prepare(rt_evidence *e, rt_err *err)
{
    e->items = e->items ? e->items : json_array();
    e->base_models = e->base_models ? e->base_models : json_array();
    return e->items && e->base_models ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for licence evidence");
}

/* ---- kinds of evidence ---- */

/* A whole licence text: an item for each licence whose marking phrases it has. */
rt_status rt_evidence_add_text(rt_evidence *e, const rt_licence_table *t, const char *source, const char *file,
                               rt_slice text, rt_err *err)
{
    const char *ids[MAX_TEXTS];
    char hex[65];
    size_t n = rt_licence_find_text(t, text.p, text.n, ids, MAX_TEXTS);
    rt_digest_hex(rt_sha256_of(text.p, text.n), hex);
    if (n == 0) {
        ids[n++] = "unrecognised-text";
    }
    for (size_t i = 0; i < n; i++) {
        rt_evidence_item it = {.source = source, .file = file, .licence = ids[i], .about = "model", .text_sha256 = hex};
        it.value = (rt_slice){"licence text", strlen("licence text")};
        rt_status st = rt_evidence_add(e, &it, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

/* A tag or SPDX id. Of an expression "A OR B", "A AND B" every part counts: the stricter one decides. */
rt_status rt_evidence_add_tag(rt_evidence *e, const rt_licence_table *t, const char *source, const char *file,
                              rt_slice v, rt_err *err)
{
    if (v.n > VALUE_BYTES || memchr(v.p, '\n', v.n)) {
        return rt_evidence_add_text(e, t, source, file, v, err);
    }
    char buf[VALUE_BYTES + 1];
    memcpy(buf, v.p, v.n);
    buf[v.n] = '\0';
    for (char *part = buf, *next; part; part = next) {
        char *either = strstr(part, " OR "), *both = strstr(part, " AND ");
        char *cut = either && (!both || either < both) ? either : both;
        next = NULL;
        if (cut) {
            next = cut + (cut == either ? 4 : 5);
            *cut = '\0';
        }
        char foreign[ID_BYTES];
        const char *id = rt_licence_find(t, part);
        if (!id) {
            foreign_id(part, strlen(part), foreign);
            id = foreign;
        }
        rt_evidence_item it = {.source = source, .file = file, .licence = id, .about = "model", .value = v};
        rt_status st = rt_evidence_add(e, &it, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

rt_status rt_evidence_add_name(rt_evidence *e, const rt_licence_table *t, const char *source, const char *file,
                               const char *name, const char *about, rt_err *err)
{
    const char *id = rt_licence_find_family(t, name);
    rt_evidence_item it = {
        .source = source, .file = file, .licence = id, .about = about, .value = {name, strlen(name)}, .weak = true};
    return id ? rt_evidence_add(e, &it, err) : RT_OK;
}

rt_status rt_evidence_set_name(rt_evidence *e, rt_slice name, rt_err *err)
{
    if (e->name || name.n == 0) {
        return RT_OK;
    }
    json_t *safe = safe_text(name.p, name.n);
    e->name = safe ? rt_strdup(json_string_value(safe)) : NULL;
    json_decref(safe);
    return e->name ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for the model's name");
}

rt_status rt_evidence_add_base(rt_evidence *e, const rt_licence_table *t, const char *source, const char *file,
                               rt_slice name, rt_err *err)
{
    json_t *safe = safe_text(name.p, name.n);
    if (!safe || json_array_append_new(e->base_models, safe) != 0) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the base models");
    }
    return rt_evidence_add_name(e, t, source, file, json_string_value(safe), "ancestor", err);
}

/* ---- public ---- */

rt_status rt_evidence_declare(rt_evidence *e, const rt_licence_table *t, const char *model_name, const char *licence,
                              const char *base_model, rt_err *err)
{
    rt_status st = RT_OK;
    e->declared = true;
    RT_TRY(rt_evidence_prepare(e, err));
    RT_TRY(rt_evidence_set_name(e, (rt_slice){model_name, strlen(model_name)}, err));
    RT_TRY(rt_evidence_add_name(e, t, "declared name", NULL, model_name, "model", err));
    if (licence && *licence) {
        RT_TRY(rt_evidence_add_tag(e, t, "declared licence", NULL, (rt_slice){licence, strlen(licence)}, err));
    }
    if (base_model && *base_model) {
        RT_TRY(
            rt_evidence_add_base(e, t, "declared base model", NULL, (rt_slice){base_model, strlen(base_model)}, err));
    }
out:
    return st;
}

rt_status rt_evidence_add_host(rt_evidence *e, const rt_licence_table *t, const char *host, rt_err *err)
{
    rt_status st = rt_evidence_prepare(e, err);
    rt_evidence_item it = {
        .source = "host", .licence = rt_licence_find_host(t, host), .about = "model", .value = {host, strlen(host)}};
    e->declared = true;
    return st == RT_OK ? rt_evidence_add(e, &it, err) : st;
}

void rt_evidence_release(rt_evidence *e)
{
    rt_free(e->name);
    json_decref(e->items);
    json_decref(e->base_models);
    *e = (rt_evidence){0};
}
