/* teacher_fixture.h - corpora and target rows made up by a generator, and a permit to keep them. */
#ifndef RT_TESTS_TEACHER_FIXTURE_H
#define RT_TESTS_TEACHER_FIXTURE_H

#include <math.h>

#include "teacher/cache.h"
#include "unit/record/record_fixture.h"

enum { TOY_VOCAB = 500 };

/* Small numbers are much more likely, as ids of a frequency-sorted vocabulary are. */
static inline int32_t toy_id(rt_rng *r, int n_vocab)
{
    return (int32_t)(pow((double)n_vocab + 1, rt_rng_f64(r)) - 1) % n_vocab;
}

/* Documents of 1..80 tokens. With `masked` the first third of each is a prompt that does not count. */
static inline void toy_corpus(rt_corpus *c, int n_docs, int n_vocab, bool masked, uint64_t seed)
{
    rt_err err = {0};
    rt_rng r = rt_rng_init(seed, "toy corpus", 0);
    memset(c, 0, sizeof *c);
    assert_ok(RT_NEW(&c->docs, (size_t)n_docs, "documents", &err));
    assert_ok(RT_NEW(&c->mask, (size_t)n_docs * 80, "mask", &err));
    c->n_docs = (size_t)n_docs;
    for (int i = 0; i < n_docs; i++) {
        rt_document *d = &c->docs[i];
        char name[24];
        *d = (rt_document){
            .first = (int64_t)c->ids.n, .n = 1 + (int64_t)rt_rng_below(&r, 80), .source = "toy", .origin = "toy"};
        snprintf(name, sizeof name, "doc%d", i);
        d->id = d->cluster = rt_arena_strndup(&c->arena, name, strlen(name));
        d->text_hash = rt_sha256_of(name, strlen(name));
        for (int64_t k = 0; k < d->n; k++) {
            c->mask[c->ids.n] = !masked || k >= d->n / 3;
            assert_ok(rt_ids_push(&c->ids, toy_id(&r, n_vocab), &err));
        }
    }
    c->hash = rt_sha256_of(c->ids.p, c->ids.n * sizeof *c->ids.p);
}

static inline void toy_packed(rt_packed *p, int n_docs, int sequence, int n_vocab, bool masked, uint64_t seed)
{
    rt_err err = {0};
    rt_corpus c;
    toy_corpus(&c, n_docs, n_vocab, masked, seed);
    assert_ok(rt_pack(p, &c, sequence, &err));
    rt_corpus_release(&c);
}

static inline int64_t count_targets(const rt_packed *p)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_tokens; i++) {
        n += p->loss_mask[i];
    }
    return n;
}

static inline rt_cache_header toy_header(const rt_packed *p, rt_cache_kind kind, int n_vocab)
{
    rt_cache_header h = {.kind = kind,
                         .n_vocab = n_vocab,
                         .temperature = 1,
                         .seed = 42,
                         .sequence = p->sequence,
                         .n_sequences = (int64_t)p->n_sequences,
                         .n_tokens = p->n_tokens,
                         .n_targets = count_targets(p),
                         .sequences_per_shard = 3,
                         .data = p->hash,
                         .layout = p->hash,
                         .teacher_name = "toy"};
    if (kind == RT_CACHE_SAMPLE) {
        h.draws = 50;
    } else if (kind == RT_CACHE_TOPK) {
        h.k = 8;
    } else {
        h.hidden_dtype = RT_F16;
        h.d_model = 24;
    }
    return h;
}

/* Made-up answers for every position of a packed corpus. */
typedef struct toy_rows {
    rt_cache_row *rows; /* [n_tokens] */
    int32_t *ids, *counts;
    float *values;
} toy_rows;

static inline void toy_sample_row(rt_cache_row *row, rt_rng *r, const rt_cache_header *h, int32_t *ids, int32_t *counts)
{
    row->ids = ids;
    row->counts = counts;
    row->entropy = (float)(rt_rng_f64(r) * 8);
    for (int d = 0; d < h->draws; d++) {
        int32_t id = toy_id(r, (int)h->n_vocab);
        int j = 0;
        while (j < row->n && ids[j] != id) {
            j++;
        }
        if (j == row->n) {
            ids[row->n] = id;
            counts[row->n++] = 0;
        }
        counts[j]++;
    }
}

static inline void toy_topk_row(rt_cache_row *row, rt_rng *r, const rt_cache_header *h, int32_t *ids, float *logp)
{
    row->ids = ids;
    row->logp = logp;
    row->n = h->k;
    for (int j = 0; j < h->k; j++) {
        ids[j] = (int32_t)((7 * j + (int)rt_rng_below(r, 7)) % (int)h->n_vocab);
        logp[j] = (float)(-0.5 - 6 * rt_rng_f64(r));
    }
    row->log_tail = rt_rng_below(r, 4) == 0 ? -INFINITY : (float)(-5 * rt_rng_f64(r));
}

static inline void toy_rows_make(toy_rows *t, const rt_packed *p, const rt_cache_header *h, uint64_t seed)
{
    rt_err err = {0};
    size_t n = (size_t)p->n_tokens;
    size_t width = h->kind == RT_CACHE_SAMPLE ? (size_t)h->draws
                   : h->kind == RT_CACHE_TOPK ? (size_t)h->k
                                              : (size_t)h->d_model;
    memset(t, 0, sizeof *t);
    assert_ok(RT_NEW(&t->rows, n, "rows", &err));
    assert_ok(RT_NEW(&t->ids, n * width, "ids", &err));
    assert_ok(RT_NEW(&t->counts, n * width, "counts", &err));
    assert_ok(RT_NEW(&t->values, n * width, "values", &err));
    for (size_t i = 0; i < n; i++) {
        rt_rng r = rt_rng_init(seed, "toy rows", i);
        rt_cache_row *row = &t->rows[i];
        row->label_logp = (float)(-3 * rt_rng_f64(&r));
        if (h->kind == RT_CACHE_SAMPLE) {
            toy_sample_row(row, &r, h, t->ids + i * width, t->counts + i * width);
        } else if (h->kind == RT_CACHE_TOPK) {
            toy_topk_row(row, &r, h, t->ids + i * width, t->values + i * width);
        } else {
            row->hidden = t->values + i * width;
            for (size_t j = 0; j < width; j++) {
                t->values[i * width + j] = (float)(20 * rt_rng_normal(&r));
            }
        }
    }
}

static inline void toy_rows_release(toy_rows *t)
{
    rt_free(t->rows);
    rt_free(t->ids);
    rt_free(t->counts);
    rt_free(t->values);
}

static inline void append_range(rt_cache_writer *w, const rt_packed *p, const toy_rows *t, int64_t end)
{
    rt_err err = {0};
    for (int64_t s = rt_cache_next_sequence(w); s < end; s++) {
        const rt_cache_row *rows = t->rows + p->segments[p->sequence_first_segment[s]].start;
        assert_ok(rt_cache_append(w, p, s, rows, &err));
    }
}

static inline void write_cache(const char *dir, const rt_packed *p, const rt_cache_header *h, const toy_rows *t)
{
    rt_err err = {0};
    rt_permit *permit = apache_permit("toy");
    rt_cache_writer *w = NULL;
    assert_ok(rt_cache_create(&w, dir, h, permit, &err));
    append_range(w, p, t, h->n_sequences);
    assert_ok(rt_cache_finish(w, &err));
    rt_permit_free(permit);
}

/* A cache on disk with what was put into it. Corpus, header and rows are made first. */
typedef struct toy_cache {
    char *dir;
    rt_packed p;
    rt_cache_header h;
    toy_rows rows;
    rt_cache *cache;
    rt_cache_sequence q;
} toy_cache;

static inline void toy_cache_store(toy_cache *t)
{
    rt_err err = {0};
    t->dir = rt_test_scratch();
    write_cache(t->dir, &t->p, &t->h, &t->rows);
    assert_ok(rt_cache_open(&t->cache, t->dir, &err));
}

static inline void toy_cache_close(toy_cache *t)
{
    rt_cache_sequence_release(&t->q);
    rt_cache_close(t->cache);
    toy_rows_release(&t->rows);
    rt_packed_release(&t->p);
    rt_test_scratch_drop(t->dir);
}

static inline bool same_file(const char *dir_a, const char *dir_b, const char *name)
{
    rt_err err = {0};
    rt_str a = {0}, b = {0};
    char *pa = rt_path_join(dir_a, name), *pb = rt_path_join(dir_b, name);
    assert_ok(rt_file_read(&a, pa, SIZE_MAX / 2, &err));
    assert_ok(rt_file_read(&b, pb, SIZE_MAX / 2, &err));
    bool same = a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
    rt_str_release(&a);
    rt_str_release(&b);
    rt_free(pa);
    rt_free(pb);
    return same;
}

#endif
