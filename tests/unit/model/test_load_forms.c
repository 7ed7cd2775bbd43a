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

/* Copies a parameter, all experts of it, behind what `to` holds already of each expert's share. */
static void fuse(const rt_model *m, const rt_param *p, float *to, int64_t share, int64_t at)
{
    const int64_t n = p->expert >= 0 ? m->hp.route.n_expert : 1;
    for (int64_t e = 0; e < n; e++) {
        memcpy(to + (e * share + at) * p->dims[1], p[(int64_t)m->n_expert_params * e].w, (size_t)p->n * sizeof(float));
    }
}

/* A GGUF of `m` with queries, keys and values in one tensor, and the experts' gates and ups in another. */
static void write_fused(const char *dir, const rt_model *m, int64_t lacking, rt_arena *room)
{
    rt_err err = {0};
    rt_gguf *g = NULL;
    char *plain = rt_path_join(dir, "plain.gguf"), *path = rt_path_join(dir, "fused.gguf");
    assert_ok(rt_model_save_gguf(m, plain, RT_F32, NULL, NULL, &err));
    assert_ok(rt_gguf_open(&g, plain, &err));
    rt_gguf_writer *w = rt_gguf_writer_new();
    for (size_t i = 0; i < rt_gguf_n_kv(g); i++) {
        rt_gguf_set_raw(w, rt_gguf_kv_at(g, i));
    }
    for (size_t i = 0; i < rt_gguf_n_tensors(g); i++) {
        const rt_tensor_info *t = rt_gguf_tensor(g, i);
        if (!strstr(t->name, "attn_q.") && !strstr(t->name, "attn_k.") && !strstr(t->name, "attn_v.") &&
            !strstr(t->name, "gate_exps") && !strstr(t->name, "up_exps")) {
            rt_gguf_add_tensor(w, t->name, RT_F32, t->n_dims, t->dims, t->data);
        }
    }
    for (int l = 0; l < m->hp.n_layer; l++) {
        const rt_param *const *p = m->layers[l].p;
        const rt_param *q = p[RT_ROLE_ATTN_Q], *k = p[RT_ROLE_ATTN_K], *v = p[RT_ROLE_ATTN_V];
        const int64_t rows = q->dims[0] + 2 * k->dims[0] - lacking, d = m->hp.d_model;
        float *qkv = rt_arena_alloc(room, (size_t)((rows + lacking) * d) * sizeof(float));
        char *name = rt_arena_alloc(room, 64);
        fuse(m, q, qkv, 0, 0);
        fuse(m, k, qkv, 0, q->dims[0]);
        fuse(m, v, qkv, 0, q->dims[0] + k->dims[0]);
        snprintf(name, 64, "blk.%d.attn_qkv.weight", l);
        rt_gguf_add_tensor(w, name, RT_F32, 2, (const int64_t[]){rows, d}, qkv);
        if (m->hp.layer_moe[l]) {
            const int64_t n = m->hp.route.n_expert, i = m->hp.d_expert;
            float *gate_up = rt_arena_alloc(room, (size_t)(n * 2 * i * d) * sizeof(float));
            name = rt_arena_alloc(room, 64);
            fuse(m, p[RT_ROLE_EXPERT_GATE], gate_up, 2 * i, 0);
            fuse(m, p[RT_ROLE_EXPERT_UP], gate_up, 2 * i, i);
            snprintf(name, 64, "blk.%d.ffn_gate_up_exps.weight", l);
            rt_gguf_add_tensor(w, name, RT_F32, 3, (const int64_t[]){n, 2 * i, d}, gate_up);
        }
    }
    assert_ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
    rt_gguf_close(g);
    rt_free(plain);
    rt_free(path);
}

static void fused_gguf_tensors_are_their_parts(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *golden = NULL, *m = NULL, *fused = NULL;
    rt_arena room = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "fused.gguf");
    assert_ok(rt_model_open(&golden, RT_TEST_GOLDEN "/models/qwen3_moe", &f32, &err));
    rt_hparams hp = golden->hp;
    memset(hp.layer_moe, 1, (size_t)hp.n_layer); /* a GGUF of this kind has no dense layer */
    const rt_model_options trainable = {.precision = RT_PRECISION_F32, .trainable = true};
    assert_ok(rt_model_new(&m, golden->arch, &hp, &trainable, &err));
    for (int64_t i = 0; i < m->n_elements; i++) {
        m->weights[i] = (float)(i % 7919);
    }
    write_fused(dir, m, 0, &room);
    assert_ok(rt_model_open(&fused, path, &f32, &err));
    assert_same_weights(m, fused);
    write_fused(dir, m, 1, &room);
    rt_model *none = NULL;
    assert_int_equal(rt_model_open(&none, path, &f32, &err), RT_INPUT);
    assert_says(err.msg, "blk.0.attn_qkv.weight");
    rt_model_close(golden);
    rt_model_close(m);
    rt_model_close(fused);
    rt_arena_release(&room);
    rt_free(path);
    rt_test_scratch_drop(dir);
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
        cmocka_unit_test(fused_gguf_tensors_are_their_parts),
        cmocka_unit_test(a_missing_expert_is_named),
        cmocka_unit_test(f8_weights_are_their_codes_times_their_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
