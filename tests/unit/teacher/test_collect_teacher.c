/* The real teacher on book text: bytes a token, verification at both precisions, the head of the layer ranking. */
#include <math.h>

#include "teacher/collect.h"
#include "teacher/rank.h"
#include "teacher/verify.h"
#include "unit/record/record_fixture.h"

#define TEACHER_FILE "SmolLM2-135M-Instruct.Q4_1.gguf"
#define BOOKS RT_TEST_SOURCE "/examples/data/books-valid.jsonl"

typedef struct book_job {
    char *path;
    rt_model *teacher;
    rt_tokenizer *tokenizer;
    rt_corpus corpus;
    rt_packed packed;
    rt_permit *permit;
    char *dir, *cache, *ledger;
} book_job;

static void open_teacher(book_job *b, rt_precision precision)
{
    rt_err err = {0};
    b->path = rt_strdup(rt_test_model(TEACHER_FILE));
    assert_ok(rt_model_open(&b->teacher, b->path, &(rt_model_options){.precision = precision}, &err));
}

static void book_job_open(book_job *b, rt_precision precision, int sequence, int64_t tokens)
{
    rt_err err = {0};
    const char *paths[] = {BOOKS};
    memset(b, 0, sizeof *b);
    open_teacher(b, precision);
    assert_ok(rt_tokenizer_open(&b->tokenizer, b->path, &err));
    assert_ok(rt_corpus_load(&b->corpus, b->tokenizer,
                             &(rt_corpus_options){.paths = paths, .n_paths = 1, .max_tokens = tokens}, &err));
    assert_ok(rt_pack(&b->packed, &b->corpus, sequence, &err));
    b->permit = apache_permit(b->path);
    b->dir = rt_test_scratch();
    b->cache = rt_path_join(b->dir, "cache");
    b->ledger = rt_path_join(b->dir, "ledger.jsonl");
}

static void book_job_close(book_job *b)
{
    rt_permit_free(b->permit);
    rt_packed_release(&b->packed);
    rt_corpus_release(&b->corpus);
    rt_tokenizer_close(b->tokenizer);
    rt_model_close(b->teacher);
    rt_test_scratch_drop(b->dir);
    rt_free(b->path);
    rt_free(b->cache);
    rt_free(b->ledger);
}

static void collect(book_job *b, rt_cache_kind kind, rt_cache **c, rt_collect_report *r)
{
    rt_err err = {0};
    rt_collect_job job = {.teacher = b->teacher,
                          .tokenizer = b->tokenizer,
                          .corpus = &b->corpus,
                          .packed = &b->packed,
                          .permit = b->permit,
                          .dir = b->cache,
                          .ledger = b->ledger,
                          .options = rt_collect_default()};
    job.options.kind = kind;
    assert_ok(rt_collect(&job, r, &err));
    assert_ok(rt_cache_open(c, b->cache, &err));
    print_message("%s: %.1f bytes a token (%d draws), teacher perplexity %.2f, %.0f tokens/s, compute %s\n",
                  rt_cache_kind_name(kind), r->bytes_per_token, r->draws, exp(r->teacher_nll), r->tokens_per_s,
                  rt_dtype_name(b->teacher->compute));
}

/* 36 bytes is the promise for a shard of the usual size; here an eighth of one has to pay for its tables alone. */
static void sampled_targets_of_books_are_small_and_verifiable(void **state)
{
    (void)state;
    rt_err err = {0};
    book_job b;
    rt_cache *c = NULL;
    rt_collect_report r;
    rt_verify_report v;
    book_job_open(&b, RT_PRECISION_AUTO, 512, 4000);
    collect(&b, RT_CACHE_SAMPLE, &c, &r);
    assert_true(r.bytes_per_token <= 36);
    assert_true(r.teacher_nll > 2.5 && r.teacher_nll < 4);
    assert_ok(rt_cache_verify(c, b.teacher, 256, 1, &v, &err));
    print_message("%s\n", v.text);
    assert_true(v.identical > 0.9);

    /* the other precision: draws move, the statistics hold */
    rt_model_close(b.teacher);
    rt_free(b.path);
    open_teacher(&b, RT_PRECISION_F32);
    assert_ok(rt_cache_verify(c, b.teacher, 256, 1, &v, &err));
    print_message("f32: %s\n", v.text);
    rt_cache_close(c);
    book_job_close(&b);
}

static void hidden_states_and_top_k_hold_the_teacher(void **state)
{
    (void)state;
    for (int kind = RT_CACHE_TOPK; kind <= RT_CACHE_HIDDEN; kind++) {
        rt_err err = {0};
        book_job b;
        rt_cache *c = NULL;
        rt_collect_report r;
        rt_verify_report v;
        book_job_open(&b, RT_PRECISION_F32, 256, 700);
        collect(&b, (rt_cache_kind)kind, &c, &r);
        assert_ok(rt_cache_verify(c, b.teacher, 128, 1, &v, &err));
        print_message("%s\n", v.text);
        assert_true(v.kl < 1e-4);
        rt_cache_close(c);
        book_job_close(&b);
    }
}

/* The outer layers cannot go; two of the inner ones can with little harm. */
static void the_ranking_spares_the_first_layers(void **state)
{
    (void)state;
    rt_err err = {0};
    book_job b;
    rt_ranking r;
    const rt_digest hash = {{1}};
    int keep[RT_MAX_LAYERS];
    book_job_open(&b, RT_PRECISION_AUTO, 128, 2000);
    assert_ok(rt_rank_layers(&r, b.teacher, &hash, &b.packed, &(rt_rank_options){.tokens = 128, .down_to = 28}, &err));
    assert_ok(rt_ranking_keep(&r, 28, keep, &err));
    assert_int_equal(keep[0], 0);
    assert_int_equal(keep[1], 1);
    assert_true(rt_ranking_perplexity(&r, 28) < 1.4 * r.perplexity);
    book_job_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sampled_targets_of_books_are_small_and_verifiable),
        cmocka_unit_test(hidden_states_and_top_k_hold_the_teacher),
        cmocka_unit_test(the_ranking_spares_the_first_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
