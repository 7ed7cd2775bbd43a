/* test_manifest.c - a stage is done again when and only when something it depends on has changed. */
#include "record_fixture.h"

#define IN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define IN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

typedef struct world {
    char *dir, *path;
    rt_manifest m;
} world;

static void load(world *w)
{
    rt_err err = {0};
    rt_manifest_release(&w->m);
    assert_ok(rt_manifest_load_or_new(&w->m, w->path, "toy", &err));
}

static int enter(void **state)
{
    world *w = calloc(1, sizeof *w);
    w->dir = rt_test_scratch();
    w->path = rt_path_join(w->dir, "run.json");
    load(w);
    *state = w;
    return 0;
}

static int leave(void **state)
{
    world *w = *state;
    rt_manifest_release(&w->m);
    rt_free(w->path);
    rt_test_scratch_drop(w->dir);
    free(w);
    return 0;
}

static void do_stage(world *w, const char *inputs)
{
    rt_err err = {0};
    assert_ok(rt_manifest_begin(&w->m, "init", inputs, &err));
    write_text(w->dir, "student.bin", "weights");
    assert_ok(rt_manifest_add_output(&w->m, "init", "student.bin", &err));
    assert_ok(rt_manifest_finish(&w->m, "init", RT_OK, &err));
}

static void a_stage_set_aside_comes_back_as_it_was(void **state)
{
    world *w = *state;
    rt_err err = {0};
    do_stage(w, IN_A);
    assert_ok(rt_manifest_begin(&w->m, "audit", IN_B, &err));
    assert_ok(rt_manifest_finish(&w->m, "audit", RT_OK, &err));
    assert_ok(rt_manifest_set_aside(&w->m, "none", &err));
    assert_ok(rt_manifest_set_aside(&w->m, "init", &err));
    assert_ok(rt_manifest_set_aside(&w->m, "init", &err));
    load(w);
    assert_null(rt_manifest_find(&w->m, "init"));
    assert_false(rt_manifest_is_current(&w->m, "init", IN_A));
    assert_int_equal(json_array_size(json_object_get(w->m.root, "stages")), 1);
    assert_ok(rt_manifest_take_back(&w->m, "init", 0, &err));
    assert_ok(rt_manifest_take_back(&w->m, "audit", 7, &err));
    load(w);
    assert_true(rt_manifest_is_current(&w->m, "init", IN_A));
    assert_ptr_equal(json_array_get(json_object_get(w->m.root, "stages"), 0), rt_manifest_find(&w->m, "init"));
    assert_int_equal(json_array_size(json_object_get(w->m.root, "stages")), 2);
}

static void a_done_stage_is_current_until_something_changes(void **state)
{
    world *w = *state;
    assert_false(rt_manifest_is_current(&w->m, "init", IN_A));
    do_stage(w, IN_A);
    assert_true(rt_manifest_is_current(&w->m, "init", IN_A));
    load(w);
    assert_true(rt_manifest_is_current(&w->m, "init", IN_A));
    assert_false(rt_manifest_is_current(&w->m, "init", IN_B));
    write_text(w->dir, "student.bin", "WEIGHTS"); /* same size, other bytes */
    assert_false(rt_manifest_is_current(&w->m, "init", IN_A));
    write_text(w->dir, "student.bin", "weights");
    assert_true(rt_manifest_is_current(&w->m, "init", IN_A));
    rt_err err = {0};
    char *out = rt_path_join(w->dir, "student.bin");
    assert_ok(rt_path_remove(out, &err));
    assert_false(rt_manifest_is_current(&w->m, "init", IN_A));
    rt_free(out);
}

static void a_killed_stage_is_interrupted_and_keeps_its_account(void **state)
{
    world *w = *state;
    rt_err err = {0};
    assert_ok(rt_manifest_begin(&w->m, "train", IN_A, &err));
    usleep(30000);
    assert_ok(rt_manifest_tick(&w->m, "train", &err));
    load(w); /* as after kill -9 */
    json_t *s = rt_manifest_stage(&w->m, "train");
    assert_string_equal(rt_json_str(s, "state", ""), "interrupted");
    double before = rt_manifest_active_seconds(&w->m);
    assert_true(before >= 0.03);
    assert_ok(rt_manifest_begin(&w->m, "train", IN_A, &err));
    usleep(20000);
    assert_true(rt_manifest_active_seconds(&w->m) >= before + 0.02);
    assert_ok(rt_manifest_finish(&w->m, "train", RT_OK, &err));
    assert_int_equal(rt_json_i64(s, "runs", 0), 2);
    assert_true(rt_json_f64(s, "active_s", 0) >= before + 0.02);
    assert_true(rt_json_i64(s, "peak_rss", 0) > 0);
    assert_int_equal(strlen(rt_json_str(s, "finished", "")), 20);
    assert_ok(rt_manifest_begin(&w->m, "train", IN_B, &err)); /* other inputs: from nothing */
    assert_int_equal(rt_json_i64(rt_manifest_stage(&w->m, "train"), "runs", 0), 1);
    assert_true(rt_json_f64(rt_manifest_stage(&w->m, "train"), "active_s", 0) == 0);
}

static void an_end_that_is_none_is_said(void **state)
{
    world *w = *state;
    rt_err err = {0};
    assert_ok(rt_manifest_begin(&w->m, "collect", IN_A, &err));
    assert_ok(rt_manifest_add_message(&w->m, "collect", "disk is full", &err));
    assert_ok(rt_manifest_finish(&w->m, "collect", RT_IO, &err));
    json_t *s = rt_manifest_stage(&w->m, "collect");
    assert_string_equal(rt_json_str(s, "state", ""), "failed");
    assert_int_equal(json_array_size(json_object_get(s, "messages")), 2);
    assert_false(rt_manifest_is_current(&w->m, "collect", IN_A));
    assert_ok(rt_manifest_begin(&w->m, "collect", IN_A, &err));
    assert_ok(rt_manifest_finish(&w->m, "collect", RT_CANCELLED, &err));
    assert_string_equal(rt_json_str(s, "state", ""), "interrupted");
    assert_int_equal(rt_manifest_finish(&w->m, "collect", RT_OK, &err), RT_INTERNAL);
}

static void other_keys_survive(void **state)
{
    world *w = *state;
    rt_err err = {0};
    json_t *v = json_pack("{s:s}", "head", "abc");
    assert_ok(rt_manifest_set(&w->m, "ledger", v, &err));
    json_decref(v);
    do_stage(w, IN_A);
    load(w);
    assert_string_equal(rt_json_str(rt_manifest_get(&w->m, "ledger"), "head", ""), "abc");
    assert_null(rt_manifest_get(&w->m, "nothing"));
    assert_string_equal(rt_json_str(w->m.root, "name", ""), "toy");
}

static void foreign_and_newer_manifests_are_refused(void **state)
{
    world *w = *state;
    static const struct {
        const char *text;
        rt_status st;
    } cases[] = {
        {"{\"schema\":2,\"stages\":[]}", RT_UNSUPPORTED},
        {"{\"stages\":[]}", RT_INPUT},
        {"{\"schema\":1,\"stages\":{}}", RT_INPUT},
        {"{\"schema\":1,\"stages\":[{}]}", RT_INPUT},
        {"[1]", RT_INPUT},
        {"{\"schema\":1,", RT_INPUT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_err err = {0};
        rt_manifest m = {0};
        write_text(w->dir, "run.json", cases[i].text);
        assert_int_equal(rt_manifest_load_or_new(&m, w->path, "toy", &err), cases[i].st);
        assert_says(err.msg, "run.json");
        assert_null(m.root);
    }
}

static void outputs_lie_inside_the_run(void **state)
{
    world *w = *state;
    static const char *const outside[] = {"/etc/passwd", "../run.json", "a/../../x", "..", "", "absent.bin"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        rt_err err = {0};
        assert_int_equal(rt_manifest_add_output(&w->m, "init", outside[i], &err), RT_NOT_FOUND);
    }
    write_text(w->dir, "run.json",
               "{\"schema\":1,\"stages\":[{\"name\":\"init\",\"state\":\"done\",\"inputs\":\"" IN_A "\","
               "\"outputs\":[{\"path\":\"/etc/hostname\",\"bytes\":1,\"sha256\":\"x\"}]}]}");
    load(w);
    assert_false(rt_manifest_is_current(&w->m, "init", IN_A));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
        T(a_stage_set_aside_comes_back_as_it_was),
        T(a_done_stage_is_current_until_something_changes),
        T(a_killed_stage_is_interrupted_and_keeps_its_account),
        T(an_end_that_is_none_is_said),
        T(other_keys_survive),
        T(foreign_and_newer_manifests_are_refused),
        T(outputs_lie_inside_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
