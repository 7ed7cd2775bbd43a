/* test_gguf_tokenizer.c - tokenizers out of GGUF metadata that is incomplete, wrong or not of a known kind. */
#include "text_fixture.h"

static const char *const tokens[] = {"a", "b", "ab", "<eos>"};
static const int32_t types[] = {1, 1, 1, 3};
static const char *const merges[] = {"a b"};

/* Opens a tokenizer from a file with the usual keys, changed by `change`. */
static rt_status open_changed(rt_tokenizer **t, void (*change)(rt_gguf_writer *w), rt_err *err)
{
    char dir[256], path[512];
    scratch_open(dir);
    snprintf(path, sizeof path, "%s/t.gguf", dir);
    rt_gguf_writer *w = rt_gguf_writer_new();
    rt_gguf_set_str(w, "tokenizer.ggml.model", "gpt2");
    rt_gguf_set_str(w, "tokenizer.ggml.pre", "gpt-2");
    rt_gguf_set_str_array(w, "tokenizer.ggml.tokens", tokens, 4);
    rt_gguf_set_i32_array(w, "tokenizer.ggml.token_type", types, 4);
    rt_gguf_set_str_array(w, "tokenizer.ggml.merges", merges, 1);
    rt_gguf_set_u32(w, "tokenizer.ggml.eos_token_id", 3);
    change(w);
    assert_int_equal(rt_gguf_write(w, path, err), RT_OK);
    rt_gguf_writer_free(w);
    rt_status st = rt_tokenizer_open(t, path, err);
    scratch_close(dir);
    return st;
}

static void nothing(rt_gguf_writer *w)
{
    (void)w;
}

static void other_kind(rt_gguf_writer *w)
{
    rt_gguf_set_str(w, "tokenizer.ggml.model", "bert");
}

static void other_pre(rt_gguf_writer *w)
{
    rt_gguf_set_str(w, "tokenizer.ggml.pre", "bloom");
}

static void pre_no_string(rt_gguf_writer *w)
{
    rt_gguf_set_u32(w, "tokenizer.ggml.pre", 1);
}

static void tokens_no_strings(rt_gguf_writer *w)
{
    rt_gguf_set_i32_array(w, "tokenizer.ggml.tokens", types, 4);
}

static void types_too_few(rt_gguf_writer *w)
{
    rt_gguf_set_i32_array(w, "tokenizer.ggml.token_type", types, 3);
}

static void type_unknown(rt_gguf_writer *w)
{
    static const int32_t bad[] = {1, 1, 9, 3};
    rt_gguf_set_i32_array(w, "tokenizer.ggml.token_type", bad, 4);
}

static void merge_without_space(rt_gguf_writer *w)
{
    static const char *const bad[] = {"ab"};
    rt_gguf_set_str_array(w, "tokenizer.ggml.merges", bad, 1);
}

static void merge_unknown(rt_gguf_writer *w)
{
    static const char *const bad[] = {"b a"};
    rt_gguf_set_str_array(w, "tokenizer.ggml.merges", bad, 1);
}

static void token_twice(rt_gguf_writer *w)
{
    static const char *const bad[] = {"a", "b", "ab", "a"};
    rt_gguf_set_str_array(w, "tokenizer.ggml.tokens", bad, 4);
}

static void token_empty(rt_gguf_writer *w)
{
    static const char *const bad[] = {"a", "", "ab", "<eos>"};
    rt_gguf_set_str_array(w, "tokenizer.ggml.tokens", bad, 4);
}

static void eos_outside(rt_gguf_writer *w)
{
    rt_gguf_set_u32(w, "tokenizer.ggml.eos_token_id", 4000000000u);
}

static void bos_missing(rt_gguf_writer *w)
{
    rt_gguf_set_bool(w, "tokenizer.ggml.add_bos_token", true);
}

static void broken_metadata_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        void (*change)(rt_gguf_writer *w);
        rt_status code;
        const char *says;
    } cases[] = {
        {other_kind, RT_UNSUPPORTED, "'bert'"},
        {other_pre, RT_UNSUPPORTED, "'bloom' is not known; known are smollm, gpt-2, llama-bpe, qwen2"},
        {pre_no_string, RT_UNSUPPORTED, "tokenizer.ggml.pre"},
        {tokens_no_strings, RT_INPUT, "tokenizer.ggml.tokens"},
        {types_too_few, RT_INPUT, "tokenizer.ggml.token_type"},
        {type_unknown, RT_INPUT, "token 2 has the unknown type 9"},
        {merge_without_space, RT_INPUT, "merge 0 'ab'"},
        {merge_unknown, RT_INPUT, "'b' + 'a'"},
        {token_twice, RT_INPUT, "tokens 0 and 3"},
        {token_empty, RT_INPUT, "token 1 has an empty text"},
        {eos_outside, RT_INPUT, "eos token id"},
        {bos_missing, RT_INPUT, "BOS"},
    };
    size_t live = rt_mem_get_stats().live_bytes;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_err err = {0};
        rt_tokenizer *t = NULL;
        assert_int_equal(open_changed(&t, cases[i].change, &err), cases[i].code);
        if (!strstr(err.msg, cases[i].says) || !strstr(err.msg, "t.gguf")) {
            fail_msg("'%s' does not say '%s'", err.msg, cases[i].says);
        }
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
}

static void a_file_without_a_tokenizer_says_so(void **state)
{
    (void)state;
    char dir[256], path[512];
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    scratch_open(dir);
    snprintf(path, sizeof path, "%s/t.gguf", dir);
    rt_gguf_writer *w = rt_gguf_writer_new();
    rt_gguf_set_str(w, "general.architecture", "llama");
    ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
    assert_int_equal(rt_tokenizer_open(&t, path, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "has no tokenizer"));
    scratch_close(dir);
}

static void a_small_file_opens(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    rt_ids ids = {0};
    ok(open_changed(&t, nothing, &err));
    ok(rt_encode_text(t, "ab<eos>ba", 9, 0, &ids, &err));
    assert_ids(&ids, (const int32_t[]){2, 3, 1, 0, -1});
    assert_int_equal(rt_tokenizer_bos(t), -1);
    assert_int_equal(rt_tokenizer_eos(t), 3);
    rt_ids_release(&ids);
    rt_tokenizer_close(t);
}

static void llama_bpe(rt_gguf_writer *w)
{
    rt_gguf_set_str(w, "tokenizer.ggml.pre", "llama3");
    rt_gguf_set_u32(w, "tokenizer.ggml.bos_token_id", 3);
}

static void llama_bpe_without_bos(rt_gguf_writer *w)
{
    llama_bpe(w);
    rt_gguf_set_bool(w, "tokenizer.ggml.add_bos_token", false);
}

static void the_key_overrides_the_rule_s_bos(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    ok(open_changed(&t, llama_bpe, &err));
    assert_string_equal(rt_tokenizer_pre(t), "llama-bpe");
    assert_true(rt_tokenizer_adds_bos(t));
    rt_tokenizer_close(t);
    ok(open_changed(&t, llama_bpe_without_bos, &err));
    assert_false(rt_tokenizer_adds_bos(t));
    rt_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_metadata_is_refused_by_name),
        cmocka_unit_test(a_file_without_a_tokenizer_says_so),
        cmocka_unit_test(a_small_file_opens),
        cmocka_unit_test(the_key_overrides_the_rule_s_bos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
