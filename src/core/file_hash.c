/* file_hash.c - SHA-256 of a file, remembered in a memo by (path, size, mtime, inode): a teacher of many gigabytes
 * is hashed once. The memo is a convenience: unreadable or unwritable, it only costs time. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"

#define MEMO_LIMIT ((size_t)16 << 20)
/* Clocks of file systems tick coarsely: a file this fresh may change again under the same mtime. */
#define SETTLE_SECONDS 2

static rt_status hash_file(const char *path, rt_digest *out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_map map = {0};
    RT_TRY(rt_map_open(&map, path, err));
    *out = rt_sha256_of(map.data ? (const void *)map.data : "", map.size);
out:
    rt_map_close(&map);
    return st;
}

static json_int_t mtime_ns(const struct stat *sb)
{
    return (json_int_t)sb->st_mtim.tv_sec * 1000000000 + sb->st_mtim.tv_nsec;
}

/* New reference; an empty object when there is no usable memo. */
static json_t *memo_load(const char *memo)
{
    rt_str text = {0};
    json_t *root = NULL;
    if (rt_file_read(&text, memo, MEMO_LIMIT, NULL) == RT_OK) {
        root = json_loadb(rt_str_cstr(&text), text.n, 0, NULL);
    }
    rt_str_release(&text);
    if (!json_is_object(root)) {
        json_decref(root);
        root = json_object();
    }
    return root;
}

static bool memo_find(const json_t *root, const char *key, const struct stat *sb, rt_digest *out)
{
    const json_t *entry = json_object_get(root, key);
    const char *hex = json_string_value(json_object_get(entry, "sha256"));
    return hex && json_integer_value(json_object_get(entry, "size")) == (json_int_t)sb->st_size &&
           json_integer_value(json_object_get(entry, "mtime_ns")) == mtime_ns(sb) &&
           json_integer_value(json_object_get(entry, "inode")) == (json_int_t)sb->st_ino &&
           rt_digest_parse(hex, out) == 0;
}

static void memo_store(json_t *root, const char *memo, const char *key, const struct stat *sb, rt_digest d)
{
    char hex[65];
    rt_digest_hex(d, hex);
    json_t *entry = json_pack("{s:s, s:I, s:I, s:I}", "sha256", hex, "size", (json_int_t)sb->st_size, "mtime_ns",
                              mtime_ns(sb), "inode", (json_int_t)sb->st_ino);
    if (json_object_set_new(root, key, entry) != 0) {
        return;
    }
    size_t n = json_dumpb(root, NULL, 0, JSON_INDENT(1) | JSON_SORT_KEYS);
    char *text = rt_malloc(n);
    if (text && json_dumpb(root, text, n, JSON_INDENT(1) | JSON_SORT_KEYS) == n) {
        rt_status ignored = rt_file_write(memo, text, n, NULL);
        (void)ignored;
    }
    rt_free(text);
}

rt_status rt_file_sha256(const char *path, const char *memo, rt_digest *out, rt_err *err)
{
    struct stat before, after;
    char *key = memo ? realpath(path, NULL) : NULL;
    if (!key || stat(key, &before) != 0) {
        free(key);
        return hash_file(path, out, err);
    }
    json_t *root = memo_load(memo);
    rt_status st = RT_OK;
    if (!memo_find(root, key, &before, out)) {
        st = hash_file(path, out, err);
        bool settled = stat(key, &after) == 0 && mtime_ns(&after) == mtime_ns(&before) &&
                       after.st_size == before.st_size && time(NULL) - after.st_mtim.tv_sec > SETTLE_SECONDS;
        if (st == RT_OK && settled) {
            memo_store(root, memo, key, &before, *out);
        }
    }
    json_decref(root);
    free(key);
    return st;
}
