/* test_corpus.c - reading documents: fields, masks, origins, clusters, plain text, refusals. */
#include "text_fixture.h"

typedef struct fixture {
    char dir[256], path[512];
    rt_tokenizer *t;
    rt_corpus c;
} fixture;

static void fixture_open(fixture *f, const char *name, const char *text)
{
    *f = (fixture){0};
    scratch_open(f->dir);
    write_text(f->dir, name, text, f->path);
    f->t = open_smollm2();
}

static void fixture_close(fixture *f)
{
    rt_corpus_release(&f->c);
    rt_tokenizer_close(f->t);
    scratch_close(f->dir);
}

/* Loads the fixture's file with `o` (its paths are filled in here). */
static rt_status load(fixture *f, rt_corpus_options o, rt_err *err)
{
    const char *paths[] = {f->path};
    o.paths = paths;
    o.n_paths = 1;
    rt_corpus_release(&f->c);
    return rt_corpus_load(&f->c, f->t, &o, err);
}

/* Text of a document's ids: all of them, or those that count. */
static void assert_document(const fixture *f, size_t doc, const char *all, const char *counted)
{
    rt_err err = {0};
    rt_str a = {0}, k = {0};
    const rt_document *d = &f->c.docs[doc];
    for (int64_t i = d->first; i < d->first + d->n; i++) {
        ok(rt_decode_id(f->t, f->c.ids.p[i], &a, &err));
        if (f->c.mask[i]) {
            ok(rt_decode_id(f->t, f->c.ids.p[i], &k, &err));
        }
    }
    assert_string_equal(rt_str_cstr(&a), all);
    assert_string_equal(rt_str_cstr(&k), counted);
    rt_str_release(&a);
    rt_str_release(&k);
}

static void text_rows_count_whole(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    fixture_open(&f, "a.jsonl",
                 "{\"id\":\"x#1\",\"title\":\"X\",\"licence\":\"public domain\",\"text\":\"Hello there\"}\n"
                 "\n{\"id\":7,\"text\":\"Second\"}\n{\"text\":\"Third <|im_end|>\"}\n{\"text\":\"\"}\n");
    ok(load(&f, (rt_corpus_options){0}, &err));
    assert_int_equal(f.c.n_docs, 3);
    assert_document(&f, 0, "Hello there", "Hello there");
    assert_string_equal(f.c.docs[0].id, "x#1");
    assert_string_equal(f.c.docs[0].cluster, "X");
    assert_string_equal(f.c.docs[0].origin, "public domain");
    assert_string_equal(f.c.docs[0].source, f.path);
    rt_digest hash = rt_sha256_of("Hello there", 11);
    assert_memory_equal(&f.c.docs[0].text_hash, &hash, sizeof hash);
    assert_string_equal(f.c.docs[1].id, "7");
    assert_string_equal(f.c.docs[1].cluster, "7");
    assert_null(f.c.docs[1].origin);
    assert_string_equal(f.c.docs[2].id, "a.jsonl:4");
    assert_int_equal(f.c.docs[2].line, 4);
    for (int64_t i = 0; i < f.c.docs[2].n; i++) { /* a special token spelled out in data is text */
        assert_int_not_equal(f.c.ids.p[f.c.docs[2].first + i], 2);
    }
    fixture_close(&f);
}

static void eos_ends_documents_and_counts(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    fixture_open(&f, "a.jsonl", "{\"text\":\"One\"}\n{\"prompt\":\"Q:\",\"answer\":\" A\"}\n");
    ok(load(&f, (rt_corpus_options){.add_eos = true}, &err));
    assert_document(&f, 0, "One<|im_end|>", "One<|im_end|>");
    assert_document(&f, 1, "Q: A<|im_end|>", " A<|im_end|>");
    fixture_close(&f);
}

static void prompts_do_not_count_and_answers_do(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    fixture_open(&f, "a.jsonl",
                 "{\"question\":\"How many?\",\"answer\":\"Two.\"}\n{\"prompt\":\"Only a prompt\"}\n"
                 "{\"instruction\":\"Add\",\"input\":\"1 2\",\"output\":\"3\"}\n");
    ok(load(&f, (rt_corpus_options){0}, &err));
    assert_document(&f, 0, "How many?\nTwo.", "Two.");
    assert_document(&f, 1, "Only a prompt", "");
    assert_document(&f, 2, "Add\n\n1 2\n3", "3");
    fixture_close(&f);
}

static void a_row_says_what_lies_between_and_whether_it_ends(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    fixture_open(&f, "a.jsonl",
                 "{\"prompt\":\"A:\",\"answer\":\"4\",\"between\":\"\",\"end\":true}\n"
                 "{\"prompt\":\"A:\",\"answer\":\"4\",\"between\":\" = \",\"end\":false}\n");
    ok(load(&f, (rt_corpus_options){0}, &err));
    assert_document(&f, 0, "A:4<|im_end|>", "4<|im_end|>");
    assert_document(&f, 1, "A: = 4", "4");
    fixture_close(&f);
}

#define SYSTEM "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"

static void chat_makes_turns_of_prompts(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    fixture_open(&f, "a.jsonl", "{\"prompt\":\"Hi\"}\n{\"prompt\":\"Hi\",\"answer\":\"Hello.\"}\n");
    ok(load(&f, (rt_corpus_options){.chat = true, .add_eos = true}, &err));
    assert_document(&f, 0, SYSTEM "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "");
    assert_document(&f, 1, SYSTEM "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n",
                    "Hello.<|im_end|>");
    fixture_close(&f);
}

static void conversations_count_their_replies(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    fixture_open(&f, "a.jsonl",
                 "{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"Hi\"},"
                 "{\"role\":\"assistant\",\"content\":\"Hello.\"}]}\n"
                 "{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"Hi\"}]}\n");
    ok(load(&f, (rt_corpus_options){0}, &err));
    assert_document(&f, 0,
                    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello."
                    "<|im_end|>\n",
                    "Hello.<|im_end|>");
    assert_document(&f, 1, "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
                    "");
    fixture_close(&f);
}

static void plain_text_splits_at_rules(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    fixture_open(&f, "a.txt",
                 "\xEF\xBB\xBF"
                 "First\nstill first\n\n---\n\nSecond -- and --\n*****\r\n   \n----- \nThird\n");
    ok(load(&f, (rt_corpus_options){0}, &err));
    assert_int_equal(f.c.n_docs, 3);
    assert_document(&f, 0, "First\nstill first", "First\nstill first");
    assert_document(&f, 1, "Second -- and --", "Second -- and --");
    assert_document(&f, 2, "Third", "Third");
    assert_string_equal(f.c.docs[1].id, "a.txt:5");
    assert_string_equal(f.c.docs[2].id, "a.txt:10");
    fixture_close(&f);

    fixture_open(&f, "whole.txt", "No rule here.\n\nOne document.\n");
    ok(load(&f, (rt_corpus_options){0}, &err));
    assert_int_equal(f.c.n_docs, 1);
    assert_document(&f, 0, "No rule here.\n\nOne document.\n", "No rule here.\n\nOne document.\n");
    fixture_close(&f);
}

static void an_origin_file_speaks_for_all_rows(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    char path[512];
    fixture_open(&f, "a.jsonl", "{\"text\":\"One\"}\n{\"text\":\"Two\",\"license\":\"MIT\"}\n");
    write_text(f.dir, "a.jsonl.origin.json", "{\"origin\":\"somewhere\",\"licence\":\"CC0\"}", path);
    ok(load(&f, (rt_corpus_options){0}, &err));
    assert_string_equal(f.c.docs[0].origin, "somewhere, CC0");
    assert_string_equal(f.c.docs[1].origin, "MIT");
    fixture_close(&f);
}

static void reading_stops_after_the_document_that_reaches_the_limit(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    fixture_open(&f, "a.jsonl",
                 "{\"text\":\"one two three\"}\n{\"text\":\"four five\"}\n{\"text\":\"six\"}\nnot json\n");
    ok(load(&f, (rt_corpus_options){.max_tokens = 4}, &err));
    assert_int_equal(f.c.n_docs, 2);
    fixture_close(&f);
}

static void the_hash_depends_on_all_that_changes_the_ids(void **state)
{
    (void)state;
    fixture f;
    rt_err err = {0};
    rt_digest seen[4];
    fixture_open(&f, "a.jsonl", "{\"text\":\"one\",\"body\":\"two\"}\n");
    const rt_corpus_options o[] = {{0}, {.add_eos = true}, {.text_field = "body"}, {.max_tokens = 1}};
    for (size_t i = 0; i < 4; i++) {
        ok(load(&f, o[i], &err));
        seen[i] = f.c.hash;
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(&seen[i], &seen[k], sizeof seen[i]);
        }
    }
    ok(load(&f, o[0], &err));
    assert_memory_equal(&f.c.hash, &seen[0], sizeof seen[0]);
    write_text(f.dir, "a.jsonl", "{\"text\":\"ONE\",\"body\":\"two\"}\n", f.path);
    ok(load(&f, o[0], &err));
    assert_memory_not_equal(&f.c.hash, &seen[0], sizeof seen[0]);
    fixture_close(&f);
}

static void assert_refused(const char *name, const char *text, rt_corpus_options o, rt_status code, const char *says)
{
    fixture f;
    rt_err err = {0};
    fixture_open(&f, name, text);
    size_t live = rt_mem_get_stats().live_bytes;
    assert_int_equal(load(&f, o, &err), code);
    if (!strstr(err.msg, says)) {
        fail_msg("'%s' does not say '%s'", err.msg, says);
    }
    assert_int_equal(rt_mem_get_stats().live_bytes, live);
    fixture_close(&f);
}

static void bad_input_is_refused_with_file_and_line(void **state)
{
    (void)state;
    rt_corpus_options none = {0};
    assert_refused("a.jsonl", "", none, RT_INPUT, "no documents");
    assert_refused("a.jsonl", "{\"text\":\"\"}\n", none, RT_INPUT, "no documents");
    assert_refused("a.txt", "  \n---\n\n", none, RT_INPUT, "no documents");
    assert_refused("a.jsonl", "{\"text\":\"a\"}\n{\"body\":\"b\",\"x\":1}\n", none, RT_INPUT, "line 2");
    assert_refused("a.jsonl", "{\"body\":\"b\",\"x\":1}\n", none, RT_INPUT, "body, x");
    assert_refused("a.jsonl", "{\"text\":\"a\"}\n", (rt_corpus_options){.text_field = "boddy"}, RT_INPUT, "'boddy'");
    assert_refused("a.jsonl", "{\"text\":\"a\"\n", none, RT_INPUT, "a.jsonl");
    assert_refused("a.jsonl", "{\"messages\":[]}\n", none, RT_INPUT, "no messages");
    assert_refused("a.jsonl", "{\"messages\":[{\"role\":\"user\"}]}\n", none, RT_INPUT, "message 1");
    assert_refused("a.jsonl", "{\"messages\":[{\"role\":\"boss\",\"content\":\"x\"}]}\n", none, RT_INPUT, "boss");
    assert_refused("a.txt", "abc\xFF\xFE", none, RT_INPUT, "byte 3");
    assert_refused("a.json", "[]", none, RT_UNSUPPORTED, ".jsonl");
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    rt_tokenizer *t = open_smollm2();
    rt_corpus c;
    rt_err err = {0};
    const char *paths[] = {"/nowhere/books.jsonl"};
    rt_corpus_options o = {.paths = paths, .n_paths = 1};
    assert_int_equal(rt_corpus_load(&c, t, &o, &err), RT_NOT_FOUND);
    assert_non_null(strstr(err.msg, "/nowhere/books.jsonl"));
    rt_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_rows_count_whole),
        cmocka_unit_test(eos_ends_documents_and_counts),
        cmocka_unit_test(prompts_do_not_count_and_answers_do),
        cmocka_unit_test(a_row_says_what_lies_between_and_whether_it_ends),
        cmocka_unit_test(chat_makes_turns_of_prompts),
        cmocka_unit_test(conversations_count_their_replies),
        cmocka_unit_test(plain_text_splits_at_rules),
        cmocka_unit_test(an_origin_file_speaks_for_all_rows),
        cmocka_unit_test(reading_stops_after_the_document_that_reaches_the_limit),
        cmocka_unit_test(the_hash_depends_on_all_that_changes_the_ids),
        cmocka_unit_test(bad_input_is_refused_with_file_and_line),
        cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
