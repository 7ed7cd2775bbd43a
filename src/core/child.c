/* child.c - posix_spawn, one pipe, and a clock. */
#define _GNU_SOURCE
#include "core/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sys.h"

extern char **environ;

enum { BLOCK = 65536, LOOK_EVERY = 100 /* ms */, SHOWN = 200 };

/* `write_end` becomes the child's standard output. */
static rt_status start(pid_t *pid, const char *command, const char *input, int write_end, rt_err *err)
{
    char sh[] = "sh", flag[] = "-c";
    char *argv[] = {sh, flag, (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    int why = posix_spawn_file_actions_init(&files);
    if (why != 0) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    why = posix_spawnattr_init(&attr);
    if (why == 0) {
        why = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, input, O_RDONLY, 0);
        why = why != 0 ? why : posix_spawn_file_actions_adddup2(&files, write_end, STDOUT_FILENO);
        why = why != 0 ? why : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
        why = why != 0 ? why : posix_spawnattr_setpgroup(&attr, 0);
        why = why != 0 ? why : posix_spawn(pid, "/bin/sh", &files, &attr, argv, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&files);
    return why == 0 ? RT_OK : rt_fail(err, RT_IO, 0, "cannot start '%.*s': %s", SHOWN, command, strerror(why));
}

/* RT_OK while it may; `seconds` count from `begun`. */
static rt_status may_go_on(const char *command, double begun, double seconds, rt_err *err)
{
    if (rt_interrupted()) {
        return rt_fail(err, RT_CANCELLED, 0, "interrupted while '%.*s' ran", SHOWN, command);
    }
    return rt_now() - begun <= seconds
               ? RT_OK
               : rt_fail(err, RT_INPUT, 0, "'%.*s' took more than %g s and was stopped", SHOWN, command, seconds);
}

/* Until the child closes its output. */
static rt_status listen_to(rt_str *out, int fd, const char *command, double begun, double seconds, size_t most,
                           rt_err *err)
{
    char block[BLOCK];
    const size_t before = out->n;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const int ready = poll(&p, 1, LOOK_EVERY);
        const rt_status st = may_go_on(command, begun, seconds, err);
        if (st != RT_OK) {
            return st;
        }
        if (ready <= 0) {
            continue;
        }
        const ssize_t n = read(fd, block, sizeof block);
        if (n == 0) {
            return out->failed ? rt_fail(err, RT_MEMORY, 0, "out of memory") : RT_OK;
        }
        if (n < 0 && errno != EINTR) {
            return rt_fail(err, RT_IO, 0, "reading what '%.*s' prints: %s", SHOWN, command, strerror(errno));
        }
        rt_str_add(out, block, n > 0 ? (size_t)n : 0);
        if (out->n - before > most) {
            return rt_fail(err, RT_INPUT, 0, "'%.*s' printed more than %zu bytes", SHOWN, command, most);
        }
    }
}

/* A child that has closed its output may still run. */
static rt_status wait_for(pid_t pid, const char *command, double begun, double seconds, rt_err *err)
{
    int how;
    pid_t got;
    while ((got = waitpid(pid, &how, WNOHANG)) == 0 || (got < 0 && errno == EINTR)) {
        const rt_status st = may_go_on(command, begun, seconds, err);
        if (st != RT_OK) {
            return st;
        }
        (void)poll(NULL, 0, 1);
    }
    if (got < 0) {
        return rt_fail(err, RT_IO, 0, "waiting for '%.*s': %s", SHOWN, command, strerror(errno));
    }
    if (WIFSIGNALED(how)) {
        return rt_fail(err, RT_INPUT, 0, "'%.*s' was ended by signal %d", SHOWN, command, WTERMSIG(how));
    }
    return WEXITSTATUS(how) == 0
               ? RT_OK
               : rt_fail(err, RT_INPUT, 0, "'%.*s' ended with status %d", SHOWN, command, WEXITSTATUS(how));
}

rt_status rt_child_filter(rt_str *out, const char *command, const char *input, double seconds, size_t most, rt_err *err)
{
    int ends[2];
    pid_t pid;
    const double begun = rt_now();
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return rt_fail(err, RT_IO, 0, "cannot open a pipe: %s", strerror(errno));
    }
    rt_status st = start(&pid, command, input, ends[1], err);
    close(ends[1]);
    if (st == RT_OK) {
        st = listen_to(out, ends[0], command, begun, seconds, most, err);
        if (st == RT_OK) {
            st = wait_for(pid, command, begun, seconds, err);
        }
        if (st != RT_OK) {
            (void)kill(-pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
        }
    }
    close(ends[0]);
    return st;
}
