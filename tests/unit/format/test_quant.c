/* test_quant.c - decoding and encoding against gguf-py (tests/golden/gen/gen_quant*.py), halves and eight-bit floats
 * against arithmetic. */
#include "rt_test.h"

#include <math.h>

#include "format/quant.h"
#include "format/safetensors.h"

static rt_safetensors *open_golden(const char *path)
{
    rt_safetensors *s = NULL;
    rt_err err = {0};
    assert_ok(rt_safetensors_open(&s, path, &err));
    return s;
}

#define GOLDEN RT_TEST_GOLDEN "/quant/quant.safetensors"
#define GOLDEN_FP RT_TEST_SOURCE "/tests/golden/quant_fp.safetensors"

static const rt_tensor_info *golden(const rt_safetensors *s, const char *before, rt_dtype t, const char *after)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", before, rt_dtype_name(t), after);
    const rt_tensor_info *info = rt_safetensors_find(s, name);
    if (!info) {
        fail_msg("no '%s' in the fixture", name);
    }
    return info;
}

/* `shift`: bytes by which the blocks are moved off their alignment. */
static void check_decoding(const rt_safetensors *s, rt_dtype t, size_t shift)
{
    const rt_tensor_info *raw = golden(s, "", t, ".raw"), *want = golden(s, "", t, ".f32");
    int64_t n = rt_tensor_info_elements(want);
    uint8_t *moved = rt_malloc(raw->bytes + shift);
    float *got = rt_malloc((size_t)n * sizeof *got);
    memcpy(moved + shift, raw->data, raw->bytes);
    assert_true(rt_dtype_can_decode(t));
    rt_decode(t, moved + shift, got, n);
    if (memcmp(got, want->data, want->bytes) != 0) {
        fail_msg("%s differs", rt_dtype_name(t));
    }
    rt_free(got);
    rt_free(moved);
}

static void check_all_decoding(size_t shift)
{
    static const rt_dtype simple[] = {RT_F32,  RT_F16,  RT_BF16, RT_Q4_0, RT_Q4_1, RT_Q5_0,   RT_Q5_1,  RT_Q8_0,
                                      RT_Q2_K, RT_Q3_K, RT_Q4_K, RT_Q5_K, RT_Q6_K, RT_IQ4_NL, RT_IQ4_XS};
    static const rt_dtype fp[] = {RT_TQ1_0, RT_TQ2_0, RT_MXFP4, RT_NVFP4};
    rt_safetensors *s = open_golden(GOLDEN), *s_fp = open_golden(GOLDEN_FP);
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++) {
        check_decoding(s, simple[i], shift);
    }
    for (size_t i = 0; i < sizeof fp / sizeof fp[0]; i++) {
        check_decoding(s_fp, fp[i], shift);
    }
    rt_safetensors_close(s);
    rt_safetensors_close(s_fp);
}

static void decoding_equals_gguf_py_bit_for_bit(void **state)
{
    (void)state;
    check_all_decoding(0);
}

/* Maps promise no alignment. */
static void decoding_works_at_odd_addresses(void **state)
{
    (void)state;
    check_all_decoding(1);
}

/* One block of each scale and four-bit code, in a thread that flushes subnormals as in one that does not. */
static const float e2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6};

static void decode_every_scale(void *arg, int64_t e, int thread)
{
    uint8_t block[17] = {(uint8_t)e};
    float *out = (float *)arg + 32 * e;
    (void)thread;
    for (int j = 0; j < 16; j++) {
        block[1 + j] = (uint8_t)(j | (15 - j) << 4);
    }
    rt_decode(RT_MXFP4, block, out, 32);
}

static void mxfp4_is_e2m1_times_a_power_of_two_in_every_thread(void **state)
{
    static float got[256][32];
    (void)state;
    rt_team_for(256, decode_every_scale, got);
    for (int e = 0; e < 256; e++) {
        for (int j = 0; j < 16; j++) {
            float low = (float)ldexp((double)e2m1[j], e - 127), high = (float)ldexp((double)e2m1[15 - j], e - 127);
            assert_memory_equal(&got[e][j], &low, sizeof low);
            assert_memory_equal(&got[e][16 + j], &high, sizeof high);
        }
    }
}

/* All levels under a largest one of each magnitude come back; what lies between goes to the nearest. */
static void split_mxfp4_keeps_values_that_came_from_it(void **state)
{
    (void)state;
    static const float levels[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    float values[8 * 32], got[8 * 32];
    uint8_t blocks[8 * 16], scales[8];
    for (int i = 0; i < 8 * 32; i++) {
        values[i] = ldexpf(levels[i * 5 % (i / 32 + 1)], i / 32 - 9) * (i % 3 == 1 ? -1.0f : 1.0f);
    }
    rt_encode_mxfp4_split(values, blocks, scales, 8 * 32);
    rt_decode_mxfp4_split(blocks, scales, got, 8 * 32);
    for (int i = 0; i < 8 * 32; i++) {
        assert_true(got[i] == values[i]);
    }
    for (int i = 0; i < 32; i++) {
        values[i] = 0.2f * (float)(i - 15); /* largest 3.2: steps of 0.25 up to 1, then 0.5 to 2, 1 */
    }
    rt_encode_mxfp4_split(values, blocks, scales, 32);
    rt_decode_mxfp4_split(blocks, scales, got, 32);
    for (int i = 0; i < 32; i++) {
        const float size = fabsf(values[i]);
        assert_true(fabsf(got[i] - values[i]) <= (size < 1 ? 0.126f : size < 2 ? 0.251f : 0.501f));
    }
}

static void split_mxfp4_alternates_low_and_high_nibbles(void **state)
{
    uint8_t blocks[2 * 16], scales[2] = {125, 130};
    float got[64];
    (void)state;
    for (int i = 0; i < 32; i++) {
        blocks[i] = (uint8_t)(i * 37 + 11);
    }
    rt_decode_mxfp4_split(blocks, scales, got, 64);
    for (int i = 0; i < 64; i++) {
        int code = i % 2 ? blocks[i / 2] >> 4 : blocks[i / 2] & 15;
        assert_true(got[i] == ldexpf(e2m1[code], scales[i / 32] - 127));
    }
}

static void every_e4m3_code_decodes(void **state)
{
    uint8_t codes[256];
    float got[256];
    (void)state;
    for (int i = 0; i < 256; i++) {
        codes[i] = (uint8_t)i;
    }
    rt_decode(RT_F8_E4M3, codes, got, 256);
    for (int i = 0; i < 256; i++) {
        int exponent = i >> 3 & 15, mantissa = i & 7;
        float magnitude = exponent ? ldexpf((float)(8 + mantissa), exponent - 10) : ldexpf((float)mantissa, -9);
        float want = i & 0x80 ? -magnitude : magnitude;
        if ((i & 0x7f) == 0x7f) {
            assert_true(isnan(got[i]));
        } else {
            assert_memory_equal(&got[i], &want, sizeof want);
        }
    }
}

static void encoding_equals_gguf_py_byte_for_byte(void **state)
{
    static const rt_dtype types[] = {RT_Q8_0, RT_Q4_0, RT_Q4_1, RT_F16, RT_BF16};
    (void)state;
    rt_safetensors *s = open_golden(GOLDEN);
    const rt_tensor_info *x = rt_safetensors_find(s, "encode.f32");
    assert_non_null(x);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const rt_tensor_info *want = golden(s, "encode.", types[i], "");
        uint8_t *got = rt_calloc(1, want->bytes);
        assert_true(rt_dtype_can_encode(types[i]));
        rt_encode(types[i], x->data, got, rt_tensor_info_elements(x));
        for (size_t k = 0; k < want->bytes; k++) {
            if (got[k] != ((const uint8_t *)want->data)[k]) {
                fail_msg("%s: byte %zu of block %zu differs", rt_dtype_name(types[i]),
                         k % (size_t)rt_dtype_block_bytes(types[i]), k / (size_t)rt_dtype_block_bytes(types[i]));
            }
        }
        rt_free(got);
    }
    rt_safetensors_close(s);
}

static float half_by_arithmetic(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float sign = h & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31) {
        return mantissa ? NAN : sign * INFINITY;
    }
    return sign * (exponent ? ldexpf((float)(mantissa + 1024), exponent - 25) : ldexpf((float)mantissa, -24));
}

static void every_half_decodes_and_comes_back(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float want = half_by_arithmetic((uint16_t)h), got = rt_f16_to_f32((uint16_t)h);
        if (isnan(want)) {
            assert_true(isnan(got) && isnan(rt_f16_to_f32(rt_f32_to_f16(got))));
        } else {
            assert_memory_equal(&want, &got, sizeof got);
            assert_int_equal(rt_f32_to_f16(got), h);
        }
    }
}

static void decode_in_worker(void *arg, int64_t task, int thread)
{
    (void)thread;
    uint16_t h = (uint16_t)(task + 1);
    rt_decode(RT_F16, &h, (float *)arg + task, 1);
}

/* Workers flush float subnormals to zero; a half's subnormals are normal floats and must survive. */
static void subnormal_halves_survive_flush_to_zero(void **state)
{
    float got[1023];
    (void)state;
    rt_team_for(1023, decode_in_worker, got);
    for (int i = 0; i < 1023; i++) {
        assert_true(got[i] == half_by_arithmetic((uint16_t)(i + 1)));
    }
}

/* Between neighbours: the middle goes to the even one, a nudge to the nearer. */
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float low = rt_f16_to_f32((uint16_t)h), high = rt_f16_to_f32((uint16_t)(h + 1)), middle = (low + high) / 2;
        assert_int_equal(rt_f32_to_f16(middle), h % 2 ? h + 1 : h);
        assert_int_equal(rt_f32_to_f16(nextafterf(middle, 0.0f)), h);
        assert_int_equal(rt_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(rt_f32_to_f16(-middle), 0x8000 | (h % 2 ? h + 1 : h));
    }
    assert_int_equal(rt_f32_to_f16(65519.99f), 0x7bff);
    assert_int_equal(rt_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(rt_f32_to_f16(-INFINITY), 0xfc00);
}

static void bf16_rounds_to_nearest_even_and_keeps_nan(void **state)
{
    (void)state;
    assert_int_equal(rt_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(rt_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    assert_int_equal(rt_f32_to_bf16(1.0f + 0x1p-7f + 0x1p-8f), 0x3f82);
    assert_int_equal(rt_f32_to_bf16(INFINITY), 0x7f80);
    assert_true(isnan(rt_bf16_to_f32(rt_f32_to_bf16(NAN))));
}

static void values_that_are_not_finite_do_no_harm(void **state)
{
    float x[32] = {1, NAN, INFINITY, -INFINITY, -2};
    uint8_t out[64];
    (void)state;
    for (int t = 0; t < RT_DTYPE_COUNT; t++) {
        if (rt_dtype_can_encode((rt_dtype)t) && t != RT_F32) {
            rt_encode((rt_dtype)t, x, out, 32);
        }
    }
    for (int i = 0; i < 32; i++) {
        x[i] = 1e-44f * (float)i; /* float subnormals, whose inverse is infinite */
    }
    rt_encode(RT_Q8_0, x, out, 32);
    rt_encode(RT_Q4_0, x, out, 32);
    rt_encode(RT_Q4_1, x, out, 32);
}

static void whole_numbers_decode_to_themselves(void **state)
{
    (void)state;
    const int32_t narrow[] = {0, -1, 1 << 24};
    const int64_t wide[] = {383, -(1 << 24), 7};
    float out[3];
    rt_decode(RT_I32, narrow, out, 3);
    assert_true(out[0] == 0.0f && out[1] == -1.0f && out[2] == 16777216.0f);
    rt_decode(RT_I64, wide, out, 3);
    assert_true(out[0] == 383.0f && out[1] == -16777216.0f && out[2] == 7.0f);
}

static void types_outside_the_list_are_not_offered(void **state)
{
    (void)state;
    assert_false(rt_dtype_can_decode(RT_I16));
    assert_false(rt_dtype_can_encode(RT_Q6_K));
    assert_false(rt_dtype_can_encode(RT_F64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_equals_gguf_py_bit_for_bit),
        cmocka_unit_test(decoding_works_at_odd_addresses),
        cmocka_unit_test(mxfp4_is_e2m1_times_a_power_of_two_in_every_thread),
        cmocka_unit_test(split_mxfp4_alternates_low_and_high_nibbles),
        cmocka_unit_test(split_mxfp4_keeps_values_that_came_from_it),
        cmocka_unit_test(every_e4m3_code_decodes),
        cmocka_unit_test(encoding_equals_gguf_py_byte_for_byte),
        cmocka_unit_test(every_half_decodes_and_comes_back),
        cmocka_unit_test(subnormal_halves_survive_flush_to_zero),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(bf16_rounds_to_nearest_even_and_keeps_nan),
        cmocka_unit_test(values_that_are_not_finite_do_no_harm),
        cmocka_unit_test(whole_numbers_decode_to_themselves),
        cmocka_unit_test(types_outside_the_list_are_not_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
