/* file.c - mapping, reading, and replacing files so that a crash leaves the old one or the new one. */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/sys.h"

static rt_status fail_io(rt_err *err, const char *verb, const char *path)
{
    int saved_errno = errno;
    rt_status code = saved_errno == ENOENT ? RT_NOT_FOUND : RT_IO;
    return rt_fail(err, code, 0, "cannot %s '%s': %s", verb, path, strerror(saved_errno));
}

/* Where something is written even a missing directory is the file system's refusal. */
static rt_status fail_write(rt_err *err, const char *verb, const char *path)
{
    return rt_fail(err, RT_IO, 0, "cannot %s '%s': %s", verb, path, strerror(errno));
}

/* Opens for reading; directories are refused here since read() would fail without naming the reason. */
static rt_status open_input(int *fd, struct stat *sb, const char *path, rt_err *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) {
        return fail_io(err, "open", path);
    }
    if (fstat(*fd, sb) == 0 && !S_ISDIR(sb->st_mode)) {
        return RT_OK;
    }
    rt_status st = S_ISDIR(sb->st_mode) ? rt_fail(err, RT_INPUT, 0, "'%s' is a directory, expected a file", path)
                                        : fail_io(err, "examine", path);
    close(*fd);
    *fd = -1;
    return st;
}

rt_status rt_map_open(rt_map *m, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    struct stat sb = {0};
    int fd;
    *m = (rt_map){0};
    RT_TRY(open_input(&fd, &sb, path, err));
    if (!S_ISREG(sb.st_mode)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' is not a regular file and cannot be mapped", path);
    }
    if (sb.st_size > 0) {
        void *p = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            st = fail_io(err, "map", path);
            goto out;
        }
        m->data = p;
        m->size = (size_t)sb.st_size;
    }
out:
    if (fd >= 0) {
        close(fd);
    }
    return st;
}

void rt_map_close(rt_map *m)
{
    if (m->data) {
        munmap((void *)m->data, m->size);
    }
    *m = (rt_map){0};
}

/* A page that is touched brings along those around it, in aligned groups of this size. */
#define FAULT_AROUND ((size_t)64 << 10)

void rt_map_advise(const rt_map *m, const void *p, size_t n, bool wanted)
{
    if (!m || !m->data) {
        return;
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), around = wanted ? page : FAULT_AROUND;
    const uintptr_t base = (uintptr_t)m->data, from = (uintptr_t)p & ~(around - 1);
    const uintptr_t first = from > base ? from : base, end = ((uintptr_t)p + n + around - 1) & ~(around - 1);
    const size_t most = m->size - (first - base);
    (void)madvise((void *)first, end - first < most ? end - first : most, wanted ? MADV_WILLNEED : MADV_DONTNEED);
}

rt_status rt_file_read(rt_str *out, const char *path, size_t limit, rt_err *err)
{
    rt_status st = RT_OK;
    struct stat sb = {0};
    char *chunk = NULL;
    const size_t chunk_size = (size_t)64 << 10;
    size_t total = 0;
    int fd;
    RT_TRY(open_input(&fd, &sb, path, err));
    RT_TRY(RT_NEW(&chunk, chunk_size, "a read buffer", err));
    for (;;) {
        ssize_t n = read(fd, chunk, chunk_size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            st = fail_io(err, "read", path);
            goto out;
        }
        if (n == 0) {
            break;
        }
        if ((size_t)n > limit - total) {
            RT_FAIL_OUT(err, RT_INPUT, total, "'%s' is larger than the %zu bytes allowed here", path, limit);
        }
        total += (size_t)n;
        rt_str_add(out, chunk, (size_t)n);
    }
    if (out->failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for '%s' (%zu bytes)", path, total);
    }
out:
    rt_free(chunk);
    if (fd >= 0) {
        close(fd);
    }
    return st;
}

rt_status rt_fwrite(FILE *f, const void *data, size_t n, const char *path, rt_err *err)
{
    if (n != 0 && fwrite(data, 1, n, f) != n) {
        return fail_write(err, "write", path);
    }
    return RT_OK;
}

/* --- atomic replacement --- */

rt_status rt_dir_sync(const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    char *dir = rt_path_dir(path);
    if (!dir) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the directory of '%s'", path);
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems have no such operation and say EINVAL. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) {
        st = fail_write(err, "sync directory", dir);
    }
    if (fd >= 0) {
        close(fd);
    }
    rt_free(dir);
    return st;
}

rt_status rt_atomic_open(rt_atomic *a, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str tmp = {0};
    int fd = -1;
    *a = (rt_atomic){0};
    a->path = rt_strdup(path);
    rt_str_printf(&tmp, "%s.tmp.%ld", path, (long)getpid());
    if (!a->path || tmp.failed) {
        rt_str_release(&tmp);
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the name '%s'", path);
    }
    a->tmp = tmp.p;
    fd = open(a->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        st = fail_write(err, "create", a->tmp);
        goto out;
    }
    a->f = fdopen(fd, "wb");
    if (!a->f) {
        st = fail_write(err, "create", a->tmp);
        close(fd);
        unlink(a->tmp);
    }
out:
    if (st != RT_OK) {
        rt_free(a->path);
        rt_free(a->tmp);
        *a = (rt_atomic){0};
    }
    return st;
}

rt_status rt_atomic_commit(rt_atomic *a, rt_err *err)
{
    rt_status st = RT_OK;
    RT_BUG_IF(!a->f);
    bool written = fflush(a->f) == 0 && !ferror(a->f) && fsync(fileno(a->f)) == 0;
    if (!written) {
        st = fail_write(err, "write", a->path);
        goto out;
    }
    int closed = fclose(a->f);
    a->f = NULL;
    if (closed != 0) {
        st = fail_write(err, "write", a->path);
        goto out;
    }
    rt_crash_point("atomic_written");
    if (rename(a->tmp, a->path) != 0) {
        st = fail_write(err, "replace", a->path);
        goto out;
    }
    rt_free(a->tmp); /* it has become the file: discard must not look for it */
    a->tmp = NULL;
    rt_crash_point("atomic_renamed");
    RT_TRY(rt_dir_sync(a->path, err));
out:
    rt_atomic_discard(a);
    return st;
}

void rt_atomic_discard(rt_atomic *a)
{
    if (a->f) {
        fclose(a->f);
    }
    if (a->tmp) {
        unlink(a->tmp);
    }
    rt_free(a->path);
    rt_free(a->tmp);
    *a = (rt_atomic){0};
}

rt_status rt_file_write(const char *path, const void *data, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_atomic a;
    RT_TRY(rt_atomic_open(&a, path, err));
    RT_TRY(rt_fwrite(a.f, data, n, path, err));
    RT_TRY(rt_atomic_commit(&a, err));
out:
    rt_atomic_discard(&a);
    return st;
}
