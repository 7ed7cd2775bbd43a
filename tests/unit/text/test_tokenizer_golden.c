/* test_tokenizer_golden.c - the teacher's tokenizer against the reference ids of Hugging Face's tokenizers. */
#include "text_fixture.h"

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static void base64_decode(rt_str *out, const char *s)
{
    unsigned bits = 0;
    int n_bits = 0;
    for (; base64_value(*s) >= 0; s++) {
        bits = bits << 6 | (unsigned)base64_value(*s);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            rt_str_putc(out, (char)(bits >> n_bits & 0xFF));
        }
    }
}

static void record_text(rt_str *out, const json_t *r)
{
    const json_t *text = json_object_get(r, "text");
    rt_str_clear(out);
    if (text) {
        rt_str_add(out, json_string_value(text), json_string_length(text));
    } else {
        base64_decode(out, rt_json_str(r, "b64", ""));
    }
}

static bool same_ids(const rt_ids *ids, const json_t *expected)
{
    bool same = ids->n == json_array_size(expected);
    for (size_t i = 0; same && i < ids->n; i++) {
        same = ids->p[i] == json_integer_value(json_array_get(expected, i));
    }
    return same;
}

/* Calls `check` for every record; it returns whether it counted the record. Returns how many were counted. */
static int each_record(bool (*check)(const rt_tokenizer *t, const json_t *r, const rt_str *text, rt_ids *ids))
{
    rt_err err = {0};
    rt_tokenizer *t = open_smollm2();
    rt_jsonl reader;
    rt_str text = {0};
    rt_ids ids = {0};
    int n = 0;
    ok(rt_jsonl_open(&reader, RT_TEST_GOLDEN "/tokenizer/smollm2.jsonl", &err));
    for (;;) {
        json_t *r = NULL;
        ok(rt_jsonl_next(&reader, &r, &err));
        if (!r) {
            break;
        }
        record_text(&text, r);
        ids.n = 0;
        n += check(t, r, &text, &ids);
        json_decref(r);
    }
    rt_jsonl_close(&reader);
    rt_str_release(&text);
    rt_ids_release(&ids);
    rt_tokenizer_close(t);
    return n;
}

static bool check_ids(const rt_tokenizer *t, const json_t *r, const rt_str *text, rt_ids *ids)
{
    rt_err err = {0};
    ok(rt_encode_text(t, rt_str_cstr(text), text->n, 0, ids, &err));
    if (!same_ids(ids, json_object_get(r, "ids"))) {
        fail_msg("record %lld (%s) differs", (long long)rt_json_i64(r, "id", -1), rt_json_str(r, "cat", ""));
    }
    return true;
}

static void ids_equal_the_reference_on_every_record(void **state)
{
    (void)state;
    assert_int_equal(each_record(check_ids), 4726);
}

static bool check_plain(const rt_tokenizer *t, const json_t *r, const rt_str *text, rt_ids *ids)
{
    rt_err err = {0};
    const json_t *plain = json_object_get(r, "ids_plain");
    ok(rt_encode_text(t, rt_str_cstr(text), text->n, RT_ENCODE_PLAIN, ids, &err));
    if (!same_ids(ids, plain ? plain : json_object_get(r, "ids"))) {
        fail_msg("record %lld (%s) differs", (long long)rt_json_i64(r, "id", -1), rt_json_str(r, "cat", ""));
    }
    return plain != NULL;
}

static void plain_ids_treat_special_tokens_as_text(void **state)
{
    (void)state;
    assert_int_equal(each_record(check_plain), 187);
}

static bool check_round_trip(const rt_tokenizer *t, const json_t *r, const rt_str *text, rt_ids *ids)
{
    rt_err err = {0};
    if (rt_json_bool(r, "lossy", false)) {
        return false;
    }
    rt_str back = {0};
    ok(rt_encode_text(t, rt_str_cstr(text), text->n, 0, ids, &err));
    ok(rt_decode_ids(t, ids->p, ids->n, &back, &err));
    assert_int_equal(back.n, text->n);
    assert_memory_equal(rt_str_cstr(&back), rt_str_cstr(text), text->n);
    rt_str_release(&back);
    return true;
}

static void decoding_gives_back_every_byte_unless_lossy(void **state)
{
    (void)state;
    assert_int_equal(each_record(check_round_trip), 4726 - 270);
}

/* Encoding in several threads at once gives what one thread gives. */
typedef struct threaded {
    const rt_tokenizer *t;
    rt_ids ids[8];
} threaded;

static const char mixed[] = "<|im_start|>user\nZ\xC3\xBCrich 12,345.67 \xF0\x9F\x98\x80   don't\n\n<|im_end|>";

static void encode_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    threaded *w = arg;
    rt_err err = {0};
    for (int i = 0; i < 200; i++) {
        w->ids[task].n = 0;
        if (rt_encode_text(w->t, mixed, sizeof mixed - 1, 0, &w->ids[task], &err) != RT_OK) {
            w->ids[task].n = 0;
        }
    }
}

static void threads_may_encode_at_once(void **state)
{
    (void)state;
    rt_tokenizer *t = open_smollm2();
    threaded w = {.t = t};
    rt_team_set_threads(4);
    rt_team_for(8, encode_task, &w);
    assert_true(w.ids[0].n > 10);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(w.ids[i].n, w.ids[0].n);
        assert_memory_equal(w.ids[i].p, w.ids[0].p, w.ids[0].n * sizeof(int32_t));
    }
    for (int i = 0; i < 8; i++) {
        rt_ids_release(&w.ids[i]);
    }
    rt_tokenizer_close(t);
}

static void the_handle_knows_its_special_tokens(void **state)
{
    (void)state;
    rt_tokenizer *t = open_smollm2();
    assert_int_equal(rt_tokenizer_n_vocab(t), 49152);
    assert_string_equal(rt_tokenizer_pre(t), "smollm");
    assert_int_equal(rt_tokenizer_bos(t), 1);
    assert_int_equal(rt_tokenizer_eos(t), 2);
    assert_int_equal(rt_tokenizer_eot(t), 2);
    assert_false(rt_tokenizer_adds_bos(t));
    assert_true(rt_tokenizer_is_end(t, 2));
    assert_false(rt_tokenizer_is_end(t, 0));
    assert_false(rt_tokenizer_is_end(t, -1));
    assert_int_equal(rt_tokenizer_find(t, "<|im_end|>"), 2);
    assert_int_equal(rt_tokenizer_find(t, "no such token"), -1);
    rt_tokenizer_close(t);
}

static void an_id_outside_the_vocabulary_is_refused(void **state)
{
    (void)state;
    rt_tokenizer *t = open_smollm2();
    rt_str out = {0};
    rt_err err = {0};
    assert_int_equal(rt_decode_id(t, 49152, &out, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "49152"));
    assert_int_equal(rt_decode_id(t, -1, &out, &err), RT_INPUT);
    rt_str_release(&out);
    rt_tokenizer_close(t);
}

static void memory_running_out_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    rt_tokenizer *t = open_smollm2();
    size_t live = rt_mem_get_stats().live_bytes;
    rt_status st = RT_MEMORY;
    for (uint64_t n = 1; st != RT_OK && n < 100; n++) {
        rt_ids ids = {0};
        rt_err err = {0};
        rt_mem_fail_after(n);
        st = rt_encode_text(t, mixed, sizeof mixed - 1, 0, &ids, &err);
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || st == RT_MEMORY);
        assert_true(st == RT_OK || ids.n == 0);
        rt_ids_release(&ids);
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
    }
    assert_int_equal(st, RT_OK);
    rt_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_the_reference_on_every_record),
        cmocka_unit_test(plain_ids_treat_special_tokens_as_text),
        cmocka_unit_test(decoding_gives_back_every_byte_unless_lossy),
        cmocka_unit_test(threads_may_encode_at_once),
        cmocka_unit_test(the_handle_knows_its_special_tokens),
        cmocka_unit_test(an_id_outside_the_vocabulary_is_refused),
        cmocka_unit_test(memory_running_out_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
