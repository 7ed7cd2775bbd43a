/* A benchmark is known to be of the training's kind by what the user says, by its file, by a name, by found items; and
 * not by less. */
#include "audit/domain.h"

#include "rt_test.h"
#include "scratch.h"

static rt_domain by_files(const char *task, const char *items, const char *file)
{
    return rt_domain_of(task, items, NULL, &(rt_trained_on){.files = &file, .n_files = 1});
}

static void a_training_file_of_its_name_is_enough(void **state)
{
    (void)state;
    static const char *const yes[] = {"arc_easy.jsonl", "data/arc_easy-train.jsonl", "/d/ARC_Easy/train.jsonl",
                                      "my_arc_easy_2.txt", "./arc_easy/x.txt"};
    static const char *const no[] = {
        "arc_challenge.jsonl", "arc_easy/deeper/train.jsonl", "arc_easyish.txt", "xarc_easy.txt", "train.jsonl", "/"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        assert_int_equal(by_files("arc_easy", "test.jsonl", yes[i]), RT_DOMAIN_NAME);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        assert_int_equal(by_files("arc_easy", "test.jsonl", no[i]), RT_DOMAIN_OTHER);
    }
}

/* Halves of one file: no id, no text is the same, and yet it is the same benchmark. */
static void the_file_of_its_items_is_known_by_any_name(void **state)
{
    (void)state;
    rt_err err = {0};
    char *path = rt_path_join(scratch, "rows.jsonl"), *other = rt_path_join(scratch, "../"), *again;
    assert_ok(rt_file_write(path, "{}\n", 3, &err));
    const char *dir = rt_path_base(scratch);
    char name[300];
    snprintf(name, sizeof name, "%s/rows.jsonl", dir);
    again = rt_path_join(other, name);
    assert_int_equal(by_files("quiz", path, again), RT_DOMAIN_FILE);
    assert_int_equal(by_files("quiz", path, other), RT_DOMAIN_OTHER);
    assert_int_equal(by_files("quiz", NULL, path), RT_DOMAIN_OTHER);
    rt_free(path);
    rt_free(other);
    rt_free(again);
}

static void one_found_item_among_many_does_not_make_a_benchmark(void **state)
{
    (void)state;
    const rt_trained_on none = {0};
    const rt_contamination few = {.items = 200, .checked = 100, .found = 4},
                           some = {.items = 200, .checked = 100, .found = 5}, short_items = {.items = 200};
    assert_int_equal(rt_domain_of("quiz", NULL, &few, &none), RT_DOMAIN_OTHER);
    assert_int_equal(rt_domain_of("quiz", NULL, &some, &none), RT_DOMAIN_ITEMS);
    assert_int_equal(rt_domain_of("quiz", NULL, &short_items, &none), RT_DOMAIN_OTHER);
}

/* Who says which benchmarks they are need not rename files; items that are there nevertheless are not hidden. */
static void a_declaration_takes_the_place_of_names(void **state)
{
    (void)state;
    const char *const declared[] = {"quiz"}, *const files[] = {"sums.jsonl"};
    const rt_contamination found = {.items = 10, .checked = 10, .found = 9};
    const rt_trained_on said = {declared, 1, true, files, 1}, nothing = {NULL, 0, true, files, 1};
    assert_int_equal(rt_domain_of("quiz", NULL, NULL, &said), RT_DOMAIN_DECLARED);
    assert_int_equal(rt_domain_of("sums", NULL, NULL, &said), RT_DOMAIN_OTHER);
    assert_int_equal(rt_domain_of("sums", NULL, NULL, &nothing), RT_DOMAIN_OTHER);
    assert_int_equal(rt_domain_of("sums", NULL, &found, &nothing), RT_DOMAIN_ITEMS);
    assert_string_equal(rt_domain_name(RT_DOMAIN_ITEMS), "items found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_training_file_of_its_name_is_enough),
        cmocka_unit_test(the_file_of_its_items_is_known_by_any_name),
        cmocka_unit_test(one_found_item_among_many_does_not_make_a_benchmark),
        cmocka_unit_test(a_declaration_takes_the_place_of_names),
    };
    return cmocka_run_group_tests_name("domain", tests, make_scratch, drop_scratch);
}
