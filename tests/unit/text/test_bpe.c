/* test_bpe.c - merging: equal to the plain definition on random input, and not quadratic on long runs. */
#include "text_fixture.h"

#include "text/tokenizer_impl.h"
#include "text/utf8.h"

/* Bytes a-h as tokens 0-7, then merges drawn at random: later ones build on earlier ones. */
#define N_LETTERS 8
#define N_MERGES 60

typedef struct toy {
    rt_vocab vocab;
    rt_bpe bpe;
} toy;

static rt_slice text_of(const toy *y, int32_t id)
{
    return y->vocab.tokens[id].text;
}

static void toy_open(toy *y)
{
    rt_err err = {0};
    rt_rng rng = rt_rng_init(7, "toy merges", 0);
    int32_t pairs[N_MERGES][2];
    *y = (toy){0};
    char texts[N_LETTERS + N_MERGES][16];
    int32_t n = 0;
    for (; n < N_LETTERS; n++) {
        snprintf(texts[n], sizeof texts[n], "%c", 'a' + n);
    }
    for (int32_t m = 0; m < N_MERGES;) {
        int32_t l = (int32_t)rt_rng_below(&rng, (uint64_t)n), r = (int32_t)rt_rng_below(&rng, (uint64_t)n);
        bool fresh = strlen(texts[l]) + strlen(texts[r]) < 12;
        char joined[40];
        snprintf(joined, sizeof joined, "%.15s%.15s", texts[l], texts[r]);
        for (int32_t i = 0; i < n; i++) {
            fresh = fresh && strcmp(texts[i], joined) != 0;
        }
        if (fresh) {
            snprintf(texts[n++], sizeof texts[0], "%.15s", joined);
            pairs[m][0] = l;
            pairs[m++][1] = r;
        }
    }
    ok(rt_vocab_init(&y->vocab, (size_t)n, RT_ALPHABET_BYTES, &err));
    for (int32_t id = 0; id < n; id++) {
        ok(rt_vocab_set(&y->vocab, id, (rt_slice){texts[id], strlen(texts[id])}, RT_TOKEN_NORMAL, &err));
    }
    ok(rt_vocab_seal(&y->vocab, &err));
    ok(rt_bpe_init(&y->bpe, &y->vocab, N_MERGES, &err));
    for (int m = 0; m < N_MERGES; m++) {
        ok(rt_bpe_add(&y->bpe, &y->vocab, text_of(y, pairs[m][0]), text_of(y, pairs[m][1]), &err));
    }
}

static void toy_close(toy *y)
{
    rt_bpe_release(&y->bpe);
    rt_vocab_release(&y->vocab);
}

/* The definition: again and again the pair of lowest rank, leftmost of equals. */
static size_t merge_by_definition(const toy *y, const char *s, size_t n, int32_t *ids)
{
    for (size_t i = 0; i < n; i++) {
        ids[i] = s[i] - 'a';
    }
    for (;;) {
        size_t best = N_MERGES, at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            for (size_t m = 0; m < best; m++) {
                if (y->bpe.merges[m].left == ids[i] && y->bpe.merges[m].right == ids[i + 1]) {
                    best = m;
                    at = i;
                }
            }
        }
        if (best == N_MERGES) {
            return n;
        }
        ids[at] = y->bpe.merges[best].id;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void merging_follows_the_definition(void **state)
{
    (void)state;
    toy y;
    toy_open(&y);
    rt_rng rng = rt_rng_init(8, "toy text", 0);
    rt_bpe_work work = {0};
    rt_ids ids = {0};
    rt_err err = {0};
    for (int round = 0; round < 2000; round++) {
        char s[64];
        int32_t expected[64];
        size_t n = rt_rng_below(&rng, 64);
        int spread = round % 2 ? N_LETTERS : 2; /* few letters give many equal pairs */
        for (size_t i = 0; i < n; i++) {
            s[i] = (char)('a' + rt_rng_below(&rng, (uint64_t)spread));
        }
        ids.n = 0;
        ok(rt_bpe_encode(&y.bpe, &work, s, n, &ids, &err));
        size_t n_expected = merge_by_definition(&y, s, n, expected);
        assert_int_equal(ids.n, n_expected);
        assert_memory_equal(ids.n ? ids.p : expected, expected, n_expected * sizeof *expected);
    }
    rt_ids_release(&ids);
    rt_bpe_work_release(&work);
    toy_close(&y);
}

static void bytes_without_a_token_are_dropped_before_merging(void **state)
{
    (void)state;
    toy y;
    toy_open(&y);
    rt_bpe_work work = {0};
    rt_ids with = {0}, without = {0};
    rt_err err = {0};
    ok(rt_bpe_encode(&y.bpe, &work, "ab!cd", 5, &with, &err));
    ok(rt_bpe_encode(&y.bpe, &work, "abcd", 4, &without, &err));
    assert_int_equal(with.n, without.n);
    assert_memory_equal(with.p, without.p, with.n * sizeof *with.p);
    with.n = 0;
    ok(rt_bpe_encode(&y.bpe, &work, "!?", 2, &with, &err));
    assert_int_equal(with.n, 0);
    rt_ids_release(&with);
    rt_ids_release(&without);
    rt_bpe_work_release(&work);
    toy_close(&y);
}

static void a_merge_outside_the_vocabulary_is_refused(void **state)
{
    (void)state;
    toy y;
    toy_open(&y);
    rt_err err = {0};
    y.bpe.n_merges = 0;
    assert_int_equal(rt_bpe_add(&y.bpe, &y.vocab, (rt_slice){"z", 1}, (rt_slice){"a", 1}, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "'z' + 'a'"));
    toy_close(&y);
}

static void two_tokens_with_one_text_are_refused(void **state)
{
    (void)state;
    rt_vocab v = {0};
    rt_err err = {0};
    ok(rt_vocab_init(&v, 3, RT_ALPHABET_BYTES, &err));
    ok(rt_vocab_set(&v, 0, (rt_slice){"x", 1}, RT_TOKEN_NORMAL, &err));
    ok(rt_vocab_set(&v, 2, (rt_slice){"x", 1}, RT_TOKEN_NORMAL, &err));
    assert_int_equal(rt_vocab_seal(&v, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "0 and 2"));
    rt_vocab_release(&v);
}

static void the_byte_alphabet_is_a_bijection(void **state)
{
    (void)state;
    int n = 0;
    for (uint32_t cp = 0; cp < 0x400; cp++) {
        int b = rt_char_to_byte(cp);
        if (b >= 0) {
            assert_int_equal(rt_byte_to_char((uint8_t)b), cp);
            n++;
        }
    }
    assert_int_equal(n, 256);
    assert_int_equal(rt_byte_to_char(' '), 0x120);
    assert_int_equal(rt_byte_to_char('\n'), 0x10A);
}

/* Runs that no pre-tokenizer rule splits, of several kinds. Merging is held to its count of operations; were a step
 * before it quadratic, it would take hours. */
static void a_megabyte_without_a_split_takes_work_in_proportion(void **state)
{
    (void)state;
    static const char *const units[] = {"a",         " ", "\n", "-", "ab", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80",
                                        "e\xCC\x81", "1", " \n"};
    rt_tokenizer *t = open_smollm2();
    rt_err err = {0};
    for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
        rt_str s = {0}, back = {0};
        rt_ids ids = {0};
        rt_bpe_work work = {0};
        while (s.n < 1000000) {
            rt_str_puts(&s, units[k]);
        }
        ok(rt_bpe_encode(&t->bpe, &work, s.p, s.n, &ids, &err));
        assert_in_range(work.n_queued, k == 0, 3 * s.n); /* of digits nothing merges */
        rt_bpe_work_release(&work);
        rt_ids_release(&ids);
        ok(rt_encode_text(t, s.p, s.n, 0, &ids, &err));
        ok(rt_decode_ids(t, ids.p, ids.n, &back, &err));
        assert_int_equal(back.n, s.n);
        assert_memory_equal(back.p, s.p, s.n);
        rt_ids_release(&ids);
        rt_str_release(&back);
        rt_str_release(&s);
    }
    rt_tokenizer_close(t);
}

static void ill_formed_parts_become_one_replacement_each(void **state)
{
    (void)state;
    /* Unicode 15, table 3-8 and its neighbours: U+FFFD per maximal part. */
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "????????A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "????????A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "?????A??B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "????A"},
        {"a\xF0\x9F\x98", "a?"},
        {"\xC3\xA9", "\xC3\xA9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_str got = {0}, expected = {0};
        rt_utf8_repair(&got, cases[i].in, strlen(cases[i].in));
        for (const char *p = cases[i].out; *p; p++) {
            rt_str_add(&expected, *p == '?' ? "\xEF\xBF\xBD" : p, *p == '?' ? 3 : 1);
        }
        assert_string_equal(rt_str_cstr(&got), rt_str_cstr(&expected));
        rt_str_release(&got);
        rt_str_release(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_follows_the_definition),
        cmocka_unit_test(bytes_without_a_token_are_dropped_before_merging),
        cmocka_unit_test(a_merge_outside_the_vocabulary_is_refused),
        cmocka_unit_test(two_tokens_with_one_text_are_refused),
        cmocka_unit_test(the_byte_alphabet_is_a_bijection),
        cmocka_unit_test(a_megabyte_without_a_split_takes_work_in_proportion),
        cmocka_unit_test(ill_formed_parts_become_one_replacement_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
