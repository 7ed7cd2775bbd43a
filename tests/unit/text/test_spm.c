/* test_spm.c - SentencePiece vocabularies on a toy: merging by its definition, bytes to fall back on, the space before
 * text, and the same tokenizer through both formats. */
#include "text_fixture.h"

#define MARK "\xE2\x96\x81"
enum { N_BYTES = 256, N_HEAD = 4, FIRST_TEXT = N_HEAD + N_BYTES, MAX_TOKENS = 300 };

/* Texts with scores; "cc" makes "cca" reachable only through it, and "xy" is a token though "x" is none. */
static const struct {
    const char *text;
    float score;
} words[] = {
    {MARK, -20},      {"a", -21},        {"b", -22},  {"c", -23},      {"ab", -3},  {"bc", -2},
    {"abc", -9},      {"cc", -4},        {"cca", -1}, {"aa", -5},      {"aaa", -6}, {"ba", -5.5},
    {MARK "a", -2.5}, {MARK "ab", -1.5}, {"xy", -7},  {MARK MARK, -8},
};
enum { N_WORDS = sizeof words / sizeof words[0], N_TOKENS = FIRST_TEXT + N_WORDS };

static const char *texts[N_TOKENS];
static float scores[N_TOKENS];

static void write_toy(const char *path, bool prefix)
{
    static const char *const head[N_HEAD] = {"<unk>", "<s>", "</s>", "##"};
    static char bytes[N_BYTES][8];
    int32_t kinds[N_TOKENS];
    rt_err err = {0};
    rt_gguf_writer *w = rt_gguf_writer_new();
    for (int i = 0; i < N_HEAD; i++) {
        texts[i] = head[i];
        kinds[i] = i == 0 ? 2 : i == 3 ? 4 : 3;
    }
    for (int i = 0; i < N_BYTES; i++) {
        snprintf(bytes[i], sizeof bytes[i], "<0x%02X>", (unsigned)i);
        texts[N_HEAD + i] = bytes[i];
        kinds[N_HEAD + i] = 6;
    }
    for (int i = 0; i < N_WORDS; i++) {
        texts[FIRST_TEXT + i] = words[i].text;
        scores[FIRST_TEXT + i] = words[i].score;
        kinds[FIRST_TEXT + i] = 1;
    }
    rt_gguf_set_str(w, "general.architecture", "llama");
    rt_gguf_set_str(w, "tokenizer.ggml.model", "llama");
    rt_gguf_set_str_array(w, "tokenizer.ggml.tokens", texts, N_TOKENS);
    rt_gguf_set_f32_array(w, "tokenizer.ggml.scores", scores, N_TOKENS);
    rt_gguf_set_i32_array(w, "tokenizer.ggml.token_type", kinds, N_TOKENS);
    rt_gguf_set_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    rt_gguf_set_u32(w, "tokenizer.ggml.bos_token_id", 1);
    rt_gguf_set_u32(w, "tokenizer.ggml.eos_token_id", 2);
    rt_gguf_set_bool(w, "tokenizer.ggml.add_space_prefix", prefix);
    ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
}

static rt_tokenizer *open_toy(const char *dir, bool prefix)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s/toy.gguf", dir);
    write_toy(path, prefix);
    ok(rt_tokenizer_open(&t, path, &err));
    return t;
}

/* The id of [from, to) of `s`, -1 when no token is this text. */
static int32_t token_of(const char *s, size_t from, size_t to)
{
    for (int32_t id = 0; id < N_TOKENS; id++) {
        if (strlen(texts[id]) == to - from && memcmp(texts[id], s + from, to - from) == 0) {
            return id;
        }
    }
    return -1;
}

/* By definition: while two neighbours make a token, join the pair of the best score, of equals the leftmost. */
static size_t merge_slowly(const char *s, size_t n, int32_t *ids)
{
    size_t cut[512], n_cuts = 0, n_ids = 0;
    for (size_t i = 0; i <= n; i++) {
        if (i == n || ((uint8_t)s[i] & 0xC0) != 0x80) {
            cut[n_cuts++] = i;
        }
    }
    for (;;) {
        size_t best = 0;
        float best_score = -1e30f;
        for (size_t i = 1; i + 1 < n_cuts; i++) {
            int32_t id = token_of(s, cut[i - 1], cut[i + 1]);
            if (id >= 0 && scores[id] > best_score) {
                best = i;
                best_score = scores[id];
            }
        }
        if (best == 0) {
            break;
        }
        memmove(cut + best, cut + best + 1, (n_cuts - best - 1) * sizeof *cut);
        n_cuts--;
    }
    for (size_t i = 0; i + 1 < n_cuts; i++) {
        int32_t id = token_of(s, cut[i], cut[i + 1]);
        for (size_t k = cut[i]; id < 0 && k < cut[i + 1]; k++) {
            ids[n_ids++] = N_HEAD + (uint8_t)s[k];
        }
        if (id >= 0) {
            ids[n_ids++] = id;
        }
    }
    return n_ids;
}

static void random_text(rt_rng *rng, rt_str *text, rt_str *marked, const char *const *pieces, uint64_t n_pieces)
{
    rt_str_clear(text);
    rt_str_clear(marked);
    for (uint64_t k = 0, n = 1 + rt_rng_below(rng, 40); k < n; k++) {
        const char *piece = pieces[rt_rng_below(rng, n_pieces)];
        rt_str_puts(text, piece);
        rt_str_puts(marked, *piece == ' ' ? MARK : piece);
    }
}

static void merging_follows_the_definition(void **state)
{
    static const char *const pieces[] = {"a", "b", "c", " ", "a", "x", "y", "\xC3\xA9", "\xF0\x9F\x98\x80"};
    rt_err err = {0};
    rt_str text = {0}, marked = {0};
    rt_ids ids = {0};
    int32_t want[512];
    char dir[256];
    rt_rng rng = rt_rng_init(5, "toy text", 0);
    (void)state;
    scratch_open(dir);
    rt_tokenizer *t = open_toy(dir, false);
    for (int i = 0; i < 2000; i++) {
        random_text(&rng, &text, &marked, pieces, sizeof pieces / sizeof pieces[0]);
        ids.n = 0;
        ok(rt_encode_text(t, text.p, text.n, 0, &ids, &err));
        size_t n = merge_slowly(marked.p, marked.n, want);
        assert_int_equal(ids.n, n);
        assert_memory_equal(ids.p, want, n * sizeof *want);
    }
    rt_ids_release(&ids);
    rt_str_release(&text);
    rt_str_release(&marked);
    rt_tokenizer_close(t);
    scratch_close(dir);
}

static int32_t word(const char *text)
{
    return token_of(text, 0, strlen(text));
}

static void the_space_before_text_follows_every_special_token(void **state)
{
    rt_err err = {0};
    rt_ids ids = {0};
    rt_str back = {0};
    char dir[256];
    (void)state;
    scratch_open(dir);
    rt_tokenizer *t = open_toy(dir, true);
    assert_true(rt_tokenizer_adds_bos(t));
    ok(rt_encode_text(t, "ab</s>ab c##b", 13, 0, &ids, &err));
    assert_ids(&ids, (const int32_t[]){word(MARK "ab"), 2, word(MARK "ab"), word(MARK), word("c"), 3, word(MARK),
                                       word("b"), -1});
    ids.n = 0;
    ok(rt_encode_text(t, "\n", 1, 0, &ids, &err));
    assert_ids(&ids, (const int32_t[]){word(MARK), N_HEAD + 10, -1});
    ok(rt_decode_ids(t, ids.p, ids.n, &back, &err));
    assert_string_equal(rt_str_cstr(&back), " \n");
    ids.n = 0;
    ok(rt_encode_text(t, "", 0, 0, &ids, &err));
    assert_int_equal(ids.n, 0);
    ok(rt_encode_text(t, "ab</s>ab", 8, RT_ENCODE_CONTINUES, &ids, &err));
    assert_ids(&ids, (const int32_t[]){word("ab"), 2, word(MARK "ab"), -1});
    rt_str_release(&back);
    rt_ids_release(&ids);
    rt_tokenizer_close(t);
    scratch_close(dir);
}

static void assert_same_ids(const rt_tokenizer *a, const rt_tokenizer *b, const rt_str *text)
{
    rt_err err = {0};
    rt_ids x = {0}, y = {0};
    ok(rt_encode_text(a, text->p, text->n, 0, &x, &err));
    ok(rt_encode_text(b, text->p, text->n, 0, &y, &err));
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n * sizeof *x.p);
    rt_ids_release(&x);
    rt_ids_release(&y);
}

/* GGUF -> tokenizer.json -> GGUF. Merges know no token of a part that is none, so "xy" stays out. */
static void both_formats_hold_the_same_tokenizer(void **state)
{
    static const char *const pieces[] = {"a", "b", "c", " ", "a", "##", "</s>", "\xC3\xA9"};
    rt_err err = {0};
    rt_str text = {0}, marked = {0};
    rt_tokenizer *json = NULL, *again = NULL;
    char dir[256], path[512];
    (void)state;
    for (int prefix = 0; prefix < 2; prefix++) {
        rt_rng rng = rt_rng_init(6, "toy text", (uint64_t)prefix);
        scratch_open(dir);
        rt_tokenizer *t = open_toy(dir, prefix);
        ok(rt_tokenizer_save_hf(t, dir, &err));
        snprintf(path, sizeof path, "%s/tokenizer.json", dir);
        ok(rt_tokenizer_open(&json, path, &err));
        rt_gguf_writer *w = rt_gguf_writer_new();
        rt_gguf_set_str(w, "general.architecture", "llama");
        ok(rt_tokenizer_set_gguf(json, w, &err));
        snprintf(path, sizeof path, "%s/again.gguf", dir);
        ok(rt_gguf_write(w, path, &err));
        rt_gguf_writer_free(w);
        ok(rt_tokenizer_open(&again, path, &err));
        rt_digest a = rt_tokenizer_hash(t), b = rt_tokenizer_hash(json), c = rt_tokenizer_hash(again);
        assert_memory_equal(&a, &b, sizeof a);
        assert_memory_equal(&a, &c, sizeof a);
        for (int i = 0; i < 1000; i++) {
            random_text(&rng, &text, &marked, pieces, sizeof pieces / sizeof pieces[0]);
            assert_same_ids(t, json, &text);
            assert_same_ids(t, again, &text);
        }
        rt_tokenizer_close(t);
        rt_tokenizer_close(json);
        rt_tokenizer_close(again);
        scratch_close(dir);
    }
    rt_str_release(&text);
    rt_str_release(&marked);
}

/* Metaspace puts a space before text unless one is there, "first" only where the whole text begins. */
static void metaspace_prefixes_only_the_beginning(void **state)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    json_t *root = NULL;
    rt_ids ids = {0};
    char dir[256], path[512];
    (void)state;
    scratch_open(dir);
    rt_tokenizer *toy = open_toy(dir, false);
    ok(rt_tokenizer_save_hf(toy, dir, &err));
    rt_tokenizer_close(toy);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    ok(rt_json_load(&root, path, &err));
    json_object_set_new(root, "normalizer", json_null());
    json_object_set_new(root, "pre_tokenizer",
                        json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", MARK, "prepend_scheme",
                                  "first", "split", 0));
    ok(rt_tokenizer_from_hf(&t, root, NULL, &err));
    ok(rt_encode_text(t, "ab</s>ab", 8, 0, &ids, &err));
    assert_ids(&ids, (const int32_t[]){word(MARK "ab"), 2, word("ab"), -1});
    ids.n = 0;
    ok(rt_encode_text(t, " ab", 3, 0, &ids, &err));
    assert_ids(&ids, (const int32_t[]){word(MARK "ab"), -1});
    rt_tokenizer_close(t);
    json_object_set_new(root, "normalizer", json_pack("{s:s}", "type", "NFKC"));
    assert_int_equal(rt_tokenizer_from_hf(&t, root, NULL, &err), RT_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "'NFKC'"));
    json_decref(root);
    rt_ids_release(&ids);
    scratch_close(dir);
}

static void a_vocabulary_without_scores_is_refused(void **state)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    char dir[256], path[512];
    (void)state;
    scratch_open(dir);
    snprintf(path, sizeof path, "%s/bare.gguf", dir);
    rt_gguf_writer *w = rt_gguf_writer_new();
    rt_gguf_set_str(w, "tokenizer.ggml.model", "llama");
    rt_gguf_set_str_array(w, "tokenizer.ggml.tokens", (const char *const[]){"a", "b"}, 2);
    ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
    assert_int_equal(rt_tokenizer_open(&t, path, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "tokenizer.ggml.scores"));
    scratch_close(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_follows_the_definition),
        cmocka_unit_test(the_space_before_text_follows_every_special_token),
        cmocka_unit_test(both_formats_hold_the_same_tokenizer),
        cmocka_unit_test(metaspace_prefixes_only_the_beginning),
        cmocka_unit_test(a_vocabulary_without_scores_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
