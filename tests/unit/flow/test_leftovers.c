/* Files and time of earlier attempts: kept when they can be gone on with, removed when the recipe has changed. */
#include "flow/leftovers.h"
#include "rt_test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

static rt_err err;

static void put(const rt_flow *f, const char *name)
{
    char *path = rt_flow_path(f, name), *dir = rt_path_dir(path);
    assert_ok(rt_mkdirs(dir, &err));
    assert_ok(rt_file_write(path, name, strlen(name), &err));
    rt_free(path);
    rt_free(dir);
}

static bool is_there(const rt_flow *f, const char *name)
{
    char *path = rt_flow_path(f, name);
    const bool there = rt_path_exists(path);
    rt_free(path);
    return there;
}

static int setup(void **state)
{
    rt_flow *f = NULL;
    assert_ok(RT_NEW(&f, 1, "flow", &err));
    f->dir = rt_test_scratch();
    char *manifest = rt_flow_path(f, "run.json");
    assert_ok(rt_manifest_load_or_new(&f->manifest, manifest, "test", &err));
    rt_free(manifest);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    rt_flow *f = *state;
    rt_manifest_release(&f->manifest);
    rt_test_scratch_drop(f->dir);
    rt_free(f);
    return 0;
}

static void begin_and_stop(rt_flow *f, const char *stage, const char *inputs)
{
    assert_ok(rt_manifest_begin(&f->manifest, stage, inputs, &err));
    assert_ok(rt_manifest_finish(&f->manifest, stage, RT_CANCELLED, &err));
}

static void test_what_the_same_inputs_left_is_gone_on_with(void **state)
{
    rt_flow *f = *state;
    put(f, "metrics.jsonl");
    put(f, "checkpoints/step-00000002.safetensors");
    assert_ok(rt_leftovers_clear(f, "train", "a", &err)); /* nothing is known of them */
    begin_and_stop(f, "train", "a");
    assert_ok(rt_leftovers_clear(f, "train", "a", &err));
    assert_true(is_there(f, "metrics.jsonl"));
    assert_true(is_there(f, "checkpoints/step-00000002.safetensors"));
}

static void test_what_other_inputs_left_is_removed_and_nothing_else(void **state)
{
    rt_flow *f = *state;
    static const char *const gone[] = {"metrics.jsonl", "checkpoints/schedule.json", "student/model.safetensors"};
    static const char *const kept[] = {"student/init.safetensors", "cache/00000.rtc", "twin/metrics.jsonl"};
    for (size_t i = 0; i < 3; i++) {
        put(f, gone[i]);
        put(f, kept[i]);
    }
    begin_and_stop(f, "train", "a");
    assert_ok(rt_leftovers_clear(f, "train", "b", &err));
    for (size_t i = 0; i < 3; i++) {
        assert_false(is_there(f, gone[i]));
        assert_true(is_there(f, kept[i]));
    }
    /* killed here, the old inputs do not pass for current any more */
    assert_string_not_equal(rt_json_str(rt_manifest_stage(&f->manifest, "train"), "inputs", ""), "a");
}

static void test_ledgers_are_set_aside_with_their_salts(void **state)
{
    rt_flow *f = *state;
    static const char *const digests[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        assert_ok(rt_leftovers_clear(f, "collect", digests[i], &err));
        assert_false(is_there(f, "ledger.jsonl"));
        assert_false(is_there(f, "ledger.salts"));
        assert_false(is_there(f, "cache/00000.rtc"));
        begin_and_stop(f, "collect", digests[i]);
        put(f, "ledger.jsonl");
        put(f, "ledger.salts");
        put(f, "cache/00000.rtc");
    }
    assert_true(is_there(f, "ledger-1.jsonl") && is_there(f, "ledger-1.salts"));
    assert_true(is_there(f, "ledger-2.jsonl") && is_there(f, "ledger-2.salts"));
}

static void test_a_kill_between_salts_and_ledger_keeps_them_together(void **state)
{
    rt_flow *f = *state;
    begin_and_stop(f, "collect", "a");
    put(f, "ledger-1.salts"); /* moved already */
    put(f, "ledger.jsonl");
    assert_ok(rt_leftovers_clear(f, "collect", "b", &err));
    assert_true(is_there(f, "ledger-1.jsonl") && is_there(f, "ledger-1.salts"));
}

static void test_only_files_of_the_export_folder_are_removed_by_name(void **state)
{
    rt_flow *f = *state;
    put(f, "export/model-q4_0.gguf");
    put(f, "export/notes.txt");
    put(f, "precious.txt");
    assert_ok(rt_manifest_begin(&f->manifest, "export", "a", &err));
    assert_ok(rt_manifest_add_output(&f->manifest, "export", "export/model-q4_0.gguf", &err));
    assert_ok(rt_manifest_finish(&f->manifest, "export", RT_OK, &err));
    json_t *outputs = json_object_get(rt_manifest_stage(&f->manifest, "export"), "outputs");
    json_array_append_new(outputs, json_pack("{s:s}", "path", "export/../precious.txt"));
    json_array_append_new(outputs, json_pack("{s:s}", "path", "precious.txt"));
    assert_ok(rt_leftovers_clear(f, "export", "b", &err));
    assert_false(is_there(f, "export/model-q4_0.gguf"));
    assert_true(is_there(f, "export/notes.txt"));
    assert_true(is_there(f, "precious.txt"));
}

/* run.json of a process that died: the stage is running, and nobody closed it. */
static void test_the_time_of_a_killed_attempt_is_found_by_its_files(void **state)
{
    rt_flow *f = *state;
    rt_leftovers_account(f, "collect");
    assert_ok(rt_manifest_begin(&f->manifest, "collect", "a", &err));
    put(f, "cache/00000.rtc");
    char *shard = rt_flow_path(f, "cache/00000.rtc"), *manifest = rt_flow_path(f, "run.json");
    const struct timespec later[2] = {{.tv_sec = time(NULL) + 100}, {.tv_sec = time(NULL) + 100}};
    assert_int_equal(utimensat(AT_FDCWD, shard, later, 0), 0);
    rt_manifest_release(&f->manifest);
    assert_ok(rt_manifest_load_or_new(&f->manifest, manifest, "test", &err));
    rt_leftovers_account(f, "collect");
    const double found = rt_json_f64(rt_manifest_stage(&f->manifest, "collect"), "active_s", 0);
    assert_true(found > 95 && found < 105);
    /* closed in order, nothing is counted twice */
    assert_ok(rt_manifest_begin(&f->manifest, "collect", "a", &err));
    rt_leftovers_closed(f, "collect");
    assert_ok(rt_manifest_finish(&f->manifest, "collect", RT_CANCELLED, &err));
    rt_leftovers_account(f, "collect");
    assert_true(rt_json_f64(rt_manifest_stage(&f->manifest, "collect"), "active_s", 0) < 105);
    rt_free(shard);
    rt_free(manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_the_same_inputs_left_is_gone_on_with, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_other_inputs_left_is_removed_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ledgers_are_set_aside_with_their_salts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_kill_between_salts_and_ledger_keeps_them_together, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_files_of_the_export_folder_are_removed_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_time_of_a_killed_attempt_is_found_by_its_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
