/* A cache gives back what was put in, in few bytes; refuses what is damaged; continues where it was. */
#include "teacher/cache_shard.h"
#include "unit/teacher/teacher_fixture.h"

/* ---- content ---- */

static void check_same_row(const rt_target *t, const rt_cache_row *row, const rt_cache_header *h)
{
    assert_int_equal(t->n, row->n);
    for (int i = 0; i < t->n; i++) {
        int j = 0;
        while (j < row->n && row->ids[j] != t->ids[i]) {
            j++;
        }
        assert_true(j < row->n);
        if (h->kind == RT_CACHE_SAMPLE) {
            assert_true(fabsf(t->weight[i] * (float)h->draws - (float)row->counts[j]) < 1e-4f);
        } else {
            assert_true(fabsf(t->weight[i] - row->logp[j]) <= 0.0005f * fabsf(row->logp[j]));
        }
    }
    if (h->kind == RT_CACHE_SAMPLE) {
        assert_true(fabsf(t->entropy - row->entropy) <= 0.03125f);
    } else if (isfinite(row->log_tail)) {
        assert_true(fabsf(t->log_tail - row->log_tail) <= 0.0005f * fabsf(row->log_tail) + 1e-6f);
    } else {
        assert_true(t->log_tail == -INFINITY);
    }
}

static void check_sequence(const rt_cache *c, int64_t s, const rt_packed *p, const toy_rows *rows, rt_cache_sequence *q)
{
    rt_err err = {0};
    const rt_cache_header *h = rt_cache_get_header(c);
    int64_t first = p->sequence_first_segment[s], token0 = p->segments[first].start, n_targets = 0, tokens, targets;
    assert_ok(rt_cache_read(c, s, q, &err));
    assert_int_equal(q->n_segments, p->sequence_first_segment[s + 1] - first);
    for (int64_t k = 0; k < q->n_segments; k++) {
        assert_int_equal(q->segment_start[k], p->segments[first + k].start - token0);
        assert_int_equal(q->segment_start[k + 1] - q->segment_start[k], p->segments[first + k].n);
        assert_int_equal(q->segment_doc[k], p->segments[first + k].doc);
    }
    for (int64_t i = 0; i < q->n; i++) {
        assert_int_equal(q->ids[i], p->ids[token0 + i]);
        assert_int_equal(q->mask[i], p->loss_mask[token0 + i]);
        assert_int_equal(q->label[i], q->mask[i] ? p->ids[token0 + i + 1] : -1);
        n_targets += q->mask[i];
        if (h->kind == RT_CACHE_HIDDEN) {
            for (int64_t j = 0; j < h->d_model; j++) {
                float want = q->mask[i] ? rows->rows[token0 + i].hidden[j] : 0;
                float got = q->mask[i] ? q->hidden[i][j] : 0;
                assert_true(fabsf(got - want) <= 0.0005f * fabsf(want) + 1e-6f);
            }
        } else if (q->mask[i]) {
            check_same_row(&q->targets[i], &rows->rows[token0 + i], h);
            assert_int_equal(q->targets[i].label, q->label[i]);
        } else {
            assert_int_equal(q->targets[i].n, 0);
        }
    }
    rt_cache_sequence_size(c, s, &tokens, &targets);
    assert_int_equal(tokens, q->n);
    assert_int_equal(targets, n_targets);
}

static void round_trip(rt_cache_kind kind, bool masked, rt_dtype hidden_dtype)
{
    toy_cache w = {0};
    toy_packed(&w.p, 60, 128, TOY_VOCAB, masked, 1);
    w.h = toy_header(&w.p, kind, TOY_VOCAB);
    w.h.hidden_dtype = kind == RT_CACHE_HIDDEN ? hidden_dtype : RT_F32;
    toy_rows_make(&w.rows, &w.p, &w.h, 2);
    toy_cache_store(&w);
    const rt_cache_header *got = rt_cache_get_header(w.cache);
    assert_int_equal(got->n_targets, w.h.n_targets);
    assert_string_equal(got->licence, "apache-2.0");
    assert_string_equal(got->verdict, "permit");
    double nll = 0;
    for (int64_t i = 0; i < w.p.n_tokens; i++) {
        nll -= w.p.loss_mask[i] ? (double)w.rows.rows[i].label_logp : 0;
    }
    assert_true(fabs(rt_cache_teacher_nll(w.cache) - nll / (double)w.h.n_targets) < 1e-12);
    for (int64_t s = w.h.n_sequences - 1; s >= 0; s--) {
        check_sequence(w.cache, s, &w.p, &w.rows, &w.q);
    }
    toy_cache_close(&w);
}

static void gives_back_what_was_put_in(void **state)
{
    (void)state;
    round_trip(RT_CACHE_SAMPLE, false, RT_F32);
    round_trip(RT_CACHE_SAMPLE, true, RT_F32);
    round_trip(RT_CACHE_TOPK, true, RT_F32);
    round_trip(RT_CACHE_HIDDEN, true, RT_F16);
    round_trip(RT_CACHE_HIDDEN, false, RT_F32);
}

/* A token without a target costs next to nothing on disk, and must not cost a row of states in memory. */
static void states_take_room_only_where_they_are_stored(void **state)
{
    (void)state;
    toy_cache w = {0};
    toy_packed(&w.p, 60, 128, TOY_VOCAB, false, 1);
    for (int64_t i = 0; i < w.p.n_tokens; i++) {
        w.p.loss_mask[i] = w.p.loss_mask[i] && i % 16 == 0;
    }
    w.h = toy_header(&w.p, RT_CACHE_HIDDEN, TOY_VOCAB);
    w.h.d_model = 256;
    toy_rows_make(&w.rows, &w.p, &w.h, 2);
    toy_cache_store(&w);
    for (int64_t s = 0; s < w.h.n_sequences; s++) {
        check_sequence(w.cache, s, &w.p, &w.rows, &w.q);
    }
    assert_true(w.q.storage_cap < (size_t)(w.h.sequence * w.h.d_model) * sizeof(float) / 4);
    toy_cache_close(&w);
}

/* An estimate of the KL takes their mean: rounding must not move it. */
static void entropies_are_rounded_without_bias(void **state)
{
    (void)state;
    rt_err err = {0};
    toy_cache w = {0};
    double sum = 0;
    int64_t at = 0;
    toy_packed(&w.p, 200, 128, TOY_VOCAB, false, 5);
    w.h = toy_header(&w.p, RT_CACHE_SAMPLE, TOY_VOCAB);
    toy_rows_make(&w.rows, &w.p, &w.h, 6);
    toy_cache_store(&w);
    for (int64_t s = 0; s < w.h.n_sequences; s++) {
        assert_ok(rt_cache_read(w.cache, s, &w.q, &err));
        for (int64_t i = 0; i < w.q.n; i++, at++) {
            sum += w.q.mask[i] != 0 ? (double)(w.q.targets[i].entropy - w.rows.rows[at].entropy) : 0;
        }
    }
    assert_int_equal(at, w.p.n_tokens);
    /* five standard errors of a uniform error of 1/16 in all */
    assert_true(fabs(sum) < 5 * sqrt((double)w.h.n_targets / 12) / 16);
    toy_cache_close(&w);
}

/* Caches that version 1 of the format wrote from the same made-up rows. */
static void reads_caches_of_the_first_version(void **state)
{
    (void)state;
    rt_err err = {0};
    for (rt_cache_kind kind = RT_CACHE_SAMPLE; kind <= RT_CACHE_TOPK; kind++) {
        rt_packed p = {0};
        toy_rows rows;
        rt_cache *c = NULL;
        rt_cache_sequence q = {0};
        char dir[512];
        snprintf(dir, sizeof dir, "%s/tests/unit/teacher/cache_v1/%s", RT_TEST_SOURCE, rt_cache_kind_name(kind));
        toy_packed(&p, 14, 64, TOY_VOCAB, true, 3);
        rt_cache_header h = toy_header(&p, kind, TOY_VOCAB);
        toy_rows_make(&rows, &p, &h, 2);
        assert_ok(rt_cache_open(&c, dir, &err));
        for (int64_t s = 0; s < h.n_sequences; s++) {
            check_sequence(c, s, &p, &rows, &q);
        }
        rt_cache_sequence_release(&q);
        rt_cache_close(c);
        toy_rows_release(&rows);
        rt_packed_release(&p);
    }
}

/* ---- identity ---- */

static void refuses_another_header_by_the_field_name(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    rt_packed p = {0};
    toy_rows rows;
    rt_permit *permit = apache_permit("toy");
    rt_cache_writer *w = NULL;
    toy_packed(&p, 60, 128, TOY_VOCAB, false, 1);
    rt_cache_header h = toy_header(&p, RT_CACHE_SAMPLE, TOY_VOCAB);
    toy_rows_make(&rows, &p, &h, 2);
    write_cache(dir, &p, &h, &rows);
    h.seed++;
    assert_int_equal(rt_cache_create(&w, dir, &h, permit, &err), RT_INPUT);
    assert_says(err.msg, "seed differs");
    h.seed--;
    h.temperature = 2;
    assert_int_equal(rt_cache_create(&w, dir, &h, permit, &err), RT_INPUT);
    assert_says(err.msg, "temperature differs");
    rt_permit_free(permit);
    toy_rows_release(&rows);
    rt_packed_release(&p);
    rt_test_scratch_drop(dir);
}

/* Half a character is none that the index, which is JSON, could hold. */
static void a_long_name_is_cut_between_characters(void **state)
{
    (void)state;
    for (int n = 124; n < 130; n++) {
        char name[200] = "models/";
        rt_cache_header h = {0};
        memset(name + 7, 'm', (size_t)n);
        snprintf(name + 7 + n, sizeof name - 7 - (size_t)n, "\u00e9\u00e9\u00e9.gguf");
        rt_permit *permit = apache_permit(name);
        rt_cache_header_name(&h, permit);
        assert_true(rt_utf8_valid(h.teacher_name, strlen(h.teacher_name)));
        assert_true(strlen(h.teacher_name) >= 126);
        assert_memory_equal(h.teacher_name, name + 7, strlen(h.teacher_name));
        assert_string_equal(h.licence, "apache-2.0");
        rt_permit_free(permit);
    }
}

static void writes_nothing_without_a_permit(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    rt_packed p = {0};
    rt_cache_writer *w = NULL;
    toy_packed(&p, 10, 64, TOY_VOCAB, false, 1);
    rt_cache_header h = toy_header(&p, RT_CACHE_SAMPLE, TOY_VOCAB);
    char *sub = rt_path_join(dir, "cache");
    assert_int_equal(rt_cache_create(&w, sub, &h, NULL, &err), RT_LICENCE);
    assert_false(rt_path_exists(sub));
    rt_free(sub);
    rt_packed_release(&p);
    rt_test_scratch_drop(dir);
}

static void an_interrupted_cache_goes_on_to_the_same_bytes(void **state)
{
    (void)state;
    rt_err err = {0};
    char *whole = rt_test_scratch(), *broken = rt_test_scratch();
    rt_packed p = {0};
    toy_rows rows;
    rt_permit *permit = apache_permit("toy");
    rt_cache *c = NULL;
    toy_packed(&p, 60, 128, TOY_VOCAB, false, 1);
    rt_cache_header h = toy_header(&p, RT_CACHE_SAMPLE, TOY_VOCAB);
    toy_rows_make(&rows, &p, &h, 2);
    write_cache(whole, &p, &h, &rows);
    for (int64_t stop = 4; stop <= h.n_sequences; stop += 4) {
        rt_cache_writer *w = NULL;
        assert_ok(rt_cache_create(&w, broken, &h, permit, &err));
        assert_int_equal(rt_cache_next_sequence(w) % h.sequences_per_shard, 0);
        append_range(w, &p, &rows, stop);
        rt_cache_abandon(w);
        assert_int_equal(rt_cache_open(&c, broken, &err), RT_NOT_FOUND);
    }
    write_cache(broken, &p, &h, &rows);
    int64_t n_shards = (h.n_sequences - 1) / h.sequences_per_shard + 1;
    assert_true(n_shards > 2);
    for (int64_t i = 0; i < n_shards; i++) {
        char file[16];
        rt_shard_file_name(i, file);
        assert_true(same_file(whole, broken, file));
    }
    assert_true(same_file(whole, broken, "cache.json"));
    rt_permit_free(permit);
    toy_rows_release(&rows);
    rt_packed_release(&p);
    rt_test_scratch_drop(whole);
    rt_test_scratch_drop(broken);
}

static void refuses_numbers_that_are_none(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    rt_packed p = {0};
    toy_rows rows;
    rt_permit *permit = apache_permit("toy");
    rt_cache_writer *w = NULL;
    toy_packed(&p, 60, 128, TOY_VOCAB, false, 1);
    rt_cache_header h = toy_header(&p, RT_CACHE_SAMPLE, TOY_VOCAB);
    toy_rows_make(&rows, &p, &h, 2);
    for (int64_t i = 0; i < p.n_tokens; i++) {
        rows.rows[i].entropy = NAN;
    }
    assert_ok(rt_cache_create(&w, dir, &h, permit, &err));
    assert_int_equal(rt_cache_append(w, &p, 0, rows.rows, &err), RT_NUMERIC);
    rt_cache_abandon(w);
    h = toy_header(&p, RT_CACHE_HIDDEN, TOY_VOCAB);
    toy_rows_release(&rows);
    toy_rows_make(&rows, &p, &h, 2);
    for (int64_t i = 0; i < p.n_tokens * h.d_model; i++) {
        rows.values[i] = 7e4f;
    }
    assert_ok(rt_cache_create(&w, dir, &h, permit, &err));
    assert_int_equal(rt_cache_append(w, &p, 0, rows.rows, &err), RT_NUMERIC);
    assert_says(err.msg, "F16");
    rt_cache_abandon(w);
    rt_permit_free(permit);
    toy_rows_release(&rows);
    rt_packed_release(&p);
    rt_test_scratch_drop(dir);
}

/* ---- damage ---- */

/* Bytes as they come from disk, read to the end. True when something was refused. */
static bool refused(const uint8_t *bytes, size_t n, bool with_new_checksum)
{
    rt_err err = {0};
    rt_shard s = {0};
    rt_cache_sequence q = {0};
    uint8_t *copy = rt_malloc(n);
    memcpy(copy, bytes, n);
    if (with_new_checksum && n >= 16) {
        uint64_t sum = rt_xxh64(copy + 16, n - 16);
        memcpy(copy + 8, &sum, sizeof sum);
    }
    rt_status st = rt_shard_from_bytes(&s, copy, n, "x.rtc", &err);
    if (st == RT_OK) {
        st = rt_shard_check(&s, &err);
    }
    for (int64_t i = 0; st == RT_OK && i < s.head.shard_sequences; i++) {
        st = rt_shard_read(&s, i, &q, &err);
    }
    if (st != RT_OK) {
        assert_says(err.msg, "x.rtc");
    }
    rt_cache_sequence_release(&q);
    rt_shard_release(&s);
    rt_free(copy);
    return st != RT_OK;
}

static void damage_one(rt_cache_kind kind)
{
    rt_err err = {0};
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "00000.rtc");
    rt_packed p = {0};
    toy_rows rows;
    rt_str bytes = {0};
    toy_packed(&p, 60, 64, TOY_VOCAB, true, 3);
    rt_cache_header h = toy_header(&p, kind, TOY_VOCAB);
    toy_rows_make(&rows, &p, &h, 2);
    write_cache(dir, &p, &h, &rows);
    assert_ok(rt_file_read(&bytes, path, SIZE_MAX / 2, &err));
    uint8_t *b = (uint8_t *)bytes.p;
    assert_false(refused(b, bytes.n, false));
    for (size_t n = 0; n < bytes.n; n += 1 + n / 16) {
        assert_true(refused(b, n, false));
        assert_true(refused(b, n, true));
    }
    rt_rng r = rt_rng_init(9, "damage", (uint64_t)kind);
    for (int i = 0; i < 400; i++) {
        size_t at = 16 + rt_rng_below(&r, bytes.n - 16);
        uint8_t was = b[at];
        b[at] = (uint8_t)(was ^ (1u << rt_rng_below(&r, 8)));
        assert_true(refused(b, bytes.n, false));
        refused(b, bytes.n, true); /* may be another valid shard: must only stay inside its bytes */
        b[at] = was;
    }
    rt_str_release(&bytes);
    toy_rows_release(&rows);
    rt_packed_release(&p);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

static void refuses_damaged_shards(void **state)
{
    (void)state;
    damage_one(RT_CACHE_SAMPLE);
    damage_one(RT_CACHE_TOPK);
    damage_one(RT_CACHE_HIDDEN);
}

static void a_cache_with_a_foreign_or_missing_shard_does_not_open(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch(), *other = rt_test_scratch();
    char *one = rt_path_join(dir, "00001.rtc"), *foreign = rt_path_join(other, "00001.rtc");
    rt_packed p = {0};
    toy_rows rows;
    rt_str bytes = {0};
    rt_cache *c = NULL;
    toy_packed(&p, 60, 64, TOY_VOCAB, true, 3);
    rt_cache_header h = toy_header(&p, RT_CACHE_SAMPLE, TOY_VOCAB);
    toy_rows_make(&rows, &p, &h, 2);
    write_cache(dir, &p, &h, &rows);
    toy_rows_release(&rows);
    toy_rows_make(&rows, &p, &h, 5);
    write_cache(other, &p, &h, &rows);
    assert_ok(rt_file_read(&bytes, foreign, SIZE_MAX / 2, &err));
    assert_ok(rt_file_write(one, bytes.p, bytes.n, &err));
    assert_int_equal(rt_cache_open(&c, dir, &err), RT_INPUT);
    assert_says(err.msg, "00001.rtc");
    assert_ok(rt_path_remove(one, &err));
    assert_int_not_equal(rt_cache_open(&c, dir, &err), RT_OK);
    assert_says(err.msg, "00001.rtc");
    rt_str_release(&bytes);
    toy_rows_release(&rows);
    rt_packed_release(&p);
    rt_free(one);
    rt_free(foreign);
    rt_test_scratch_drop(dir);
    rt_test_scratch_drop(other);
}

/* ---- memory ---- */

/* Whatever allocation fails, the answer is "out of memory", and the work can be done afterwards. */
static void lack_of_memory_is_said_and_leaves_no_half_shard(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    rt_packed p = {0};
    toy_rows rows;
    rt_permit *permit = apache_permit("toy");
    toy_packed(&p, 12, 64, TOY_VOCAB, true, 3);
    rt_cache_header h = toy_header(&p, RT_CACHE_SAMPLE, TOY_VOCAB);
    toy_rows_make(&rows, &p, &h, 2);
    rt_status st = RT_MEMORY;
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_cache_writer *w = NULL;
        rt_mem_fail_after(n);
        st = rt_cache_create(&w, dir, &h, permit, &err);
        while (st == RT_OK && rt_cache_next_sequence(w) < h.n_sequences) {
            int64_t s = rt_cache_next_sequence(w);
            st = rt_cache_append(w, &p, s, rows.rows + p.segments[p.sequence_first_segment[s]].start, &err);
        }
        if (st == RT_OK) {
            st = rt_cache_finish(w, &err);
        } else {
            rt_cache_abandon(w);
        }
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || st == RT_MEMORY);
        assert_true(n < 10000);
    }
    st = RT_MEMORY;
    for (uint64_t n = 1; st != RT_OK; n++) {
        rt_cache *c = NULL;
        rt_cache_sequence q = {0};
        rt_mem_fail_after(n);
        st = rt_cache_open(&c, dir, &err);
        for (int64_t s = 0; st == RT_OK && s < h.n_sequences; s++) {
            st = rt_cache_read(c, s, &q, &err);
        }
        rt_mem_fail_after(0);
        assert_true(st == RT_OK || st == RT_MEMORY);
        rt_cache_sequence_release(&q);
        rt_cache_close(c);
    }
    rt_permit_free(permit);
    toy_rows_release(&rows);
    rt_packed_release(&p);
    rt_test_scratch_drop(dir);
}

/* ---- size and speed ---- */

/* Half of the draws go to the row's four favourites, the others to a long tail, shifted by what the row follows: about
 * as spread (20 distinct ids of 50 draws) as a small language model is on books, and of several kinds. */
static void make_peaked(toy_rows *t, const rt_packed *p, const rt_cache_header *h)
{
    for (int64_t i = 0; i < p->n_tokens; i++) {
        rt_rng r = rt_rng_init(7, "peaked", (uint64_t)i);
        rt_cache_row *row = &t->rows[i];
        int32_t favourites[4];
        int counts[50] = {0};
        int32_t *ids = t->ids + i * h->draws;
        for (int j = 0; j < 4; j++) {
            favourites[j] = toy_id(&r, (int)h->n_vocab);
        }
        int shift = p->ids[i] % 4 * 5000;
        row->n = 0;
        for (int d = 0; d < h->draws; d++) {
            int32_t id = rt_rng_below(&r, 100) < 62 ? favourites[rt_rng_below(&r, 4)]
                                                    : (toy_id(&r, (int)h->n_vocab) + shift) % (int)h->n_vocab;
            int j = 0;
            while (j < row->n && ids[j] != id) {
                j++;
            }
            row->n += j == row->n;
            ids[j] = id;
            counts[j]++;
        }
        memcpy(t->counts + i * h->draws, counts, sizeof counts);
    }
}

static void sample_rows_are_small_and_quick_to_read(void **state)
{
    (void)state;
    rt_err err = {0};
    enum { VOCAB = 49152 };
    toy_cache w = {0};
    toy_packed(&w.p, 700, 512, VOCAB, false, 4);
    w.h = toy_header(&w.p, RT_CACHE_SAMPLE, VOCAB);
    w.h.sequences_per_shard = 128;
    toy_rows_make(&w.rows, &w.p, &w.h, 2);
    make_peaked(&w.rows, &w.p, &w.h);
    double distinct = 0;
    for (int64_t i = 0; i < w.p.n_tokens; i++) {
        distinct += w.rows.rows[i].n;
    }
    toy_cache_store(&w);
    double per_token = (double)rt_cache_bytes(w.cache) / (double)w.h.n_tokens;
    assert_ok(rt_cache_read(w.cache, 0, &w.q, &err));
    double t = rt_now();
    for (int64_t s = 0; s < w.h.n_sequences; s++) {
        assert_ok(rt_cache_read(w.cache, s, &w.q, &err));
    }
    print_message("%.1f distinct ids a row, %.1f bytes a token at 50 draws, %.2f M tokens/s read\n",
                  distinct / (double)w.p.n_tokens, per_token, (double)w.p.n_tokens / (rt_now() - t) * 1e-6);
    assert_true(distinct > 20 * (double)w.p.n_tokens && per_token < 33);
    for (int64_t s = 0; s < w.h.n_sequences; s++) {
        check_sequence(w.cache, s, &w.p, &w.rows, &w.q);
    }
    toy_cache_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_put_in),
        cmocka_unit_test(states_take_room_only_where_they_are_stored),
        cmocka_unit_test(entropies_are_rounded_without_bias),
        cmocka_unit_test(reads_caches_of_the_first_version),
        cmocka_unit_test(refuses_another_header_by_the_field_name),
        cmocka_unit_test(a_long_name_is_cut_between_characters),
        cmocka_unit_test(writes_nothing_without_a_permit),
        cmocka_unit_test(an_interrupted_cache_goes_on_to_the_same_bytes),
        cmocka_unit_test(refuses_numbers_that_are_none),
        cmocka_unit_test(refuses_damaged_shards),
        cmocka_unit_test(a_cache_with_a_foreign_or_missing_shard_does_not_open),
        cmocka_unit_test(lack_of_memory_is_said_and_leaves_no_half_shard),
        cmocka_unit_test(sample_rows_are_small_and_quick_to_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
