/* model_fixture.h - a model and what transformers computed with it: golden.safetensors, described in
 * tests/golden/README.md. */
#ifndef RT_TEST_MODEL_FIXTURE_H
#define RT_TEST_MODEL_FIXTURE_H

#include <math.h>

#include "golden_cases.h"

/* Both sequences of a case as one batch of two spans. */
typedef struct fixture {
    const golden_case *c;
    rt_model *m;
    rt_safetensors *golden;
    rt_batch batch;
    rt_span spans[2];
    int64_t t;           /* ids a sequence */
    const int32_t *rows; /* [n_rows] rows of the batch that are kept, NULL: all */
    int64_t n_rows;
    json_t *hashed; /* the list of hashed weights, NULL: weights were kept */
    float *teacher; /* their teacher's logits, where the case has a teacher */
} fixture;

static inline const rt_tensor_info *golden_find(const fixture *f, const char *name)
{
    return rt_safetensors_find(f->golden, name);
}

static inline const void *golden_data(const fixture *f, const char *name, rt_dtype type, int64_t n)
{
    const rt_tensor_info *t = golden_find(f, name);
    if (t == NULL || t->dtype != type || (int64_t)rt_tensor_info_elements(t) != n) {
        fail_msg("%s: no '%s' of %lld elements of type %s", f->c->name, name, (long long)n, rt_dtype_name(type));
    }
    return t->data;
}

static inline const float *golden_f32(const fixture *f, const char *name, int64_t n)
{
    return golden_data(f, name, RT_F32, n);
}

/* Architectures that run but cannot be trained (docs/architectures.md), by model_type. */
static inline bool forward_only(const rt_model *m)
{
    static const char *const types[] = {"deepseek_v32", "deepseek_v4", "minimax"};
    bool found = false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        found |= strcmp(m->arch->hf_type, types[i]) == 0;
    }
    return found;
}

static inline void fixture_open(fixture *f, const golden_case *c)
{
    rt_err err = {0};
    memset(f, 0, sizeof *f);
    f->c = c;
    assert_ok(rt_model_open(&f->m, c->weights, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
    const rt_model_options trainable = {.precision = RT_PRECISION_F32, .trainable = true};
    if (forward_only(f->m)) {
        rt_model *refused = NULL;
        assert_int_equal(rt_model_open(&refused, c->weights, &trainable, &err), RT_UNSUPPORTED);
    } else {
        rt_model_close(f->m);
        assert_ok(rt_model_open(&f->m, c->weights, &trainable, &err));
    }
    assert_ok(rt_safetensors_open(&f->golden, c->golden, &err));
    const rt_tensor_info *ids = golden_find(f, "input_ids"), *rows = golden_find(f, "rows");
    assert_non_null(ids);
    assert_int_equal(ids->dims[0], 2);
    f->t = ids->dims[1];
    for (int i = 0; i < 2; i++) {
        f->spans[i] = (rt_span){.row0 = i * f->t, .n = f->t};
    }
    f->batch = (rt_batch){.ids = ids->data, .n_rows = 2 * f->t, .spans = f->spans, .n_spans = 2};
    f->rows = rows != NULL ? rows->data : NULL;
    f->n_rows = rows != NULL ? rows->dims[0] : f->batch.n_rows;
    f->hashed = rt_safetensors_meta(f->golden, "weights") != NULL ? hashed_weights(f->golden) : NULL;
    if (f->hashed != NULL && golden_find(f, "loss_kl_T2") != NULL) {
        f->teacher = hashed_teacher(rt_json_str(f->hashed, "salt", ""), f->batch.n_rows * f->m->hp.n_vocab);
    }
}

static inline void fixture_close(fixture *f)
{
    rt_model_close(f->m);
    rt_safetensors_close(f->golden);
    json_decref(f->hashed);
    rt_free(f->teacher);
}

/* The larger; no number beats any. */
static inline double worse(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

static inline double max_difference(const float *a, const float *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = worse(worst, fabs((double)a[i] - (double)b[i]));
    }
    return worst;
}

static inline int64_t kept_row(const fixture *f, int64_t i)
{
    return f->rows != NULL ? f->rows[i] : i;
}

/* Values a kept row has in the golden tensor `name`; 0: the file has no such tensor. */
static inline int64_t golden_width(const fixture *f, const char *name)
{
    const rt_tensor_info *t = golden_find(f, name);
    return t != NULL ? (int64_t)rt_tensor_info_elements(t) / f->n_rows : 0;
}

/* Largest difference of the kept rows of `got` [rows of the batch, width] and the golden tensor `name`. */
static inline double rows_difference(const fixture *f, const char *name, const float *got, int64_t width)
{
    const float *want = golden_f32(f, name, f->n_rows * width);
    double worst = 0;
    for (int64_t i = 0; i < f->n_rows; i++) {
        worst = worse(worst, max_difference(got + kept_row(f, i) * width, want + i * width, width));
    }
    return worst;
}

#endif
