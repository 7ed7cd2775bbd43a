/* hashed.h - models whose weights are made from a hash (tests/golden/gen/hashed.py says how, and is followed bit for
 * bit): the folders of the fixtures in tests/golden/arch, and sketches of gradients. */
#ifndef RT_TESTS_HASHED_H
#define RT_TESTS_HASHED_H

#include <math.h>

#include "format/format.h"
#include "rt_test.h"

enum { HASHED_PROJECTIONS = 64 };

/* Fixtures whose architecture is there: an architecture joins the tests of the engine and of generation with a line
 * of hashed.def. */
typedef struct hashed_model {
    const char *name;
    bool gguf; /* a GGUF can say all of it */
} hashed_model;

static const hashed_model hashed_models[] = {
#define HASHED(name, gguf) {#name, gguf},
#include "hashed.def"
#undef HASHED
};
enum { N_HASHED = sizeof hashed_models / sizeof hashed_models[0] };

/* Number i of the stream whose name has this key. */
static inline uint64_t hashed_at(uint64_t key, int64_t i)
{
    uint64_t z = key + ((uint64_t)i + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

/* The key of the name before + name + after. */
static inline uint64_t hashed_key(const char *before, const char *name, const char *after)
{
    const char *const parts[] = {before, name, after};
    uint64_t key = 0xCBF29CE484222325U;
    for (int i = 0; i < 3; i++) {
        for (const char *c = parts[i]; *c != '\0'; c++) {
            key = (key ^ (uint8_t)*c) * 0x100000001B3U;
        }
    }
    return key;
}

/* Sum of four signed integers of so many bits. */
static inline float hashed_bell(uint64_t h, int bits)
{
    const int64_t mask = ((int64_t)1 << bits) - 1;
    int64_t sum = -((int64_t)2 << bits);
    for (int i = 0; i < 4; i++) {
        sum += (int64_t)(h >> (16 * i)) & mask;
    }
    return (float)sum;
}

/* One entry of the fixture's list of tensors. */
typedef struct hashed_tensor {
    const char *salt, *name, *kind;
    int n_dims;
    int64_t dims[3], n;
    double scale, offset;
} hashed_tensor;

static inline hashed_tensor hashed_tensor_at(const json_t *weights, size_t i)
{
    const json_t *entry = json_array_get(json_object_get(weights, "tensors"), i);
    const json_t *shape = json_object_get(entry, "shape");
    hashed_tensor t = {.salt = rt_json_str(weights, "salt", ""),
                       .name = rt_json_str(entry, "name", ""),
                       .kind = rt_json_str(entry, "kind", ""),
                       .n_dims = (int)json_array_size(shape),
                       .n = 1,
                       .scale = rt_json_f64(entry, "scale", 0),
                       .offset = rt_json_f64(entry, "offset", 0)};
    assert_in_range(t.n_dims, 1, 3);
    for (int d = 0; d < t.n_dims; d++) {
        t.dims[d] = json_integer_value(json_array_get(shape, (size_t)d));
        t.n *= t.dims[d];
    }
    return t;
}

static inline bool hashed_is(const hashed_tensor *t, const char *kind)
{
    return strcmp(t->kind, kind) == 0;
}

/* Code of element i and exponent of block b of an expert stack [experts, out, in]. */
static inline int hashed_code(const hashed_tensor *t, int64_t i)
{
    return (int)(hashed_at(hashed_key(t->salt, t->name, ""), i) & 15);
}

static inline int hashed_exponent(const hashed_tensor *t, int64_t b)
{
    return (int)t->scale + (int)(hashed_at(hashed_key(t->salt, t->name, "/exponent"), b) & 1);
}

static inline void hashed_mxfp4_values(const hashed_tensor *t, float *out)
{
    static const float fp4[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    const int64_t in = t->dims[1], rows = t->dims[2];
    for (int64_t i = 0; i < t->n; i++) { /* [experts, out, in] in the hash's order, [experts, in, out] in the file */
        const int64_t expert = i / (rows * in), row = i / in % rows, column = i % in;
        const int code = hashed_code(t, i);
        const float value = ldexpf(fp4[code & 7], hashed_exponent(t, i / 32) - 127);
        out[(expert * in + column) * rows + row] = code & 8 ? -value : value;
    }
}

static inline void hashed_experts(const hashed_tensor *t, int64_t *out)
{
    const uint64_t key = hashed_key(t->salt, t->name, "");
    for (int64_t i = 0; i < t->n; i++) {
        const uint64_t h = hashed_at(key, i / t->dims[1]), step = (h >> 32) * 2 + 1;
        out[i] = (int64_t)((h + step * (uint64_t)(i % t->dims[1])) % (uint64_t)t->scale);
    }
}

/* The tensor's values: int64 where it is a table of experts, else float. The caller frees. */
static inline void *hashed_values(const hashed_tensor *t)
{
    float *out = rt_malloc((size_t)t->n * sizeof(int64_t));
    const uint64_t key = hashed_key(t->salt, t->name, "");
    const int bits = hashed_is(t, "BF16") ? 6 : 16;
    if (hashed_is(t, "MXFP4")) {
        hashed_mxfp4_values(t, out);
    } else if (hashed_is(t, "I64")) {
        hashed_experts(t, (int64_t *)out);
    } else {
        for (int64_t i = 0; i < t->n; i++) {
            out[i] = hashed_bell(hashed_at(key, i), bits) * (float)t->scale + (float)t->offset;
        }
    }
    return out;
}

/* The tensor as it goes into a file. As published: MXFP4 as blocks and scales, all else BF16. `data` takes what the
 * caller frees once the file is written. */
static inline void hashed_add(rt_st_writer *w, const hashed_tensor *t, bool published, void *data[2])
{
    data[1] = NULL;
    if (published && hashed_is(t, "MXFP4")) {
        char name[160];
        const int64_t blocks[] = {t->dims[0], t->dims[2], t->dims[1] / 32, 16};
        uint8_t *pairs = data[0] = rt_malloc((size_t)t->n / 2), *scales = data[1] = rt_malloc((size_t)t->n / 32);
        for (int64_t i = 0; i < t->n / 2; i++) {
            pairs[i] = (uint8_t)(hashed_code(t, 2 * i) | hashed_code(t, 2 * i + 1) << 4);
            scales[i / 16] = (uint8_t)hashed_exponent(t, i / 16);
        }
        snprintf(name, sizeof name, "%s_blocks", t->name);
        rt_st_add(w, name, RT_U8, 4, blocks, pairs);
        snprintf(name, sizeof name, "%s_scales", t->name);
        rt_st_add(w, name, RT_U8, 3, blocks, scales);
        return;
    }
    data[0] = hashed_values(t);
    if (published) {
        data[1] = rt_malloc((size_t)t->n * sizeof(uint16_t));
        rt_encode(RT_BF16, data[0], data[1], t->n);
    }
    const rt_dtype plain = hashed_is(t, "I64") ? RT_I64 : RT_F32;
    rt_st_add(w, t->name, published ? RT_BF16 : plain, t->n_dims, t->dims, data[published]);
}

static inline void hashed_write(const json_t *weights, const char *folder, const char *file, bool published)
{
    rt_err err = {0};
    const size_t n = json_array_size(json_object_get(weights, "tensors"));
    char *path = rt_path_join(folder, file);
    void *(*data)[2] = rt_calloc(n, sizeof *data);
    rt_st_writer *w = rt_st_writer_new();
    for (size_t i = 0; i < n; i++) {
        const hashed_tensor t = hashed_tensor_at(weights, i);
        hashed_add(w, &t, published, data[i]);
    }
    assert_ok(rt_st_write(w, path, &err));
    rt_st_writer_free(w);
    for (size_t i = 0; i < n; i++) {
        rt_free(data[i][0]);
        rt_free(data[i][1]);
    }
    rt_free(data);
    rt_free(path);
}

/* The fixture's list {salt, tensors}; the caller decrefs. */
static inline json_t *hashed_weights(const rt_safetensors *fixture)
{
    rt_err err = {0};
    json_t *weights = NULL;
    const char *text = rt_safetensors_meta(fixture, "weights");
    assert_non_null(text);
    assert_ok(rt_json_parse(&weights, text, strlen(text), "weights", &err));
    return weights;
}

/* The fixture, which is the model's golden file too. */
static inline rt_safetensors *hashed_golden(const char *name)
{
    rt_err err = {0};
    rt_safetensors *fixture = NULL;
    char path[600];
    snprintf(path, sizeof path, RT_TEST_SOURCE "/tests/golden/arch/%s.safetensors", name);
    assert_ok(rt_safetensors_open(&fixture, path, &err));
    return fixture;
}

/* Writes the model's folder: config.json, model.safetensors and, where experts are MXFP4, model_mxfp4.safetensors as
 * published. */
static inline void hashed_unpack(const char *name, const char *folder)
{
    rt_err err = {0};
    rt_safetensors *fixture = hashed_golden(name);
    char path[600];
    assert_ok(rt_mkdirs(folder, &err));
    const char *config = rt_safetensors_meta(fixture, "config");
    assert_non_null(config);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_ok(rt_file_write(path, config, strlen(config), &err));
    json_t *weights = hashed_weights(fixture);
    hashed_write(weights, folder, "model.safetensors", false);
    bool mxfp4 = false;
    for (size_t i = 0; i < json_array_size(json_object_get(weights, "tensors")); i++) {
        const hashed_tensor t = hashed_tensor_at(weights, i);
        mxfp4 |= hashed_is(&t, "MXFP4");
    }
    if (mxfp4) {
        hashed_write(weights, folder, "model_mxfp4.safetensors", true);
    }
    json_decref(weights);
    rt_safetensors_close(fixture);
}

/* The model's folder in the build directory; the caller frees the path. Tests at the same time write the same bytes. */
static inline char *hashed_folder(const char *name)
{
    char *folder = rt_path_join(RT_TEST_GOLDEN "/arch", name);
    hashed_unpack(name, folder);
    return folder;
}

/* Teacher logits [n] of a case with the salt; the caller frees. */
static inline float *hashed_teacher(const char *salt, int64_t n)
{
    float *out = rt_malloc((size_t)n * sizeof(float));
    const uint64_t key = hashed_key(salt, "teacher_logits", "");
    for (int64_t i = 0; i < n; i++) {
        out[i] = hashed_bell(hashed_at(key, i), 16) * 0x1p-14f;
    }
    return out;
}

/* Adds element i of the tensor's gradient to its sketch: sums with random signs, or itself when the tensor is small. */
static inline void hashed_sketch(double sketch[HASHED_PROJECTIONS], uint64_t key, int64_t n, int64_t i, double g)
{
    if (n <= HASHED_PROJECTIONS) {
        sketch[i] = g;
        return;
    }
    const uint64_t bits = hashed_at(key, i);
    for (int j = 0; j < HASHED_PROJECTIONS; j++) {
        sketch[j] += bits >> j & 1 ? -g : g;
    }
}

#endif
