/* rt_test.h - cmocka's headers in their order, and what many tests need besides. */
#ifndef RT_TESTS_RT_TEST_H
#define RT_TESTS_RT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/core.h"

/* Fails with the error's own words. */
#define assert_ok(expr)                                                       \
    do {                                                                      \
        rt_status status_ = (expr);                                           \
        if (status_ != RT_OK) {                                               \
            fail_msg("%s: %s (%s)", #expr, rt_status_text(status_), err.msg); \
        }                                                                     \
    } while (0)

/* The message names what a user has to look for. */
#define assert_says(text, part)                                 \
    do {                                                        \
        if (!strstr((text), (part))) {                          \
            fail_msg("'%s' does not say '%s'", (text), (part)); \
        }                                                       \
    } while (0)

/* A model from $RETORT_MODELS or the place `make fetch` puts it. */
static inline const char *rt_test_model(const char *file)
{
    static char path[1024];
    const char *dir = getenv("RETORT_MODELS");
    snprintf(path, sizeof path, "%s/%s", dir != NULL && *dir ? dir : RT_TEST_MODELS, file);
    if (!rt_path_exists(path)) {
        fail_msg("'%s' is missing: run `make fetch`, or set RETORT_MODELS to a directory that has it", path);
    }
    return path;
}

/* A new empty directory under $TMPDIR; rt_test_scratch_drop removes it with all that is in it. */
static inline char *rt_test_scratch(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = rt_path_join(base && *base ? base : "/tmp", "retort-test-XXXXXX");
    if (!dir || !mkdtemp(dir)) {
        fail_msg("cannot make a scratch directory");
    }
    return dir;
}

static inline void rt_test_scratch_drop(char *dir)
{
    char command[600];
    snprintf(command, sizeof command, "chmod -R u+w '%s' && rm -rf '%s'", dir, dir);
    assert_int_equal(system(command), 0);
    rt_free(dir);
}

#endif
