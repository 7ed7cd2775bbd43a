/* test_safetensors.c - safetensors: the reader's rules one by one, what is written comes back, shards by index. */
#define _GNU_SOURCE
#include "rt_test.h"

#include "format/json.h"
#include "format/safetensors.h"

/* Length, header, data. */
static rt_str file_of(const char *header, size_t data_bytes)
{
    rt_str s = {0};
    uint64_t n = strlen(header);
    rt_str_add(&s, &n, sizeof n);
    rt_str_puts(&s, header);
    for (size_t i = 0; i < data_bytes; i++) {
        rt_str_putc(&s, (char)i);
    }
    return s;
}

static void assert_refused(rt_str s, rt_status code, const char *why)
{
    rt_safetensors *t = NULL;
    rt_err err = {0};
    rt_status st = rt_safetensors_open_memory(&t, s.p, s.n, &err);
    if (st != code) {
        fail_msg("status %d instead of %d, expected '%s'", st, code, why);
    }
    assert_null(t);
    assert_says(err.msg, why);
    rt_str_release(&s);
}

static rt_safetensors *open_bytes(const rt_str *s)
{
    rt_safetensors *t = NULL;
    rt_err err = {0};
    assert_ok(rt_safetensors_open_memory(&t, s->p, s->n, &err));
    return t;
}

static rt_st_writer *small_writer(void)
{
    static const float f[6] = {1, 2, 3, 4, 5, 6};
    static const uint16_t h[3] = {0x3c00, 0x4000, 0x4200};
    static const int64_t i[2] = {-1, INT64_MAX};
    static const uint8_t u[1] = {7};
    rt_st_writer *w = rt_st_writer_new();
    rt_st_add(w, "flag", RT_U8, 0, NULL, u);
    rt_st_add(w, "b", RT_F32, 2, (int64_t[]){2, 3}, f);
    rt_st_add(w, "a\"quoted\"", RT_F32, 1, (int64_t[]){6}, f);
    rt_st_add(w, "half", RT_F16, 1, (int64_t[]){3}, h);
    rt_st_add(w, "ids", RT_I64, 1, (int64_t[]){2}, i);
    rt_st_add(w, "empty", RT_F32, 2, (int64_t[]){0, 8}, NULL);
    rt_st_set_meta(w, "retort", "1");
    return w;
}

static rt_str small_bytes(void)
{
    rt_str s = {0};
    rt_err err = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "t.safetensors");
    rt_st_writer *w = small_writer();
    assert_ok(rt_st_write(w, path, &err));
    assert_ok(rt_file_read(&s, path, 1 << 20, &err));
    rt_st_writer_free(w);
    rt_test_scratch_drop(dir);
    rt_free(path);
    return s;
}

/* ---- writing and reading back ---- */

static void what_is_written_comes_back(void **state)
{
    static const float f[6] = {1, 2, 3, 4, 5, 6};
    rt_str bytes = small_bytes();
    rt_safetensors *s = open_bytes(&bytes);
    (void)state;
    assert_int_equal(rt_safetensors_n(s), 6);
    const rt_tensor_info *t = rt_safetensors_find(s, "b");
    assert_true(t->dtype == RT_F32 && t->n_dims == 2 && t->dims[0] == 2 && t->dims[1] == 3);
    assert_memory_equal(t->data, f, sizeof f);
    assert_non_null(rt_safetensors_find(s, "a\"quoted\""));
    t = rt_safetensors_find(s, "flag");
    assert_true(t->n_dims == 0 && t->bytes == 1 && *(const uint8_t *)t->data == 7);
    t = rt_safetensors_find(s, "empty");
    assert_true(t->n_dims == 2 && t->bytes == 0 && t->dims[1] == 8);
    assert_string_equal(rt_safetensors_meta(s, "retort"), "1");
    assert_string_equal(rt_safetensors_meta(s, "format"), "pt");
    assert_null(rt_safetensors_meta(s, "absent"));
    assert_null(rt_safetensors_find(s, "absent"));
    rt_safetensors_close(s);
    rt_str_release(&bytes);
}

static void tensors_are_sorted_by_alignment_then_name_and_lie_aligned(void **state)
{
    static const char *const order[] = {"ids", "a\"quoted\"", "b", "empty", "half", "flag"};
    rt_str bytes = small_bytes();
    uint64_t header;
    (void)state;
    memcpy(&header, bytes.p, sizeof header);
    assert_int_equal(header % 8, 0);
    assert_int_equal(bytes.p[8], '{');
    const char *at = bytes.p;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        rt_str quoted = {0};
        rt_json_append_text(&quoted, order[i], strlen(order[i]));
        at = memmem(at, header + 8 - (size_t)(at - bytes.p), quoted.p, quoted.n);
        assert_non_null(at);
        rt_str_release(&quoted);
    }
    rt_safetensors *s = open_bytes(&bytes);
    for (size_t i = 0; i < rt_safetensors_n(s); i++) {
        const rt_tensor_info *t = rt_safetensors_at(s, i);
        assert_int_equal((size_t)((const char *)t->data - bytes.p) % (size_t)rt_dtype_block_bytes(t->dtype), 0);
    }
    rt_safetensors_close(s);
    rt_str_release(&bytes);
}

static void bad_tensors_are_reported_by_write(void **state)
{
    static const struct {
        const char *name;
        rt_dtype dtype;
        int n_dims;
        int64_t dim;
        const char *why;
    } cases[] = {
        {"t", RT_Q8_0, 1, 32, "has no Q8_0"},        {"__metadata__", RT_F32, 1, 1, "no tensor name"},
        {"bad\xff", RT_F32, 1, 1, "no tensor name"}, {"t", RT_F32, 1, -1, "impossible shape"},
        {"t", RT_F32, 5, 1, "impossible shape"},     {"t", RT_F32, 1, INT64_MAX, "impossible shape"},
        {"twin", RT_F32, 1, 1, "added twice"},
    };
    static const float x[64];
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "t.safetensors");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        int64_t dims[5] = {cases[i].dim, 1, 1, 1, 1};
        rt_st_writer *w = rt_st_writer_new();
        rt_st_add(w, "twin", RT_F32, 1, (int64_t[]){1}, x);
        rt_st_add(w, cases[i].name, cases[i].dtype, cases[i].n_dims, dims, x);
        assert_int_not_equal(rt_st_write(w, path, &err), RT_OK);
        assert_says(err.msg, cases[i].why);
        assert_false(rt_path_exists(path));
        rt_st_writer_free(w);
    }
    rt_test_scratch_drop(dir);
    rt_free(path);
}

/* ---- the reader's rules ---- */

#define A "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}"

static void valid_oddities_are_accepted(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        size_t tensors;
    } cases[] = {
        {"{}", 0, 0},
        {"  {" A "}   ", 2, 1},
        {"{\"__metadata__\":{\"k\":\"v\"}}", 0, 0},
        {"{\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[2,2]}," A "}", 2, 2},
        {"{\"s\":{\"data_offsets\":[0,4],\"shape\":[],\"dtype\":\"F32\"}}", 4, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_str bytes = file_of(cases[i].header, cases[i].data);
        rt_safetensors *s = open_bytes(&bytes);
        assert_int_equal(rt_safetensors_n(s), cases[i].tensors);
        rt_safetensors_close(s);
        rt_str_release(&bytes);
    }
}

static void broken_rules_are_refused(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        const char *why;
    } cases[] = {
        {"[]", 0, "not a JSON object"},
        {"{" A "} x", 2, "bad JSON"},
        {"{" A "," A "}", 2, "duplicate"},
        {"{\"\xff\":1}", 0, "bad JSON"},
        {"{" A "}", 3, "3 bytes of data, its tensors use 2"},
        {"{" A "}", 1, "truncated"},
        {"{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]}}", 4, "holes"},
        {"{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "overlaps"},
        {"{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,0]}}", 2, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[-2,0]}}", 2, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2,2]}}", 2, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":\"0,2\"}}", 2, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "needs 3 bytes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2.0],\"data_offsets\":[0,2]}}", 2, "shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-2],\"data_offsets\":[0,2]}}", 2, "shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":2,\"data_offsets\":[0,2]}}", 2, "shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]}}", 0, "shape"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0, "shape"},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, "whole number of bytes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2]}}", 2, "exactly"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2],\"x\":0}}", 2, "exactly"},
        {"{\"a\":[0,2]}", 2, "exactly"},
        {"{\"a\\u001b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "control characters"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "texts only"},
        {"{\"__metadata__\":\"k\"}", 0, "not an object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(file_of(cases[i].header, cases[i].data), RT_INPUT, cases[i].why);
    }
    assert_refused(file_of("{\"a\":{\"dtype\":\"Q8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2), RT_UNSUPPORTED,
                   "dtype 'Q8'");
}

static void hostile_lengths_are_refused(void **state)
{
    static const uint64_t lengths[] = {3, 100000001, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        rt_str s = {0};
        rt_str_add(&s, &lengths[i], sizeof lengths[i]);
        rt_str_puts(&s, "{}");
        assert_refused(s, RT_INPUT, "claims a header");
    }
    assert_refused((rt_str){0}, RT_INPUT, "no safetensors file");
}

static void what_cannot_be_represented_is_listed_but_not_given_out(void **state)
{
    rt_str bytes = file_of("{\"f8\":{\"dtype\":\"F8_E5M2\",\"shape\":[2],\"data_offsets\":[0,2]},"
                           "\"deep\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,2],\"data_offsets\":[2,4]}}",
                           4);
    rt_safetensors *s = open_bytes(&bytes);
    (void)state;
    assert_int_equal(rt_safetensors_n(s), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_null(rt_safetensors_at(s, i)->data);
        assert_int_equal(rt_safetensors_at(s, i)->bytes, 2);
    }
    assert_null(rt_safetensors_find(s, "f8"));
    assert_null(rt_safetensors_find(s, "deep"));
    rt_safetensors_close(s);
    rt_str_release(&bytes);
}

static void every_truncation_is_refused(void **state)
{
    rt_str bytes = small_bytes();
    (void)state;
    for (size_t n = 0; n < bytes.n; n++) {
        rt_safetensors *s = NULL;
        rt_err err = {0};
        uint8_t *exact = rt_malloc(n);
        memcpy(exact, bytes.p, n);
        assert_int_equal(rt_safetensors_open_memory(&s, exact, n, &err), RT_INPUT);
        assert_true(err.msg[0] != '\0');
        rt_free(exact);
    }
    rt_str_release(&bytes);
}

static void failing_allocations_leak_nothing(void **state)
{
    rt_str bytes = small_bytes();
    size_t live = rt_mem_get_stats().live_bytes;
    rt_status st = RT_MEMORY;
    (void)state;
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_safetensors *s = NULL;
        rt_err err = {0};
        assert_true(n < 1000);
        rt_mem_fail_after(n);
        st = rt_safetensors_open_memory(&s, bytes.p, bytes.n, &err);
        rt_mem_fail_after(0);
        if (st != RT_OK && st != RT_MEMORY) {
            fail_msg("allocation %d: %s", (int)n, err.msg);
        }
        rt_safetensors_close(s);
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
    rt_str_release(&bytes);
}

/* ---- shards ---- */

static void write_text(const char *dir, const char *name, const char *text)
{
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    assert_ok(rt_file_write(path, text, strlen(text), &err));
    rt_free(path);
}

static void write_shard(const char *dir, const char *name, const char *tensor, float value)
{
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    rt_st_writer *w = rt_st_writer_new();
    rt_st_add(w, tensor, RT_F32, 1, (int64_t[]){1}, &value);
    assert_ok(rt_st_write(w, path, &err));
    rt_st_writer_free(w);
    rt_free(path);
}

static void shards_of_an_index_open_as_one(void **state)
{
    rt_safetensors *s = NULL;
    rt_err err = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "model.safetensors.index.json");
    (void)state;
    write_shard(dir, "m-1.safetensors", "a", 1);
    write_shard(dir, "m-2.safetensors", "b", 2);
    write_text(dir, "model.safetensors.index.json",
               "{\"metadata\":{},\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}}");
    assert_ok(rt_safetensors_open(&s, path, &err));
    assert_int_equal(rt_safetensors_n(s), 2);
    assert_true(*(const float *)rt_safetensors_find(s, "b")->data == 2);
    assert_string_equal(rt_safetensors_meta(s, "format"), "pt");
    rt_safetensors_close(s);
    rt_test_scratch_drop(dir);
    rt_free(path);
}

static void bad_indexes_are_refused(void **state)
{
    static const struct {
        const char *index;
        rt_status code;
        const char *why;
    } cases[] = {
        {"{}", RT_INPUT, "weight_map"},
        {"{\"weight_map\":{}}", RT_INPUT, "weight_map"},
        {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", RT_INPUT, "plain"},
        {"{\"weight_map\":{\"a\":\"/etc/m-1.safetensors\"}}", RT_INPUT, "plain"},
        {"{\"weight_map\":{\"a\":\"m-1.bin\"}}", RT_INPUT, "plain"},
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\\u0000\"}}", RT_INPUT, "plain"},
        {"{\"weight_map\":{\"a\":1}}", RT_INPUT, "plain"},
        {"{\"weight_map\":{\"a\":\"m-9.safetensors\"}}", RT_NOT_FOUND, "m-9.safetensors"},
        {"{\"weight_map\":{\"c\":\"m-1.safetensors\"}}", RT_INPUT, "'c' is not in 'm-1.safetensors'"},
        {"{\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\"}}", RT_INPUT, "is not in"},
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-3.safetensors\"}}", RT_INPUT, "'a' occurs twice"},
    };
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "model.safetensors.index.json");
    (void)state;
    write_shard(dir, "m-1.safetensors", "a", 1);
    write_shard(dir, "m-2.safetensors", "b", 2);
    write_shard(dir, "m-3.safetensors", "a", 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_safetensors *s = NULL;
        rt_err err = {0};
        write_text(dir, "model.safetensors.index.json", cases[i].index);
        assert_int_equal(rt_safetensors_open(&s, path, &err), cases[i].code);
        assert_says(err.msg, cases[i].why);
        assert_null(s);
    }
    rt_test_scratch_drop(dir);
    rt_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(tensors_are_sorted_by_alignment_then_name_and_lie_aligned),
        cmocka_unit_test(bad_tensors_are_reported_by_write),
        cmocka_unit_test(valid_oddities_are_accepted),
        cmocka_unit_test(broken_rules_are_refused),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(what_cannot_be_represented_is_listed_but_not_given_out),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(failing_allocations_leak_nothing),
        cmocka_unit_test(shards_of_an_index_open_as_one),
        cmocka_unit_test(bad_indexes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
