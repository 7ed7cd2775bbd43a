/* lineage.c - what a model's files say, what the gate makes of it, and what was done to it, into its successor's files.
 */
#include "flow/lineage.h"

#include <string.h>

#include "format/json.h"
#include "record/evidence.h"
#include "record/provenance.h"

enum { FILE_BYTES = 1 << 20 };

static rt_status out_of_memory(rt_err *err)
{
    return rt_fail(err, RT_MEMORY, 0, "no memory for a model's lineage");
}

static rt_status set(json_t *p, const char *key, const char *value, rt_err *err)
{
    return json_object_set_new(p, key, json_string(value)) == 0 ? RT_OK : out_of_memory(err);
}

/* An id that only says that no licence was found is none to pass on. */
static rt_status add_licence(json_t *p, const rt_licence_table *t, const char *id, rt_err *err)
{
    return *id == '\0' || strcmp(id, "missing") == 0 ? RT_OK : rt_provenance_add_licence(p, t, id, err);
}

/* ---- reading ---- */

/* What the model states, and the licence that decides about it where that follows from something else: a licence file,
 * or the family in its name. */
static rt_status read_lineage(json_t **out, const rt_licence_table *t, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_evidence e = {0};
    json_t *ruling = NULL, *p = NULL;
    RT_TRY(rt_provenance_read(&p, path, err));
    RT_TRY(rt_evidence_collect(&e, t, path, err));
    RT_TRY(rt_gate_judge(&ruling, t, &(rt_gate_request){.model = path, .evidence = &e, .uses = RT_USE_ALL}, err));
    RT_TRY(add_licence(p, t, rt_json_str(ruling, "id", ""), err));
    if (json_object_get(p, "general.name") == NULL && e.name != NULL) {
        RT_TRY(set(p, "general.name", e.name, err));
    }
    *out = p;
    p = NULL;
out:
    json_decref(p);
    json_decref(ruling);
    rt_evidence_release(&e);
    return st;
}

/* Whose folder retort has written: its name says little, its bases are the ones to remember. */
static bool is_made_here(const json_t *p)
{
    return json_object_get(p, "retort.teacher.sha256") != NULL;
}

/* The model becomes the base of one that has no name yet. */
static rt_status descend(json_t *p, rt_err *err)
{
    rt_str label = {0};
    rt_provenance_label(&label, p, "general");
    if (!is_made_here(p)) {
        rt_provenance_drop(p, "general.base_model.");
    }
    rt_status st = label.failed ? out_of_memory(err) : rt_provenance_add_base(p, rt_str_cstr(&label), err);
    rt_str_release(&label);
    return st;
}

static void drop_name(json_t *p)
{
    rt_provenance_drop(p, "general.name");
    rt_provenance_drop(p, "general.organization");
    rt_provenance_drop(p, "general.repo_url");
}

/* ---- writing ---- */

/* `dir` without slashes at its end gives the model its name. */
static rt_status write_card(const json_t *p, const char *dir, const char *what, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str name = {0}, text = {0};
    char *path = rt_path_join(dir, "README.md");
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') {
        n--;
    }
    rt_str_add(&name, dir, n);
    if (path == NULL || name.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a model's lineage");
    }
    RT_TRY(rt_provenance_print(&text, p, rt_path_base(rt_str_cstr(&name)), what, err));
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(rt_file_write(path, text.p, text.n, err));
out:
    rt_str_release(&name);
    rt_str_release(&text);
    rt_free(path);
    return st;
}

/* A file of one folder into another; one that is not there is none to copy. */
static rt_status copy_file(const char *from, const char *to, const char *name, bool *copied, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    char *source = rt_path_join(from, name), *target = rt_path_join(to, name);
    *copied = false;
    if (source == NULL || target == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    if (rt_path_exists(source) && !rt_path_is_dir(source)) {
        RT_TRY(rt_file_read(&text, source, FILE_BYTES, err));
        RT_TRY(rt_file_write(target, rt_str_cstr(&text), text.n, err));
        *copied = true;
    }
out:
    rt_str_release(&text);
    rt_free(source);
    rt_free(target);
    return st;
}

/* Licence files belong to a folder that is a model's own: a GGUF may lie anywhere. */
static rt_status copy_licence_files(const char *path, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    bool copied;
    if (!rt_path_is_dir(path)) {
        return RT_OK;
    }
    for (const char *const *name = rt_licence_file_names; *name != NULL && st == RT_OK; name++) {
        st = copy_file(path, dir, *name, &copied, err);
    }
    return st == RT_OK ? copy_file(path, dir, "NOTICE", &copied, err) : st;
}

/* ---- public ---- */

rt_status rt_lineage_of_cut(const rt_permit *permit, const char *what, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_licence_table *t = NULL;
    json_t *p = NULL;
    const char *teacher = rt_permit_model(permit);
    RT_TRY(rt_licence_table_open(&t, NULL, err));
    RT_TRY(read_lineage(&p, t, teacher, err));
    RT_TRY(add_licence(p, t, rt_permit_licence(permit), err));
    RT_TRY(descend(p, err));
    rt_provenance_drop(p, "retort.");
    RT_TRY(set(p, "retort.teacher.name", rt_json_str(p, "general.name", rt_path_base(teacher)), err));
    RT_TRY(set(p, "retort.teacher.sha256", rt_permit_model_sha256(permit), err));
    RT_TRY(set(p, "retort.licence.verdict", rt_verdict_name(rt_permit_verdict(permit)), err));
    RT_TRY(set(p, "retort.permit", rt_permit_id(permit), err));
    drop_name(p);
    RT_TRY(write_card(p, dir, what, err));
    RT_TRY(copy_licence_files(teacher, dir, err));
out:
    json_decref(p);
    rt_licence_table_close(t);
    return st;
}

/* The stricter of two verdicts by name; names nobody knows are the mildest. */
static const char *stricter(const char *a, const char *b)
{
    for (rt_verdict v = RT_VERDICT_DENY; v > RT_VERDICT_PERMIT; v--) {
        const char *name = rt_verdict_name(v);
        if (strcmp(a, name) == 0 || strcmp(b, name) == 0) {
            return name;
        }
    }
    return rt_verdict_name(RT_VERDICT_PERMIT);
}

rt_status rt_lineage_of_training(const char *student, const rt_cache_header *cache, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_licence_table *t = NULL;
    json_t *p = NULL;
    char sha256[65];
    RT_TRY(rt_licence_table_open(&t, NULL, err));
    RT_TRY(read_lineage(&p, t, student, err));
    if (!is_made_here(p)) {
        RT_TRY(descend(p, err));
    }
    RT_TRY(add_licence(p, t, cache->licence, err));
    rt_digest_hex(cache->teacher, sha256);
    RT_TRY(set(p, "retort.teacher.name", cache->teacher_name, err));
    RT_TRY(set(p, "retort.teacher.sha256", sha256, err));
    RT_TRY(
        set(p, "retort.licence.verdict", stricter(rt_json_str(p, "retort.licence.verdict", ""), cache->verdict), err));
    drop_name(p);
    RT_TRY(write_card(p, dir, "Trained further on what the teacher says about texts.", err));
    RT_TRY(copy_licence_files(student, dir, err));
out:
    json_decref(p);
    rt_licence_table_close(t);
    return st;
}

rt_status rt_lineage_keys(json_t **out, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_licence_table *t = NULL;
    json_t *p = NULL;
    RT_TRY(rt_licence_table_open(&t, NULL, err));
    RT_TRY(read_lineage(&p, t, path, err));
    RT_TRY(set(p, "retort.version", rt_version(), err));
    *out = p;
    p = NULL;
out:
    json_decref(p);
    rt_licence_table_close(t);
    return st;
}

rt_status rt_lineage_copy(const char *path, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_licence_table *t = NULL;
    json_t *p = NULL;
    bool copied = false;
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(copy_licence_files(path, dir, err));
    if (rt_path_is_dir(path)) {
        RT_TRY(copy_file(path, dir, "README.md", &copied, err));
    }
    if (!copied) {
        RT_TRY(rt_licence_table_open(&t, NULL, err));
        RT_TRY(read_lineage(&p, t, path, err));
        RT_TRY(write_card(p, dir, "Written from another format, the weights as they were.", err));
    }
out:
    json_decref(p);
    rt_licence_table_close(t);
    return st;
}
