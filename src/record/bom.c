/* bom.c - CycloneDX 1.6 with a model card. Whatever the facts do not say is left out. */
#include "record/bom.h"

#include <string.h>
#include <strings.h>

#include "format/json.h"

/* Hub tags that are SPDX ids but for their case; CycloneDX takes an id only in its exact spelling. */
static const char *const spdx_ids[] = {"Apache-2.0", "MIT",          "BSD-2-Clause", "BSD-3-Clause",   "CC0-1.0",
                                       "CC-BY-4.0",  "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"};

static json_t *licences_of(const char *licence)
{
    for (size_t i = 0; i < sizeof spdx_ids / sizeof *spdx_ids; i++) {
        if (strcasecmp(spdx_ids[i], licence) == 0) {
            return json_pack("[{s:{s:s}}]", "license", "id", spdx_ids[i]);
        }
    }
    return json_pack("[{s:{s:s}}]", "license", "name", licence);
}

static json_t *sha256_of(const json_t *o)
{
    const char *hex = rt_json_str(o, "sha256", "");
    return strlen(hex) == 64 ? json_pack("[{s:s, s:s}]", "alg", "SHA-256", "content", hex) : NULL;
}

static json_t *teacher_of(const json_t *facts)
{
    const json_t *t = json_object_get(facts, "teacher"), *permit = json_object_get(facts, "permit");
    return json_pack("{s:s, s:s, s:s, s:o*, s:o*}", "type", "machine-learning-model", "bom-ref", "teacher", "name",
                     rt_json_str(t, "repo", rt_json_str(t, "name", "unnamed teacher")), "hashes", sha256_of(t),
                     "licenses", licences_of(rt_json_str(permit, "id", "unknown")));
}

/* Measured figures; the interval is that of two standard errors. */
static json_t *metrics_of(const json_t *facts)
{
    json_t *list = json_array(), *k;
    size_t i;
    json_array_foreach(json_object_get(facts, "kept"), i, k)
    {
        double v = rt_json_f64(k, "student", 0), se = rt_json_f64(k, "stderr", -1);
        rt_str value = {0}, low = {0}, high = {0};
        rt_json_append_real(&value, v);
        json_t *m = json_pack("{s:s, s:s}", "type", rt_json_str(k, "what", "?"), "value", rt_str_cstr(&value));
        if (m && se >= 0) {
            rt_json_append_real(&low, v - 2 * se);
            rt_json_append_real(&high, v + 2 * se);
            json_object_set_new(
                m, "confidenceInterval",
                json_pack("{s:s, s:s}", "lowerBound", rt_str_cstr(&low), "upperBound", rt_str_cstr(&high)));
        }
        json_array_append_new(list, m);
        rt_str_release(&value);
        rt_str_release(&low);
        rt_str_release(&high);
    }
    return list;
}

static json_t *data_refs(const json_t *facts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(json_object_get(facts, "data")); i++) {
        char ref[32];
        snprintf(ref, sizeof ref, "data-%zu", i);
        json_array_append_new(list, json_pack("{s:s}", "ref", ref));
    }
    return list;
}

static json_t *limits_of(const json_t *facts)
{
    json_t *list = json_array(), *t;
    size_t i;
    json_array_foreach(json_object_get(facts, "lost"), i, t)
    {
        json_array_append(list, t);
    }
    json_array_foreach(json_object_get(facts, "not_measured"), i, t)
    {
        rt_str s = {0};
        rt_str_printf(&s, "Not measured: %s", json_is_string(t) ? json_string_value(t) : "?");
        json_array_append_new(list, json_string(rt_str_cstr(&s)));
        rt_str_release(&s);
    }
    return list;
}

static json_t *model_card(const json_t *facts)
{
    const json_t *student = json_object_get(facts, "student"), *teacher = json_object_get(facts, "teacher");
    const char *family = rt_json_str(student, "architecture", rt_json_str(teacher, "architecture", NULL));
    return json_pack("{s:{s:{s:s}, s:s, s:s*, s:o*}, s:{s:o*}, s:{s:o*}}", "modelParameters", "approach", "type",
                     "self-supervised", "task", "text-generation", "architectureFamily", family, "datasets",
                     data_refs(facts), "quantitativeAnalysis", "performanceMetrics", metrics_of(facts),
                     "considerations", "technicalLimitations", limits_of(facts));
}

static json_t *properties_of(const json_t *facts)
{
    static const struct {
        const char *name, *object, *key;
    } from[] = {
        {"retort:ledger", "ledger", "head"},
        {"retort:permit", "permit", "permit_id"},
        {"retort:licence-verdict", "permit", "verdict"},
        {"retort:licence-table", "permit", "table_version"},
        {"retort:student-init", "student", "init"},
        {"retort:loss", "how", "loss"},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        const char *v = rt_json_str(json_object_get(facts, from[i].object), from[i].key, NULL);
        if (v) {
            json_array_append_new(list, json_pack("{s:s, s:s}", "name", from[i].name, "value", v));
        }
    }
    return list;
}

static json_t *model_of(const json_t *facts)
{
    const char *init = rt_json_str(json_object_get(facts, "student"), "init", "not recorded");
    rt_str note = {0};
    rt_str_printf(&note, "Distilled from the ancestor; start of the weights: %s.", init);
    json_t *m = json_pack("{s:s, s:s, s:s, s:o*, s:o*, s:{s:[o*], s:s}, s:o*}", "type", "machine-learning-model",
                          "bom-ref", "model", "name", rt_json_str(facts, "name", ""), "licenses",
                          licences_of(rt_json_str(json_object_get(facts, "permit"), "id", "unknown")), "modelCard",
                          model_card(facts), "pedigree", "ancestors", teacher_of(facts), "notes", rt_str_cstr(&note),
                          "properties", properties_of(facts));
    rt_str_release(&note);
    return m;
}

static void add_data(json_t *components, const json_t *facts)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(facts, "data"), i, d)
    {
        char ref[32];
        const char *licence = rt_json_str(d, "licence", "");
        snprintf(ref, sizeof ref, "data-%zu", i);
        json_array_append_new(components, json_pack("{s:s, s:s, s:s, s:s, s:o*}", "type", "data", "bom-ref", ref,
                                                    "name", rt_json_str(d, "name", "unnamed"), "description",
                                                    rt_json_str(d, "origin", "origin not stated"), "licenses",
                                                    *licence ? licences_of(licence) : NULL));
    }
}

static void add_files(json_t *components, const json_t *facts)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(facts, "files"), i, f)
    {
        json_array_append_new(components, json_pack("{s:s, s:s, s:o*}", "type", "file", "name",
                                                    rt_json_str(f, "path", "?"), "hashes", sha256_of(f)));
    }
}

rt_status rt_bom_make(json_t **out, const json_t *facts, rt_err *err)
{
    char now[21];
    *out = NULL;
    if (!*rt_json_str(facts, "name", "") || !json_is_object(json_object_get(facts, "permit"))) {
        return rt_fail(err, RT_INPUT, 0, "a bill of materials needs the model's name and its permit");
    }
    rt_timestamp(now);
    json_t *components = json_array(), *model = model_of(facts);
    json_array_append(components, model);
    add_data(components, facts);
    add_files(components, facts);
    json_t *tool = json_pack("{s:s, s:s, s:s}", "type", "application", "name", "retort", "version", rt_version());
    *out = json_pack("{s:s, s:s, s:i, s:{s:s, s:{s:[o]}}, s:o}", "bomFormat", "CycloneDX", "specVersion", "1.6",
                     "version", 1, "metadata", "timestamp", now, "tools", "components", tool, "components", components);
    bool ok = *out && model;
    json_decref(model);
    if (!ok) {
        json_decref(*out);
        *out = NULL;
        return rt_fail(err, RT_MEMORY, 0, "no memory for the bill of materials (or text that is not UTF-8)");
    }
    return RT_OK;
}

rt_status rt_bom_write(const char *path, const json_t *facts, rt_err *err)
{
    json_t *bom = NULL;
    rt_status st = rt_bom_make(&bom, facts, err);
    st = st == RT_OK ? rt_json_save(bom, path, err) : st;
    json_decref(bom);
    return st;
}
