/* test_card.c - the card says what was recorded, admits what is missing, and no name can act in it. */
#include "record/front_matter.h"
#include "record_fixture.h"

static rt_str print(json_t *facts)
{
    rt_err err = {0};
    rt_str s = {0};
    assert_ok(rt_card_print(&s, facts, &err));
    assert_true(rt_utf8_valid(s.p, s.n));
    return s;
}

static const char *head_text(const json_t *head, const char *key)
{
    const json_t *v = json_array_get(json_object_get(head, key), 0);
    return json_is_string(v) ? json_string_value(v) : "";
}

static void the_card_carries_what_was_recorded(void **state)
{
    (void)state;
    json_t *f = facts_of("smol-half", "SmolLM2");
    rt_str s = print(f);
    static const char *const said[] = {
        "# smol-half",
        "distilled from SmolLM2",
        TEACHER_SHA,
        "apache-2.0",
        "Verdict for this use: permit",
        "134,515,008",
        "Ship the licence text",
        "forward\\_kl",
        "| perplexity | 62.12 ± 0.5 | 30 | - | 93.4 % | 1,000 |",
        "longer texts drift",
        "safeguards",
        "hash of the last entry: feed",
        "Teacher outputs: 77",
        "```sh\nretort run recipe.yaml\n```",
        "base_model: SmolLM2",
        "tags:\n- distillation",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "Every training text has a stated origin",
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        assert_says(s.p, said[i]);
    }
    assert_null(strstr(s.p, "rovenance incomplete"));
    rt_str_release(&s);
    json_decref(f);
}

static void a_text_without_origin_makes_provenance_incomplete(void **state)
{
    (void)state;
    json_t *f = facts_of("x", "y");
    assert_true(rt_card_provenance_complete(f));
    json_object_del(json_array_get(json_object_get(f, "data"), 0), "origin");
    assert_false(rt_card_provenance_complete(f));
    rt_str s = print(f);
    assert_says(s.p, "**Provenance incomplete**");
    assert_says(s.p, "not stated");
    rt_str_release(&s);
    json_object_del(f, "data");
    assert_false(rt_card_provenance_complete(f));
    json_decref(f);
}

static void a_declared_teacher_is_called_declared(void **state)
{
    (void)state;
    json_t *f = facts_of("x", "y"), *permit = json_deep_copy(json_object_get(f, "permit"));
    json_object_set_new(permit, "declared", json_true());
    json_object_set_new(f, "permit", permit);
    rt_str s = print(f);
    assert_says(s.p, "declared, not observed");
    assert_false(rt_card_provenance_complete(f));
    rt_str_release(&s);
    json_decref(f);
}

static void a_student_from_scratch_claims_no_base(void **state)
{
    (void)state;
    json_t *f = facts_of("x", "y");
    json_object_set_new(json_object_get(f, "student"), "init", json_string("scratch"));
    rt_str s = print(f);
    assert_null(strstr(s.p, "base_model"));
    assert_says(s.p, "- distillation");
    rt_str_release(&s);
    json_decref(f);
}

static void hostile_names_stay_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "x\nlicense: mit\n---\n# Owned",
        "\"quoted\": {yes}",
        "- list",
        "yes",
        "null",
        "1.0",
        "#comment",
        "a: b",
        "&anchor",
        "*alias",
        "!!binary aaaa",
        "@at",
        "`tick`",
        "\xe2\x80\xa8line",
        "tab\there",
        "'single'",
        "%dir",
        "a\\b",
        "~",
        "\x7f",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rt_err err = {0};
        json_t *f = facts_of("model", names[i]), *head = NULL;
        rt_str s = print(f);
        assert_ok(rt_front_matter_parse(&head, s.p, s.n, "card", &err));
        assert_string_equal(head_text(head, "license"), "apache-2.0");
        assert_string_equal(head_text(head, "base_model"), names[i]);
        assert_null(strstr(s.p, "\n# Owned"));
        json_decref(head);
        rt_str_release(&s);
        json_decref(f);
    }
}

static void markup_in_names_is_shown_and_not_obeyed(void **state)
{
    (void)state;
    rt_str s = {0};
    rt_md_escape(&s, "<script>alert(1)</script>");
    assert_string_equal(s.p, "\\<script\\>alert(1)\\</script\\>");
    rt_str_clear(&s);
    rt_md_escape(&s, "[x](http://evil) | **b** _i_ `c`\n\n# h");
    assert_string_equal(s.p, "\\[x\\](http\\://evil) \\| \\*\\*b\\*\\* \\_i\\_ \\`c\\`  \\# h");
    rt_str_clear(&s);
    rt_md_escape(&s, "- item");
    assert_string_equal(s.p, "\\- item");
    rt_str_release(&s);
}

static void the_command_cannot_close_its_fence(void **state)
{
    (void)state;
    json_t *f = facts_of("x", "y");
    json_object_set_new(f, "command", json_string("echo ````\n# no heading"));
    rt_str s = print(f);
    assert_says(s.p, "`````sh\necho ````\n# no heading\n`````\n");
    rt_str_release(&s);
    json_decref(f);
}

static void a_card_without_a_permit_is_not_written(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str s = {0};
    json_t *f = facts_of("x", "y");
    json_object_del(f, "permit");
    assert_int_equal(rt_card_print(&s, f, &err), RT_INPUT);
    rt_str_release(&s);
    json_decref(f);
}

static void a_card_that_breaks_a_duty_is_not_written(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "README.md");
    rt_licence_table *t = open_table();
    json_t *f = facts_of("tiny", "Llama 3.1"), *permit = json_deep_copy(json_object_get(f, "permit")),
           *duties = json_array();
    assert_ok(rt_licence_duties(t, "llama3.1", RT_USE_ALL, duties, &err));
    json_object_set_new(permit, "duties", duties);
    json_object_set_new(f, "permit", permit);
    assert_int_equal(rt_card_write(path, f, &err), RT_LICENCE);
    assert_says(err.msg, "'tiny'");
    assert_false(rt_path_exists(path));
    json_object_set_new(f, "name", json_string("Llama-tiny"));
    assert_ok(rt_card_write(path, f, &err));
    rt_str s = {0};
    assert_ok(rt_file_read(&s, path, 1 << 20, &err));
    assert_says(s.p, "\n**Built with Llama**\n");
    rt_str_release(&s);
    json_decref(f);
    rt_licence_table_close(t);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_card_carries_what_was_recorded),
        cmocka_unit_test(a_text_without_origin_makes_provenance_incomplete),
        cmocka_unit_test(a_declared_teacher_is_called_declared),
        cmocka_unit_test(a_student_from_scratch_claims_no_base),
        cmocka_unit_test(hostile_names_stay_names),
        cmocka_unit_test(markup_in_names_is_shown_and_not_obeyed),
        cmocka_unit_test(the_command_cannot_close_its_fence),
        cmocka_unit_test(a_card_without_a_permit_is_not_written),
        cmocka_unit_test(a_card_that_breaks_a_duty_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
