/* The same weights in the forms that published folders have: experts apart or stacked, eight bits with factors. */
#include <string.h>

#include "model/models.h"
#include "rt_test.h"

static const rt_model_options f32 = {.precision = RT_PRECISION_F32};

typedef struct folder {
    char *dir;
    rt_safetensors *from; /* the golden model whose tensors are written anew */
    rt_st_writer *w;
    rt_arena room;
} folder;

static folder folder_of(const char *name)
{
    rt_err err = {0};
    char path[512];
    folder f = {.dir = rt_test_scratch(), .w = rt_st_writer_new()};
    rt_str config = {0};
    snprintf(path, sizeof path, "%s/models/%s/model.safetensors", RT_TEST_GOLDEN, name);
    assert_ok(rt_safetensors_open(&f.from, path, &err));
    snprintf(path, sizeof path, "%s/models/%s/config.json", RT_TEST_GOLDEN, name);
    assert_ok(rt_file_read(&config, path, 1 << 20, &err));
    char *to = rt_path_join(f.dir, "config.json");
    assert_ok(rt_file_write(to, config.p, config.n, &err));
    rt_free(to);
    rt_str_release(&config);
    return f;
}

static rt_status folder_open(folder *f, rt_model **m, rt_err *open_err)
{
    rt_err err = {0};
    char *path = rt_path_join(f->dir, "model.safetensors");
    assert_ok(rt_st_write(f->w, path, &err));
    rt_free(path);
    return rt_model_open(m, f->dir, &f32, open_err);
}

static void folder_drop(folder *f)
{
    rt_safetensors_close(f->from);
    rt_st_writer_free(f->w);
    rt_arena_release(&f->room);
    rt_test_scratch_drop(f->dir);
}

static void assert_same_weights(const rt_model *a, const rt_model *b)
{
    assert_int_equal(a->n_params, b->n_params);
    for (size_t i = 0; i < a->n_params; i++) {
        if (memcmp(a->params[i].w, b->params[i].w, (size_t)a->params[i].n * sizeof(float)) != 0) {
            fail_msg("'%s' differs", a->params[i].name);
        }
    }
}

/* Copies matrix `part` of each expert of a layer into rows [at, at + rows) of each expert's share of `to`. */
static void stack_part(const folder *f, int layer, const char *part, int64_t n_expert, float *to, int64_t share,
                       int64_t at)
{
    for (int64_t e = 0; e < n_expert; e++) {
        char name[96];
        snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%d.%s.weight", layer, (int)e, part);
        const rt_tensor_info *t = rt_safetensors_find(f->from, name);
        assert_non_null(t);
        memcpy(to + (e * share + at) * t->dims[1], t->data, t->bytes);
    }
}

/* Experts of `layer` as transformers keeps them in memory: gate over up in one tensor, down in another. */
static void add_stacked(folder *f, int layer, const rt_hparams *hp)
{
    const int64_t n = hp->route.n_expert, i = hp->d_expert, d = hp->d_model;
    float *gate_up = rt_arena_alloc(&f->room, (size_t)(n * 2 * i * d) * sizeof(float));
    float *down = rt_arena_alloc(&f->room, (size_t)(n * i * d) * sizeof(float));
    char *name[2] = {rt_arena_alloc(&f->room, 96), rt_arena_alloc(&f->room, 96)};
    stack_part(f, layer, "gate_proj", n, gate_up, 2 * i, 0);
    stack_part(f, layer, "up_proj", n, gate_up, 2 * i, i);
    stack_part(f, layer, "down_proj", n, down, d, 0);
    snprintf(name[0], 96, "model.layers.%d.mlp.experts.gate_up_proj", layer);
    snprintf(name[1], 96, "model.layers.%d.mlp.experts.down_proj", layer);
    rt_st_add(f->w, name[0], RT_F32, 3, (const int64_t[]){n, 2 * i, d}, gate_up);
    rt_st_add(f->w, name[1], RT_F32, 3, (const int64_t[]){n, d, i}, down);
}

static void stacked_experts_are_the_experts_apart(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *apart = NULL, *stacked = NULL;
    folder f = folder_of("qwen3_moe");
    assert_ok(rt_model_open(&apart, RT_TEST_GOLDEN "/models/qwen3_moe", &f32, &err));
    for (size_t i = 0; i < rt_safetensors_n(f.from); i++) {
        const rt_tensor_info *t = rt_safetensors_at(f.from, i);
        if (!strstr(t->name, ".mlp.experts.")) {
            rt_st_add(f.w, t->name, t->dtype, t->n_dims, t->dims, t->data);
        }
    }
    for (int l = 0; l < apart->hp.n_layer; l++) {
        if (apart->hp.layer_moe[l]) {
            add_stacked(&f, l, &apart->hp);
        }
    }
    assert_ok(folder_open(&f, &stacked, &err));
    assert_same_weights(apart, stacked);
    rt_model_close(apart);
    rt_model_close(stacked);
    folder_drop(&f);
}

static void a_missing_expert_is_named(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m = NULL;
    folder f = folder_of("qwen3_moe");
    const char *missing = NULL;
    for (size_t i = 0; i < rt_safetensors_n(f.from); i++) {
        const rt_tensor_info *t = rt_safetensors_at(f.from, i);
        if (!missing && strstr(t->name, ".mlp.experts.2.up_proj.")) {
            missing = t->name;
        } else {
            rt_st_add(f.w, t->name, t->dtype, t->n_dims, t->dims, t->data);
        }
    }
    assert_non_null(missing);
    assert_int_equal(folder_open(&f, &m, &err), RT_INPUT);
    assert_says(err.msg, missing);
    folder_drop(&f);
}

/* The matrices of the blocks in eight bits, as DeepSeek publishes them; norms, embedding and head stay as they are. */
static void f8_weights_are_their_codes_times_their_factors(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m = NULL;
    folder f = folder_of("llama");
    for (size_t i = 0; i < rt_safetensors_n(f.from); i++) {
        const rt_tensor_info *t = rt_safetensors_at(f.from, i);
        if (!strstr(t->name, "_proj.weight")) {
            rt_st_add(f.w, t->name, t->dtype, t->n_dims, t->dims, t->data);
            continue;
        }
        const int64_t scale_dims[] = {(t->dims[0] + 127) / 128, (t->dims[1] + 127) / 128};
        uint8_t *codes = rt_arena_alloc(&f.room, t->bytes);
        float *factors = rt_arena_alloc(&f.room, (size_t)(scale_dims[0] * scale_dims[1]) * sizeof(float));
        char *name = rt_arena_alloc(&f.room, 96);
        for (int64_t k = 0; k < t->dims[0] * t->dims[1]; k++) {
            codes[k] = (uint8_t)(k * 37 % 0x7f);
        }
        for (int64_t k = 0; k < scale_dims[0] * scale_dims[1]; k++) {
            factors[k] = 0x1p-12f * (float)(k + 1);
        }
        snprintf(name, 96, "%s_scale_inv", t->name);
        rt_st_add(f.w, t->name, RT_F8_E4M3, 2, t->dims, codes);
        rt_st_add(f.w, name, RT_F32, 2, scale_dims, factors);
    }
    assert_ok(folder_open(&f, &m, &err));
    int n_checked = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (!strstr(p->name, "_proj.weight")) {
            continue;
        }
        n_checked++;
        for (int64_t k = 0; k < p->n; k++) {
            const uint8_t code = (uint8_t)(k * 37 % 0x7f);
            float value;
            rt_decode(RT_F8_E4M3, &code, &value, 1);
            const int64_t block = k / p->dims[1] / 128 * ((p->dims[1] + 127) / 128) + k % p->dims[1] / 128;
            assert_true(p->w[k] == value * 0x1p-12f * (float)(block + 1));
        }
    }
    assert_int_equal(n_checked, 7 * m->hp.n_layer);
    rt_model_close(m);
    folder_drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacked_experts_are_the_experts_apart),
        cmocka_unit_test(a_missing_expert_is_named),
        cmocka_unit_test(f8_weights_are_their_codes_times_their_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
