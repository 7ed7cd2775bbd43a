/* streamed.h - a model opened under a ceiling that makes it be streamed. */
#ifndef RT_TESTS_STREAMED_H
#define RT_TESTS_STREAMED_H

#include "model/models.h"
#include "rt_test.h"

/* Opens it, for sequences of `span` tokens, under a ceiling between the one that is too low for a layer and the one
 * that has room for all of them: the process counts too, so for tiny models the two are found by halving. */
static inline rt_status streamed_open(rt_model **m, const char *path, rt_precision precision, int64_t span, rt_err *err)
{
    int64_t low = 0, high = (int64_t)1 << 40;
    for (;;) {
        const rt_model_options o = {.precision = precision, .memory = (low + high) / 2, .span = span};
        assert_true(low + 1 < high);
        const rt_status st = rt_model_open(m, path, &o, err);
        if (st == RT_MEMORY) {
            rt_err_clear(err);
            low = o.memory;
        } else if (st != RT_OK || (*m)->stream != NULL) {
            return st;
        } else {
            rt_model_close(*m);
            high = o.memory;
        }
    }
}

#endif
