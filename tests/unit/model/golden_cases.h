/* golden_cases.h - the models test_model_golden runs: those kept here, or those of $RETORT_GOLDEN_MODELS. */
#ifndef RT_TEST_GOLDEN_CASES_H
#define RT_TEST_GOLDEN_CASES_H

#include "hashed.h"
#include "model/models.h"

/* A case: what the loader opens, golden.safetensors or a fixture of hashed weights, and where gradients of every
 * parameter are, if anywhere. */
enum { TESTS_A_CASE = 5 };
typedef struct golden_case {
    char name[64], weights[600], golden[600], gradients[600];
    char titles[TESTS_A_CASE][128]; /* of the tests */
} golden_case;

enum { MAX_CASES = 64 };

typedef struct case_list {
    golden_case cases[MAX_CASES];
    int n;
} case_list;

static inline golden_case *add_case(case_list *l, const char *name, const char *weights, const char *golden)
{
    if (l->n == MAX_CASES) {
        fail_msg("more than %d cases", MAX_CASES);
    }
    golden_case *c = &l->cases[l->n++];
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->weights, sizeof c->weights, "%s", weights);
    snprintf(c->golden, sizeof c->golden, "%s", golden);
    return c;
}

/* What `folder` has as MXFP4 too is a case of its own. */
static inline void add_mxfp4(case_list *l, const char *name, const char *folder, const char *golden)
{
    char title[64], path[600];
    snprintf(path, sizeof path, "%s/model_mxfp4.safetensors", folder);
    snprintf(title, sizeof title, "%s (mxfp4)", name);
    if (rt_path_exists(path)) {
        add_case(l, title, path, golden);
    }
}

/* A folder of reference dumps; false: it is none. */
static inline bool add_folder(case_list *l, const char *folder, const char *weights)
{
    char golden[600];
    snprintf(golden, sizeof golden, "%s/golden.safetensors", folder);
    if (!rt_path_exists(golden)) {
        return false;
    }
    golden_case *c = add_case(l, rt_path_base(folder), weights, golden);
    snprintf(c->gradients, sizeof c->gradients, "%s", folder);
    add_mxfp4(l, c->name, folder, golden);
    return true;
}

/* Every folder of `dir`, and what ../gguf has of the same models. */
static inline void add_folders(case_list *l, const char *dir)
{
    rt_err err = {0};
    char **names, path[300], golden[400], gguf[400], title[64];
    size_t n;
    assert_ok(rt_dir_names(dir, &names, &n, &err));
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        snprintf(golden, sizeof golden, "%s/golden.safetensors", path);
        snprintf(gguf, sizeof gguf, "%s/../gguf/%s.gguf", dir, names[i]);
        snprintf(title, sizeof title, "%s (gguf)", names[i]);
        if (add_folder(l, path, path) && rt_path_exists(gguf)) {
            golden_case *c = add_case(l, title, gguf, golden);
            snprintf(c->gradients, sizeof c->gradients, "%s", path);
        }
    }
    rt_dir_names_free(names, n);
}

/* The folder as loaded, exported as GGUF and loaded again. */
static inline void add_gguf(case_list *l, const char *name, const char *folder, const char *golden)
{
    rt_err err = {0};
    char title[64], path[600];
    rt_model *m = NULL;
    snprintf(path, sizeof path, "%s.gguf", folder);
    snprintf(title, sizeof title, "%s (gguf)", name);
    assert_ok(rt_model_open(&m, folder, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
    assert_ok(rt_model_save_gguf(m, path, RT_F32, NULL, NULL, &err));
    rt_model_close(m);
    add_case(l, title, path, golden);
}

static inline void add_hashed(case_list *l, const hashed_model *h)
{
    char golden[600];
    char *folder = hashed_folder(h->name);
    snprintf(golden, sizeof golden, RT_TEST_SOURCE "/tests/golden/arch/%s.safetensors", h->name);
    add_case(l, h->name, folder, golden);
    add_mxfp4(l, h->name, folder, golden);
    if (h->gguf) {
        add_gguf(l, h->name, folder, golden);
    }
    rt_free(folder);
}

/* Gradients are kept of llama, qwen3_moe and gemma3_text in full, in sketches of all with hashed weights. */
static inline void add_all(case_list *l)
{
    static const char *const kept[] = {"llama", "qwen3", "qwen3_moe", "gemma3_text"};
    char folder[512];
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        snprintf(folder, sizeof folder, RT_TEST_GOLDEN "/models/%s", kept[i]);
        assert_true(add_folder(l, folder, folder));
    }
    assert_true(add_folder(l, RT_TEST_GOLDEN "/models/llama3_rope", RT_TEST_GOLDEN "/gguf/llama3_rope.gguf"));
    for (int i = 0; i < N_HASHED; i++) {
        add_hashed(l, &hashed_models[i]);
    }
}

static inline bool has_kl(const golden_case *c)
{
    rt_err err = {0};
    rt_safetensors *golden = NULL;
    assert_ok(rt_safetensors_open(&golden, c->golden, &err));
    const bool found = rt_safetensors_find(golden, "loss_kl_T2") != NULL;
    rt_safetensors_close(golden);
    return found;
}

/* The cases of this run. */
static inline void golden_cases(case_list *l)
{
    const char *dir = getenv("RETORT_GOLDEN_MODELS");
    if (dir == NULL || *dir == '\0') {
        add_all(l);
    } else if (!add_folder(l, dir, dir)) {
        add_folders(l, dir);
    }
}

#endif
