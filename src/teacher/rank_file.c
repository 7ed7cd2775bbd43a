/* rank_file.c - what a ranking answers, and its JSON file. */
#include <math.h>
#include <string.h>

#include "format/json.h"
#include "teacher/rank.h"

#define FORMAT_NAME "retort layer ranking"

rt_status rt_ranking_keep(const rt_ranking *r, int n_keep, int *keep, rt_err *err)
{
    int n = 0, gone = r->n_layer - n_keep;
    if (n_keep < 1 || n_keep > r->n_layer) {
        return rt_fail(err, RT_USAGE, 0, "cannot keep %d of %d layers", n_keep, r->n_layer);
    }
    if (gone > r->n_removed) {
        return rt_fail(err, RT_INPUT, 0, "the ranking goes down to %d layers, %d are wanted: rank again",
                       r->n_layer - r->n_removed, n_keep);
    }
    for (int layer = 0; layer < r->n_layer; layer++) {
        int i = 0;
        while (i < gone && r->removed[i] != layer) {
            i++;
        }
        if (i == gone) {
            keep[n++] = layer;
        }
    }
    return RT_OK;
}

double rt_ranking_perplexity(const rt_ranking *r, int n_keep)
{
    int gone = r->n_layer - n_keep;
    return gone <= 0 ? r->perplexity : gone <= r->n_removed ? r->perplexity_after[gone - 1] : NAN;
}

/* ---- file ---- */

char *rt_ranking_path(const char *dir, const rt_digest *teacher_hash)
{
    char hex[65], file[32];
    rt_digest_hex(*teacher_hash, hex);
    snprintf(file, sizeof file, "%.16s.json", hex);
    return rt_path_join(dir, file);
}

rt_status rt_ranking_save(const rt_ranking *r, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    char teacher[65], data[65];
    rt_digest_hex(r->teacher, teacher);
    rt_digest_hex(r->data, data);
    json_t *list = json_array();
    json_t *root =
        json_pack("{s:s, s:i, s:s, s:s, s:I, s:I, s:i, s:f, s:O}", "format", FORMAT_NAME, "version", 1,
                  "teacher_sha256", teacher, "data_sha256", data, "tokens", (json_int_t)r->tokens, "targets",
                  (json_int_t)r->targets, "layers", r->n_layer, "perplexity", r->perplexity, "removed", list);
    for (int i = 0; i < r->n_removed; i++) {
        json_array_append_new(list,
                              json_pack("{s:i, s:f}", "layer", r->removed[i], "perplexity", r->perplexity_after[i]));
    }
    if (!root || json_array_size(list) != (size_t)r->n_removed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a ranking");
    }
    RT_TRY(rt_json_save(root, path, err));
out:
    json_decref(list);
    json_decref(root);
    return st;
}

static rt_status read_removed(rt_ranking *r, const json_t *list, rt_err *err)
{
    uint8_t gone[RT_MAX_LAYERS] = {0};
    if (!json_is_array(list) || json_array_size(list) >= (size_t)r->n_layer) {
        return rt_fail(err, RT_INPUT, 0, "'removed' is no list of fewer than %d layers", r->n_layer);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        int64_t layer = rt_json_i64(entry, "layer", -1);
        double perplexity = rt_json_f64(entry, "perplexity", NAN);
        if (layer < 0 || layer >= r->n_layer || gone[layer] != 0 || !(perplexity > 0)) {
            return rt_fail(err, RT_INPUT, i, "entry %zu of 'removed' is no layer with its perplexity", i);
        }
        gone[layer] = 1;
        r->removed[i] = (int)layer;
        r->perplexity_after[i] = perplexity;
    }
    r->n_removed = (int)json_array_size(list);
    return RT_OK;
}

static rt_status read_ranking(rt_ranking *r, const json_t *root, const rt_digest *teacher_hash, int64_t n_layer,
                              rt_err *err)
{
    if (strcmp(rt_json_str(root, "format", ""), FORMAT_NAME) != 0 || rt_json_i64(root, "version", 0) != 1) {
        return rt_fail(err, RT_INPUT, 0, "no layer ranking of version 1");
    }
    if (rt_digest_parse(rt_json_str(root, "teacher_sha256", ""), &r->teacher) != 0 ||
        rt_digest_parse(rt_json_str(root, "data_sha256", ""), &r->data) != 0) {
        return rt_fail(err, RT_INPUT, 0, "teacher or data hash is missing");
    }
    if (memcmp(&r->teacher, teacher_hash, sizeof r->teacher) != 0 || rt_json_i64(root, "layers", 0) != n_layer) {
        return rt_fail(err, RT_INPUT, 0, "ranking of another teacher");
    }
    r->n_layer = (int)n_layer;
    r->tokens = rt_json_i64(root, "tokens", 0);
    r->targets = rt_json_i64(root, "targets", 0);
    r->perplexity = rt_json_f64(root, "perplexity", NAN);
    if (!(r->perplexity > 0)) {
        return rt_fail(err, RT_INPUT, 0, "'perplexity' is missing");
    }
    return read_removed(r, json_object_get(root, "removed"), err);
}

rt_status rt_ranking_load(rt_ranking *r, const char *path, const rt_digest *teacher_hash, int64_t n_layer, rt_err *err)
{
    json_t *root = NULL;
    RT_BUG_IF(n_layer < 1 || n_layer > RT_MAX_LAYERS);
    *r = (rt_ranking){0};
    rt_status st = rt_json_load(&root, path, err);
    if (st == RT_OK) {
        st = read_ranking(r, root, teacher_hash, n_layer, err);
        st = st == RT_OK ? st : rt_err_wrap(err, st, "'%s'", path);
    }
    json_decref(root);
    return st;
}
