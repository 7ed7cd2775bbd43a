/* test_hf_tokenizer.c - tokenizer.json: read, written, the same tokenizer either way; refusals. */
#include "text_fixture.h"

static void assert_same_encoding(const rt_tokenizer *a, const rt_tokenizer *b, const char *text)
{
    rt_err err = {0};
    rt_ids x = {0}, y = {0};
    ok(rt_encode_text(a, text, strlen(text), 0, &x, &err));
    ok(rt_encode_text(b, text, strlen(text), 0, &y, &err));
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n * sizeof *x.p);
    rt_ids_release(&x);
    rt_ids_release(&y);
}

static void a_saved_folder_is_the_same_tokenizer(void **state)
{
    (void)state;
    char dir[256], path[512];
    rt_err err = {0};
    rt_tokenizer *gguf = open_smollm2(), *hf = NULL;
    scratch_open(dir);
    ok(rt_tokenizer_save_hf(gguf, dir, &err));
    ok(rt_tokenizer_open(&hf, dir, &err));
    rt_digest a = rt_tokenizer_hash(gguf), b = rt_tokenizer_hash(hf);
    assert_memory_equal(&a, &b, sizeof a);
    a = rt_chat_hash(gguf);
    b = rt_chat_hash(hf);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(rt_tokenizer_first_difference(gguf, hf), -1);
    assert_int_equal(rt_tokenizer_bos(hf), 1);
    assert_int_equal(rt_tokenizer_eos(hf), 2);
    assert_false(rt_tokenizer_adds_bos(hf));
    assert_same_encoding(gguf, hf, "<|im_start|>user\nZ\xC3\xBCrich 12,345.67   don't\x01\x1D\n\n<|im_end|>");
    rt_tokenizer_close(hf);

    /* A weights file beside it, and the file itself, lead to the same. */
    write_text(dir, "model.safetensors", "not read", path);
    ok(rt_tokenizer_open(&hf, path, &err));
    rt_tokenizer_close(hf);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    ok(rt_tokenizer_open(&hf, path, &err));
    rt_tokenizer_close(hf);

    snprintf(path, sizeof path, "%s/special_tokens_map.json", dir);
    assert_true(rt_path_exists(path));
    rt_tokenizer_close(gguf);
    scratch_close(dir);
}

static void a_vocabulary_file_keeps_the_keys(void **state)
{
    (void)state;
    char dir[256], path[512];
    rt_err err = {0};
    rt_gguf *g = NULL;
    rt_tokenizer *a = open_smollm2(), *b = NULL;
    scratch_open(dir);
    snprintf(path, sizeof path, "%s/tokenizer.gguf", dir);
    ok(rt_gguf_open(&g, VOCAB_GGUF, &err));
    ok(rt_tokenizer_save_gguf(g, path, &err));
    rt_gguf_close(g);
    ok(rt_tokenizer_open(&b, dir, &err));
    rt_digest x = rt_tokenizer_hash(a), y = rt_tokenizer_hash(b), fx, fy;
    assert_memory_equal(&x, &y, sizeof x);
    ok(rt_file_sha256(VOCAB_GGUF, NULL, &fx, &err));
    ok(rt_file_sha256(path, NULL, &fy, &err));
    assert_memory_equal(&fx, &fy, sizeof fx);
    rt_tokenizer_close(a);
    rt_tokenizer_close(b);
    scratch_close(dir);
}

static void a_folder_s_tokenizer_goes_into_a_gguf_file(void **state)
{
    (void)state;
    char dir[256], path[512];
    rt_err err = {0};
    rt_tokenizer *a = open_smollm2(), *hf = NULL, *b = NULL;
    scratch_open(dir);
    ok(rt_tokenizer_save_hf(a, dir, &err));
    ok(rt_tokenizer_open(&hf, dir, &err));
    rt_gguf_writer *w = rt_gguf_writer_new();
    ok(rt_tokenizer_set_gguf(hf, w, &err));
    snprintf(path, sizeof path, "%s/tokenizer.gguf", dir);
    ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
    ok(rt_tokenizer_open(&b, dir, &err)); /* tokenizer.gguf goes before tokenizer.json */
    rt_digest x = rt_tokenizer_hash(a), y = rt_tokenizer_hash(b);
    assert_memory_equal(&x, &y, sizeof x);
    x = rt_chat_hash(a);
    y = rt_chat_hash(b);
    assert_memory_equal(&x, &y, sizeof x);
    assert_int_equal(rt_tokenizer_eos(b), 2);
    rt_tokenizer_close(a);
    rt_tokenizer_close(hf);
    rt_tokenizer_close(b);
    scratch_close(dir);
}

/* A small tokenizer.json with places to fill in. */
#define GPT2_STEPS "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}"
#define PLAIN_MERGES "[\"a b\",\"ab c\"]"
#define SPECIALS "[{\"id\":6,\"content\":\"<eos>\",\"special\":true},{\"id\":8,\"content\":\"[x]\",\"special\":false}]"

typedef struct small {
    const char *normalizer, *steps, *model_extra, *merges, *added, *config, *more; /* tokens */
} small;

static rt_status open_small(rt_tokenizer **t, small s, rt_err *err)
{
    rt_str text = {0};
    json_t *root = NULL, *config = NULL;
    rt_str_printf(
        &text,
        "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"added_tokens\":%s,\"model\":{\"type\":\"BPE\",%s"
        "\"vocab\":{%s\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4,\"bc\":5,\"<eos>\":6,\"\u00c3\":7},\"merges\":%s}}",
        s.normalizer ? s.normalizer : "null", s.steps ? s.steps : GPT2_STEPS, s.added ? s.added : SPECIALS,
        s.model_extra ? s.model_extra : "", s.more ? s.more : "", s.merges ? s.merges : PLAIN_MERGES);
    rt_err json_err = {0};
    if (rt_json_parse(&root, text.p, text.n, "test", &json_err) != RT_OK) {
        fail_msg("%s", json_err.msg);
    }
    if (s.config && rt_json_parse(&config, s.config, strlen(s.config), "test", &json_err) != RT_OK) {
        fail_msg("%s", json_err.msg);
    }
    rt_status st = rt_tokenizer_from_hf(t, root, config, err);
    json_decref(root);
    json_decref(config);
    rt_str_release(&text);
    return st;
}

static void assert_encodes(small s, const char *text, const int32_t *expected)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    rt_ids ids = {0};
    ok(open_small(&t, s, &err));
    ok(rt_encode_text(t, text, strlen(text), 0, &ids, &err));
    assert_ids(&ids, expected);
    rt_ids_release(&ids);
    rt_tokenizer_close(t);
}

#define SPLIT(digits)                                                                                                  \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|" \
    "'"                                                                                                                \
    "d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits                                                               \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":"            \
    "\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}"
#define DIGITS \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true}," GPT2_STEPS "]}"

static void the_steps_name_the_pre_tokenizer(void **state)
{
    (void)state;
    static const struct {
        small s;
        const char *name;
    } cases[] = {
        {{0}, "gpt-2"},
        {{.steps = DIGITS}, "smollm"},
        {{.steps = SPLIT("\\\\p{N}{1,3}"), .model_extra = "\"ignore_merges\":true,"}, "llama-bpe"},
        {{.steps = SPLIT("\\\\p{N}{1,3}")}, "dbrx"},
        {{.steps = SPLIT("\\\\p{N}")}, "qwen2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_err err = {0};
        rt_tokenizer *t = NULL;
        ok(open_small(&t, cases[i].s, &err));
        assert_string_equal(rt_tokenizer_pre(t), cases[i].name);
        rt_tokenizer_close(t);
    }
}

/* GGUF -> tokenizer.json -> the same rule, for each there is. */
static void a_saved_tokenizer_keeps_its_pre_tokenizer(void **state)
{
    (void)state;
    static const char *const names[] = {"smollm",      "gpt-2",          "llama-bpe", "qwen2",   "qwen35", "dbrx",
                                        "deepseek-v3", "deepseek-coder", "gpt-4o",    "kimi-k2", "tekken"};
    rt_err err = {0};
    char dir[256], path[512];
    rt_gguf *g = NULL;
    scratch_open(dir);
    ok(rt_gguf_open(&g, VOCAB_GGUF, &err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rt_tokenizer *t = NULL, *again = NULL;
        rt_gguf_writer *w = rt_gguf_writer_new();
        for (size_t k = 0; k < rt_gguf_n_kv(g); k++) {
            rt_gguf_set_raw(w, rt_gguf_kv_at(g, k));
        }
        rt_gguf_set_str(w, "tokenizer.ggml.pre", names[i]);
        snprintf(path, sizeof path, "%s/t.gguf", dir);
        ok(rt_gguf_write(w, path, &err));
        rt_gguf_writer_free(w);
        ok(rt_tokenizer_open(&t, path, &err));
        ok(rt_tokenizer_save_hf(t, dir, &err));
        snprintf(path, sizeof path, "%s/tokenizer.json", dir);
        ok(rt_tokenizer_open(&again, path, &err));
        assert_string_equal(rt_tokenizer_pre(again), names[i]);
        rt_tokenizer_close(t);
        rt_tokenizer_close(again);
    }
    rt_gguf_close(g);
    scratch_close(dir);
}

static void merges_may_be_strings_or_pairs(void **state)
{
    (void)state;
    static const int32_t merged[] = {4, 3, 1, 2, -1};
    assert_encodes((small){0}, "", (const int32_t[]){-1});
    assert_encodes((small){0}, "abcabbc", merged);
    assert_encodes((small){.merges = "[[\"a\",\"b\"],[\"ab\",\"c\"]]"}, "abcabbc", merged);
}

static void ignore_merges_takes_a_piece_that_is_a_token_whole(void **state)
{
    (void)state;
    /* "bc" is a token no merge leads to. */
    assert_encodes((small){.steps = SPLIT("\\\\p{N}{1,3}")}, "bc", (const int32_t[]){1, 2, -1});
    assert_encodes((small){.steps = SPLIT("\\\\p{N}{1,3}"), .model_extra = "\"ignore_merges\":true,"}, "bc",
                   (const int32_t[]){5, -1});
}

static void added_tokens_are_cut_out_and_only_special_ones_are_text_in_plain_mode(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    rt_ids ids = {0};
    rt_str text = {0};
    ok(open_small(&t, (small){0}, &err));
    ok(rt_encode_text(t, "a<eos>b[x]", 10, 0, &ids, &err));
    assert_ids(&ids, (const int32_t[]){0, 6, 1, 8, -1});
    ok(rt_decode_ids(t, ids.p, ids.n, &text, &err));
    assert_string_equal(text.p, "a<eos>b[x]");
    ids.n = 0;
    ok(rt_encode_text(t, "a<eos>b[x]", 10, RT_ENCODE_PLAIN, &ids, &err));
    assert_ids(&ids, (const int32_t[]){0, 1, 8, -1}); /* "<eos>" has no byte tokens here and is dropped */
    rt_ids_release(&ids);
    rt_str_release(&text);
    rt_tokenizer_close(t);
}

static void the_model_s_unknown_token_stands_for_bytes_without_one(void **state)
{
    (void)state;
    assert_encodes((small){.model_extra = "\"unk_token\":\"<eos>\","}, "a!b", (const int32_t[]){0, 6, 1, -1});
}

static void normal_form_c_is_applied_when_the_file_says_so(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    /* e and a combining acute become U+00E9, whose first byte has a token here; none of the others has. */
    assert_encodes((small){.normalizer = "{\"type\":\"NFC\"}"}, "ae\xCC\x81", (const int32_t[]){0, 7, -1});
    assert_encodes((small){.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[]}"}, "ab", (const int32_t[]){3, -1});
    assert_encodes((small){0}, "ae\xCC\x81", (const int32_t[]){0, -1});
    assert_int_equal(open_small(&t, (small){.normalizer = "{\"type\":\"Lowercase\"}"}, &err), RT_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "Lowercase"));
}

static void the_configuration_names_special_tokens(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    ok(open_small(&t,
                  (small){.config = "{\"bos_token\":{\"content\":\"<eos>\"},\"eos_token\":\"<eos>\",\"add_bos_token\":"
                                    "true,\"chat_template\":[{\"name\":\"tool\",\"template\":\"x\"},{\"name\":"
                                    "\"default\",\"template\":\"y\"}]}"},
                  &err));
    assert_int_equal(rt_tokenizer_bos(t), 6);
    assert_true(rt_tokenizer_adds_bos(t));
    rt_digest y = rt_sha256_of("y", 1), hash = rt_chat_hash(t);
    assert_memory_equal(&hash, &y, sizeof y);
    rt_tokenizer_close(t);
    assert_int_equal(open_small(&t, (small){.config = "{\"eos_token\":\"</s>\"}"}, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "</s>"));
    assert_int_equal(open_small(&t, (small){.config = "{\"add_bos_token\":true}"}, &err), RT_INPUT);
}

static void padding_and_holes_make_no_difference(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *a = NULL, *b = NULL, *c = NULL;
    ok(open_small(&a, (small){0}, &err));
    ok(open_small(
        &b, (small){.added = "[{\"id\":6,\"content\":\"<eos>\",\"special\":true},{\"id\":9,\"content\":\"[x]\"}]"},
        &err));
    assert_int_equal(rt_tokenizer_n_vocab(b), 10);
    assert_int_equal(rt_tokenizer_find(b, "[PAD8]"), 8);
    assert_int_equal(rt_tokenizer_first_difference(a, b), 8);
    ok(open_small(&c, (small){.added = "[{\"id\":6,\"content\":\"<eos>\",\"special\":true}]"}, &err));
    assert_int_equal(rt_tokenizer_first_difference(a, c), -1);
    rt_tokenizer_close(a);
    rt_tokenizer_close(b);
    rt_tokenizer_close(c);
}

static void what_cannot_be_reproduced_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        small s;
        rt_status code;
        const char *says;
    } cases[] = {
        {{.steps = "{\"type\":\"Metaspace\"}"}, RT_UNSUPPORTED, "Metaspace"},
        {{.steps = "null"}, RT_UNSUPPORTED, "pre-tokenizer"},
        {{.steps = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"}, RT_UNSUPPORTED, "space"},
        {{.steps = SPLIT("\\\\d+")}, RT_UNSUPPORTED, "smollm, gpt-2"},
        {{.steps = GPT2_STEPS, .model_extra = "\"ignore_merges\":true,"}, RT_UNSUPPORTED, "ignore_merges"},
        {{.model_extra = "\"byte_fallback\":true,"}, RT_UNSUPPORTED, "byte_fallback"},
        {{.model_extra = "\"end_of_word_suffix\":\"</w>\","}, RT_UNSUPPORTED, "end_of_word_suffix"},
        {{.merges = "[\"a z\"]"}, RT_INPUT, "'a' + 'z'"},
        {{.merges = "[\"ab\"]"}, RT_INPUT, "merge 0"},
        {{.merges = "[[\"a\"]]"}, RT_INPUT, "merge 0"},
        {{.added = "[{\"id\":7,\"content\":\"[x]\",\"lstrip\":true}]"}, RT_UNSUPPORTED, "lstrip"},
        {{.added = "[{\"id\":-1,\"content\":\"[x]\"}]"}, RT_INPUT, "added token 0"},
        {{.added = "[{\"id\":9223372036854775807,\"content\":\"[x]\"}]"}, RT_INPUT, "added token 0"},
        {{.more = "\"d\":9223372036854775807,"}, RT_INPUT, "token 'd'"},
        {{.added = "[{\"id\":2000000000,\"content\":\"[x]\"}]"}, RT_INPUT, "2000000000"},
        {{.added = "[{\"id\":2,\"content\":\"[x]\"}]"}, RT_INPUT, "given twice"},
        {{.added = "[{\"id\":8,\"content\":\"ab\"}]"}, RT_INPUT, "same text"},
    };
    size_t live = rt_mem_get_stats().live_bytes;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_err err = {0};
        rt_tokenizer *t = NULL;
        assert_int_equal(open_small(&t, cases[i].s, &err), cases[i].code);
        if (!strstr(err.msg, cases[i].says)) {
            fail_msg("'%s' does not say '%s'", err.msg, cases[i].says);
        }
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
}

static void memory_running_out_while_opening_or_saving_leaks_nothing(void **state)
{
    (void)state;
    char dir[256], path[512];
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    scratch_open(dir);
    ok(open_small(&t, (small){.config = "{\"eos_token\":\"<eos>\",\"chat_template\":\"x\"}"}, &err));
    ok(rt_tokenizer_save_hf(t, dir, &err));
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    rt_digest saved, now;
    ok(rt_file_sha256(path, NULL, &saved, &err));
    size_t live = rt_mem_get_stats().live_bytes;
    rt_status st = RT_MEMORY;
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_tokenizer *again = NULL;
        rt_mem_fail_after(n);
        st = rt_tokenizer_open(&again, path, &err);
        rt_mem_fail_after(0);
        rt_tokenizer_close(again);
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
    st = RT_MEMORY;
    for (uint64_t n = 1; st != RT_OK; n += 9) { /* not every one: each round waits for the disk */
        rt_mem_fail_after(n);
        st = rt_tokenizer_save_hf(t, dir, &err);
        rt_mem_fail_after(0);
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
        ok(rt_file_sha256(path, NULL, &now, &err));
        assert_memory_equal(&now, &saved, sizeof now);
    }
    rt_tokenizer_close(t);
    scratch_close(dir);
}

static void a_path_without_a_tokenizer_says_what_was_expected(void **state)
{
    (void)state;
    char dir[256];
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    scratch_open(dir);
    assert_int_equal(rt_tokenizer_open(&t, dir, &err), RT_NOT_FOUND);
    assert_non_null(strstr(err.msg, "tokenizer.json"));
    assert_int_equal(rt_tokenizer_open(&t, "/nowhere/x.gguf", &err), RT_NOT_FOUND);
    scratch_close(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_folder_is_the_same_tokenizer),
        cmocka_unit_test(a_vocabulary_file_keeps_the_keys),
        cmocka_unit_test(a_folder_s_tokenizer_goes_into_a_gguf_file),
        cmocka_unit_test(the_steps_name_the_pre_tokenizer),
        cmocka_unit_test(a_saved_tokenizer_keeps_its_pre_tokenizer),
        cmocka_unit_test(merges_may_be_strings_or_pairs),
        cmocka_unit_test(ignore_merges_takes_a_piece_that_is_a_token_whole),
        cmocka_unit_test(added_tokens_are_cut_out_and_only_special_ones_are_text_in_plain_mode),
        cmocka_unit_test(the_model_s_unknown_token_stands_for_bytes_without_one),
        cmocka_unit_test(normal_form_c_is_applied_when_the_file_says_so),
        cmocka_unit_test(the_configuration_names_special_tokens),
        cmocka_unit_test(padding_and_holes_make_no_difference),
        cmocka_unit_test(what_cannot_be_reproduced_is_refused_by_name),
        cmocka_unit_test(memory_running_out_while_opening_or_saving_leaks_nothing),
        cmocka_unit_test(a_path_without_a_tokenizer_says_what_was_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
