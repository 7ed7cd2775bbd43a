/* test_bom.c - the bill of materials names model, ancestor, data and files, and says nothing that was not recorded. */
#include "record_fixture.h"

static json_t *bom_of(json_t *facts)
{
    rt_err err = {0};
    json_t *bom = NULL;
    assert_ok(rt_bom_make(&bom, facts, &err));
    return bom;
}

static const json_t *component(const json_t *bom, const char *ref)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(bom, "components"), i, c)
    {
        if (strcmp(rt_json_str(c, "bom-ref", ""), ref) == 0) {
            return c;
        }
    }
    fail_msg("no component '%s'", ref);
    return NULL;
}

static void model_ancestor_data_and_files_are_listed(void **state)
{
    (void)state;
    json_t *f = facts_of("smol-half", "SmolLM2");
    json_object_set_new(f, "files", json_pack("[{s:s, s:s}]", "path", "model.gguf", "sha256", TEACHER_SHA));
    json_t *bom = bom_of(f);
    assert_string_equal(rt_json_str(bom, "specVersion", ""), "1.6");
    assert_int_equal(json_array_size(json_object_get(bom, "components")), 3);
    const json_t *m = component(bom, "model"),
                 *t = json_array_get(json_object_get(json_object_get(m, "pedigree"), "ancestors"), 0);
    assert_string_equal(rt_json_str(t, "name", ""), "SmolLM2");
    const json_t *hash = json_array_get(json_object_get(t, "hashes"), 0);
    assert_string_equal(rt_json_str(hash, "content", ""), TEACHER_SHA);
    const json_t *l = json_object_get(json_array_get(json_object_get(t, "licenses"), 0), "license");
    assert_string_equal(rt_json_str(l, "id", ""), "Apache-2.0");
    const json_t *q = json_object_get(json_object_get(m, "modelCard"), "quantitativeAnalysis");
    const json_t *metric = json_array_get(json_object_get(q, "performanceMetrics"), 0);
    assert_string_equal(rt_json_str(metric, "value", ""), "62.1234567");
    assert_string_equal(rt_json_str(json_object_get(metric, "confidenceInterval"), "lowerBound", ""), "61.1234567");
    assert_string_equal(rt_json_str(component(bom, "data-0"), "description", ""), "Project Gutenberg");
    json_decref(bom);
    json_decref(f);
}

static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    rt_err err = {0};
    json_t *f = facts_of("x", "y"), *bom;
    json_object_del(f, "data");
    json_object_del(f, "kept");
    json_object_set_new(f, "permit", json_pack("{s:s}", "id", "my-own-terms"));
    json_object_set_new(f, "teacher", json_pack("{s:s, s:s}", "name", "T", "sha256", ""));
    bom = bom_of(f);
    const json_t *t =
        json_array_get(json_object_get(json_object_get(component(bom, "model"), "pedigree"), "ancestors"), 0);
    assert_null(json_object_get(t, "hashes"));
    const json_t *l = json_object_get(json_array_get(json_object_get(t, "licenses"), 0), "license");
    assert_null(json_object_get(l, "id"));
    assert_string_equal(rt_json_str(l, "name", ""), "my-own-terms");
    json_decref(bom);
    json_object_del(f, "permit");
    assert_int_equal(rt_bom_make(&bom, f, &err), RT_INPUT);
    json_decref(f);
}

static void the_file_is_written_whole_and_the_same_each_time(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str one = {0}, two = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "bom.cdx.json");
    json_t *f = facts_of("x", "y");
    assert_int_equal(setenv("RETORT_NOW", "2026-11-21T00:00:00Z", 1), 0);
    assert_ok(rt_bom_write(path, f, &err));
    assert_ok(rt_file_read(&one, path, 1 << 20, &err));
    assert_ok(rt_bom_write(path, f, &err));
    assert_ok(rt_file_read(&two, path, 1 << 20, &err));
    assert_int_equal(unsetenv("RETORT_NOW"), 0);
    assert_string_equal(one.p, two.p);
    rt_str_release(&one);
    rt_str_release(&two);
    json_decref(f);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_ancestor_data_and_files_are_listed),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(the_file_is_written_whole_and_the_same_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
