/* gguf_open.c - opening GGUF files: one, all shards of a split model, or bytes in memory; finding tensors and keys. */
#include <stdio.h>
#include <string.h>

#include "format/gguf_part.h"

/* NAME-00001-of-00003.gguf */
#define SHARD_SUFFIX_BYTES 20

/* The number that five digits make, -1 when they are none. */
static int five_digits(const char *p)
{
    int v = 0;
    for (int i = 0; i < 5; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }
        v = 10 * v + (p[i] - '0');
    }
    return v;
}

/* Number of shards a path's name speaks of, 0 when it is no shard name. */
static int shard_count(const char *path)
{
    size_t n = strlen(path);
    if (n <= SHARD_SUFFIX_BYTES) {
        return 0;
    }
    const char *suffix = path + n - SHARD_SUFFIX_BYTES;
    int no = five_digits(suffix + 1), count = five_digits(suffix + 10);
    bool named = suffix[0] == '-' && memcmp(suffix + 6, "-of-", 4) == 0 && strcmp(suffix + 15, ".gguf") == 0;
    return named && no >= 1 && no <= count ? count : 0;
}

static rt_status check_split(const rt_gguf_part *p, int64_t no, int64_t count, rt_err *err)
{
    int64_t said_no = 0, said_count = 0;
    bool split = rt_gguf_part_i64(p, "split.count", &said_count) && said_count > 1;
    if (count <= 1) {
        if (split) {
            return rt_fail(err, RT_INPUT, 0,
                           "one file of a model split in %lld: keep all, named NAME-00001-of-%05lld.gguf and so on",
                           (long long)said_count, (long long)said_count);
        }
        return RT_OK;
    }
    if (!split || said_count != count || !rt_gguf_part_i64(p, "split.no", &said_no) || said_no != no) {
        return rt_fail(err, RT_INPUT, 0, "says it is file %lld of %lld, its name says %lld of %lld",
                       (long long)said_no + 1, (long long)said_count, (long long)no + 1, (long long)count);
    }
    return RT_OK;
}

/* File `no` (from 0) of `count`. */
static rt_status open_part(rt_gguf *g, const char *path, int no, int count, rt_err *err)
{
    rt_status st;
    rt_gguf_part *p = &g->parts[g->n_parts++]; /* counted first so that a half-read part is released too */
    RT_TRY(rt_map_open(&p->map, path, err));
    st = rt_gguf_part_read(p, p->map.data, p->map.size, err);
    if (st == RT_OK) {
        st = check_split(p, no, count, err);
    }
    for (size_t i = 0; st == RT_OK && i < p->n_tensors; i++) {
        p->tensors[i].map = &p->map;
    }
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "reading '%s'", path);
    }
out:
    return st;
}

/* One directory over all parts. */
static rt_status merge_tensors(rt_gguf *g, rt_err *err)
{
    rt_status st;
    size_t n = 0;
    int64_t said = 0;
    const char *twice;
    for (size_t i = 0; i < g->n_parts; i++) {
        n += g->parts[i].n_tensors;
    }
    if (g->n_parts > 1 && rt_gguf_part_i64(&g->parts[0], "split.tensors.count", &said) && said != (int64_t)n) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the files hold %zu tensors, key 'split.tensors.count' says %lld", n,
                    (long long)said);
    }
    RT_TRY(RT_NEW(&g->tensors, n, "GGUF tensors", err));
    for (size_t i = 0; i < g->n_parts; i++) {
        if (g->parts[i].n_tensors > 0) {
            memcpy(g->tensors + g->n_tensors, g->parts[i].tensors, g->parts[i].n_tensors * sizeof *g->tensors);
        }
        g->n_tensors += g->parts[i].n_tensors;
    }
    RT_TRY(rt_name_index_init(&g->tensor_index, g->tensors, n, sizeof *g->tensors, &twice, err));
    if (twice) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "tensor '%s' occurs twice", twice);
    }
out:
    return st;
}

static rt_status open_shards(rt_gguf *g, const char *path, int count, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str name = {0};
    size_t stem = strlen(path) - SHARD_SUFFIX_BYTES;
    for (int i = 0; i < count; i++) {
        rt_str_clear(&name);
        rt_str_add(&name, path, stem);
        rt_str_printf(&name, "-%05d-of-%05d.gguf", i + 1, count);
        if (name.failed) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a shard name");
        }
        RT_TRY(open_part(g, rt_str_cstr(&name), i, count, err));
    }
out:
    rt_str_release(&name);
    return st;
}

static rt_status new_gguf(rt_gguf **out, int n_parts, rt_err *err)
{
    rt_status st;
    rt_gguf *g = NULL;
    RT_TRY(RT_NEW(&g, 1, "GGUF", err));
    st = RT_NEW(&g->parts, (size_t)n_parts, "GGUF parts", err);
    if (st != RT_OK) {
        rt_free(g);
        goto out;
    }
    *out = g;
out:
    return st;
}

bool rt_gguf_is_file(const char *path)
{
    char magic[4] = {0};
    FILE *f = fopen(path, "rb"); /* a folder opens, but gives no bytes */
    const bool yes = f != NULL && fread(magic, 1, sizeof magic, f) == sizeof magic && memcmp(magic, "GGUF", 4) == 0;
    if (f != NULL) {
        (void)fclose(f); /* nothing was written */
    }
    return yes;
}

rt_status rt_gguf_open(rt_gguf **out, const char *path, rt_err *err)
{
    rt_status st;
    rt_gguf *g = NULL;
    int count = shard_count(path);
    *out = NULL;
    RT_TRY(new_gguf(&g, count > 1 ? count : 1, err));
    RT_TRY(count > 1 ? open_shards(g, path, count, err) : open_part(g, path, 0, 1, err));
    st = merge_tensors(g, err);
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "reading '%s'", path);
        goto out;
    }
    *out = g;
    g = NULL;
out:
    rt_gguf_close(g);
    return st;
}

rt_status rt_gguf_open_memory(rt_gguf **out, const void *data, size_t size, rt_err *err)
{
    rt_status st;
    rt_gguf *g = NULL;
    *out = NULL;
    RT_TRY(new_gguf(&g, 1, err));
    g->n_parts = 1;
    RT_TRY(rt_gguf_part_read(&g->parts[0], data, size, err));
    RT_TRY(check_split(&g->parts[0], 0, 1, err));
    RT_TRY(merge_tensors(g, err));
    *out = g;
    g = NULL;
out:
    rt_gguf_close(g);
    return st;
}

void rt_gguf_close(rt_gguf *g)
{
    if (!g) {
        return;
    }
    for (size_t i = 0; i < g->n_parts; i++) {
        rt_gguf_part_release(&g->parts[i]);
    }
    rt_free(g->parts);
    rt_free(g->tensors);
    rt_name_index_release(&g->tensor_index);
    rt_free(g);
}

size_t rt_gguf_n_tensors(const rt_gguf *g)
{
    return g->n_tensors;
}

const rt_tensor_info *rt_gguf_tensor(const rt_gguf *g, size_t i)
{
    RT_BUG_IF(i >= g->n_tensors);
    return &g->tensors[i];
}

const rt_tensor_info *rt_gguf_find(const rt_gguf *g, const char *name)
{
    return rt_name_index_find(&g->tensor_index, name);
}

size_t rt_gguf_n_kv(const rt_gguf *g)
{
    return g->parts[0].n_kv;
}

const rt_gguf_kv *rt_gguf_kv_at(const rt_gguf *g, size_t i)
{
    RT_BUG_IF(i >= g->parts[0].n_kv);
    return &g->parts[0].kv[i];
}
