/* test_gemma3_golden.c - Gemma 3's SentencePiece vocabulary against the ids of llama.cpp 0.7.0. */
#include "rt_test.h"
#include "text/vocab.h"
#include "text_fixture.h"

#define TEXTS RT_TEST_GOLDEN "/tokenizer/gemma3.jsonl"

static int open_gemma(void **state)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    ok(rt_tokenizer_open(&t, rt_test_model("gemma-3-270m.Q4_K_M.gguf"), &err));
    *state = t;
    return 0;
}

static int close_gemma(void **state)
{
    rt_tokenizer_close(*state);
    return 0;
}

/* U+2581 in a text cannot be told from a space afterwards. */
static void add_without_marks(rt_str *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        bool mark = n - i >= 3 && memcmp(p + i, RT_SPACE_MARK, 3) == 0;
        rt_str_putc(out, mark ? ' ' : p[i]);
        i += mark ? 3 : 1;
    }
}

static void check_text(const rt_tokenizer *t, const json_t *record, size_t line)
{
    rt_err err = {0};
    rt_ids ids = {0};
    rt_str back = {0}, unmarked = {0};
    const json_t *text = json_object_get(record, "text"), *want = json_object_get(record, "ids");
    const size_t n = json_string_length(text);
    ok(rt_encode_text(t, json_string_value(text), n, RT_ENCODE_PLAIN, &ids, &err));
    bool same = ids.n == json_array_size(want);
    for (size_t i = 0; same && i < ids.n; i++) {
        same = ids.p[i] == json_integer_value(json_array_get(want, i));
    }
    if (!same) {
        fail_msg("line %zu: '%s' gives %zu ids, expected %zu", line, json_string_value(text), ids.n,
                 json_array_size(want));
    }
    ok(rt_decode_ids(t, ids.p, ids.n, &back, &err));
    add_without_marks(&unmarked, json_string_value(text), n);
    assert_int_equal(back.n, unmarked.n);
    assert_memory_equal(rt_str_cstr(&back), rt_str_cstr(&unmarked), back.n);
    rt_str_release(&unmarked);
    rt_str_release(&back);
    rt_ids_release(&ids);
}

static void ids_are_those_of_llama_cpp_and_decode_to_the_text(void **state)
{
    rt_err err = {0};
    rt_jsonl texts;
    json_t *record = NULL;
    size_t n = 0;
    ok(rt_jsonl_open(&texts, TEXTS, &err));
    for (;;) {
        ok(rt_jsonl_next(&texts, &record, &err));
        if (!record) {
            break;
        }
        check_text(*state, record, ++n);
        json_decref(record);
    }
    assert_int_equal(n, 2000);
    rt_jsonl_close(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_llama_cpp_and_decode_to_the_text),
    };
    return cmocka_run_group_tests(tests, open_gemma, close_gemma);
}
