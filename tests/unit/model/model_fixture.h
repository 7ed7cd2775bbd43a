/* Reference models and what they computed elsewhere (tests/golden/gen/trim_models.py). */
#ifndef RT_TEST_MODEL_FIXTURE_H
#define RT_TEST_MODEL_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/models.h"

/* Both rows of 24 ids of a reference model as one batch of two spans. */
typedef struct fixture {
    rt_model *m;
    rt_safetensors *golden;
    rt_batch batch;
    rt_span spans[2];
} fixture;

static inline void check_ok(rt_status st, const rt_err *err)
{
    if (st != RT_OK) {
        fail_msg("%s: %s", rt_status_text(st), err->msg);
    }
}

static inline const float *golden_f32(const fixture *f, const char *name, int64_t n)
{
    const rt_tensor_info *t = rt_safetensors_find(f->golden, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, RT_F32);
    assert_int_equal(rt_tensor_info_elements(t), n);
    return t->data;
}

static inline void fixture_open(fixture *f, const char *name, const char *weights, rt_precision precision,
                                bool trainable)
{
    rt_err err = {0};
    char path[512];
    memset(f, 0, sizeof *f);
    snprintf(path, sizeof path, "%s/%s", RT_TEST_GOLDEN, weights);
    check_ok(rt_model_open(&f->m, path, &(rt_model_options){.precision = precision, .trainable = trainable}, &err),
             &err);
    snprintf(path, sizeof path, "%s/models/%s/golden.safetensors", RT_TEST_GOLDEN, name);
    check_ok(rt_safetensors_open(&f->golden, path, &err), &err);
    const rt_tensor_info *ids = rt_safetensors_find(f->golden, "input_ids");
    assert_non_null(ids);
    const int64_t t = ids->dims[1];
    for (int i = 0; i < 2; i++) {
        f->spans[i] = (rt_span){.row0 = i * t, .n = t};
    }
    f->batch = (rt_batch){.ids = ids->data, .n_rows = 2 * t, .spans = f->spans, .n_spans = 2};
}

static inline void fixture_close(fixture *f)
{
    rt_model_close(f->m);
    rt_safetensors_close(f->golden);
}

static inline double max_difference(const float *a, const float *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst;
}

#endif
