/* test_json.c - JSON: strict reading with positions, numbers that read back, lines of a file. */
#include "rt_test.h"

#include "format/json.h"

static json_t *parse(const char *text)
{
    json_t *j = NULL;
    rt_err err = {0};
    assert_ok(rt_json_parse(&j, text, strlen(text), "test", &err));
    return j;
}

static void assert_compact(const json_t *j, const char *want)
{
    rt_str s = {0};
    rt_json_append(&s, j);
    assert_string_equal(rt_str_cstr(&s), want);
    rt_str_release(&s);
}

static void bad_json_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "test:"},
        {"{", "bad JSON"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{} {}", "test:1:4"},
        {"[1,\n 2,]", "test:2:"},
        {"{\"a\":nan}", "bad JSON"},
        {"[\"\xff\"]", "decode byte 0xff"},
        {"[1e999]", "bad JSON"},
        {"[99999999999999999999]", "bad JSON"},
        {"{\"a\\u0000b\":1}", "NUL"},
        {"[\"\033[2J]", "bad JSON"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *j = NULL;
        rt_err err = {0};
        assert_int_equal(rt_json_parse(&j, cases[i].text, strlen(cases[i].text), "test", &err), RT_INPUT);
        assert_null(j);
        assert_says(err.msg, cases[i].why);
        assert_null(strchr(err.msg, '\033'));
    }
}

static void deep_nesting_is_refused(void **state)
{
    rt_str s = {0};
    json_t *j = NULL;
    rt_err err = {0};
    (void)state;
    for (int i = 0; i < 1000000; i++) {
        rt_str_putc(&s, '[');
    }
    assert_int_equal(rt_json_parse(&j, s.p, s.n, "test", &err), RT_INPUT);
    assert_says(err.msg, "depth");
    rt_str_release(&s);
}

static void numbers_are_printed_short_and_read_back_the_same(void **state)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0.1, "0.1"},
        {6e-4, "0.0006"},
        {480, "480.0"},
        {1e300, "1e+300"},
        {1.0 / 3, "0.3333333333333333"},
        {-0.0, "-0.0"},
        {5e-324, "4.94065645841247e-324"},
        {123456789012345680.0, "1.2345678901234568e+17"},
    };
    rt_rng rng = rt_rng_init(7, "numbers", 0);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *j = json_real(cases[i].v);
        assert_compact(j, cases[i].text);
        json_decref(j);
    }
    for (int i = 0; i < 10000; i++) {
        uint64_t bits = (uint64_t)rt_rng_u32(&rng) << 32 | rt_rng_u32(&rng);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (v - v != 0) {
            continue;
        }
        rt_str s = {0};
        rt_json_append_real(&s, v);
        json_t *j = parse(rt_str_cstr(&s));
        assert_true(json_is_real(j) && json_real_value(j) == v);
        json_decref(j);
        rt_str_release(&s);
    }
}

static void texts_survive_printing(void **state)
{
    static const char text[] = "q\"b\\ \n\t\r\001\033\177 \xc2\x85 \xe2\x80\xa8 \xef\xbb\xbf \xf0\x9f\x98\x80 \0end";
    json_t *j = json_stringn(text, sizeof text - 1), *back;
    rt_str s = {0};
    (void)state;
    rt_json_append(&s, j);
    for (size_t i = 0; i < s.n; i++) {
        assert_true((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f);
    }
    back = parse(rt_str_cstr(&s));
    assert_true(json_equal(j, back));
    json_decref(j);
    json_decref(back);
    rt_str_release(&s);
}

static void saved_files_keep_key_order_and_indent_by_two(void **state)
{
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "x.json");
    json_t *j = parse("{\"z\":1,\"a\":[true,null,{}],\"m\":{\"k\":\"v\"},\"e\":[]}"), *back = NULL;
    rt_str text = {0};
    rt_err err = {0};
    (void)state;
    assert_compact(j, "{\"z\":1,\"a\":[true,null,{}],\"m\":{\"k\":\"v\"},\"e\":[]}");
    assert_ok(rt_json_save(j, path, &err));
    assert_ok(rt_file_read(&text, path, 4096, &err));
    assert_string_equal(
        text.p, "{\n  \"z\": 1,\n  \"a\": [\n    true,\n    null,\n    {}\n  ],\n  \"m\": {\n    \"k\": \"v\"\n  },\n"
                "  \"e\": []\n}\n");
    assert_ok(rt_json_load(&back, path, &err));
    assert_true(json_equal(j, back));
    json_decref(j);
    json_decref(back);
    rt_str_release(&text);
    rt_test_scratch_drop(dir);
    rt_free(path);
}

static void getters_give_the_default_for_what_is_absent_or_of_another_type(void **state)
{
    json_t *o = parse("{\"i\":3,\"r\":2.5,\"b\":true,\"s\":\"x\",\"nul\":\"a\\u0000b\"}");
    (void)state;
    assert_int_equal(rt_json_i64(o, "i", 9), 3);
    assert_int_equal(rt_json_i64(o, "r", 9), 9);
    assert_true(rt_json_f64(o, "i", 9) == 3 && rt_json_f64(o, "r", 9) == 2.5 && rt_json_f64(o, "s", 9) == 9);
    assert_true(rt_json_bool(o, "b", false) && !rt_json_bool(o, "i", false));
    assert_string_equal(rt_json_str(o, "s", "d"), "x");
    assert_string_equal(rt_json_str(o, "nul", "d"), "d");
    assert_string_equal(rt_json_str(NULL, "s", "d"), "d");
    json_decref(o);
}

static void lines_are_numbered_and_blank_ones_skipped(void **state)
{
    static const char text[] = "\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"a\":\"x\\u0000y\"}\n[1]\n{\"a\":";
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "x.jsonl");
    rt_jsonl r;
    json_t *j = NULL;
    rt_err err = {0};
    (void)state;
    assert_ok(rt_file_write(path, text, sizeof text - 1, &err));
    assert_ok(rt_jsonl_open(&r, path, &err));
    assert_ok(rt_jsonl_next(&r, &j, &err));
    assert_true(r.line == 1 && rt_json_i64(j, "a", 0) == 1);
    json_decref(j);
    assert_ok(rt_jsonl_next(&r, &j, &err));
    assert_int_equal(r.line, 4);
    assert_int_equal(json_string_length(json_object_get(j, "a")), 3);
    json_decref(j);
    assert_int_equal(rt_jsonl_next(&r, &j, &err), RT_INPUT);
    assert_says(err.msg, "x.jsonl' line 5: not a JSON object");
    assert_int_equal(rt_jsonl_next(&r, &j, &err), RT_INPUT);
    assert_says(err.msg, "x.jsonl' line 6");
    assert_null(j);
    assert_ok(rt_jsonl_next(&r, &j, &err));
    assert_null(j);
    rt_jsonl_close(&r);
    rt_test_scratch_drop(dir);
    rt_free(path);
}

static void jansson_allocates_through_our_heap(void **state)
{
    size_t live = rt_mem_get_stats().live_bytes;
    (void)state;
    json_t *j = json_object();
    assert_true(rt_mem_get_stats().live_bytes > live);
    json_decref(j);
    assert_int_equal(rt_mem_get_stats().live_bytes, live);
}

static void failing_allocations_leak_nothing(void **state)
{
    static const char text[] = "{\"a\":[1,2.5,\"text\",{\"b\":null}],\"c\":true}";
    rt_status st = RT_MEMORY;
    (void)state;
    size_t live = rt_mem_get_stats().live_bytes;
    for (uint64_t n = 1; st != RT_OK; n++) {
        json_t *j = NULL;
        rt_err err = {0};
        assert_true(n < 1000);
        rt_mem_fail_after(n);
        st = rt_json_parse(&j, text, sizeof text - 1, "test", &err);
        rt_mem_fail_after(0);
        if (st != RT_OK && st != RT_MEMORY) {
            fail_msg("allocation %d: %s", (int)n, err.msg);
        }
        json_decref(j);
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_json_is_refused_with_its_place),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(numbers_are_printed_short_and_read_back_the_same),
        cmocka_unit_test(texts_survive_printing),
        cmocka_unit_test(saved_files_keep_key_order_and_indent_by_two),
        cmocka_unit_test(getters_give_the_default_for_what_is_absent_or_of_another_type),
        cmocka_unit_test(lines_are_numbered_and_blank_ones_skipped),
        cmocka_unit_test(jansson_allocates_through_our_heap),
        cmocka_unit_test(failing_allocations_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
