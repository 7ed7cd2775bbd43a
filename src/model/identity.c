/* identity.c - the hash of a model in one file or in several. */
#include "model/identity.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "format/format.h"

#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define SPLIT_SUFFIX "-00001-of-00003.gguf"

/* Names of the files of one model, within one folder. */
typedef struct file_list {
    char **names;
    size_t n;
} file_list;

static void files_release(file_list *f)
{
    rt_dir_names_free(f->names, f->n);
    *f = (file_list){0};
}

/* An index names a shard once a tensor: runs of one name are taken once here, the rest when all are sorted. */
static rt_status files_add(file_list *f, const char *name, rt_err *err)
{
    if (f->n > 0 && strcmp(f->names[f->n - 1], name) == 0) {
        return RT_OK;
    }
    char *copy = rt_strdup(name), **names = rt_realloc(f->names, (f->n + 1) * sizeof *names);
    f->names = names != NULL ? names : f->names;
    if (copy == NULL || names == NULL) {
        rt_free(copy);
        return rt_fail(err, RT_MEMORY, 0, "no memory for the names of a model's files");
    }
    names[f->n++] = copy;
    return RT_OK;
}

/* The index, the shards it names, and config.json, without which shards are no model. */
static rt_status list_shards(file_list *f, const char *dir, const char *index_name, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *index = NULL, *shard;
    const char *tensor;
    char *path = rt_path_join(dir, index_name);
    if (path == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    if (!rt_path_exists(path)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "'%s' has neither '" SINGLE "' nor '" INDEX "'", dir);
    }
    RT_TRY(rt_json_load(&index, path, err));
    RT_TRY(files_add(f, index_name, err));
    RT_TRY(files_add(f, "config.json", err));
    json_object_foreach(json_object_get(index, "weight_map"), tensor, shard)
    {
        const char *name = json_string_value(shard);
        if (name == NULL || strchr(name, '/') != NULL) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' maps a tensor to something else than a file beside it", path);
        }
        RT_TRY(files_add(f, name, err));
    }
out:
    json_decref(index);
    rt_free(path);
    return st;
}

/* The number of parts a name speaks of, 0 for names without the suffix (whose digits stand for any digits). */
static int count_parts(const char *name)
{
    const size_t n = strlen(name), k = strlen(SPLIT_SUFFIX);
    if (n <= k) {
        return 0;
    }
    const char *suffix = name + n - k;
    for (size_t i = 0; i < k; i++) {
        const bool digit = isdigit((unsigned char)SPLIT_SUFFIX[i]) != 0;
        if (digit ? isdigit((unsigned char)suffix[i]) == 0 : suffix[i] != SPLIT_SUFFIX[i]) {
            return 0;
        }
    }
    return (int)strtol(suffix + strlen("-00001-of-"), NULL, 10);
}

static rt_status list_parts(file_list *f, const char *name, int count, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str part = {0};
    for (int i = 1; i <= count; i++) {
        rt_str_clear(&part);
        rt_str_add(&part, name, strlen(name) - strlen(SPLIT_SUFFIX));
        rt_str_printf(&part, "-%05d-of-%05d.gguf", i, count);
        RT_TRY(part.failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the names of a model's files")
                           : files_add(f, rt_str_cstr(&part), err));
    }
out:
    rt_str_release(&part);
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static rt_status hash_files(const file_list *f, const char *dir, const char *memo, rt_digest *out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str lines = {0};
    char *path = NULL, hex[65];
    qsort(f->names, f->n, sizeof *f->names, by_name);
    for (size_t i = 0; i < f->n; i++) {
        rt_digest d;
        if (i > 0 && strcmp(f->names[i], f->names[i - 1]) == 0) {
            continue;
        }
        rt_free(path);
        path = rt_path_join(dir, f->names[i]);
        if (path == NULL) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
        }
        RT_TRY(rt_file_sha256(path, memo, &d, err));
        rt_digest_hex(d, hex);
        rt_str_printf(&lines, "%s  %s\n", hex, f->names[i]);
    }
    if (lines.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the hashes of a model's files");
    }
    *out = rt_sha256_of(lines.p, lines.n);
out:
    rt_free(path);
    rt_str_release(&lines);
    return st;
}

/* Of a model in one file `f` stays empty and *single is that file. */
static rt_status list_files(file_list *f, const char *path, const char *dir, char **single, rt_err *err)
{
    const char *name = rt_path_base(path);
    const size_t n = strlen(name);
    const int parts = count_parts(name);
    *single = rt_path_is_dir(path) ? rt_path_join(dir, SINGLE) : rt_strdup(path);
    if (*single == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for a path");
    }
    if (rt_path_is_dir(path)) {
        return rt_path_exists(*single) ? RT_OK : list_shards(f, dir, INDEX, err);
    }
    if (n > 5 && strcmp(name + n - 5, ".json") == 0) {
        return list_shards(f, dir, name, err);
    }
    return parts > 1 ? list_parts(f, name, parts, err) : RT_OK;
}

rt_status rt_model_sha256(const char *path, const char *memo, rt_digest *out, rt_err *err)
{
    rt_status st = RT_OK;
    file_list f = {0};
    char *dir = rt_path_is_dir(path) ? rt_strdup(path) : rt_path_dir(path), *single = NULL;
    if (dir == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    RT_TRY(list_files(&f, path, dir, &single, err));
    RT_TRY(f.n > 0 ? hash_files(&f, dir, memo, out, err) : rt_file_sha256(single, memo, out, err));
out:
    files_release(&f);
    rt_free(single);
    rt_free(dir);
    return st;
}
