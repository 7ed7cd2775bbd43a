/* test_pack.c - packing: nothing lost, nothing crosses a document, masks aligned with what is predicted. */
#include "text_fixture.h"

/* A corpus of documents with these lengths; id = 1000 * document + position, every third token does not count. */
static rt_corpus make_corpus(const int64_t *lengths, size_t n)
{
    rt_err err = {0};
    rt_corpus c = {.n_docs = n};
    ok(RT_NEW(&c.docs, n, "documents", &err));
    for (size_t i = 0; i < n; i++) {
        c.docs[i] = (rt_document){.first = (int64_t)c.ids.n, .n = lengths[i]};
        for (int64_t k = 0; k < lengths[i]; k++) {
            ok(rt_ids_push(&c.ids, (int32_t)(1000 * (int64_t)i + k), &err));
        }
    }
    ok(RT_NEW(&c.mask, c.ids.n, "mask", &err));
    for (size_t i = 0; i < c.ids.n; i++) {
        c.mask[i] = c.ids.p[i] % 3 != 0;
    }
    return c;
}

static const int64_t lengths[] = {5, 20, 1, 8, 3, 3, 16, 2, 9, 33};
#define N_LENGTHS (sizeof lengths / sizeof *lengths)

static void every_token_is_packed_once_in_document_order(void **state)
{
    (void)state;
    rt_corpus c = make_corpus(lengths, N_LENGTHS);
    rt_packed p;
    rt_err err = {0};
    ok(rt_pack(&p, &c, 8, &err));
    assert_int_equal(p.n_tokens, c.ids.n);
    uint8_t *seen = rt_calloc(c.ids.n, 1);
    int64_t at = 0;
    for (size_t i = 0; i < p.n_segments; i++) {
        const rt_segment *s = &p.segments[i];
        assert_int_equal(s->start, at);
        assert_in_range(s->n, 1, 8);
        assert_true(s->src >= c.docs[s->doc].first && s->src + s->n <= c.docs[s->doc].first + c.docs[s->doc].n);
        for (int64_t k = 0; k < s->n; k++) {
            assert_int_equal(p.ids[at + k], c.ids.p[s->src + k]);
            seen[s->src + k]++;
        }
        at += s->n;
    }
    assert_int_equal(at, p.n_tokens);
    for (size_t i = 0; i < c.ids.n; i++) {
        assert_int_equal(seen[i], 1);
    }
    rt_free(seen);
    rt_packed_release(&p);
    rt_corpus_release(&c);
}

static void sequences_are_full_up_to_their_length_and_few(void **state)
{
    (void)state;
    rt_corpus c = make_corpus(lengths, N_LENGTHS);
    rt_packed p;
    rt_err err = {0};
    ok(rt_pack(&p, &c, 8, &err));
    assert_int_equal(p.sequence_first_segment[0], 0);
    assert_int_equal(p.sequence_first_segment[p.n_sequences], p.n_segments);
    for (size_t s = 0; s < p.n_sequences; s++) {
        int64_t n = 0;
        assert_true(p.sequence_first_segment[s] < p.sequence_first_segment[s + 1]);
        for (int64_t i = p.sequence_first_segment[s]; i < p.sequence_first_segment[s + 1]; i++) {
            n += p.segments[i].n;
        }
        assert_in_range(n, 1, 8);
    }
    assert_int_equal(p.n_sequences, 13); /* 100 tokens: 13 is the least possible */
    rt_packed_release(&p);
    rt_corpus_release(&c);
}

static void the_mask_stands_where_the_counted_token_is_predicted(void **state)
{
    (void)state;
    rt_corpus c = make_corpus(lengths, N_LENGTHS);
    rt_packed p;
    rt_err err = {0};
    ok(rt_pack(&p, &c, 8, &err));
    for (size_t i = 0; i < p.n_segments; i++) {
        const rt_segment *s = &p.segments[i];
        for (int64_t k = 0; k + 1 < s->n; k++) {
            assert_int_equal(p.loss_mask[s->start + k], p.ids[s->start + k + 1] % 3 != 0);
        }
        assert_int_equal(p.loss_mask[s->start + s->n - 1], 0); /* the next token belongs to another piece */
    }
    rt_packed_release(&p);
    rt_corpus_release(&c);
}

static void every_piece_of_an_opened_document_begins_as_it_does(void **state)
{
    (void)state;
    rt_corpus c = make_corpus(lengths, N_LENGTHS);
    rt_packed p;
    rt_err err = {0};
    size_t own = 0;
    for (size_t i = 0; i < N_LENGTHS; i++) {
        c.docs[i].opened = i % 2 != 0;
    }
    ok(rt_pack(&p, &c, 8, &err));
    for (size_t i = 0; i < p.n_segments; i++) {
        const rt_segment *s = &p.segments[i];
        const rt_document *d = &c.docs[s->doc];
        const bool again = d->opened && s->src > d->first;
        assert_in_range(s->n, 1 + again, 8);
        assert_int_equal(p.ids[s->start], c.ids.p[again ? d->first : s->src]);
        for (int64_t k = again; k < s->n; k++) {
            assert_int_equal(p.ids[s->start + k], c.ids.p[s->src + k - again]);
        }
        for (int64_t k = 1; k < s->n; k++) {
            assert_int_equal(p.loss_mask[s->start + k - 1], p.ids[s->start + k] % 3 != 0);
        }
        assert_int_equal(p.loss_mask[s->start + s->n - 1], 0);
        own += (size_t)(s->n - again);
    }
    assert_int_equal(own, c.ids.n);
    assert_int_equal(p.n_tokens, (int64_t)own + 2 + 4); /* of the documents of 20 and of 33 tokens */
    rt_packed_release(&p);
    rt_corpus_release(&c);
}

static void equal_layouts_have_equal_hashes(void **state)
{
    (void)state;
    rt_corpus c = make_corpus(lengths, N_LENGTHS);
    rt_packed a, b;
    rt_err err = {0};
    ok(rt_pack(&a, &c, 8, &err));
    ok(rt_pack(&b, &c, 8, &err));
    assert_memory_equal(&a.hash, &b.hash, sizeof a.hash);
    rt_packed_release(&b);
    ok(rt_pack(&b, &c, 9, &err));
    assert_memory_not_equal(&a.hash, &b.hash, sizeof a.hash);
    rt_packed_release(&b);
    c.mask[7] ^= 1;
    ok(rt_pack(&b, &c, 8, &err));
    assert_memory_not_equal(&a.hash, &b.hash, sizeof a.hash);
    rt_packed_release(&b);
    rt_packed_release(&a);
    rt_corpus_release(&c);
}

static void many_documents_pack_well_and_in_linear_time(void **state)
{
    (void)state;
    enum { N = 100000 };
    rt_err err = {0};
    int64_t *n = rt_calloc(N, sizeof *n), total = 0;
    rt_rng rng = rt_rng_init(1, "pack", 0);
    for (int i = 0; i < N; i++) {
        n[i] = 1 + (int64_t)rt_rng_below(&rng, 99);
        total += n[i];
    }
    rt_corpus c = make_corpus(n, N);
    rt_packed p;
    ok(rt_pack(&p, &c, 128, &err));
    assert_true((double)p.n_sequences * 128 < 1.03 * (double)total);
    rt_packed_release(&p);
    rt_corpus_release(&c);
    rt_free(n);
}

static void a_sequence_that_predicts_nothing_is_refused(void **state)
{
    (void)state;
    rt_corpus c = make_corpus(lengths, N_LENGTHS);
    rt_packed p;
    rt_err err = {0};
    assert_int_equal(rt_pack(&p, &c, 1, &err), RT_USAGE);
    rt_corpus_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_is_packed_once_in_document_order),
        cmocka_unit_test(sequences_are_full_up_to_their_length_and_few),
        cmocka_unit_test(the_mask_stands_where_the_counted_token_is_predicted),
        cmocka_unit_test(every_piece_of_an_opened_document_begins_as_it_does),
        cmocka_unit_test(equal_layouts_have_equal_hashes),
        cmocka_unit_test(many_documents_pack_well_and_in_linear_time),
        cmocka_unit_test(a_sequence_that_predicts_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
