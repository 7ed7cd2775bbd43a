/* file.h - files as retort uses them: mapped for reading, replaced atomically for writing. */
#ifndef RT_CORE_FILE_H
#define RT_CORE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/err.h"
#include "core/str.h"

/* Read-only map of a whole file. */
typedef struct rt_map {
    const uint8_t *data; /* NULL when the file is empty */
    size_t size;
} rt_map;
RT_MUST_USE rt_status rt_map_open(rt_map *m, const char *path, rt_err *err);
void rt_map_close(rt_map *m);
/* n bytes of a map from p: they will be read soon, or their pages, and those that came along with them, may go. Advice,
 * so it cannot fail; nothing happens to bytes that are in no map (m is NULL). */
void rt_map_advise(const rt_map *m, const void *p, size_t n, bool wanted);

/* Appends the whole file to `out`; refuses more than `limit` bytes. */
RT_MUST_USE rt_status rt_file_read(rt_str *out, const char *path, size_t limit, rt_err *err);

/* Atomic replacement: write to `path`.tmp.<pid>, fsync, rename, fsync the directory.
 * open -> fwrite to f -> commit; or discard. Either leaves the old file or the whole new one, whatever happens. */
typedef struct rt_atomic {
    FILE *f;
    char *path, *tmp;
} rt_atomic;
RT_MUST_USE rt_status rt_atomic_open(rt_atomic *a, const char *path, rt_err *err);
RT_MUST_USE rt_status rt_atomic_commit(rt_atomic *a, rt_err *err); /* closes; on failure the temporary is gone */
void rt_atomic_discard(rt_atomic *a);                              /* safe after commit */
RT_MUST_USE rt_status rt_file_write(const char *path, const void *data, size_t n, rt_err *err); /* atomic */
/* write with every short write and error reported (full disk) */
RT_MUST_USE rt_status rt_fwrite(FILE *f, const void *data, size_t n, const char *path, rt_err *err);

/* Stores the directory that `path` stands in, without which a new or renamed file may be forgotten at power loss. */
RT_MUST_USE rt_status rt_dir_sync(const char *path, rt_err *err);
RT_MUST_USE rt_status rt_mkdirs(const char *path, rt_err *err); /* like mkdir -p */
bool rt_path_exists(const char *path);
bool rt_path_is_dir(const char *path);
int64_t rt_path_size(const char *path);          /* -1 when absent */
bool rt_path_same(const char *a, const char *b); /* one file, by whatever names; it is there */
/* Joins with one slash; the caller frees with rt_free; NULL when memory is out. */
char *rt_path_join(const char *dir, const char *name);
const char *rt_path_base(const char *path);
/* Directory part ("." when none); caller frees. */
char *rt_path_dir(const char *path);
/* Removes a file if present. */
RT_MUST_USE rt_status rt_path_remove(const char *path, rt_err *err);
/* Names in a directory but . and .., sorted; release with rt_dir_names_free. */
RT_MUST_USE rt_status rt_dir_names(const char *path, char ***names, size_t *n, rt_err *err);
void rt_dir_names_free(char **names, size_t n);
/* Free bytes on the file system that holds `path`; -1 when unknown. */
int64_t rt_disk_free(const char *path);

#endif
