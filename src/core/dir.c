/* Listing a directory. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static rt_status append(char ***names, size_t *n, const char *name, rt_err *err)
{
    char **grown = rt_realloc(*names, (*n + 1) * sizeof *grown);
    if (grown == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    *names = grown;
    grown[*n] = rt_strdup(name);
    if (grown[*n] == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    (*n)++;
    return RT_OK;
}

rt_status rt_dir_names(const char *path, char ***names, size_t *n, rt_err *err)
{
    rt_status st = RT_OK;
    DIR *d = opendir(path);
    *names = NULL;
    *n = 0;
    if (d == NULL) {
        return rt_fail(err, errno == ENOENT ? RT_NOT_FOUND : RT_IO, 0, "reading directory '%s': %s", path,
                       strerror(errno));
    }
    for (const struct dirent *e; st == RT_OK && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            st = append(names, n, e->d_name, err);
        }
    }
    closedir(d);
    if (st != RT_OK) {
        rt_dir_names_free(*names, *n);
        *names = NULL;
        *n = 0;
        return st;
    }
    if (*n > 1) {
        qsort(*names, *n, sizeof **names, by_text);
    }
    return RT_OK;
}

void rt_dir_names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rt_free(names[i]);
    }
    rt_free(names);
}
