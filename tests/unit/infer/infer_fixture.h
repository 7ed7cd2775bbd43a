/* infer_fixture.h - models and prompts the tests of infer share: the small reference models and the real teacher. */
#ifndef RT_TESTS_INFER_FIXTURE_H
#define RT_TESTS_INFER_FIXTURE_H

#include <math.h>

#include "hashed.h"
#include "infer/infer.h"

#define TEACHER "SmolLM2-135M-Instruct.Q4_1.gguf"

typedef struct tiny_model {
    const char *name, *weights; /* NULL: hashed */
    bool gradients;             /* the reference has them: tests/golden/README.md says why not all do */
} tiny_model;

static const tiny_model tiny_models[] = {
    {"llama", "models/llama", true},
    {"llama3_rope", "gguf/llama3_rope.gguf", false},
    {"qwen3", "models/qwen3", false},
    {"qwen3_moe", "models/qwen3_moe", true},
    {"gemma3_text", "models/gemma3_text", true},
};
enum { N_TINY = sizeof tiny_models / sizeof tiny_models[0], N_ALL = N_TINY + N_HASHED };

/* Of all N_ALL, those with hashed weights last. */
static inline tiny_model tiny_at(int i)
{
    return i < N_TINY ? tiny_models[i] : (tiny_model){.name = hashed_models[i - N_TINY].name};
}

static inline rt_model *tiny_open(const tiny_model *t, rt_precision precision)
{
    rt_err err = {0};
    rt_model *m = NULL;
    char *path = t->weights != NULL ? rt_path_join(RT_TEST_GOLDEN, t->weights) : hashed_folder(t->name);
    assert_ok(rt_model_open(&m, path, &(rt_model_options){.precision = precision}, &err));
    rt_free(path);
    return m;
}

static inline rt_safetensors *golden_open(const char *file)
{
    rt_err err = {0};
    rt_safetensors *s = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", RT_TEST_GOLDEN, file);
    assert_ok(rt_safetensors_open(&s, path, &err));
    return s;
}

static inline rt_safetensors *tiny_golden(const tiny_model *t)
{
    char file[128];
    snprintf(file, sizeof file, "models/%s/golden.safetensors", t->name);
    return t->weights != NULL ? golden_open(file) : hashed_golden(t->name);
}

/* Data of a golden tensor; *n elements. */
static inline const void *golden_data(const rt_safetensors *s, const char *name, rt_dtype type, int64_t *n)
{
    *n = 0;
    const rt_tensor_info *t = rt_safetensors_find(s, name);
    if (t == NULL || t->dtype != type) {
        fail_msg("the golden file has no '%s' of type %s", name, rt_dtype_name(type));
        return NULL;
    }
    *n = (int64_t)rt_tensor_info_elements(t);
    return t->data;
}

static inline const char *teacher_path(void)
{
    return rt_test_model(TEACHER);
}

static inline rt_model *teacher_open(rt_precision precision)
{
    rt_err err = {0};
    rt_model *m = NULL;
    assert_ok(rt_model_open(&m, teacher_path(), &(rt_model_options){.precision = precision}, &err));
    return m;
}

/* `count` prompts of varied length with ids below n_vocab; the same for the same seed. */
static inline rt_prompt *random_prompts(size_t count, int64_t shortest, int64_t longest, int64_t n_vocab, uint64_t seed)
{
    rt_rng rng = rt_rng_init(seed, "prompts", 0);
    rt_prompt *p = rt_calloc(count, sizeof *p);
    for (size_t i = 0; i < count; i++) {
        p[i].n = shortest + (int64_t)rt_rng_below(&rng, (uint64_t)(longest - shortest + 1));
        int32_t *ids = rt_malloc((size_t)p[i].n * sizeof *ids);
        for (int64_t j = 0; j < p[i].n; j++) {
            ids[j] = (int32_t)rt_rng_below(&rng, (uint64_t)n_vocab);
        }
        p[i].ids = ids;
    }
    return p;
}

static inline void drop_prompts(rt_prompt *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rt_free((void *)p[i].ids);
    }
    rt_free(p);
}

static inline void assert_same_text(const rt_generated *a, const rt_generated *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->stop, b->stop);
    assert_memory_equal(a->ids, b->ids, (size_t)a->n * sizeof *a->ids);
    assert_memory_equal(a->logprobs, b->logprobs, (size_t)a->n * sizeof *a->logprobs);
}

/* Log-probabilities of a generated sequence by one forward pass over prompt and continuation; out[g->n]. */
static inline void score_again(const rt_model *m, const rt_prompt *p, const rt_generated *g, float *out)
{
    rt_err err = {0};
    rt_score score;
    const rt_score_request r = {.context = p->ids, .n_context = p->n, .ids = g->ids, .n = g->n, .logprobs = out};
    assert_ok(rt_score_run(m, &r, 1, &score, NULL, &err));
}

#endif
