/* The texts of a run as facts: how much of each file was read, where it comes from, on what terms. */
#include <string.h>

#include "flow/asked.h"
#include "flow/facts.h"

static const char *stated_licence(const json_t *o)
{
    return rt_json_str(o, "licence", rt_json_str(o, "license", NULL));
}

/* What every row up to `last` says of itself; NULL where they differ or one is silent. */
static json_t *licence_of_rows(const char *path, uint64_t last)
{
    rt_jsonl r = {0};
    json_t *row = NULL, *common = NULL;
    bool all = rt_jsonl_open(&r, path, NULL) == RT_OK;
    while (all && r.line < last && rt_jsonl_next(&r, &row, NULL) == RT_OK && row != NULL) {
        const char *said = stated_licence(row);
        if (common == NULL && said != NULL) {
            common = json_string(said);
        }
        all = said != NULL && common != NULL && strcmp(said, json_string_value(common)) == 0;
        json_decref(row);
        row = NULL;
    }
    rt_jsonl_close(&r);
    if (!all) {
        json_decref(common);
    }
    return all ? common : NULL;
}

/* <file>.origin.json speaks for a whole file. */
static json_t *licence_of_file(const char *path)
{
    rt_str name = {0};
    json_t *o = NULL, *licence = NULL;
    rt_str_printf(&name, "%s.origin.json", path);
    if (rt_path_exists(rt_str_cstr(&name)) && rt_json_load(&o, rt_str_cstr(&name), NULL) == RT_OK &&
        stated_licence(o) != NULL) {
        licence = json_string(stated_licence(o));
    }
    json_decref(o);
    rt_str_release(&name);
    return licence;
}

static json_t *licence_of(const char *path, uint64_t last)
{
    const size_t n = strlen(path);
    json_t *licence = n > 6 && strcmp(path + n - 6, ".jsonl") == 0 ? licence_of_rows(path, last) : NULL;
    return licence != NULL ? licence : licence_of_file(path);
}

static json_t *data_set(const rt_corpus *c, const char *use, const char *path)
{
    int64_t tokens = 0, documents = 0;
    uint64_t last = 0;
    const char *origin = NULL;
    bool all_stated = true;
    for (size_t d = 0; d < c->n_docs; d++) {
        const rt_document *doc = &c->docs[d];
        if (strcmp(doc->source, path) == 0) {
            tokens += doc->n;
            documents++;
            last = doc->line > last ? doc->line : last;
            all_stated &= doc->origin != NULL;
            origin = origin == NULL ? doc->origin : origin;
        }
    }
    json_t *e = json_pack("{s:s, s:s, s:I, s:I}", "name", path, "use", use, "documents", (json_int_t)documents,
                          "tokens", (json_int_t)tokens);
    if (all_stated && origin != NULL) {
        json_object_set_new(e, "origin", json_string(origin));
    }
    json_t *licence = documents > 0 ? licence_of(path, last) : NULL;
    if (licence != NULL) {
        json_object_set_new(e, "licence", licence);
    }
    return e;
}

static const char *origin_of(const json_t *o)
{
    return rt_json_str(o, "origin", stated_licence(o));
}

/* What <file>.origin.json says; NULL: nothing. Owned. */
static json_t *origin_of_file(const char *path)
{
    rt_str name = {0};
    json_t *o = NULL, *origin = NULL;
    rt_str_printf(&name, "%s.origin.json", path);
    if (rt_path_exists(rt_str_cstr(&name)) && rt_json_load(&o, rt_str_cstr(&name), NULL) == RT_OK &&
        origin_of(o) != NULL) {
        origin = json_string(origin_of(o));
    }
    json_decref(o);
    rt_str_release(&name);
    return origin;
}

/* Rows that are asked, not read as text: each says where it comes from, or the file does for all. */
static json_t *prompts_set(const char *use, const char *path)
{
    rt_jsonl r = {0};
    json_t *row = NULL, *origin = origin_of_file(path);
    const bool of_file = origin != NULL;
    int64_t rows = 0, stated = 0;
    const bool open = rt_jsonl_open(&r, path, NULL) == RT_OK;
    while (open && rt_jsonl_next(&r, &row, NULL) == RT_OK && row != NULL) {
        const char *own = origin_of(row);
        rows++;
        stated += own != NULL;
        origin = origin == NULL && own != NULL ? json_string(own) : origin;
        json_decref(row);
        row = NULL;
    }
    rt_jsonl_close(&r);
    json_t *e = json_pack("{s:s, s:s, s:I}", "name", path, "use", use, "documents", (json_int_t)rows);
    json_t *licence = licence_of(path, UINT64_MAX);
    if (origin != NULL && (of_file || stated == rows)) {
        json_object_set(e, "origin", origin);
    }
    if (licence != NULL) {
        json_object_set_new(e, "licence", licence);
    }
    json_decref(origin);
    return e;
}

json_t *rt_facts_data(const rt_flow *f)
{
    json_t *out = json_array();
    for (size_t i = 0; i < f->recipe.n_text; i++) {
        json_array_append_new(out, data_set(&f->text, "train", f->recipe.text[i]));
    }
    for (size_t i = 0; i < f->recipe.n_prompts; i++) {
        json_array_append_new(out, prompts_set("prompts", f->recipe.prompts[i]));
    }
    for (size_t i = 0; i < f->recipe.n_held_out; i++) {
        json_array_append_new(out, prompts_set("held out", f->recipe.held_out[i]));
    }
    if (f->kept != NULL) {
        json_t *kept = data_set(&f->text, "train", f->kept);
        json_object_set_new(kept, "name", json_string(RT_ANSWERS_KEPT));
        json_object_set_new(kept, "licence", json_string(rt_permit_licence(f->permit)));
        json_array_append_new(out, kept);
    }
    for (size_t i = 0; i < f->recipe.n_valid; i++) {
        json_array_append_new(out, data_set(&f->valid, "valid", f->recipe.valid[i]));
    }
    return out;
}

bool rt_facts_data_stated(const json_t *data)
{
    size_t i;
    json_t *d;
    json_array_foreach((json_t *)data, i, d)
    {
        const bool scored_only = strcmp(rt_json_str(d, "use", ""), "held out") == 0;
        if (!scored_only && json_object_get(d, "origin") == NULL) {
            return false;
        }
    }
    return true;
}
