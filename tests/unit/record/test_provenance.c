/* What a model says of its origin is read, added to and printed, and reads the same again. */
#include "record/provenance.h"

#include "unit/record/record_fixture.h"

static json_t *provenance_of(const char *path)
{
    rt_err err = {0};
    json_t *p = NULL;
    assert_ok(rt_provenance_read(&p, path, &err));
    return p;
}

static void a_card_gives_the_keys_of_a_gguf(void **state)
{
    (void)state;
    char *dir = rt_test_scratch();
    char *folder = model_folder(dir, "m",
                                "license: [apache-2.0, mit]\nlicense_link: LICENSE\nbase_model: [org/one, two]\n"
                                "retort_teacher_sha256: \"12\"\nretort_Bad: x\nother: y");
    json_t *p = provenance_of(folder);
    assert_string_equal(rt_json_str(p, "general.license", ""), "apache-2.0 AND mit");
    assert_string_equal(rt_json_str(p, "general.license.link", ""), "LICENSE");
    assert_int_equal(rt_json_i64(p, "general.base_model.count", 0), 2);
    assert_string_equal(rt_json_str(p, "general.base_model.0.organization", ""), "org");
    assert_string_equal(rt_json_str(p, "general.base_model.0.name", ""), "one");
    assert_string_equal(rt_json_str(p, "general.base_model.1.name", ""), "two");
    assert_string_equal(rt_json_str(p, "retort.teacher.sha256", ""), "12");
    assert_int_equal(json_object_size(p), 7);
    json_decref(p);
    rt_free(folder);
    rt_test_scratch_drop(dir);
}

static void what_is_printed_reads_the_same_again(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str card = {0};
    char *dir = rt_test_scratch();
    char *folder =
        model_folder(dir, "m",
                     "license: [other, mit]\nlicense_name: \"rules: ours\"\nbase_model: [org/one, \"- two\"]\n"
                     "retort_licence_verdict: unknown");
    json_t *p = provenance_of(folder), *again;
    assert_ok(rt_provenance_print(&card, p, "m", "As it was.", &err));
    write_text(folder, "README.md", rt_str_cstr(&card));
    again = provenance_of(folder);
    assert_true(json_equal(p, again));
    json_decref(p);
    json_decref(again);
    rt_str_release(&card);
    rt_free(folder);
    rt_test_scratch_drop(dir);
}

static void a_licence_is_stated_once(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_licence_table *t = open_table();
    json_t *p = json_pack("{s:s}", "general.license", "Apache License 2.0");
    assert_ok(rt_provenance_add_licence(p, t, "apache-2.0", &err));
    assert_string_equal(rt_json_str(p, "general.license", ""), "Apache License 2.0");
    assert_ok(rt_provenance_add_licence(p, t, "mit", &err));
    assert_ok(rt_provenance_add_licence(p, t, "mit", &err));
    assert_string_equal(rt_json_str(p, "general.license", ""), "Apache License 2.0 AND mit");
    json_decref(p);
    p = json_object();
    assert_ok(rt_provenance_add_licence(p, t, "house-rules", &err));
    assert_string_equal(rt_json_str(p, "general.license", ""), "other");
    assert_string_equal(rt_json_str(p, "general.license.name", ""), "house-rules");
    json_decref(p);
    p = json_pack("{s:s}", "general.license", "Permission is hereby granted,\nfree of charge");
    assert_ok(rt_provenance_add_licence(p, t, "mit", &err));
    assert_string_equal(rt_json_str(p, "general.license", ""), "mit");
    json_decref(p);
    rt_licence_table_close(t);
}

static void a_base_model_is_named_once(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str label = {0};
    json_t *p = json_pack("{s:s, s:s}", "general.name", "One", "general.repo_url", "https://huggingface.co/org/one");
    rt_provenance_label(&label, p, "general");
    assert_string_equal(rt_str_cstr(&label), "org/one");
    assert_ok(rt_provenance_add_base(p, "org/one", &err));
    assert_ok(rt_provenance_add_base(p, "org/one", &err));
    assert_ok(rt_provenance_add_base(p, "", &err));
    assert_ok(rt_provenance_add_base(p, "a/b/c", &err));
    assert_int_equal(rt_json_i64(p, "general.base_model.count", 0), 2);
    assert_string_equal(rt_json_str(p, "general.base_model.1.name", ""), "a/b/c");
    rt_provenance_drop(p, "general.base_model.");
    assert_int_equal(json_object_size(p), 2);
    json_decref(p);
    rt_str_release(&label);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card_gives_the_keys_of_a_gguf),
        cmocka_unit_test(what_is_printed_reads_the_same_again),
        cmocka_unit_test(a_licence_is_stated_once),
        cmocka_unit_test(a_base_model_is_named_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
