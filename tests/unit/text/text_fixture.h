/* text_fixture.h - the teacher's tokenizer and a scratch folder, for the tests of text. */
#ifndef RT_TEST_TEXT_FIXTURE_H
#define RT_TEST_TEXT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/text.h"

#define VOCAB_GGUF RT_TEST_GOLDEN "/tokenizer/smollm2-vocab.gguf"

/* Fails the test with the message of `err`. */
#define ok(expr)                                \
    do {                                        \
        if ((expr) != RT_OK) {                  \
            fail_msg("%s: %s", #expr, err.msg); \
        }                                       \
    } while (0)

static inline rt_tokenizer *open_smollm2(void)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    ok(rt_tokenizer_open(&t, VOCAB_GGUF, &err));
    return t;
}

/* New folder under $TMPDIR or /tmp. */
static inline void scratch_open(char dir[256])
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, 256, "%s/retort-text-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static inline void scratch_close(const char *dir)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static inline void write_text(const char *dir, const char *name, const char *text, char path[512])
{
    rt_err err = {0};
    snprintf(path, 512, "%s/%s", dir, name);
    ok(rt_file_write(path, text, strlen(text), &err));
}

/* `expected` ends with -1. */
static inline void assert_ids(const rt_ids *ids, const int32_t *expected)
{
    size_t n = 0;
    while (expected[n] >= 0) {
        n++;
    }
    assert_int_equal(ids->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ids->p[i], expected[i]);
    }
}

#endif
