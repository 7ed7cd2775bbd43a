/* test_report.c - the page is whole, harmless and the same each time, whatever the facts hold or lack. */
#include "markup.h"

#include "format/json.h"
#include "report/report.h"

static const char *const ids[] = {"summary", "comparison", "gap",        "reliability", "curves",
                                  "samples", "cost",       "provenance", "recipe",      "glossary"};
enum { N_IDS = sizeof ids / sizeof *ids, ONE_MB = 1000000 };

static json_t *golden_facts(void)
{
    json_t *facts = NULL;
    rt_err err = {0};
    assert_ok(rt_json_load(&facts, RT_TEST_GOLDEN "/report/facts.json", &err));
    return facts;
}

/* The page, checked for what every page must be. */
static rt_str page_of(const json_t *facts)
{
    rt_str page = {0};
    rt_err err = {0};
    char id[32];
    assert_ok(rt_report_html(&page, facts, &err));
    assert_true(rt_utf8_valid(page.p, page.n));
    assert_int_equal(strlen(page.p), page.n);
    assert_true(page.n < ONE_MB);
    check_markup(page.p);
    for (size_t i = 0; i < N_IDS; i++) {
        snprintf(id, sizeof id, "<section id=\"%s\">", ids[i]);
        assert_int_equal(count_of(page.p, id), 1);
    }
    assert_int_equal(count_of(page.p, "<section "), N_IDS);
    assert_null(strstr(page.p, ">nan"));
    assert_null(strstr(page.p, "inf "));
    return page;
}

static void check_page(const json_t *facts)
{
    rt_str page = page_of(facts);
    rt_str_release(&page);
}

static void the_page_shows_what_was_measured(void **state)
{
    (void)state;
    static const char *const shown[] = {
        "default-src 'none'",
        "<dt>Made from</dt>",
        "<dt>Allowed by</dt>",
        "<dt>Kept</dt>",
        "<dt>Lost</dt>",
        "<dt>Not measured</dt>",
        "data-c=\"student\">0.83\u00a0±\u00a00.02<",
        "data-c=\"twin, text only\">1.11\u00a0±\u00a00.03<",
        "chance 25 %",
        "134,515,008",
        "Ship the licence text",
        "Project Gutenberg",
        "[U+202E] of[U+202C]",
        "&lt;b&gt;It was&lt;/b&gt;",
        "retort run examples/quickstart.yaml",
        "loss: forward_kl",
        "<u> that he had a great desire to see</u>",
    };
    json_t *facts = golden_facts();
    rt_str page = page_of(facts);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        assert_says(page.p, shown[i]);
    }
    assert_null(strstr(page.p, "rovenance incomplete"));
    assert_null(strstr(page.p, ">unknown<"));
    rt_str_release(&page);
    json_decref(facts);
}

static void every_picture_has_a_title_and_its_numbers(void **state)
{
    (void)state;
    json_t *facts = golden_facts();
    rt_str page = page_of(facts);
    size_t pictures = count_of(page.p, "<svg "), figures = count_of(page.p, "<figure>");
    assert_int_equal(figures, 5 + 4 + 1);    /* measures and task, curves, cost */
    assert_int_equal(pictures, figures + 4); /* curves are drawn for desk and phone */
    assert_int_equal(count_of(page.p, "role=\"img\""), pictures);
    assert_int_equal(count_of(page.p, "<desc>"), pictures);
    assert_int_equal(count_of(page.p, "<details>"), figures);
    rt_str_release(&page);
    json_decref(facts);
}

static void the_same_facts_give_the_same_bytes(void **state)
{
    (void)state;
    json_t *a = golden_facts(), *b = golden_facts();
    rt_str first = page_of(a), second = {0};
    rt_err err = {0};
    rt_str_puts(&second, "before ");
    assert_ok(rt_report_html(&second, b, &err));
    assert_int_equal(second.n, first.n + 7);
    assert_memory_equal(second.p + 7, first.p, first.n);
    rt_str_release(&first);
    rt_str_release(&second);
    json_decref(a);
    json_decref(b);
}

static void nothing_known_is_said_to_be_unknown(void **state)
{
    (void)state;
    json_t *facts = json_object();
    rt_str page = page_of(facts);
    static const char *const said[] = {
        "Unnamed student",         "rovenance incomplete",      "By nothing that is recorded",
        "No list was kept",        "No model was judged",       "How it was trained is not recorded",
        "No samples were written", "What the run took is not",  "Which texts were used is not recorded",
        "No ledger is recorded",   "The recipe is not recorded"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        assert_says(page.p, said[i]);
    }
    rt_str_release(&page);
    json_decref(facts);
}

static void any_part_may_be_missing_or_of_another_kind(void **state)
{
    (void)state;
    json_t *whole = golden_facts();
    const char *key;
    json_t *value;
    json_object_foreach(whole, key, value)
    {
        static const char *const others[] = {"null", "7", "\"text\"", "[]", "{}", "[7, null, \"x\", {}, []]"};
        json_t *facts = json_copy(whole);
        json_object_del(facts, key);
        check_page(facts);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            json_object_set_new(facts, key, json_loads(others[i], JSON_DECODE_ANY, NULL));
            check_page(facts);
        }
        json_decref(facts);
    }
    json_decref(whole);
}

/* Calls change(value) for every value below `j` and puts what it returns in its place; NULL keeps it. */
static void change_all(json_t *j, json_t *(*change)(const char *key, const json_t *value))
{
    const char *key;
    void *next;
    json_t *value, *other;
    size_t i;
    json_object_foreach_safe(j, next, key, value)
    {
        other = change(key, value);
        if (other) {
            json_object_set_new(j, key, other);
        } else {
            change_all(value, change);
        }
    }
    json_array_foreach(j, i, value)
    {
        other = change("", value);
        if (other) {
            json_array_set_new(j, i, other);
        } else {
            change_all(value, change);
        }
    }
}

static json_t *null_for_numbers(const char *key, const json_t *v)
{
    (void)key;
    return json_is_number(v) ? json_null() : NULL;
}

static json_t *huge_for_numbers(const char *key, const json_t *v)
{
    (void)key;
    return json_is_real(v) ? json_real(1e308) : json_is_integer(v) ? json_integer(INT64_MAX) : NULL;
}

static json_t *negative_for_numbers(const char *key, const json_t *v)
{
    (void)key;
    return json_is_real(v) ? json_real(-1e308) : json_is_integer(v) ? json_integer(INT64_MIN) : NULL;
}

static void numbers_may_be_null_or_absurd(void **state)
{
    (void)state;
    json_t *(*const changes[])(const char *, const json_t *) = {null_for_numbers, huge_for_numbers,
                                                                negative_for_numbers};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        json_t *facts = golden_facts();
        change_all(facts, changes[i]);
        check_page(facts);
        json_decref(facts);
    }
}

static const char ATTACK[] = "\"'></td></title></style><script>alert(1)</script><svg onload=alert(1)>&#0;%s%n\u202E";

/* What the page looks things up by stays, so that the attack reaches every place. */
static bool is_looked_up(const char *key)
{
    static const char *const keys[] = {"id", "use", "targets", "verdict"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *attack_for_texts(const char *key, const json_t *v)
{
    return json_is_string(v) && !is_looked_up(key) ? json_string(ATTACK) : NULL;
}

static json_t *attack_with_nul(const char *key, const json_t *v)
{
    return json_is_string(v) && !is_looked_up(key) ? json_stringn(ATTACK, sizeof ATTACK) : NULL;
}

static void no_text_acts_in_the_page(void **state)
{
    (void)state;
    json_t *(*const attacks[])(const char *, const json_t *) = {attack_for_texts, attack_with_nul};
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        json_t *facts = golden_facts();
        change_all(facts, attacks[i]);
        rt_str page = page_of(facts); /* check_markup fails on any element or attribute that acts */
        assert_null(strstr(page.p, "<script"));
        assert_null(strstr(page.p, "<svg onload"));
        assert_null(strstr(page.p, "\u202E"));
        assert_true(count_of(page.p, "&lt;script&gt;") > 20);
        rt_str_release(&page);
        json_decref(facts);
    }
}

static json_t *repeated(json_t *one, size_t n)
{
    json_t *many = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append(many, one);
    }
    return many;
}

static json_t *long_for_texts(const char *key, const json_t *v)
{
    static char text[30001];
    memset(text, '"', sizeof text - 1);
    return json_is_string(v) && !is_looked_up(key) ? json_string(text) : NULL;
}

static void a_page_of_any_facts_stays_below_a_megabyte(void **state)
{
    (void)state;
    static const char *const lists[] = {"data", "samples", "files", "not_measured"};
    json_t *facts = golden_facts();
    json_t *train = json_object_get(facts, "train"), *twin = json_object_get(facts, "twin");
    change_all(facts, long_for_texts);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_object_set_new(facts, lists[i], repeated(json_array_get(json_object_get(facts, lists[i]), 0), 2000));
    }
    static const char *const curves[] = {"curve", "validations"};
    for (size_t i = 0; i < 2; i++) {
        json_object_set_new(train, curves[i], repeated(json_array_get(json_object_get(train, curves[i]), 0), 20000));
        json_object_set_new(twin, curves[i], repeated(json_array_get(json_object_get(twin, curves[i]), 0), 20000));
    }
    json_t *student = json_object_get(facts, "student");
    json_object_set_new(student, "keep", repeated(json_array_get(json_object_get(student, "keep"), 9), 5000));
    json_object_set_new(json_object_get(facts, "cost"), "stages",
                        repeated(json_array_get(json_object_get(json_object_get(facts, "cost"), "stages"), 0), 500));
    check_page(facts);
    json_decref(facts);
}

static void lack_of_memory_leaves_what_was_there(void **state)
{
    (void)state;
    json_t *facts = golden_facts();
    rt_err err = {0};
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        rt_str page = {0};
        rt_str_puts(&page, "kept");
        rt_mem_fail_after(n);
        rt_status st = rt_report_html(&page, facts, &err);
        rt_mem_fail_after(0);
        done = st == RT_OK;
        if (!done) {
            assert_int_equal(st, RT_MEMORY);
            assert_string_equal(rt_str_cstr(&page), "kept");
        }
        assert_true(n < 1000);
        rt_str_release(&page);
    }
    json_decref(facts);
}

static void facts_that_are_no_object_are_refused(void **state)
{
    (void)state;
    json_t *list = json_array();
    rt_str page = {0};
    rt_err err = {0};
    assert_int_equal(rt_report_html(&page, list, &err), RT_INPUT);
    assert_int_equal(rt_report_html(&page, NULL, &err), RT_INPUT);
    assert_says(err.msg, "no JSON object");
    assert_int_equal(page.n, 0);
    json_decref(list);
}

static void the_file_is_the_page_or_the_old_file(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "report.html"),
         *nowhere = rt_path_join(dir, "none/report.html");
    json_t *facts = golden_facts(), *list = json_array();
    rt_str page = page_of(facts), file = {0};
    assert_ok(rt_report_write(path, facts, &err));
    assert_int_equal(rt_report_write(path, list, &err), RT_INPUT);
    assert_ok(rt_file_read(&file, path, ONE_MB, &err));
    assert_int_equal(file.n, page.n);
    assert_memory_equal(file.p, page.p, page.n);
    assert_int_equal(rt_report_write(nowhere, facts, &err), RT_IO);
    assert_says(err.msg, "none/report.html");
    rt_str_release(&page);
    rt_str_release(&file);
    rt_free(path);
    rt_free(nowhere);
    json_decref(facts);
    json_decref(list);
    rt_test_scratch_drop(dir);
}

static void markdown_holds_verdicts_and_no_markup_of_texts(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str out = {0};
    json_t *facts =
        json_pack("{s:s, s:{s:{s:s}, s:[{s:s, s:s}], s:[{s:s, s:s, s:s, s:[{s:s, s:s, s:f, s:s}]}]}}", "name",
                  "a|b <b>", "gap", "claims", "statement", "competitive on quiz", "trained_for", "task", "quiz", "how",
                  "declared", "families", "table", "Kept", "model", "student", "reference", "teacher", "rows", "name",
                  "quiz|x", "unit", "share", "estimate", -0.02, "verdict", "kept");
    assert_ok(rt_report_markdown(&out, facts, &err));
    assert_non_null(strstr(rt_str_cstr(&out), "competitive on quiz"));
    assert_non_null(strstr(rt_str_cstr(&out), "| kept |"));
    assert_non_null(strstr(rt_str_cstr(&out), "of the kind it was trained on: quiz (declared)."));
    assert_null(strstr(rt_str_cstr(&out), "<b>"));
    assert_null(strstr(rt_str_cstr(&out), " quiz|x"));
    assert_null(strstr(rt_str_cstr(&out), "nan")); /* no half-width is given */
    rt_str_release(&out);
    json_decref(facts);
}

static void calibration_of_tasks_stands_with_its_temperature(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str out = {0}, page = {0};
    json_t *facts = json_pack("{s:[{s:s, s:[{s:s, s:f, s:{s:f, s:{s:f, s:f, s:f}}}]}]}", "models", "id", "student",
                              "tasks", "task", "quiz", "acc", 0.5, "calibration", "ece", 0.1234, "temperature", "value",
                              2.5, "ece_before", 0.15, "ece", 0.05);
    assert_ok(rt_report_markdown(&out, facts, &err));
    assert_says(rt_str_cstr(&out), "| quiz | student | 0.123 | 2.50 | 0.150 | 0.050 |");
    assert_ok(rt_report_html(&page, facts, &err));
    assert_says(rt_str_cstr(&page), "Best temperature");
    json_t *calibration = json_object_get(
        json_array_get(json_object_get(json_array_get(json_object_get(facts, "models"), 0), "tasks"), 0),
        "calibration");
    json_object_set_new(json_object_get(calibration, "temperature"), "value", json_null());
    rt_str_clear(&out);
    rt_str_clear(&page);
    assert_ok(rt_report_markdown(&out, facts, &err));
    assert_says(rt_str_cstr(&out), "| quiz | student | 0.123 | none calibrates | 0.150 | |");
    assert_ok(rt_report_html(&page, facts, &err));
    assert_says(rt_str_cstr(&page), "none calibrates</td>");
    json_object_set_new(calibration, "temperature", json_null());
    rt_str_clear(&out);
    assert_ok(rt_report_markdown(&out, facts, &err));
    assert_says(rt_str_cstr(&out), "too few items");
    rt_str_release(&out);
    rt_str_release(&page);
    json_decref(facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_shows_what_was_measured),
        cmocka_unit_test(every_picture_has_a_title_and_its_numbers),
        cmocka_unit_test(the_same_facts_give_the_same_bytes),
        cmocka_unit_test(nothing_known_is_said_to_be_unknown),
        cmocka_unit_test(any_part_may_be_missing_or_of_another_kind),
        cmocka_unit_test(numbers_may_be_null_or_absurd),
        cmocka_unit_test(no_text_acts_in_the_page),
        cmocka_unit_test(a_page_of_any_facts_stays_below_a_megabyte),
        cmocka_unit_test(lack_of_memory_leaves_what_was_there),
        cmocka_unit_test(facts_that_are_no_object_are_refused),
        cmocka_unit_test(the_file_is_the_page_or_the_old_file),
        cmocka_unit_test(markdown_holds_verdicts_and_no_markup_of_texts),
        cmocka_unit_test(calibration_of_tasks_stands_with_its_temperature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
