/* path.c - names of files and directories, and questions to the file system about them. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"

/* One directory; one that is there already is as good. */
static rt_status make_directory(const char *path, rt_err *err)
{
    if (mkdir(path, 0777) == 0) {
        return RT_OK;
    }
    int saved_errno = errno;
    if (saved_errno == EEXIST) {
        if (rt_path_is_dir(path)) {
            return RT_OK;
        }
        saved_errno = ENOTDIR;
    }
    errno = saved_errno;
    return rt_fail(err, RT_IO, 0, "cannot make directory '%s': %s", path, strerror(saved_errno));
}

rt_status rt_mkdirs(const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    char *partial = rt_strdup(path);
    if (!partial) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the name '%s'", path);
    }
    for (char *slash = strchr(partial + (*partial == '/'), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        st = make_directory(partial, err);
        *slash = '/';
        if (st != RT_OK) {
            goto out;
        }
    }
    RT_TRY(make_directory(path, err));
out:
    rt_free(partial);
    return st;
}

bool rt_path_exists(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0;
}

bool rt_path_is_dir(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

int64_t rt_path_size(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 ? (int64_t)sb.st_size : -1;
}

bool rt_path_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *rt_path_join(const char *dir, const char *name)
{
    size_t n_dir = strlen(dir);
    while (n_dir > 1 && dir[n_dir - 1] == '/') {
        n_dir--;
    }
    rt_str s = {0};
    rt_str_add(&s, dir, n_dir);
    if (n_dir > 0 && dir[n_dir - 1] != '/') {
        rt_str_putc(&s, '/');
    }
    rt_str_puts(&s, name + (n_dir > 0 ? strspn(name, "/") : 0));
    if (s.failed) {
        rt_str_release(&s);
        return NULL;
    }
    return s.p ? s.p : rt_strdup("");
}

const char *rt_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *rt_path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return rt_strdup(".");
    }
    return rt_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

rt_status rt_path_remove(const char *path, rt_err *err)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return rt_fail(err, RT_IO, 0, "cannot remove '%s': %s", path, strerror(errno));
    }
    return RT_OK;
}

int64_t rt_disk_free(const char *path)
{
    struct statvfs vfs;
    if (statvfs(path, &vfs) == 0) {
        int64_t bytes;
        return __builtin_mul_overflow(vfs.f_bavail, vfs.f_frsize, &bytes) ? INT64_MAX : bytes;
    }
    /* Not there yet: ask for where it would be. */
    char *parent = errno == ENOENT ? rt_path_dir(path) : NULL;
    int64_t bytes = parent && strcmp(parent, path) != 0 ? rt_disk_free(parent) : -1;
    rt_free(parent);
    return bytes;
}
