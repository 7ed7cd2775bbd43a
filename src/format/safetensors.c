/* safetensors.c - opening one safetensors file, bytes in memory, or the shards of an index; finding tensors. */
#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "format/safetensors_file.h"

typedef struct item {
    rt_tensor_info info; /* first: rt_name_index looks here */
    const rt_st_file *file;
} item;

struct rt_safetensors {
    rt_st_file *files;
    size_t n_files;
    item *items; /* tensors of all files */
    size_t n;
    rt_name_index index;
};

static rt_status open_file(rt_st_file *f, const char *path, rt_err *err)
{
    rt_status st;
    RT_TRY(rt_map_open(&f->map, path, err));
    st = rt_st_file_read(f, f->map.data, f->map.size, err);
    for (size_t i = 0; st == RT_OK && i < f->n; i++) {
        f->tensors[i].map = &f->map;
    }
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "reading '%s'", path);
    }
out:
    return st;
}

/* One directory over all files. */
static rt_status merge(rt_safetensors *s, rt_err *err)
{
    rt_status st;
    size_t n = 0;
    const char *twice;
    for (size_t i = 0; i < s->n_files; i++) {
        n += s->files[i].n;
    }
    RT_TRY(RT_NEW(&s->items, n, "safetensors directory", err));
    for (size_t i = 0; i < s->n_files; i++) {
        for (size_t k = 0; k < s->files[i].n; k++) {
            s->items[s->n++] = (item){s->files[i].tensors[k], &s->files[i]};
        }
    }
    RT_TRY(rt_name_index_init(&s->index, s->items, n, sizeof *s->items, &twice, err));
    if (twice) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "tensor '%s' occurs twice", twice);
    }
out:
    return st;
}

/* ---- index ---- */

static bool is_plain_file_name(const json_t *j)
{
    static const char suffix[] = ".safetensors";
    const char *name = json_string_value(j);
    size_t n = json_string_length(j);
    return name && strlen(name) == n && n > strlen(suffix) && strcmp(name + n - strlen(suffix), suffix) == 0 &&
           !strpbrk(name, "/\\") && name[0] != '.' && rt_name_is_plain(name, n);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The files a weight map speaks of, each once, into s->files (named, not yet open). */
static rt_status list_files(rt_safetensors *s, const json_t *map, rt_err *err)
{
    rt_status st;
    const char **names = NULL, *tensor;
    json_t *file;
    size_t n = 0;
    RT_TRY(RT_NEW(&names, json_object_size(map), "shard names", err));
    json_object_foreach((json_t *)map, tensor, file)
    {
        if (!is_plain_file_name(file)) {
            RT_FAIL_OUT(err, RT_INPUT, 0,
                        "tensor '%.80s' is mapped to something else than a plain *.safetensors file name",
                        rt_name_is_plain(tensor, strlen(tensor)) ? tensor : "?");
        }
        names[n++] = json_string_value(file);
    }
    if (n > 1) {
        qsort(names, n, sizeof *names, compare_texts);
    }
    RT_TRY(RT_NEW(&s->files, n, "shards", err));
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0) {
            continue;
        }
        s->files[s->n_files].name = rt_strdup(names[i]);
        if (!s->files[s->n_files].name) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for shard names");
        }
        s->n_files++;
    }
out:
    rt_free(names);
    return st;
}

static rt_status open_files(rt_safetensors *s, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < s->n_files; i++) {
        char *path = rt_path_join(dir, s->files[i].name);
        if (!path) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for shard names");
        }
        st = open_file(&s->files[i], path, err);
        rt_free(path);
        if (st != RT_OK) {
            goto out;
        }
    }
out:
    return st;
}

/* Every tensor of the map must be in the file it names. */
static rt_status check_map(const rt_safetensors *s, const json_t *map, rt_err *err)
{
    const char *tensor;
    json_t *file;
    json_object_foreach((json_t *)map, tensor, file)
    {
        const item *t = rt_name_index_find(&s->index, tensor);
        if (!t || strcmp(t->file->name, json_string_value(file)) != 0) {
            return rt_fail(err, RT_INPUT, 0, "tensor '%s' is not in '%s', where the index has it", tensor,
                           json_string_value(file));
        }
    }
    return RT_OK;
}

static rt_status open_index(rt_safetensors *s, const char *path, rt_err *err)
{
    rt_status st;
    json_t *index = NULL;
    char *dir = rt_path_dir(path);
    if (!dir) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to open '%s'", path);
    }
    RT_TRY(rt_json_load(&index, path, err));
    const json_t *map = json_object_get(index, "weight_map");
    if (json_object_size(map) == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' has no 'weight_map' from tensors to files", path);
    }
    st = list_files(s, map, err);
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "reading '%s'", path);
        goto out;
    }
    RT_TRY(open_files(s, dir, err));
    st = merge(s, err);
    if (st == RT_OK) {
        st = check_map(s, map, err);
    }
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "reading '%s'", path);
    }
out:
    json_decref(index);
    rt_free(dir);
    return st;
}

/* ---- handles ---- */

static rt_status open_single(rt_safetensors *s, const char *path, rt_err *err)
{
    rt_status st;
    RT_TRY(RT_NEW(&s->files, 1, "safetensors", err));
    s->n_files = 1;
    RT_TRY(open_file(&s->files[0], path, err));
    st = merge(s, err);
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "reading '%s'", path);
    }
out:
    return st;
}

rt_status rt_safetensors_open(rt_safetensors **out, const char *path, rt_err *err)
{
    rt_status st;
    rt_safetensors *s = NULL;
    size_t n = strlen(path);
    bool is_index = n >= 5 && strcmp(path + n - 5, ".json") == 0;
    *out = NULL;
    RT_TRY(RT_NEW(&s, 1, "safetensors", err));
    RT_TRY(is_index ? open_index(s, path, err) : open_single(s, path, err));
    *out = s;
    s = NULL;
out:
    rt_safetensors_close(s);
    return st;
}

rt_status rt_safetensors_open_memory(rt_safetensors **out, const void *data, size_t size, rt_err *err)
{
    rt_status st;
    rt_safetensors *s = NULL;
    *out = NULL;
    RT_TRY(RT_NEW(&s, 1, "safetensors", err));
    RT_TRY(RT_NEW(&s->files, 1, "safetensors", err));
    s->n_files = 1;
    RT_TRY(rt_st_file_read(&s->files[0], data, size, err));
    RT_TRY(merge(s, err));
    *out = s;
    s = NULL;
out:
    rt_safetensors_close(s);
    return st;
}

void rt_safetensors_close(rt_safetensors *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->n_files; i++) {
        rt_st_file_release(&s->files[i]);
    }
    rt_free(s->files);
    rt_free(s->items);
    rt_name_index_release(&s->index);
    rt_free(s);
}

size_t rt_safetensors_n(const rt_safetensors *s)
{
    return s->n;
}

const rt_tensor_info *rt_safetensors_at(const rt_safetensors *s, size_t i)
{
    RT_BUG_IF(i >= s->n);
    return &s->items[i].info;
}

const rt_tensor_info *rt_safetensors_find(const rt_safetensors *s, const char *name)
{
    const item *t = rt_name_index_find(&s->index, name);
    return t && t->info.dtype != RT_DTYPE_COUNT ? &t->info : NULL;
}

const char *rt_safetensors_meta(const rt_safetensors *s, const char *key)
{
    const json_t *header = s->n_files > 0 ? s->files[0].header : NULL;
    return rt_json_str(json_object_get(header, "__metadata__"), key, NULL);
}
