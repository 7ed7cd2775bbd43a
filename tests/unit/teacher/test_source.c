/* Batches are a pure function of the cursor, hold each sequence once an epoch, and carry what the cache or corpus
 * holds. */
#include "teacher/source.h"
#include "unit/teacher/teacher_fixture.h"

static void toy_open_claiming(toy_cache *t, rt_cache_kind kind, int sequence)
{
    *t = (toy_cache){0};
    toy_packed(&t->p, 70, 96, TOY_VOCAB, true, 11);
    t->h = toy_header(&t->p, kind, TOY_VOCAB);
    t->h.sequence = sequence;
    toy_rows_make(&t->rows, &t->p, &t->h, 12);
    toy_cache_store(t);
}

static void toy_open(toy_cache *t, rt_cache_kind kind)
{
    toy_open_claiming(t, kind, 96);
}

static rt_source *open_source(const toy_cache *t, const rt_source_options *o)
{
    rt_err err = {0};
    rt_source *s = NULL;
    assert_ok(rt_source_from_cache(&s, t->cache, o, &err));
    return s;
}

/* Hash of everything a batch says. */
static uint64_t batch_hash(const rt_source_batch *b, int64_t d)
{
    rt_str s = {0};
    rt_str_add(&s, b->net.ids, (size_t)b->net.n_rows * sizeof *b->net.ids);
    for (int64_t i = 0; i < b->net.n_spans; i++) {
        rt_str_printf(&s, "%lld,%lld ", (long long)b->net.spans[i].row0, (long long)b->net.spans[i].n);
    }
    for (int64_t i = 0; i < b->n_rows; i++) {
        rt_str_printf(&s, "%d,%d ", b->rows[i], b->labels[i]);
        for (int k = 0; b->targets && k < b->targets[i].n; k++) {
            rt_str_printf(&s, "%d:%a ", b->targets[i].ids[k], (double)b->targets[i].weight[k]);
        }
    }
    if (b->teacher_hidden) {
        rt_str_add(&s, b->teacher_hidden, (size_t)(b->n_rows * d) * sizeof(float));
    }
    uint64_t h = rt_xxh64(s.p, s.n);
    rt_str_release(&s);
    return h;
}

static void every_batch_can_be_had_again_from_its_cursor(void **state)
{
    (void)state;
    rt_err err = {0};
    for (int kind = RT_CACHE_SAMPLE; kind <= RT_CACHE_HIDDEN; kind++) {
        toy_cache t;
        toy_open(&t, (rt_cache_kind)kind);
        rt_source_options o = {.seed = 5, .max_batch_tokens = 300};
        rt_source *s = open_source(&t, &o);
        enum { N = 40 };
        rt_source_cursor at[N + 1] = {{0}};
        uint64_t hash[N];
        rt_source_batch b;
        for (int i = 0; i < N; i++) {
            at[i + 1] = at[i];
            int64_t promised = rt_source_peek_tokens(s, &at[i], 300);
            assert_ok(rt_source_next(s, &at[i + 1], 300, &b, &err));
            assert_int_equal(b.net.n_rows, promised);
            assert_true(b.net.n_rows <= 300);
            hash[i] = batch_hash(&b, t.h.d_model);
        }
        assert_true(at[N].epoch >= 2);
        rt_source *fresh = open_source(&t, &o);
        for (int i = N - 1; i >= 0; i -= 3) {
            rt_source_cursor c = at[i];
            assert_ok(rt_source_next(fresh, &c, 300, &b, &err));
            assert_true(batch_hash(&b, t.h.d_model) == hash[i]);
            assert_int_equal(c.epoch, at[i + 1].epoch);
            assert_int_equal(c.index, at[i + 1].index);
        }
        rt_source_close(fresh);
        rt_source_close(s);
        toy_cache_close(&t);
    }
}

/* Counts how often each sequence (told by its first segment's hash) comes up in one epoch. */
static void an_epoch_delivers_each_sequence_once_in_a_new_order(void **state)
{
    (void)state;
    rt_err err = {0};
    toy_cache t;
    toy_open(&t, RT_CACHE_SAMPLE);
    rt_source *s = open_source(&t, &(rt_source_options){.seed = 5, .max_batch_tokens = 96});
    const rt_source_info *info = rt_source_get_info(s);
    assert_int_equal(info->n_sequences, t.p.n_sequences);
    assert_int_equal(info->n_tokens, t.p.n_tokens);
    assert_int_equal(info->n_targets, t.h.n_targets);
    uint64_t first_order[64] = {0}, sum[3] = {0};
    int moved = 0;
    rt_source_cursor c = {0};
    for (int epoch = 0; epoch < 3; epoch++) {
        int64_t tokens = 0, rows = 0;
        for (int64_t i = 0; i < info->n_sequences; i++) {
            rt_source_batch b;
            assert_int_equal(c.epoch, epoch);
            assert_ok(rt_source_next(s, &c, 1, &b, &err));
            assert_int_equal(b.n_sequences, 1);
            uint64_t h = batch_hash(&b, 0);
            sum[epoch] += h;
            moved += epoch > 0 && i < 64 && first_order[i] != h;
            if (epoch == 0 && i < 64) {
                first_order[i] = h;
            }
            tokens += b.net.n_rows;
            rows += b.n_rows;
        }
        assert_int_equal(tokens, info->n_tokens);
        assert_int_equal(rows, info->n_targets);
        assert_true(sum[epoch] == sum[0]);
    }
    assert_true(moved > info->n_sequences / 2);
    rt_source_close(s);
    toy_cache_close(&t);
}

static void validation_sees_a_part_in_stored_order_and_stops_at_its_end(void **state)
{
    (void)state;
    rt_err err = {0};
    toy_cache t;
    toy_open(&t, RT_CACHE_TOPK);
    rt_source_options o = {.max_batch_tokens = 250, .in_order = true, .stop_at_epoch = true, .first = 4, .count = 7};
    rt_source *s = open_source(&t, &o);
    rt_source_cursor c = {0};
    int64_t token0 = t.p.segments[t.p.sequence_first_segment[4]].start, at = token0;
    while (c.epoch == 0) {
        rt_source_batch b;
        assert_ok(rt_source_next(s, &c, 250, &b, &err));
        assert_memory_equal(b.net.ids, t.p.ids + at, (size_t)b.net.n_rows * sizeof(int32_t));
        for (int64_t i = 0; i < b.n_rows; i++) {
            assert_int_equal(b.targets[i].kind, RT_TARGET_TOPK);
            assert_int_equal(b.targets[i].n, t.h.k);
            assert_int_equal(b.labels[i], t.p.ids[at + b.rows[i] + 1]);
        }
        at += b.net.n_rows;
    }
    assert_int_equal(at - token0, rt_source_get_info(s)->n_tokens);
    assert_int_equal(at, t.p.segments[t.p.sequence_first_segment[11]].start);
    rt_source_close(s);
    o.first = (int64_t)t.p.n_sequences;
    assert_int_equal(rt_source_from_cache(&s, t.cache, &o, &err), RT_USAGE);
    toy_cache_close(&t);
}

static void labels_alone_need_no_teacher(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_packed p = {0};
    rt_source *s = NULL;
    rt_source_batch b;
    rt_source_cursor c = {0};
    toy_packed(&p, 30, 64, TOY_VOCAB, true, 3);
    rt_source_options o = {.max_batch_tokens = 128, .n_vocab = TOY_VOCAB};
    assert_ok(rt_source_from_corpus(&s, &p, RT_SOURCE_LABELS, NULL, NULL, &o, &err));
    assert_int_equal(rt_source_get_info(s)->n_vocab, TOY_VOCAB);
    assert_ok(rt_source_next(s, &c, 128, &b, &err));
    for (int64_t i = 0; i < b.n_rows; i++) {
        assert_int_equal(b.targets[i].kind, RT_TARGET_LABEL);
        assert_int_equal(b.targets[i].label, b.net.ids[b.rows[i] + 1]);
    }
    rt_source_close(s);
    o.n_vocab = 20;
    assert_int_equal(rt_source_from_corpus(&s, &p, RT_SOURCE_LABELS, NULL, NULL, &o, &err), RT_INPUT);
    assert_says(err.msg, "wrong tokenizer");
    assert_int_equal(rt_source_from_corpus(&s, &p, RT_SOURCE_DENSE, NULL, NULL, &o, &err), RT_LICENCE);
    rt_packed_release(&p);
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    rt_err err = {0};
    for (int kind = RT_CACHE_SAMPLE; kind <= RT_CACHE_HIDDEN; kind++) {
        toy_cache t;
        toy_open(&t, (rt_cache_kind)kind);
        rt_source *s = open_source(&t, &(rt_source_options){.max_batch_tokens = 300});
        rt_source_cursor c = {0};
        rt_source_batch b;
        uint64_t before = rt_mem_get_stats().n_alloc;
        for (int i = 0; i < 30; i++) {
            assert_ok(rt_source_next(s, &c, 300, &b, &err));
        }
        assert_int_equal(rt_mem_get_stats().n_alloc, before);
        rt_source_close(s);
        toy_cache_close(&t);
    }
}

static size_t bytes_of_a_source(rt_cache_kind kind, int sequence)
{
    toy_cache t;
    toy_open_claiming(&t, kind, sequence);
    const size_t before = rt_mem_get_stats().live_bytes;
    rt_source *s = open_source(&t, &(rt_source_options){.max_batch_tokens = 300});
    const size_t bytes = rt_mem_get_stats().live_bytes - before;
    rt_source_close(s);
    toy_cache_close(&t);
    return bytes;
}

static void a_length_that_only_a_header_claims_takes_no_memory(void **state)
{
    (void)state;
    for (int kind = RT_CACHE_SAMPLE; kind <= RT_CACHE_HIDDEN; kind++) {
        assert_int_equal(bytes_of_a_source((rt_cache_kind)kind, 1 << 20), bytes_of_a_source((rt_cache_kind)kind, 96));
    }
}

static void a_cursor_outside_the_data_is_refused(void **state)
{
    (void)state;
    rt_err err = {0};
    toy_cache t;
    toy_open(&t, RT_CACHE_SAMPLE);
    rt_source *s = open_source(&t, &(rt_source_options){.max_batch_tokens = 300});
    rt_source_batch b;
    rt_source_cursor c = {.index = t.h.n_sequences};
    assert_int_equal(rt_source_next(s, &c, 300, &b, &err), RT_INPUT);
    c = (rt_source_cursor){.epoch = -1};
    assert_int_equal(rt_source_next(s, &c, 300, &b, &err), RT_INPUT);
    rt_source_close(s);
    toy_cache_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_can_be_had_again_from_its_cursor),
        cmocka_unit_test(an_epoch_delivers_each_sequence_once_in_a_new_order),
        cmocka_unit_test(validation_sees_a_part_in_stored_order_and_stops_at_its_end),
        cmocka_unit_test(labels_alone_need_no_teacher),
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(a_length_that_only_a_header_claims_takes_no_memory),
        cmocka_unit_test(a_cursor_outside_the_data_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
