/* test_gguf.c - GGUF: golden files, what is written comes back, split models, failing memory. */
#include "gguf_small.h"

#include "format/quant.h"

/* ---- reading ---- */

static void golden_file_opens_with_keys_and_tensors(void **state)
{
    rt_gguf *g = NULL;
    rt_err err = {0};
    rt_slice s = {0};
    int64_t layers = 0;
    double eps = 0;
    (void)state;
    assert_ok(rt_gguf_open(&g, RT_TEST_GOLDEN "/gguf/llama3_rope.gguf", &err));
    assert_true(rt_gguf_get_str(g, "general.architecture", &s) && rt_slice_eq(s, "llama"));
    assert_true(rt_gguf_get_i64(g, "llama.block_count", &layers) && layers > 0);
    assert_true(rt_gguf_get_f64(g, "llama.attention.layer_norm_rms_epsilon", &eps) && eps > 0 && eps < 1e-3);
    const rt_tensor_info *embd = rt_gguf_find(g, "token_embd.weight"), *freqs = rt_gguf_find(g, "rope_freqs.weight");
    assert_non_null(embd);
    assert_non_null(freqs);
    int64_t hidden = 0;
    rt_gguf_array tokens;
    assert_true(rt_gguf_get_i64(g, "llama.embedding_length", &hidden));
    assert_true(rt_gguf_get_array(g, "tokenizer.ggml.tokens", &tokens));
    /* slowest first: [vocabulary, hidden] */
    assert_int_equal(embd->n_dims, 2);
    assert_int_equal(embd->dims[0], tokens.n);
    assert_int_equal(embd->dims[1], hidden);
    assert_int_equal(embd->bytes, (size_t)rt_tensor_info_elements(embd) * sizeof(float));
    assert_int_equal(freqs->n_dims, 1);
    const uint8_t *cursor = NULL;
    uint64_t n = 0;
    while (rt_gguf_next_str(&tokens, &cursor, &s)) {
        n++;
    }
    assert_int_equal(n, tokens.n);
    assert_null(rt_gguf_find(g, "absent"));
    rt_gguf_close(g);
}

static void getters_convert_in_range_and_refuse_other_kinds(void **state)
{
    rt_str bytes = small_bytes();
    rt_gguf *g = NULL;
    rt_err err = {0};
    int64_t i;
    double d;
    bool b;
    rt_slice s;
    rt_gguf_array a;
    (void)state;
    assert_ok(rt_gguf_open_memory(&g, bytes.p, bytes.n, &err));
    assert_true(rt_gguf_get_i64(g, "llama.block_count", &i) && i == 7);
    assert_true(rt_gguf_get_f64(g, "llama.block_count", &d) && d == 7);
    assert_true(rt_gguf_get_f64(g, "llama.eps", &d) && d == (double)1e-5f);
    assert_true(rt_gguf_get_bool(g, "flag", &b) && b);
    assert_false(rt_gguf_get_i64(g, "big", &i));
    assert_false(rt_gguf_get_i64(g, "llama.eps", &i));
    assert_false(rt_gguf_get_i64(g, "tokens", &i));
    assert_false(rt_gguf_get_f64(g, "general.architecture", &d));
    assert_false(rt_gguf_get_str(g, "llama.block_count", &s));
    assert_false(rt_gguf_get_bool(g, "llama.block_count", &b));
    assert_false(rt_gguf_get_array(g, "flag", &a));
    assert_false(rt_gguf_get_i64(g, "absent", &i));
    assert_true(rt_gguf_get_array(g, "types", &a) && a.n == 3 && a.type == RT_GGUF_I32);
    assert_int_equal(rt_gguf_array_i64(&a, 1), -2);
    assert_true(rt_gguf_array_f64(&a, 2) == 3.0);
    rt_gguf_close(g);
    rt_str_release(&bytes);
}

static void what_is_written_comes_back(void **state)
{
    float x[128], got[128], want[128];
    rt_str bytes = small_bytes();
    rt_gguf *g = NULL;
    rt_err err = {0};
    rt_gguf_array a;
    rt_slice s = {0};
    const uint8_t *cursor = NULL;
    uint8_t block[2 * 2 * 34];
    (void)state;
    fill(x, 128);
    assert_ok(rt_gguf_open_memory(&g, bytes.p, bytes.n, &err));
    assert_int_equal(rt_gguf_n_tensors(g), 3);
    const rt_tensor_info *t = rt_gguf_find(g, "a.weight");
    assert_true(t->dtype == RT_F32 && t->n_dims == 2 && t->dims[0] == 3 && t->dims[1] == 5);
    assert_memory_equal(t->data, x, 15 * sizeof *x);
    t = rt_gguf_find(g, "b.weight");
    rt_encode(RT_Q8_0, x, block, 128);
    rt_decode(RT_Q8_0, block, want, 128);
    rt_decode(RT_Q8_0, t->data, got, 128);
    assert_memory_equal(got, want, sizeof got);
    assert_int_equal(((uintptr_t)t->data - (uintptr_t)bytes.p) % 32, 0);
    assert_true(rt_gguf_get_array(g, "tokens", &a));
    assert_true(rt_gguf_next_str(&a, &cursor, &s) && rt_slice_eq(s, "a"));
    assert_true(rt_gguf_next_str(&a, &cursor, &s) && s.n == 0);
    assert_true(rt_gguf_next_str(&a, &cursor, &s) && rt_slice_eq(s, "\xff\xfe"));
    assert_false(rt_gguf_next_str(&a, &cursor, &s));
    rt_gguf_close(g);
    rt_str_release(&bytes);
}

static void raw_keys_are_copied_byte_for_byte_and_keys_replace_in_place(void **state)
{
    rt_gguf *from = NULL, *to = NULL;
    rt_err err = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "copy.gguf");
    (void)state;
    assert_ok(rt_gguf_open(&from, RT_TEST_GOLDEN "/gguf/llama3_rope.gguf", &err));
    rt_gguf_writer *w = rt_gguf_writer_new();
    for (size_t i = 0; i < rt_gguf_n_kv(from); i++) {
        rt_gguf_set_raw(w, rt_gguf_kv_at(from, i));
    }
    rt_gguf_set_str(w, "general.architecture", "other");
    assert_ok(rt_gguf_write(w, path, &err));
    assert_ok(rt_gguf_open(&to, path, &err));
    assert_int_equal(rt_gguf_n_kv(to), rt_gguf_n_kv(from));
    for (size_t i = 0; i < rt_gguf_n_kv(from); i++) {
        const rt_gguf_kv *a = rt_gguf_kv_at(from, i), *b = rt_gguf_kv_at(to, i);
        assert_string_equal(a->key, b->key);
        assert_int_equal(a->type, b->type);
        if (strcmp(a->key, "general.architecture") != 0) {
            assert_int_equal(a->raw.n, b->raw.n);
            assert_memory_equal(a->raw.p, b->raw.p, a->raw.n);
        }
    }
    rt_gguf_writer_free(w);
    rt_gguf_close(from);
    rt_gguf_close(to);
    rt_test_scratch_drop(dir);
    rt_free(path);
}

/* ---- writing what cannot be ---- */

static void bad_tensors_are_reported_by_write(void **state)
{
    static const struct {
        const char *name;
        rt_dtype dtype;
        int64_t dims[2];
        float first;
        rt_status code;
        const char *why;
    } cases[] = {
        {"t", RT_Q8_0, {2, 31}, 0, RT_USAGE, "blocks of 32"},
        {"t", RT_Q6_K, {2, 256}, 0, RT_UNSUPPORTED, "does not write Q6_K"},
        {"", RT_F32, {1, 1}, 0, RT_USAGE, "tensor name"},
        {"0123456789012345678901234567890123456789012345678901234567890123", RT_F32, {1, 1}, 0, RT_USAGE, "63 bytes"},
        {"t", RT_Q4_0, {1, 32}, NAN, RT_NUMERIC, "element 0"},
        {"t", RT_F16, {1, 32}, 70000.0f, RT_NUMERIC, "cannot hold"},
        {"twin", RT_F32, {1, 1}, 0, RT_USAGE, "added twice"},
    };
    float x[512] = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "bad.gguf");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_gguf_writer *w = rt_gguf_writer_new();
        x[0] = cases[i].first;
        rt_gguf_add_tensor(w, "twin", RT_F32, 1, (int64_t[]){1}, x + 1);
        rt_gguf_add_tensor(w, cases[i].name, cases[i].dtype, 2, cases[i].dims, x);
        assert_int_equal(rt_gguf_write(w, path, &err), cases[i].code);
        assert_says(err.msg, cases[i].why);
        assert_false(rt_path_exists(path));
        rt_gguf_writer_free(w);
    }
    rt_test_scratch_drop(dir);
    rt_free(path);
}

/* ---- failing memory ---- */

static void failing_allocations_leak_nothing(void **state)
{
    rt_str bytes = small_bytes();
    size_t live = rt_mem_get_stats().live_bytes;
    rt_status st = RT_MEMORY;
    (void)state;
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_gguf *g = NULL;
        rt_err err = {0};
        assert_true(n < 1000);
        rt_mem_fail_after(n);
        st = rt_gguf_open_memory(&g, bytes.p, bytes.n, &err);
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || st == RT_MEMORY);
        rt_gguf_close(g);
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
    rt_str_release(&bytes);
}

static void failing_allocations_while_writing_leave_no_broken_file(void **state)
{
    float x[128];
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "small.gguf");
    size_t live = rt_mem_get_stats().live_bytes;
    rt_status st = RT_MEMORY;
    (void)state;
    fill(x, 128);
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_err err = {0};
        assert_true(n < 1000);
        rt_gguf_writer *w = rt_gguf_writer_new();
        rt_mem_fail_after(n);
        rt_gguf_set_str(w, "general.architecture", "llama");
        rt_gguf_add_tensor(w, "b.weight", RT_Q8_0, 2, (int64_t[]){2, 64}, x);
        st = rt_gguf_write(w, path, &err);
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || st == RT_MEMORY);
        rt_gguf_writer_free(w);
        /* memory may run out after the rename, but then the file is whole */
        if (rt_path_exists(path)) {
            rt_gguf *g = NULL;
            assert_ok(rt_gguf_open(&g, path, &err));
            rt_gguf_close(g);
            assert_ok(rt_path_remove(path, &err));
        }
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
    rt_test_scratch_drop(dir);
    rt_free(path);
}

/* ---- split models ---- */

static void write_shard(const char *dir, const char *name, uint32_t no, uint32_t count, uint32_t total,
                        const char *tensor)
{
    static const float x[32] = {1, 2, 3};
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    rt_gguf_writer *w = rt_gguf_writer_new();
    if (no == 0) {
        rt_gguf_set_str(w, "general.architecture", "llama");
    }
    rt_gguf_set_u32(w, "split.no", no);
    rt_gguf_set_u32(w, "split.count", count);
    rt_gguf_set_u32(w, "split.tensors.count", total);
    rt_gguf_add_tensor(w, tensor, RT_F32, 1, (int64_t[]){32}, x);
    assert_ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
    rt_free(path);
}

static void assert_open_fails(const char *dir, const char *name, rt_status code, const char *why)
{
    rt_gguf *g = NULL;
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    assert_int_equal(rt_gguf_open(&g, path, &err), code);
    assert_says(err.msg, why);
    assert_null(g);
    rt_free(path);
}

static void shards_open_together_by_any_of_their_names(void **state)
{
    rt_gguf *g = NULL;
    rt_err err = {0};
    rt_slice arch;
    char *dir = rt_test_scratch(), *second = rt_path_join(dir, "m-00002-of-00002.gguf");
    (void)state;
    write_shard(dir, "m-00001-of-00002.gguf", 0, 2, 2, "a");
    assert_open_fails(dir, "m-00001-of-00002.gguf", RT_NOT_FOUND, "m-00002-of-00002.gguf");
    write_shard(dir, "m-00002-of-00002.gguf", 1, 2, 2, "b");
    assert_ok(rt_gguf_open(&g, second, &err));
    assert_int_equal(rt_gguf_n_tensors(g), 2);
    assert_non_null(rt_gguf_find(g, "a"));
    assert_non_null(rt_gguf_find(g, "b"));
    assert_true(rt_gguf_get_str(g, "general.architecture", &arch));
    rt_gguf_close(g);

    write_shard(dir, "m-00002-of-00002.gguf", 1, 2, 2, "a");
    assert_open_fails(dir, "m-00001-of-00002.gguf", RT_INPUT, "'a' occurs twice");
    write_shard(dir, "m-00002-of-00002.gguf", 0, 2, 2, "b");
    assert_open_fails(dir, "m-00001-of-00002.gguf", RT_INPUT, "its name says");
    write_shard(dir, "m-00002-of-00002.gguf", 1, 2, 3, "b");
    write_shard(dir, "m-00001-of-00002.gguf", 0, 2, 3, "a");
    assert_open_fails(dir, "m-00001-of-00002.gguf", RT_INPUT, "split.tensors.count");
    write_shard(dir, "lone.gguf", 0, 2, 2, "a");
    assert_open_fails(dir, "lone.gguf", RT_INPUT, "split in 2");
    rt_test_scratch_drop(dir);
    rt_free(second);
}

static void files_that_are_no_models_are_refused_by_name(void **state)
{
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "empty.gguf");
    rt_err err = {0};
    (void)state;
    assert_open_fails(dir, "absent.gguf", RT_NOT_FOUND, "absent.gguf");
    assert_ok(rt_file_write(path, "", 0, &err));
    assert_open_fails(dir, "empty.gguf", RT_INPUT, "empty.gguf");
    assert_open_fails(dir, ".", RT_INPUT, "directory");
    rt_test_scratch_drop(dir);
    rt_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_file_opens_with_keys_and_tensors),
        cmocka_unit_test(getters_convert_in_range_and_refuse_other_kinds),
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(raw_keys_are_copied_byte_for_byte_and_keys_replace_in_place),
        cmocka_unit_test(bad_tensors_are_reported_by_write),
        cmocka_unit_test(failing_allocations_leak_nothing),
        cmocka_unit_test(failing_allocations_while_writing_leave_no_broken_file),
        cmocka_unit_test(shards_open_together_by_any_of_their_names),
        cmocka_unit_test(files_that_are_no_models_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
