/* base.h - what every retort interface shares: status, error record, version. */
#ifndef RETORT_BASE_H
#define RETORT_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RT_API __attribute__((visibility("default")))

/* 0 is success, every failure is negative; the list is src/core/status.def. */
typedef enum rt_status {
    RT_OK = 0,
    RT_USAGE = -1,
    RT_RECIPE = -2,
    RT_INPUT = -3,
    RT_UNSUPPORTED = -4,
    RT_NOT_FOUND = -5,
    RT_LICENCE = -6,
    RT_MEMORY = -7,
    RT_IO = -8,
    RT_NUMERIC = -9,
    RT_REMOTE = -10,
    RT_FINDING = -11,
    RT_UNDERPOWERED = -12,
    RT_CANCELLED = -13,
    RT_INTERNAL = -14
} rt_status;

/* Error record, owned by the caller and of fixed size so that it works when memory is gone.
 * `pos` is a byte offset or a line number for parsers, 0 where it has no meaning.
 * `msg` reads outside-in: "loading 'x.gguf': tensor 'y' has 3 dims, expected 2". */
typedef struct rt_err {
    rt_status code;
    int os_errno;
    uint64_t pos;
    char msg[512];
} rt_err;

/* "0.1.0" */
RT_API const char *rt_version(void);
/* "bad input" for RT_INPUT, and so on; never NULL. */
RT_API const char *rt_status_text(rt_status s);
/* Process exit code that stands for `s`. */
RT_API int rt_status_exit_code(rt_status s);

#ifdef __cplusplus
}
#endif
#endif
