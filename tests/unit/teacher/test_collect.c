/* Collecting: every answer in the ledger, the same bytes whatever happened on the way, and the teacher's own numbers.
 * With an argument this program collects into that directory and is meant to be killed there. */
#include "teacher/answers.h"
#include "teacher/source.h"
#include "unit/teacher/collect_fixture.h"

static rt_cache *collect(small_job *s, rt_collect_report *r)
{
    rt_err err = {0};
    rt_cache *c = NULL;
    assert_ok(rt_collect(&s->job, r, &err));
    assert_ok(rt_cache_open(&c, s->cache, &err));
    return c;
}

/* ---- content ---- */

static void the_report_is_the_caches(void **state)
{
    (void)state;
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    small_job_open(&s, dir, RT_CACHE_SAMPLE);
    rt_cache *c = collect(&s, &r);
    const rt_cache_header *h = rt_cache_get_header(c);
    assert_int_equal(r.tokens, s.packed.n_tokens);
    assert_int_equal(r.tokens_now, s.packed.n_tokens);
    assert_int_equal(r.targets, count_targets(&s.packed));
    assert_int_equal(r.bytes, rt_cache_bytes(c));
    assert_int_equal(r.draws, 50);
    assert_true(r.tokens_per_s > 0 && r.bytes_per_token > 0);
    assert_memory_equal(h->data.b, s.corpus.hash.b, sizeof h->data.b);
    assert_memory_equal(h->layout.b, s.packed.hash.b, sizeof h->layout.b);
    assert_false(h->provenance_incomplete);
    char hex[65];
    rt_digest_hex(h->teacher, hex);
    assert_string_equal(hex, TEACHER_SHA);
    rt_cache_close(c);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

/* Mean over the cache of log p(realised token), and of the mass the draws give it, against a fresh run of the teacher.
 */
static void the_teacher_knows_its_own_text_again(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    small_job_open(&s, dir, RT_CACHE_SAMPLE);
    rt_cache *c = collect(&s, &r);
    rt_cache_sequence q = {0};
    rt_answers *a = NULL;
    rt_gather g = {0};
    const rt_answer_options o = {.kind = RT_CACHE_TOPK, .k = 1, .temperature = 1, .max_tokens = 64, .max_span = 64};
    assert_ok(rt_answers_new(&a, s.teacher, &o, &err));
    assert_ok(rt_gather_init(&g, 64, &err));
    double nll = 0, p_sum = 0, p_variance = 0, share = 0;
    for (int64_t i = 0; i < r.sequences; i++) {
        rt_gather_clear(&g);
        rt_gather_add_packed(&g, &s.packed, i);
        const rt_cache_row *rows = rt_answers_run(a, &g);
        assert_ok(rt_cache_read(c, i, &q, &err));
        for (int64_t j = 0; j < g.n_rows; j++) {
            const rt_target *t = &q.targets[g.rows[j]];
            double p = exp((double)rows[j].label_logp);
            nll -= (double)rows[j].label_logp;
            p_sum += p;
            p_variance += p * (1 - p) / 50;
            for (int k = 0; k < t->n; k++) {
                share += t->ids[k] == t->label ? (double)t->weight[k] : 0;
            }
        }
    }
    assert_true(fabs(nll / (double)r.targets - r.teacher_nll) < 1e-4);
    assert_true(fabs(share - p_sum) < 4 * sqrt(p_variance));
    rt_gather_release(&g);
    rt_answers_free(a);
    rt_cache_sequence_release(&q);
    rt_cache_close(c);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

static void check_ledger(const small_job *s, int64_t targets, uint64_t *outputs)
{
    rt_err err = {0};
    rt_ledger_report l = {0};
    int64_t by_shard = 0;
    const char *name;
    json_t *n;
    assert_ok(rt_ledger_verify(&l, s->ledger, &err));
    assert_true(l.closed);
    assert_int_equal(l.mark.positions, targets);
    assert_int_equal(l.unstated, 0);
    json_object_foreach(l.caches, name, n)
    {
        assert_true(strncmp(name, "cache/000", 9) == 0);
        by_shard += json_integer_value(n);
    }
    assert_int_equal(by_shard, targets);
    *outputs = l.mark.outputs;
    rt_ledger_report_release(&l);
}

static void every_position_is_in_the_ledger_once(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    uint64_t outputs, again;
    bool same = false;
    small_job_open(&s, dir, RT_CACHE_SAMPLE);
    rt_cache_close(collect(&s, &r));
    check_ledger(&s, r.targets, &outputs);
    rt_cache_close(collect(&s, &r));
    assert_int_equal(r.tokens_now, 0);
    check_ledger(&s, r.targets, &again);
    assert_int_equal(outputs, again);
    int32_t doc = s.packed.segments[0].doc;
    const rt_digest *text = &s.corpus.docs[doc].text_hash;
    assert_ok(rt_ledger_match(s.ledger, 0, text->b, sizeof text->b, &same, &err));
    assert_true(same);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

/* ---- same bytes ---- */

static void check_same_caches(const char *a, const char *b, const rt_collect_report *r)
{
    for (int64_t i = 0; i * 4 < r->sequences; i++) {
        char file[16];
        snprintf(file, sizeof file, "%05d.rtc", (int)i);
        assert_true(same_file(a, b, file));
    }
    assert_true(same_file(a, b, "cache.json"));
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    char *dir[2] = {rt_test_scratch(), rt_test_scratch()};
    small_job s[2];
    rt_collect_report r;
    int before = rt_team_threads();
    for (int i = 0; i < 2; i++) {
        rt_team_set_threads(i + 1);
        small_job_open(&s[i], dir[i], RT_CACHE_SAMPLE);
        rt_cache_close(collect(&s[i], &r));
    }
    rt_team_set_threads(before);
    check_same_caches(s[0].cache, s[1].cache, &r);
    for (int i = 0; i < 2; i++) {
        small_job_close(&s[i]);
        rt_test_scratch_drop(dir[i]);
    }
}

static char *self; /* this program */

/* Killed at the n-th passage of each point, then run to the end in this process. */
static void a_killed_collect_goes_on_to_the_same_bytes(void **state)
{
    (void)state;
    static const char *const points[] = {"collect.batch:2",  "collect.ledger:1", "collect.shard:1", "collect.batch:5",
                                         "collect.ledger:3", "collect.shard:2",  "ledger-lines:2"};
    char *whole = rt_test_scratch();
    small_job s;
    rt_collect_report r, resumed;
    small_job_open(&s, whole, RT_CACHE_SAMPLE);
    rt_cache_close(collect(&s, &r));
    uint64_t outputs, again;
    check_ledger(&s, r.targets, &outputs);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        char *dir = rt_test_scratch(), command[1200];
        small_job broken;
        snprintf(command, sizeof command, "RETORT_CRASH_AT=%s '%s' '%s' 2>/dev/null", points[i], self, dir);
        assert_int_not_equal(system(command), 0);
        small_job_open(&broken, dir, RT_CACHE_SAMPLE);
        rt_cache_close(collect(&broken, &resumed));
        check_same_caches(s.cache, broken.cache, &r);
        assert_true(resumed.teacher_nll == r.teacher_nll);
        check_ledger(&broken, r.targets, &again);
        assert_int_equal(outputs, again);
        small_job_close(&broken);
        rt_test_scratch_drop(dir);
    }
    small_job_close(&s);
    rt_test_scratch_drop(whole);
}

/* ---- online ---- */

static void check_same_targets(const rt_source_batch *a, const rt_source_batch *b)
{
    assert_int_equal(a->n_rows, b->n_rows);
    assert_int_equal(a->net.n_rows, b->net.n_rows);
    assert_memory_equal(a->net.ids, b->net.ids, (size_t)a->net.n_rows * sizeof(int32_t));
    assert_memory_equal(a->rows, b->rows, (size_t)a->n_rows * sizeof(int32_t));
    for (int64_t i = 0; i < a->n_rows; i++) {
        const rt_target *x = &a->targets[i], *y = &b->targets[i];
        assert_int_equal(x->n, y->n);
        assert_true(fabsf(x->entropy - y->entropy) < 0.0313f); /* half a step of the cache, 1/32 */
        for (int j = 0; j < x->n; j++) {
            int k = 0;
            while (k < y->n && y->ids[k] != x->ids[j]) {
                k++;
            }
            assert_true(k < y->n && x->weight[j] == y->weight[k]);
        }
    }
}

static void a_live_teacher_draws_what_the_cache_holds(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    small_job_open(&s, dir, RT_CACHE_SAMPLE);
    rt_cache *c = collect(&s, &r);
    rt_source *cached = NULL, *live = NULL;
    rt_source_options o = {.seed = 3, .max_batch_tokens = 180, .draws = 50, .draw_seed = s.job.options.seed};
    assert_ok(rt_source_from_cache(&cached, c, &o, &err));
    assert_ok(rt_source_from_corpus(&live, &s.packed, RT_SOURCE_SAMPLE, s.teacher, s.permit, &o, &err));
    rt_source_cursor at = {0}, at_live = {0};
    for (int i = 0; i < 12; i++) {
        rt_source_batch a, b;
        assert_ok(rt_source_next(cached, &at, 180, &a, &err));
        assert_ok(rt_source_next(live, &at_live, 180, &b, &err));
        check_same_targets(&a, &b);
    }
    rt_source_close(cached);
    rt_source_close(live);
    rt_cache_close(c);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

/* Shows that two ways to the teacher's logits agree: visitors of one sweep see the model's and the teacher's. */
static void compare_logits(void *ud, const rt_head_row *row)
{
    const small_job *s = ud;
    for (int64_t i = 0; i < s->teacher->hp.n_vocab; i++) {
        if (fabsf(row->logits[i] - row->teacher[i]) > 1e-3f) {
            fail_msg("logit %lld: %g and %g", (long long)i, (double)row->logits[i], (double)row->teacher[i]);
        }
    }
}

static void hidden_states_give_the_logits_of_a_live_teacher(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    small_job_open(&s, dir, RT_CACHE_HIDDEN);
    s.job.options.hidden_dtype = RT_F32;
    rt_cache *c = collect(&s, &r);
    rt_source *cached = NULL, *live = NULL;
    rt_head *head = NULL;
    rt_source_options o = {.seed = 3, .max_batch_tokens = 180};
    assert_ok(rt_source_from_cache(&cached, c, &o, &err));
    assert_ok(rt_source_from_corpus(&live, &s.packed, RT_SOURCE_DENSE, s.teacher, s.permit, &o, &err));
    assert_ok(rt_head_new(&head, s.teacher, s.teacher, false, &err));
    rt_source_cursor at = {0}, at_live = {0};
    for (int i = 0; i < 5; i++) {
        rt_source_batch a, b;
        assert_ok(rt_source_next(cached, &at, 180, &a, &err));
        assert_ok(rt_source_next(live, &at_live, 180, &b, &err));
        assert_int_equal(a.n_rows, b.n_rows);
        rt_head_run(head, &(rt_head_sweep){.model = s.teacher,
                                           .x = b.teacher_x,
                                           .rows = b.rows,
                                           .n_rows = b.n_rows,
                                           .visit = compare_logits,
                                           .ud = &s,
                                           .teacher = s.teacher,
                                           .teacher_hidden = a.teacher_hidden});
    }
    rt_head_free(head);
    rt_source_close(cached);
    rt_source_close(live);
    rt_cache_close(c);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

/* ---- refusals ---- */

static void refuses_before_the_first_forward(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    small_job_open(&s, dir, RT_CACHE_SAMPLE);
    s.job.permit = NULL;
    assert_int_equal(rt_collect(&s.job, &r, &err), RT_LICENCE);
    s.job.permit = s.permit;
    int32_t id = s.packed.ids[17];
    s.packed.ids[17] = (int32_t)s.teacher->hp.n_vocab;
    assert_int_equal(rt_collect(&s.job, &r, &err), RT_INPUT);
    assert_says(err.msg, "wrong tokenizer");
    s.packed.ids[17] = id;
    s.job.options.draws = 0;
    assert_int_equal(rt_collect(&s.job, &r, &err), RT_INPUT);
    assert_says(err.msg, "draws");
    s.job.options.draws = 50;
    assert_false(rt_path_exists(s.cache));
    assert_false(rt_path_exists(s.ledger));
    rt_cache_close(collect(&s, &r));
    s.job.options.draws = 49;
    assert_int_equal(rt_collect(&s.job, &r, &err), RT_INPUT);
    assert_says(err.msg, "draws differs");
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

static void a_teacher_without_finite_numbers_is_refused(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    small_job_open(&s, dir, RT_CACHE_SAMPLE);
    s.teacher->weights[rt_model_find(s.teacher, "model.norm.weight")->offset] = NAN;
    assert_int_equal(rt_collect(&s.job, &r, &err), RT_NUMERIC);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc > 1) {
        small_job s;
        rt_collect_report r;
        small_job_open(&s, argv[1], RT_CACHE_SAMPLE);
        return rt_collect(&s.job, &r, NULL) == RT_OK ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_report_is_the_caches),
        cmocka_unit_test(the_teacher_knows_its_own_text_again),
        cmocka_unit_test(every_position_is_in_the_ledger_once),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(a_killed_collect_goes_on_to_the_same_bytes),
        cmocka_unit_test(a_live_teacher_draws_what_the_cache_holds),
        cmocka_unit_test(hidden_states_give_the_logits_of_a_live_teacher),
        cmocka_unit_test(refuses_before_the_first_forward),
        cmocka_unit_test(a_teacher_without_finite_numbers_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
