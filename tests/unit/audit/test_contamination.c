/* Items whose words stand in the training text are found, whatever case and punctuation, and no others. */
#include "audit/contamination.h"

#include "rt_test.h"
#include "scratch.h"

static json_t *doc(const char *context, const char *continuation)
{
    return json_pack("{s:[[s, s]]}", "arguments", context, continuation);
}

#define FOX "the quick brown fox jumps over the lazy dog while seven grey ships sail home"
#define RAIN "a mild rain fell upon the old town and nobody who lived there took any notice"

static void find(rt_contamination *out, const char *name, const char *text)
{
    rt_err err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    assert_ok(rt_file_write(path, text, strlen(text), &err));
    json_t *docs =
        json_pack("[o, o, o, o]", doc("Question: " FOX, " at noon"), doc("Question: " RAIN, " today"),
                  doc("Question: tiny", " yes"), doc("Question: eight words are still enough to look", " for"));
    const json_t *tasks[] = {docs};
    const char *paths[] = {path};
    assert_ok(rt_contamination_find(out, tasks, 1, paths, 1, &err));
    json_decref(docs);
}

static void items_of_the_training_text_are_found(void **state)
{
    (void)state;
    rt_contamination o;
    find(&o, "a.jsonl",
         "{\"id\": 1, \"messages\": [{\"content\": \"He wrote: The QUICK brown fox, jumps over the lazy dog -- while "
         "seven grey ships!\"}]}\n{\"text\": \"Eight words are still enough to look for.\"}\n");
    assert_int_equal(o.items, 4);
    assert_int_equal(o.checked, 3);
    assert_int_equal(o.found, 2);
    assert_true(o.hit[0] && !o.hit[1] && !o.hit[2] && o.hit[3]);
    rt_contamination_release(&o);
}

static void twelve_words_are_not_thirteen(void **state)
{
    (void)state;
    rt_contamination o;
    find(&o, "a.txt", "quick brown fox jumps over the lazy dog while seven grey ships. rain fell upon the old town");
    assert_int_equal(o.found, 0);
    rt_contamination_release(&o);
}

/* The same instructions in front of every item say nothing about the items. */
static void what_all_items_begin_with_does_not_count(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_contamination o;
    char path[512];
    snprintf(path, sizeof path, "%s/a.txt", scratch);
    assert_ok(rt_file_write(path, FOX, strlen(FOX), &err));
    json_t *docs = json_pack("[o, o]", doc(FOX "\n" RAIN, " a"),
                             doc(FOX "\nsomething else altogether is asked here of whoever reads it", " b"));
    const json_t *tasks[] = {docs};
    const char *paths[] = {path};
    assert_ok(rt_contamination_find(&o, tasks, 1, paths, 1, &err));
    assert_int_equal(o.checked, 2);
    assert_int_equal(o.found, 0);
    rt_contamination_release(&o);
    json_decref(docs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_of_the_training_text_are_found),
        cmocka_unit_test(twelve_words_are_not_thirteen),
        cmocka_unit_test(what_all_items_begin_with_does_not_count),
    };
    return cmocka_run_group_tests_name("contamination", tests, make_scratch, drop_scratch);
}
