/* toy_model.h - a tiny teacher and a student of it. */
#ifndef RT_TESTS_TRAIN_TOY_MODEL_H
#define RT_TESTS_TRAIN_TOY_MODEL_H

#include "rt_test.h"
#include "train/trainer.h"

static inline rt_model *toy_model(bool trainable)
{
    rt_err err;
    rt_model *m;
    rt_model_options o = {.precision = RT_PRECISION_F32, .trainable = trainable};
    assert_ok(rt_model_open(&m, RT_TEST_GOLDEN "/models/llama", &o, &err));
    return m;
}

/* Sharper than the reference model, whose random weights predict almost nothing. */
static inline rt_model *toy_teacher(void)
{
    rt_model *m = toy_model(true);
    for (int64_t i = 0; i < m->output_norm->n; i++) {
        m->output_norm->w[i] *= 3;
    }
    rt_model_refresh(m);
    return m;
}

/* The teacher, shaken. */
static inline rt_model *toy_student(void)
{
    rt_model *m = toy_teacher();
    rt_rng r = rt_rng_init(3, "student", 0);
    for (int64_t i = 0; i < m->n_elements; i++) {
        m->weights[i] += 0.05f * (float)rt_rng_normal(&r);
    }
    rt_model_refresh(m);
    return m;
}

#endif
