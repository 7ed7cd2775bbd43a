/* The hash a model is known by covers every file it consists of, and no other. */
#include "model/identity.h"

#include <string.h>

#include "rt_test.h"

static void write_text(const char *dir, const char *name, const char *text)
{
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    assert_ok(rt_file_write(path, text, strlen(text), &err));
    rt_free(path);
}

static rt_status identity(const char *dir, const char *name, char hex[65], rt_err *err)
{
    rt_digest d;
    char *path = rt_path_join(dir, name);
    const rt_status st = rt_model_sha256(path, NULL, &d, err);
    if (st == RT_OK) {
        rt_digest_hex(d, hex);
    }
    rt_free(path);
    return st;
}

static void sha256_of(const char *text, char hex[65])
{
    rt_digest_hex(rt_sha256_of(text, strlen(text)), hex);
}

static void a_split_gguf_is_known_by_all_parts_from_any_of_them(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch(), one[65], two[65], expected[65], known[65], again[65], lines[256];
    write_text(dir, "m-00001-of-00002.gguf", "one");
    write_text(dir, "m-00002-of-00002.gguf", "two");
    write_text(dir, "m-00003-of-00004.gguf", "of another model");
    sha256_of("one", one);
    sha256_of("two", two);
    snprintf(lines, sizeof lines, "%s  m-00001-of-00002.gguf\n%s  m-00002-of-00002.gguf\n", one, two);
    sha256_of(lines, expected);
    assert_ok(identity(dir, "m-00001-of-00002.gguf", known, &err));
    assert_ok(identity(dir, "m-00002-of-00002.gguf", again, &err));
    assert_string_equal(known, expected);
    assert_string_equal(again, expected);
    assert_int_equal(identity(dir, "m-00003-of-00004.gguf", known, &err), RT_NOT_FOUND);
    assert_says(err.msg, "m-00001-of-00004.gguf");
    rt_test_scratch_drop(dir);
}

static void a_name_that_only_looks_split_is_one_file(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch(), expected[65], known[65];
    static const char *const names[] = {"m-00001-of-00001.gguf", "m-1-of-2.gguf", "m-00001-of-0000x.gguf",
                                        "-00001-of-00002.gguf"};
    sha256_of("one", expected);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        write_text(dir, names[i], "one");
        assert_ok(identity(dir, names[i], known, &err));
        assert_string_equal(known, expected);
    }
    rt_test_scratch_drop(dir);
}

static void an_index_reaches_no_file_outside_its_folder(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch(), known[65];
    assert_int_equal(identity(dir, "", known, &err), RT_NOT_FOUND);
    assert_says(err.msg, "model.safetensors");
    write_text(dir, "config.json", "{}");
    write_text(dir, "model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../../etc/passwd\"}}");
    assert_int_equal(identity(dir, "", known, &err), RT_INPUT);
    write_text(dir, "model.safetensors.index.json", "{\"weight_map\": {\"a\": 7}}");
    assert_int_equal(identity(dir, "", known, &err), RT_INPUT);
    write_text(dir, "x.safetensors", "x");
    write_text(dir, "model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"config.json\", \"c\": \"x.safetensors\"}}");
    assert_ok(identity(dir, "", known, &err));
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_gguf_is_known_by_all_parts_from_any_of_them),
        cmocka_unit_test(a_name_that_only_looks_split_is_one_file),
        cmocka_unit_test(an_index_reaches_no_file_outside_its_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
