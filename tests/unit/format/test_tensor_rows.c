/* test_tensor_rows.c - rows of weights kept with their scales apart, against the plain formula. */
#include "rt_test.h"

#include <math.h>

#include "format/quant.h"
#include "format/tensor_rows.h"

typedef struct file {
    char *dir;
    rt_st_writer *w;
    rt_safetensors *s;
} file;

static file file_new(void)
{
    return (file){.dir = rt_test_scratch(), .w = rt_st_writer_new()};
}

static void file_open(file *f)
{
    rt_err err = {0};
    char *path = rt_path_join(f->dir, "w.safetensors");
    assert_ok(rt_st_write(f->w, path, &err));
    assert_ok(rt_safetensors_open(&f->s, path, &err));
    rt_free(path);
}

static void file_drop(file *f)
{
    rt_safetensors_close(f->s);
    rt_st_writer_free(f->w);
    rt_test_scratch_drop(f->dir);
}

static uint8_t byte_at(int64_t i)
{
    return (uint8_t)((uint64_t)i * 2654435761u >> 13);
}

/* Two experts of 130 x 200: the last blocks are cut off in both directions. */
enum { E = 2, R = 130, C = 200, BR = 2, BC = 2 };

static void f8_blocks_are_scaled_each_by_its_own_factor(void **state)
{
    static uint8_t codes[E * R * C];
    static float factors[E * BR * BC], got[C];
    static const int64_t dims[] = {E, R, C}, scale_dims[] = {E, BR, BC};
    (void)state;
    for (int64_t i = 0; i < E * R * C; i++) {
        codes[i] = byte_at(i) % 0x7f;
    }
    for (int i = 0; i < E * BR * BC; i++) {
        factors[i] = 0.25f + 0.3f * (float)i;
    }
    file f = file_new();
    rt_st_add(f.w, "stack", RT_F8_E4M3, 3, dims, codes);
    rt_st_add(f.w, "stack_scale_inv", RT_F32, 3, scale_dims, factors);
    rt_st_add(f.w, "one", RT_F8_E4M3, 2, dims + 1, codes);
    rt_st_add(f.w, "one_scale_inv", RT_F32, 2, scale_dims + 1, factors);
    file_open(&f);
    rt_err err = {0};
    rt_tensor_rows t, one;
    assert_ok(rt_tensor_rows_find(&t, f.s, "stack", &err));
    assert_ok(rt_tensor_rows_find(&one, f.s, "one", &err));
    assert_int_equal(rt_tensor_rows_cols(&t), C);
    for (int64_t r = 0; r < E * R; r++) {
        rt_tensor_rows_decode(r < R ? &one : &t, r, got);
        for (int64_t c = 0; c < C; c++) {
            float code;
            rt_decode(RT_F8_E4M3, codes + r * C + c, &code, 1);
            assert_true(got[c] == code * factors[(r / R * BR + r % R / 128) * BC + c / 128]);
        }
    }
    file_drop(&f);
}

static void f8_without_fitting_factors_is_refused(void **state)
{
    static uint8_t codes[R * C];
    static float factors[4];
    static const int64_t dims[] = {R, C}, too_few[] = {BR, 1};
    (void)state;
    file f = file_new();
    rt_st_add(f.w, "bare", RT_F8_E4M3, 2, dims, codes);
    rt_st_add(f.w, "thin", RT_F8_E4M3, 2, dims, codes);
    rt_st_add(f.w, "thin_scale_inv", RT_F32, 2, too_few, factors);
    file_open(&f);
    rt_err err = {0};
    rt_tensor_rows t;
    assert_int_equal(rt_tensor_rows_find(&t, f.s, "bare", &err), RT_UNSUPPORTED);
    assert_says(err.msg, "no 'bare_scale_inv'");
    assert_int_equal(rt_tensor_rows_find(&t, f.s, "thin", &err), RT_UNSUPPORTED);
    assert_says(err.msg, "128 x 128");
    assert_int_equal(rt_tensor_rows_find(&t, f.s, "none", &err), RT_NOT_FOUND);
    file_drop(&f);
}

static void mxfp4_in_two_tensors_is_one_weight(void **state)
{
    static uint8_t blocks[2 * 3 * 2 * 16], scales[2 * 3 * 2];
    static const int64_t block_dims[] = {2, 3, 2, 16}, scale_dims[] = {2, 3, 2}, other[] = {2, 2, 3};
    float got[64], want[64];
    (void)state;
    for (size_t i = 0; i < sizeof blocks; i++) {
        blocks[i] = byte_at((int64_t)i);
    }
    for (size_t i = 0; i < sizeof scales; i++) {
        scales[i] = (uint8_t)(120 + i);
    }
    file f = file_new();
    rt_st_add(f.w, "gate_up_blocks", RT_U8, 4, block_dims, blocks);
    rt_st_add(f.w, "gate_up_scales", RT_U8, 3, scale_dims, scales);
    rt_st_add(f.w, "odd_blocks", RT_U8, 4, block_dims, blocks);
    rt_st_add(f.w, "odd_scales", RT_U8, 3, other, scales);
    file_open(&f);
    rt_err err = {0};
    rt_tensor_rows t;
    assert_ok(rt_tensor_rows_find(&t, f.s, "gate_up", &err));
    assert_int_equal(t.n_dims, 3);
    assert_int_equal(t.dims[1], 3);
    assert_int_equal(t.dims[2], 64);
    for (int64_t r = 0; r < 6; r++) {
        rt_tensor_rows_decode(&t, r, got);
        rt_decode_mxfp4_split(blocks + r * 32, scales + r * 2, want, 64);
        assert_memory_equal(got, want, sizeof want);
    }
    assert_int_equal(rt_tensor_rows_find(&t, f.s, "odd", &err), RT_INPUT);
    assert_says(err.msg, "'odd_scales'");
    file_drop(&f);
}

static void a_width_that_cannot_be_counted_is_refused(void **state)
{
    static const int64_t block_dims[] = {0, (int64_t)1 << 58, 16}, scale_dims[] = {0, (int64_t)1 << 58};
    (void)state;
    file f = file_new();
    rt_st_add(f.w, "none_blocks", RT_U8, 3, block_dims, NULL);
    rt_st_add(f.w, "none_scales", RT_U8, 2, scale_dims, NULL);
    file_open(&f);
    rt_err err = {0};
    rt_tensor_rows t;
    assert_int_equal(rt_tensor_rows_find(&t, f.s, "none", &err), RT_INPUT);
    assert_says(err.msg, "'none_scales'");
    file_drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f8_blocks_are_scaled_each_by_its_own_factor),
        cmocka_unit_test(f8_without_fitting_factors_is_refused),
        cmocka_unit_test(mxfp4_in_two_tensors_is_one_weight),
        cmocka_unit_test(a_width_that_cannot_be_counted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
