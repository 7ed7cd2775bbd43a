/* test_hf.c - model folders in the Hugging Face layout. */
#include "rt_test.h"

#include "format/hf.h"

static void write_text(const char *dir, const char *name, const char *text)
{
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    assert_ok(rt_file_write(path, text, strlen(text), &err));
    rt_free(path);
}

static void write_weights(const char *dir, const char *name)
{
    static const float x = 1;
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    rt_st_writer *w = rt_st_writer_new();
    rt_st_add(w, "w", RT_F32, 1, (int64_t[]){1}, &x);
    assert_ok(rt_st_write(w, path, &err));
    rt_st_writer_free(w);
    rt_free(path);
}

static void assert_opens(const char *path)
{
    rt_hf h = {0};
    rt_err err = {0};
    assert_ok(rt_hf_open(&h, path, &err));
    assert_string_equal(rt_json_str(h.config, "model_type", ""), "llama");
    assert_non_null(rt_safetensors_find(h.weights, "w"));
    rt_hf_close(&h);
}

static void assert_fails(const char *path, rt_status code, const char *why)
{
    rt_hf h = {0};
    rt_err err = {0};
    size_t live = rt_mem_get_stats().live_bytes;
    assert_int_equal(rt_hf_open(&h, path, &err), code);
    assert_says(err.msg, why);
    assert_int_equal(rt_mem_get_stats().live_bytes, live);
}

static void folder_or_its_weights_file_open(void **state)
{
    char *dir = rt_test_scratch(), *file = rt_path_join(dir, "other.safetensors");
    (void)state;
    write_text(dir, "config.json", "{\"model_type\":\"llama\"}");
    write_weights(dir, "model.safetensors");
    write_weights(dir, "other.safetensors");
    assert_opens(dir);
    assert_opens(file);
    rt_test_scratch_drop(dir);
    rt_free(file);
}

static void folder_with_an_index_opens_its_shards(void **state)
{
    char *dir = rt_test_scratch();
    (void)state;
    write_text(dir, "config.json", "{\"model_type\":\"llama\"}");
    write_weights(dir, "model-00001-of-00001.safetensors");
    write_text(dir, "model.safetensors.index.json", "{\"weight_map\":{\"w\":\"model-00001-of-00001.safetensors\"}}");
    assert_opens(dir);
    rt_test_scratch_drop(dir);
}

static void incomplete_folders_are_refused_by_what_is_missing(void **state)
{
    char *dir = rt_test_scratch(), *absent = rt_path_join(dir, "absent");
    (void)state;
    assert_fails(absent, RT_NOT_FOUND, "does not exist");
    assert_fails(dir, RT_NOT_FOUND, "config.json");
    write_text(dir, "config.json", "[]");
    assert_fails(dir, RT_INPUT, "not a JSON object");
    write_text(dir, "config.json", "{\"model_type\":\"llama\"}");
    assert_fails(dir, RT_NOT_FOUND, "neither 'model.safetensors'");
    write_text(dir, "model.safetensors", "broken");
    assert_fails(dir, RT_INPUT, "model.safetensors");
    rt_test_scratch_drop(dir);
    rt_free(absent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_or_its_weights_file_open),
        cmocka_unit_test(folder_with_an_index_opens_its_shards),
        cmocka_unit_test(incomplete_folders_are_refused_by_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
