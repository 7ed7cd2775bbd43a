/* manifest.c - run.json as a JSON object with typed doors; saved atomically after every change of state. */
#include "record/manifest.h"

#include <string.h>

#include "format/json.h"

static rt_status no_memory(const rt_manifest *m, rt_err *err)
{
    return rt_fail(err, RT_MEMORY, 0, "no memory for '%s'", m->path ? m->path : "run.json");
}

/* Takes `v`, NULL included (then memory is out). */
static bool put(json_t *o, const char *key, json_t *v)
{
    return json_object_set_new(o, key, v) == 0;
}

static bool put_now(json_t *o, const char *key)
{
    char now[21];
    rt_timestamp(now);
    return put(o, key, json_string(now));
}

static bool has_state(const json_t *stage, const char *state)
{
    return strcmp(rt_json_str(stage, "state", ""), state) == 0;
}

/* ---- loading and saving ---- */

static rt_status check_loaded(rt_manifest *m, rt_err *err)
{
    json_t *stages = json_object_get(m->root, "stages"), *aside = json_object_get(m->root, "aside"), *s;
    int64_t schema = rt_json_i64(m->root, "schema", 0);
    size_t i;
    if (schema > RT_MANIFEST_SCHEMA) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "'%s' has schema %lld, written by a newer retort (this one knows %d)",
                       m->path, (long long)schema, RT_MANIFEST_SCHEMA);
    }
    if (schema < 1 || !json_is_array(stages) || (aside != NULL && !json_is_array(aside))) {
        return rt_fail(err, RT_INPUT, 0, "'%s' is no run manifest", m->path);
    }
    json_array_foreach(stages, i, s)
    {
        if (!rt_json_str(s, "name", NULL)) {
            return rt_fail(err, RT_INPUT, 0, "'%s': stage %zu has no name", m->path, i);
        }
        if (has_state(s, "running") && !put(s, "state", json_string("interrupted"))) {
            return no_memory(m, err);
        }
    }
    return RT_OK;
}

rt_status rt_manifest_load_or_new(rt_manifest *m, const char *path, const char *run_name, rt_err *err)
{
    rt_status st = RT_OK;
    char tool[64], now[21];
    m->path = rt_strdup(path);
    m->dir = rt_path_dir(path);
    if (!m->path || !m->dir) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for '%s'", path);
    }
    if (rt_path_exists(path)) {
        RT_TRY(rt_json_load(&m->root, path, err));
        RT_TRY(check_loaded(m, err));
    } else {
        rt_timestamp(now);
        snprintf(tool, sizeof tool, "retort %s", rt_version());
        m->root = json_pack("{s:i, s:s, s:s, s:s, s:[]}", "schema", RT_MANIFEST_SCHEMA, "tool", tool, "name", run_name,
                            "created", now, "stages");
        RT_TRY(m->root ? RT_OK : no_memory(m, err));
    }
out:
    if (st != RT_OK) {
        rt_manifest_release(m);
    }
    return st;
}

void rt_manifest_release(rt_manifest *m)
{
    rt_free(m->path);
    rt_free(m->dir);
    json_decref(m->root);
    *m = (rt_manifest){0};
}

rt_status rt_manifest_save(const rt_manifest *m, rt_err *err)
{
    return rt_json_save(m->root, m->path, err);
}

/* ---- stages ---- */

/* Index in the list, or its size. */
static size_t place_of(const json_t *list, const char *name)
{
    size_t i;
    json_t *s;
    json_array_foreach(list, i, s)
    {
        if (strcmp(rt_json_str(s, "name", ""), name) == 0) {
            break;
        }
    }
    return i;
}

static json_t *find_stage(const rt_manifest *m, const char *name)
{
    const json_t *stages = json_object_get(m->root, "stages");
    return json_array_get(stages, place_of(stages, name));
}

const json_t *rt_manifest_find(const rt_manifest *m, const char *name)
{
    return find_stage(m, name);
}

json_t *rt_manifest_stage(rt_manifest *m, const char *name)
{
    json_t *s = find_stage(m, name);
    if (s) {
        return s;
    }
    s = json_pack("{s:s, s:s, s:s, s:[], s:i, s:f, s:f, s:i, s:[]}", "name", name, "state", "pending", "inputs", "",
                  "outputs", "runs", 0, "active_s", 0.0, "cpu_s", 0.0, "peak_rss", 0, "messages");
    return s && json_array_append_new(json_object_get(m->root, "stages"), s) == 0 ? s : NULL;
}

/* Outputs must lie in the run directory: a manifest from elsewhere may not make us read other files. */
static bool is_inside(const char *file)
{
    if (*file == '/' || *file == '\0') {
        return false;
    }
    for (const char *p = file; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0')) {
            return false;
        }
    }
    return true;
}

static rt_status hash_output(const rt_manifest *m, const char *file, int64_t *bytes, char hex[65], rt_err *err)
{
    rt_status st = RT_OK;
    rt_digest d;
    char *path = rt_path_join(m->dir, file), *memo = rt_path_join(m->dir, ".hashes.json");
    if (!path || !memo) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for '%s'", file);
    }
    *bytes = rt_path_size(path);
    if (!is_inside(file) || *bytes < 0) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "output '%s' is not in the run directory '%s'", file, m->dir);
    }
    RT_TRY(rt_file_sha256(path, memo, &d, err));
    rt_digest_hex(d, hex);
out:
    rt_free(path);
    rt_free(memo);
    return st;
}

static bool output_stands(const rt_manifest *m, const json_t *output)
{
    char hex[65];
    int64_t bytes;
    rt_err ignored = {0};
    return hash_output(m, rt_json_str(output, "path", ""), &bytes, hex, &ignored) == RT_OK &&
           bytes == rt_json_i64(output, "bytes", -1) && strcmp(hex, rt_json_str(output, "sha256", "")) == 0;
}

bool rt_manifest_is_current(rt_manifest *m, const char *name, const char *inputs_sha256)
{
    const json_t *s = find_stage(m, name);
    size_t i;
    json_t *o;
    if (!s || !has_state(s, "done") || strcmp(rt_json_str(s, "inputs", ""), inputs_sha256) != 0) {
        return false;
    }
    json_array_foreach(json_object_get(s, "outputs"), i, o)
    {
        if (!output_stands(m, o)) {
            return false;
        }
    }
    return true;
}

static void start_clock(rt_manifest *m)
{
    m->t_begin = rt_now();
    m->cpu_begin = rt_cpu_seconds();
}

/* Puts the time since the last look on the stage's account. */
static bool account(rt_manifest *m, json_t *s)
{
    int64_t rss = rt_rss_peak(), before = rt_json_i64(s, "peak_rss", 0);
    bool ok = put(s, "active_s", json_real(rt_json_f64(s, "active_s", 0) + rt_now() - m->t_begin)) &&
              put(s, "cpu_s", json_real(rt_json_f64(s, "cpu_s", 0) + rt_cpu_seconds() - m->cpu_begin)) &&
              put(s, "peak_rss", json_integer(rss > before ? rss : before));
    start_clock(m);
    return ok;
}

rt_status rt_manifest_begin(rt_manifest *m, const char *name, const char *inputs_sha256, rt_err *err)
{
    json_t *s = rt_manifest_stage(m, name);
    if (!s) {
        return no_memory(m, err);
    }
    bool goes_on = (has_state(s, "interrupted") || has_state(s, "failed")) &&
                   strcmp(rt_json_str(s, "inputs", ""), inputs_sha256) == 0;
    bool ok = true;
    if (!goes_on) {
        ok = put(s, "inputs", json_string(inputs_sha256)) && put(s, "outputs", json_array()) &&
             put(s, "messages", json_array()) && put(s, "active_s", json_real(0)) && put(s, "cpu_s", json_real(0)) &&
             put(s, "peak_rss", json_integer(0)) && put(s, "runs", json_integer(0)) && put_now(s, "started");
    }
    ok = ok && put(s, "state", json_string("running")) && put(s, "runs", json_integer(rt_json_i64(s, "runs", 0) + 1));
    json_object_del(s, "finished");
    start_clock(m);
    return ok ? rt_manifest_save(m, err) : no_memory(m, err);
}

rt_status rt_manifest_tick(rt_manifest *m, const char *name, rt_err *err)
{
    json_t *s = find_stage(m, name);
    if (!s || !has_state(s, "running")) {
        return rt_fail(err, RT_INTERNAL, 0, "stage '%s' is not running", name);
    }
    return account(m, s) ? rt_manifest_save(m, err) : no_memory(m, err);
}

rt_status rt_manifest_add_output(rt_manifest *m, const char *name, const char *file, rt_err *err)
{
    json_t *s = rt_manifest_stage(m, name), *outputs = json_object_get(s, "outputs"), *o;
    char hex[65];
    int64_t bytes;
    size_t i;
    rt_status st = hash_output(m, file, &bytes, hex, err);
    if (st != RT_OK) {
        return st;
    }
    json_t *fresh = json_pack("{s:s, s:I, s:s}", "path", file, "bytes", (json_int_t)bytes, "sha256", hex);
    json_array_foreach(outputs, i, o)
    {
        if (strcmp(rt_json_str(o, "path", ""), file) == 0) {
            return fresh && json_array_set_new(outputs, i, fresh) == 0 ? RT_OK : no_memory(m, err);
        }
    }
    return fresh && json_array_append_new(outputs, fresh) == 0 ? RT_OK : no_memory(m, err);
}

rt_status rt_manifest_add_message(rt_manifest *m, const char *name, const char *text, rt_err *err)
{
    json_t *messages = json_object_get(rt_manifest_stage(m, name), "messages");
    json_t *safe = rt_utf8_valid(text, strlen(text)) ? json_string(text) : json_string("(message is not UTF-8)");
    return messages && json_array_append_new(messages, safe) == 0 ? RT_OK : no_memory(m, err);
}

rt_status rt_manifest_finish(rt_manifest *m, const char *name, rt_status result, rt_err *err)
{
    json_t *s = find_stage(m, name);
    if (!s || !has_state(s, "running")) {
        return rt_fail(err, RT_INTERNAL, 0, "stage '%s' is not running", name);
    }
    const char *state = result == RT_OK ? "done" : result == RT_CANCELLED ? "interrupted" : "failed";
    bool ok = account(m, s) && put(s, "state", json_string(state)) && put_now(s, "finished");
    if (ok && result != RT_OK && result != RT_CANCELLED) {
        rt_status st = rt_manifest_add_message(m, name, rt_status_text(result), err);
        if (st != RT_OK) {
            return st;
        }
    }
    return ok ? rt_manifest_save(m, err) : no_memory(m, err);
}

/* Nothing where it does not stand in `from`. */
static rt_status move_stage(rt_manifest *m, const char *name, const char *from, const char *to, size_t at, rt_err *err)
{
    json_t *source = json_object_get(m->root, from), *target = json_object_get(m->root, to);
    const size_t place = place_of(source, name);
    if (place == json_array_size(source)) {
        return RT_OK;
    }
    if (target == NULL) {
        target = json_array();
        if (!put(m->root, to, target)) {
            return no_memory(m, err);
        }
    }
    const size_t n = json_array_size(target);
    if (json_array_insert(target, at < n ? at : n, json_array_get(source, place)) != 0 ||
        json_array_remove(source, place) != 0) {
        return no_memory(m, err);
    }
    return rt_manifest_save(m, err);
}

rt_status rt_manifest_set_aside(rt_manifest *m, const char *name, rt_err *err)
{
    return move_stage(m, name, "stages", "aside", SIZE_MAX, err);
}

rt_status rt_manifest_take_back(rt_manifest *m, const char *name, size_t at, rt_err *err)
{
    return move_stage(m, name, "aside", "stages", at, err);
}

double rt_manifest_active_seconds(const rt_manifest *m)
{
    double sum = 0;
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(m->root, "stages"), i, s)
    {
        sum += rt_json_f64(s, "active_s", 0);
        sum += has_state(s, "running") ? rt_now() - m->t_begin : 0;
    }
    return sum;
}

/* ---- the caller's own keys ---- */

rt_status rt_manifest_set(rt_manifest *m, const char *key, json_t *v, rt_err *err)
{
    return json_object_set(m->root, key, v) == 0 ? RT_OK : no_memory(m, err);
}

const json_t *rt_manifest_get(const rt_manifest *m, const char *key)
{
    return json_object_get(m->root, key);
}
