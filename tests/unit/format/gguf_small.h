/* gguf_small.h - a GGUF file with every value type that the writer knows, an array of each kind and three tensors. */
#ifndef RT_TESTS_GGUF_SMALL_H
#define RT_TESTS_GGUF_SMALL_H

#include "rt_test.h"

#include <math.h>

#include "format/gguf.h"

static inline void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = sinf((float)i);
    }
}

/* Tensors borrow the 128 values of `x`. */
static inline rt_gguf_writer *small_model(const float *x)
{
    static const char *const tokens[] = {"a", "", "\xff\xfe"};
    static const int32_t types[] = {1, -2, 3};
    rt_gguf_writer *w = rt_gguf_writer_new();
    rt_gguf_set_str(w, "general.architecture", "llama");
    rt_gguf_set_u32(w, "llama.block_count", 7);
    rt_gguf_set_u64(w, "big", UINT64_MAX);
    rt_gguf_set_f32(w, "llama.eps", 1e-5f);
    rt_gguf_set_bool(w, "flag", true);
    rt_gguf_set_str_array(w, "tokens", tokens, 3);
    rt_gguf_set_i32_array(w, "types", types, 3);
    rt_gguf_add_tensor(w, "a.weight", RT_F32, 2, (int64_t[]){3, 5}, x);
    rt_gguf_add_tensor(w, "b.weight", RT_Q8_0, 2, (int64_t[]){2, 64}, x);
    rt_gguf_add_tensor(w, "c.weight", RT_F16, 1, (int64_t[]){3}, x);
    return w;
}

/* The bytes of small_model's file. */
static inline rt_str small_bytes(void)
{
    float x[128];
    rt_err err = {0};
    rt_str bytes = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "small.gguf");
    fill(x, 128);
    rt_gguf_writer *w = small_model(x);
    assert_ok(rt_gguf_write(w, path, &err));
    assert_ok(rt_file_read(&bytes, path, 1 << 20, &err));
    rt_gguf_writer_free(w);
    rt_test_scratch_drop(dir);
    rt_free(path);
    return bytes;
}

#endif
