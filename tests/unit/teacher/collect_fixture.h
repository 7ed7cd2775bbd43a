/* collect_fixture.h - a small teacher with an opinion, its tokenizer, a corpus, and a job to collect. */
#ifndef RT_TESTS_COLLECT_FIXTURE_H
#define RT_TESTS_COLLECT_FIXTURE_H

#include "teacher/collect.h"
#include "unit/teacher/teacher_fixture.h"

typedef struct small_job {
    rt_model *teacher;
    rt_tokenizer *tokenizer;
    rt_corpus corpus;
    rt_packed packed;
    rt_permit *permit;
    char *dir, *cache, *ledger;
    rt_collect_job job;
} small_job;

static inline rt_tokenizer *small_tokenizer(void)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    json_t *root = NULL;
    const char *text = "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                       "\"use_regex\":true},\"added_tokens\":[],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,"
                       "\"c\":2,\"ab\":3},\"merges\":[\"a b\"]}}";
    assert_ok(rt_json_parse(&root, text, strlen(text), "test", &err));
    assert_ok(rt_tokenizer_from_hf(&t, root, NULL, &err));
    json_decref(root);
    return t;
}

/* A model by its path with its logits multiplied: random weights alone give nearly even odds everywhere. */
static inline rt_model *sharp_model(const char *path, float sharpness)
{
    rt_err err = {0};
    rt_model *m = NULL;
    const rt_model_options o = {.precision = RT_PRECISION_F32, .trainable = true};
    assert_ok(rt_model_open(&m, path, &o, &err));
    const rt_param *norm = rt_model_find(m, "model.norm.weight");
    assert_non_null(norm);
    for (int64_t i = 0; i < norm->n; i++) {
        m->weights[norm->offset + i] *= sharpness;
    }
    rt_model_refresh(m);
    return m;
}

static inline rt_model *small_teacher(float sharpness)
{
    return sharp_model(RT_TEST_GOLDEN "/models/llama", sharpness);
}

/* Works below `dir`, which the caller owns, on so many documents. Takes the teacher. */
static inline void small_job_of(small_job *s, rt_model *teacher, int n_docs, const char *dir, rt_cache_kind kind)
{
    rt_err err = {0};
    memset(s, 0, sizeof *s);
    s->teacher = teacher;
    s->tokenizer = small_tokenizer();
    toy_corpus(&s->corpus, n_docs, (int)s->teacher->hp.n_vocab, true, 21);
    assert_ok(rt_pack(&s->packed, &s->corpus, 64, &err));
    s->permit = apache_permit("toy");
    s->cache = rt_path_join(dir, "cache");
    s->ledger = rt_path_join(dir, "ledger.jsonl");
    s->job = (rt_collect_job){.teacher = s->teacher,
                              .tokenizer = s->tokenizer,
                              .corpus = &s->corpus,
                              .packed = &s->packed,
                              .permit = s->permit,
                              .dir = s->cache,
                              .ledger = s->ledger,
                              .options = rt_collect_default()};
    s->job.options.kind = kind;
    s->job.options.batch_tokens = 200;
    s->job.options.sequences_per_shard = 4;
    s->job.options.k = 16;
}

static inline void small_job_open(small_job *s, const char *dir, rt_cache_kind kind)
{
    small_job_of(s, small_teacher(8), 40, dir, kind);
}

static inline void small_job_close(small_job *s)
{
    rt_packed_release(&s->packed);
    rt_corpus_release(&s->corpus);
    rt_tokenizer_close(s->tokenizer);
    rt_model_close(s->teacher);
    rt_permit_free(s->permit);
    rt_free(s->cache);
    rt_free(s->ledger);
}

#endif
