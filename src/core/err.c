/* err.c - the status table and the error record. */
#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RT_STATUS(name, value, exit_code, text) \
    _Static_assert(RT_##name == (value), "status.def and retort/base.h disagree on RT_" #name);
#include "core/status.def"
#undef RT_STATUS

typedef struct status_row {
    rt_status status;
    int exit_code;
    const char *text;
} status_row;

static const status_row status_table[] = {
#define RT_STATUS(name, value, exit_code, text) {RT_##name, exit_code, text},
#include "core/status.def"
#undef RT_STATUS
};
#define N_STATUS (sizeof status_table / sizeof status_table[0])
_Static_assert(N_STATUS == 1 - RT_INTERNAL, "a status of retort/base.h is missing in status.def");

static const status_row *find_status(rt_status s)
{
    for (size_t i = 0; i < N_STATUS; i++) {
        if (status_table[i].status == s) {
            return &status_table[i];
        }
    }
    return NULL;
}

const char *rt_version(void)
{
    return RT_VERSION;
}

const char *rt_status_text(rt_status s)
{
    const status_row *row = find_status(s);
    return row ? row->text : "unknown status";
}

int rt_status_exit_code(rt_status s)
{
    const status_row *row = find_status(s);
    return row ? row->exit_code : rt_status_exit_code(RT_INTERNAL);
}

/* What a file or a server says may stand in a message, but must not be an order to the terminal that shows it. */
static void make_plain(char *msg)
{
    for (unsigned char *p = (unsigned char *)msg; *p; p++) {
        if (*p < ' ' || *p == 127) {
            *p = '?';
        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) { /* a C1 control, which some terminals obey */
            *p++ = '?';
            *p = '?';
        }
    }
}

rt_status rt_fail(rt_err *err, rt_status code, uint64_t pos, const char *fmt, ...)
{
    int saved_errno = errno;
    if (err) {
        err->code = code;
        err->os_errno = code == RT_IO ? saved_errno : 0;
        err->pos = pos;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        make_plain(err->msg);
    }
    return code;
}

/* Puts as much of `text` as fits at msg[at]; returns the new end. */
static size_t put_text(rt_err *err, size_t at, const char *text)
{
    size_t room = sizeof err->msg - 1 - at, n = strnlen(text, room);
    memcpy(err->msg + at, text, n);
    err->msg[at + n] = '\0';
    return at + n;
}

rt_status rt_err_wrap(rt_err *err, rt_status st, const char *fmt, ...)
{
    if (!err) {
        return st;
    }
    /* A callee that failed without a word still leaves a code. */
    if (err->code == RT_OK) {
        err->code = st;
    }
    char context[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);

    char inner[sizeof err->msg];
    memcpy(inner, err->msg, sizeof inner);
    inner[sizeof inner - 1] = '\0';
    size_t end = put_text(err, 0, context);
    if (inner[0]) {
        end = put_text(err, end, ": ");
        put_text(err, end, inner);
    }
    make_plain(err->msg);
    return err->code;
}

void rt_err_clear(rt_err *err)
{
    if (err) {
        memset(err, 0, sizeof *err);
    }
}

_Noreturn void rt_bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "retort: bug at %s:%d: %s\n", file, line, what);
    abort();
}
