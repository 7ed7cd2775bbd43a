/* err.h - how failures travel: a status is returned, the record is filled once where most is known,
 * callers add context on the way out. Nothing here allocates, prints or exits. */
#ifndef RT_CORE_ERR_H
#define RT_CORE_ERR_H

#include <retort/base.h>

#define RT_MUST_USE __attribute__((warn_unused_result))
#define RT_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Fill `err` (may be NULL) and return `code`. RT_IO records errno. Control characters become '?'. */
rt_status rt_fail(rt_err *err, rt_status code, uint64_t pos, const char *fmt, ...) RT_PRINTF(4, 5);
/* Put "context: " before the message already there; returns err's code (or `st` when err is NULL). */
rt_status rt_err_wrap(rt_err *err, rt_status st, const char *fmt, ...) RT_PRINTF(3, 4);
void rt_err_clear(rt_err *err);

/* Needs a local `rt_status st` and a label `out:` that cleans up and returns st. */
#define RT_TRY(expr)       \
    do {                   \
        st = (expr);       \
        if (st != RT_OK) { \
            goto out;      \
        }                  \
    } while (0)
#define RT_FAIL_OUT(...)           \
    do {                           \
        st = rt_fail(__VA_ARGS__); \
        goto out;                  \
    } while (0)

/* A broken promise of our own code: aborts in every build. Data from files never reaches it. */
_Noreturn void rt_bug_at(const char *file, int line, const char *what);
#define RT_BUG_IF(cond)                           \
    do {                                          \
        if (cond) {                               \
            rt_bug_at(__FILE__, __LINE__, #cond); \
        }                                         \
    } while (0)

#endif
