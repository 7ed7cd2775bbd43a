/* test_recipe.c - recipes: defaults, overrides, refusals with place and remedy, and printing that reads back. */
#include "rt_test.h"

#include "format/json.h"
#include "recipe_schema.h"

#define LEAST "teacher: {model: t.gguf}\n"

static json_t *parse(const char *text, const char *const *sets, size_t n_sets)
{
    json_t *j = NULL;
    rt_err err = {0};
    assert_ok(rt_recipe_parse(&j, text, strlen(text), "r.yaml", recipe_schema, sets, n_sets, &err));
    return j;
}

static void assert_is(json_t *j, const char *want)
{
    rt_str s = {0};
    rt_json_append(&s, j);
    assert_string_equal(rt_str_cstr(&s), want);
    rt_str_release(&s);
    json_decref(j);
}

static void assert_refused(const char *text, const char *set, const char *why)
{
    json_t *j = NULL;
    rt_err err = {0};
    rt_status st = rt_recipe_parse(&j, text, strlen(text), "r.yaml", recipe_schema, &set, set ? 1 : 0, &err);
    if (st != RT_RECIPE) {
        fail_msg("status %d for '%s' %s", st, text, set ? set : "");
    }
    assert_null(j);
    assert_says(err.msg, why);
}

static void absent_keys_get_defaults_in_schema_order(void **state)
{
    (void)state;
    /* `audit` has nothing to default, `teacher.url` neither: both stay absent */
    assert_is(parse(LEAST, NULL, 0),
              "{\"teacher\":{\"model\":\"t.gguf\"},\"text\":[\"books.jsonl\"],\"train\":{\"loss\":\"forward_kl\","
              "\"batch_tokens\":2000,\"lr\":0.0006,\"resume\":true},\"export\":[{\"type\":\"q8_0\"}]}");
}

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    assert_is(
        parse("export:\n  - type: f32\n  - {type: q4_0, name: 'x: y'}\n"
              "text: one.jsonl\nbudget: 8m\nname: 15\n"
              "train: {batch_tokens: 1.5k, lr: 1, resume: false, loss: ce}\n"
              "audit: {tasks: [a, \"b c\"]}\n" LEAST,
              NULL, 0),
        "{\"name\":\"15\",\"budget\":480.0,\"teacher\":{\"model\":\"t.gguf\"},\"text\":[\"one.jsonl\"],"
        "\"train\":{\"loss\":\"ce\",\"batch_tokens\":1500,\"lr\":1.0,\"resume\":false},"
        "\"export\":[{\"type\":\"f32\"},{\"type\":\"q4_0\",\"name\":\"x: y\"}],\"audit\":{\"tasks\":[\"a\",\"b c\"]}}");
}

static void a_word_stands_for_a_list_of_one_map(void **state)
{
    (void)state;
    json_t *j = parse("export: f32\n" LEAST, NULL, 0);
    assert_is(json_incref(json_object_get(j, "export")), "[{\"type\":\"f32\"}]");
    json_decref(j);
    const char *set = "export=q4_0";
    j = parse("export: [{type: f32}, {type: q8_0}]\n" LEAST, &set, 1);
    assert_is(json_incref(json_object_get(j, "export")), "[{\"type\":\"q4_0\"}]");
    json_decref(j);
    assert_refused(LEAST "export: f31\n", NULL, "r.yaml:2:9: 'type' is 'f31', expected one of");
    assert_refused(LEAST "export: {type: f32}\n", NULL, "'export' is a map, expected a list of maps");
    assert_refused(LEAST "export:\n", NULL, "'export' has no value");
}

static void mistakes_are_named_with_line_column_and_remedy(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {LEAST "budgte: 8m\n", "r.yaml:2:1: unknown key 'budgte' in the recipe, did you mean 'budget'?"},
        {LEAST "train:\n  los: ce\n", "r.yaml:3:3: unknown key 'los' in train, did you mean 'loss'?"},
        {LEAST "zzzzzzzzzz: 1\n", "valid keys: name, budget, teacher, text, train, export, audit"},
        {LEAST "train: {loss: forward_lk}\n", "r.yaml:2:15: 'loss' is 'forward_lk', expected one of "
                                              "forward_kl|reverse_kl|ce; did you mean 'forward_kl'?"},
        {LEAST "train: {batch_tokens: many}\n", "'batch_tokens' is 'many', expected a whole number"},
        {LEAST "train: {batch_tokens: 1.5}\n", "expected a whole number"},
        {LEAST "train: {batch_tokens: \"15\"}\n", "the quoted text '15'"},
        {LEAST "train: {batch_tokens: 0}\n", "'batch_tokens' is 0, must be at least 1"},
        {LEAST "train: {lr: 2}\n", "'lr' is 2, must be from 0 to 1"},
        {LEAST "train: {lr: nan}\n", "expected a number"},
        {LEAST "train: {resume: yes}\n", "expected true or false"},
        {LEAST "budget: 8x\n", "expected a duration"},
        {LEAST "budget: 2d\n", "expected a duration"},
        {LEAST "budget: 0s\n", "must be from 1 to 86400"},
        {LEAST "budget:\n", "'budget' has no value"},
        {LEAST "train: fast\n", "'train' is 'fast', expected a map"},
        {LEAST "name: [a]\n", "'name' is a list, expected text"},
        {LEAST "text: {a: b}\n", "'text' is a map, expected a list of texts"},
        {LEAST "text: [[a]]\n", "'text' must be a list of texts"},
        {LEAST "export: {type: f32}\n", "expected a list of maps"},
        {LEAST "export: [f32]\n", "'export' must be a list of maps"},
        {LEAST "export: [{name: x}]\n", "r.yaml:2:10: 'type' is missing in export"},
        {"name: x\n", "r.yaml:1:1: 'teacher' is missing in the recipe (what is distilled)"},
        {"teacher: {url: x}\n", "'model' is missing in teacher (GGUF file or folder)"},
        {"", "a recipe is a map"},
        {"- a\n", "a recipe is a map"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(cases[i].text, NULL, cases[i].why);
    }
}

static void what_yaml_can_but_recipes_cannot_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {LEAST "name: a\nname: b\n", "r.yaml:3:1: key 'name' was already given at line 2"},
        {"teacher: &t {model: x}\n", "anchor '&t'"},
        {LEAST "name: *t\n", "alias '*t'"},
        {LEAST "name: !!str 5\n", "tag '"},
        {LEAST "name: !x 5\n", "tag '!x'"},
        {LEAST "---\n" LEAST, "a second document"},
        {LEAST "{a: b}: c\n", "a key must be a single word"},
        {LEAST "name: \"a\\0b\"\n", "NUL"},
        {LEAST "name: \"open\n",
         "r.yaml:3:1: bad YAML: found unexpected end of stream while scanning a quoted scalar begun at line 2"},
        {LEAST "name: \xff\n", "bad YAML"},
        {LEAST "\tname: x\n", "bad YAML"},
        {LEAST "\"\\e[2J\": x\n", "unknown key '?[2J'"},
        {LEAST "name: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "nested deeper"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(cases[i].text, NULL, cases[i].why);
    }
}

static void settings_override_and_are_named_in_errors(void **state)
{
    static const char *const sets[] = {"train.lr=1e-3",         "export.0.type=f32", "text=[a, b]",
                                       "audit.tasks=hellaswag", "name=x=y",          "train.lr=2e-3"};
    (void)state;
    assert_is(parse(LEAST "export: [{type: q8_0, name: kept}]\ntrain: {loss: ce}\n", sets, 6),
              "{\"name\":\"x=y\",\"teacher\":{\"model\":\"t.gguf\"},\"text\":[\"a\",\"b\"],"
              "\"train\":{\"loss\":\"ce\",\"batch_tokens\":2000,\"lr\":0.002,\"resume\":true},"
              "\"export\":[{\"type\":\"f32\",\"name\":\"kept\"}],\"audit\":{\"tasks\":[\"hellaswag\"]}}");
    assert_refused(LEAST, "train.lrr=1", "--set 'train.lrr=1': unknown key 'lrr' in train, did you mean 'lr'?");
    assert_refused(LEAST, "tarin.lr=1", "--set 'tarin.lr=1': unknown key 'tarin' in the recipe, did you mean 'train'?");
    assert_refused(LEAST, "train.lr=fast", "--set 'train.lr=fast': 'lr' is 'fast', expected a number");
    assert_refused(LEAST, "train.lr", "--set 'train.lr': expected key=value");
    assert_refused(LEAST, "train.lr=", "no value");
    assert_refused(LEAST, "=1", "expected key=value");
    assert_refused(LEAST, "teacher.model.x=1", "'x' would lie in a single value");
    assert_refused(LEAST "export: [{type: f32}]\n", "export.1.type=f32", "'1' is no element of the list");
    assert_refused(LEAST, "name=&a b", "anchor");
    assert_refused(LEAST, "name=[", "--set 'name=[': bad YAML");
}

static void printing_reads_back_the_same(void **state)
{
    static const char *const texts[] = {
        LEAST,
        LEAST
        "budget: 90.5s\ntrain: {lr: 0.1, batch_tokens: 64M}\nexport: [{type: f32, name: a}, {type: q4_0}]\ntext: []\n",
        "teacher: {model: \"\", url: 'http://x/y?z#w'}\nname: \"true\"\ntext: ['- a', \"x\\ny\", '#', ' ', '15', '~', "
        "a b, '{']\n",
        "teacher: {model: \"\\x07\\e\\x85\\u2028\\ufeff\\U0001F600 '\\\"\\\\\"}\nexport: []\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        rt_str yaml = {0}, again = {0};
        json_t *first = parse(texts[i], NULL, 0);
        rt_recipe_print(&yaml, first);
        json_t *second = parse(rt_str_cstr(&yaml), NULL, 0);
        assert_true(json_equal(first, second));
        rt_recipe_print(&again, second);
        assert_string_equal(rt_str_cstr(&yaml), rt_str_cstr(&again));
        rt_str_release(&yaml);
        rt_str_release(&again);
        json_decref(first);
        json_decref(second);
    }
}

static void canonical_text_is_what_a_person_would_write(void **state)
{
    rt_str yaml = {0};
    (void)state;
    json_t *j = parse("export: [{type: f32, name: big one}]\nbudget: 8m\n" LEAST, NULL, 0);
    rt_recipe_print(&yaml, j);
    assert_string_equal(rt_str_cstr(&yaml), "budget: 480.0\n"
                                            "teacher:\n"
                                            "  model: t.gguf\n"
                                            "text: [books.jsonl]\n"
                                            "train:\n"
                                            "  loss: forward_kl\n"
                                            "  batch_tokens: 2000\n"
                                            "  lr: 0.0006\n"
                                            "  resume: true\n"
                                            "export:\n"
                                            "  - type: f32\n"
                                            "    name: \"big one\"\n");
    rt_str_release(&yaml);
    json_decref(j);
}

static void files_load_and_errors_name_them(void **state)
{
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "my.yaml");
    json_t *j = NULL;
    rt_err err = {0};
    (void)state;
    assert_int_equal(rt_recipe_load(&j, path, recipe_schema, NULL, 0, &err), RT_NOT_FOUND);
    assert_ok(rt_file_write(path, LEAST "x: 1\n", strlen(LEAST "x: 1\n"), &err));
    assert_int_equal(rt_recipe_load(&j, path, recipe_schema, NULL, 0, &err), RT_RECIPE);
    assert_says(err.msg, "my.yaml:2:1: ");
    assert_int_equal(err.pos, 2);
    assert_ok(rt_file_write(path, LEAST, strlen(LEAST), &err));
    assert_ok(rt_recipe_load(&j, path, recipe_schema, NULL, 0, &err));
    json_decref(j);
    rt_test_scratch_drop(dir);
    rt_free(path);
}

static void size_and_number_of_values_are_bounded(void **state)
{
    rt_str s = {0};
    (void)state;
    rt_str_puts(&s, LEAST "text: [a");
    for (int i = 0; i < 17000; i++) {
        rt_str_puts(&s, ",a");
    }
    rt_str_puts(&s, "]\n");
    assert_refused(rt_str_cstr(&s), NULL, "more than 16384 values");
    while (s.n <= 300000) {
        rt_str_puts(&s, "# filler\n");
    }
    assert_refused(rt_str_cstr(&s), NULL, "a recipe has at most");
    rt_str_release(&s);
}

static void failing_allocations_leak_nothing(void **state)
{
    static const char text[] = LEAST "text: [a, b]\nexport: [{type: f32}]\nbudget: 8m\n";
    static const char *const sets[] = {"train.lr=1e-3", "audit.tasks=[x]"};
    rt_status st = RT_MEMORY;
    (void)state;
    size_t live = rt_mem_get_stats().live_bytes;
    for (uint64_t n = 1; st != RT_OK; n++) {
        json_t *j = NULL;
        rt_err err = {0};
        assert_true(n < 5000);
        rt_mem_fail_after(n);
        st = rt_recipe_parse(&j, text, sizeof text - 1, "r.yaml", recipe_schema, sets, 2, &err);
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
        cmocka_unit_test(absent_keys_get_defaults_in_schema_order),
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(a_word_stands_for_a_list_of_one_map),
        cmocka_unit_test(mistakes_are_named_with_line_column_and_remedy),
        cmocka_unit_test(what_yaml_can_but_recipes_cannot_is_refused),
        cmocka_unit_test(settings_override_and_are_named_in_errors),
        cmocka_unit_test(printing_reads_back_the_same),
        cmocka_unit_test(canonical_text_is_what_a_person_would_write),
        cmocka_unit_test(files_load_and_errors_name_them),
        cmocka_unit_test(size_and_number_of_values_are_bounded),
        cmocka_unit_test(failing_allocations_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
