/* metrics.jsonl: lines, values that are no numbers, cutting. */
#include <math.h>

#include "rt_test.h"
#include "train/metrics.h"

static char *scratch, *path;

static int setup(void **state)
{
    (void)state;
    scratch = rt_test_scratch();
    path = rt_path_join(scratch, "metrics.jsonl");
    return path ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    rt_free(path);
    rt_test_scratch_drop(scratch);
    return 0;
}

static void create(rt_metrics *m)
{
    rt_err err;
    json_t *header = json_pack("{s:i}", "retort_metrics", 1);
    assert_ok(rt_metrics_create(m, path, header, &err));
    json_decref(header);
}

static void add_line(rt_metrics *m, int64_t step, double loss)
{
    rt_err err;
    rt_metrics_begin(m, NULL);
    rt_metrics_int(m, "step", step);
    rt_metrics_num(m, "loss", loss);
    rt_metrics_num(m, "active", (double)step);
    assert_ok(rt_metrics_end(m, &err));
}

static void values_read_back_exactly_and_missing_ones_are_named(void **state)
{
    (void)state;
    rt_err err;
    rt_metrics m;
    create(&m);
    add_line(&m, 1, 0.1 + 0.2);
    add_line(&m, 2, NAN);
    rt_metrics_begin(&m, "note");
    rt_metrics_str(&m, "text", "a \"quoted\"\nline");
    assert_ok(rt_metrics_end(&m, &err));
    rt_metrics_close(&m);

    rt_jsonl r;
    json_t *o;
    assert_ok(rt_jsonl_open(&r, path, &err));
    assert_ok(rt_jsonl_next(&r, &o, &err));
    assert_int_equal(rt_json_i64(o, "retort_metrics", 0), 1);
    json_decref(o);
    assert_ok(rt_jsonl_next(&r, &o, &err));
    assert_true(rt_json_f64(o, "loss", 0) == 0.1 + 0.2);
    assert_null(json_object_get(o, "nonfinite"));
    json_decref(o);
    assert_ok(rt_jsonl_next(&r, &o, &err));
    assert_true(json_is_null(json_object_get(o, "loss")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "nonfinite"), 0)), "loss");
    json_decref(o);
    assert_ok(rt_jsonl_next(&r, &o, &err));
    assert_string_equal(rt_json_str(o, "text", ""), "a \"quoted\"\nline");
    json_decref(o);
    rt_jsonl_close(&r);
}

static void lines_after_the_checkpoint_are_cut(void **state)
{
    (void)state;
    rt_err err;
    rt_metrics m;
    rt_str before = {0}, after = {0};
    create(&m);
    add_line(&m, 1, 3);
    int64_t bytes = m.bytes;
    assert_ok(rt_file_read(&before, path, 1 << 20, &err));
    assert_int_equal(before.n, bytes);
    add_line(&m, 2, 2);
    add_line(&m, 3, 1);
    assert_ok(rt_fwrite(m.f, "{\"step\": 4, \"lo", 15, path, &err)); /* torn by a kill */
    rt_metrics_close(&m);

    double lost;
    assert_ok(rt_metrics_resume(&m, path, bytes, &lost, &err));
    assert_true(lost == 3);
    rt_metrics_close(&m);
    assert_ok(rt_file_read(&after, path, 1 << 20, &err));
    assert_string_equal(rt_str_cstr(&after), rt_str_cstr(&before));
    rt_str_release(&before);
    rt_str_release(&after);
}

static void a_file_shorter_than_the_checkpoint_says_is_noticed(void **state)
{
    (void)state;
    rt_err err;
    rt_metrics m;
    double lost;
    create(&m);
    int64_t bytes = m.bytes;
    rt_metrics_close(&m);
    assert_int_equal(rt_metrics_resume(&m, path, bytes + 1, &lost, &err), RT_NOT_FOUND);
    assert_says(err.msg, "shorter");
}

static void a_line_of_known_length_allocates_nothing(void **state)
{
    (void)state;
    rt_metrics m;
    create(&m);
    add_line(&m, 100, 1.0 / 3);
    uint64_t n = rt_mem_get_stats().n_alloc;
    add_line(&m, 101, 1.0 / 7);
    assert_int_equal(rt_mem_get_stats().n_alloc, n);
    rt_metrics_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_read_back_exactly_and_missing_ones_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_after_the_checkpoint_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_shorter_than_the_checkpoint_says_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_of_known_length_allocates_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
