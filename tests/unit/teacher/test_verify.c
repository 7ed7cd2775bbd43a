/* A cache is recognised as the teacher's, and a shifted, re-tempered or foreign one is not. */
#include "teacher/verify.h"
#include "unit/teacher/collect_fixture.h"

typedef struct checked {
    char *dir;
    small_job s;
    rt_cache *c;
} checked;

static void checked_open(checked *k, rt_cache_kind kind)
{
    rt_err err = {0};
    rt_collect_report r;
    k->dir = rt_test_scratch();
    small_job_open(&k->s, k->dir, kind);
    assert_ok(rt_collect(&k->s.job, &r, &err));
    assert_ok(rt_cache_open(&k->c, k->s.cache, &err));
}

static void checked_close(checked *k)
{
    rt_cache_close(k->c);
    small_job_close(&k->s);
    rt_test_scratch_drop(k->dir);
}

static void the_teachers_own_cache_passes(void **state)
{
    (void)state;
    rt_err err = {0};
    for (int kind = RT_CACHE_SAMPLE; kind <= RT_CACHE_HIDDEN; kind++) {
        checked k;
        rt_verify_report r;
        checked_open(&k, (rt_cache_kind)kind);
        assert_ok(rt_cache_verify(k.c, k.s.teacher, 300, 1, &r, &err));
        assert_true(r.positions == 300);
        assert_int_equal(r.shift, 0);
        if (kind == RT_CACHE_SAMPLE) {
            assert_true(r.identical == 1);
            assert_true(fabs(r.z) < 4);
            assert_true(r.entropy_error < 0.005);
        } else {
            assert_true(r.kl < 1e-5);
        }
        checked_close(&k);
    }
}

/* The same cache with each target moved to a neighbouring position, checksums and all. */
static rt_cache *rewrite_shifted(const checked *k, const char *dir, int by)
{
    rt_err err = {0};
    rt_cache_header h = *rt_cache_get_header(k->c);
    rt_cache_writer *w = NULL;
    rt_cache *c = NULL;
    rt_cache_row *rows = NULL;
    rt_cache_sequence q = {0};
    int32_t *counts = NULL;
    const int width = h.kind == RT_CACHE_SAMPLE ? h.draws : h.k;
    assert_ok(RT_NEW(&rows, (size_t)h.sequence, "rows", &err));
    assert_ok(RT_NEW(&counts, (size_t)(h.sequence * (width + 1)), "counts", &err));
    assert_ok(rt_cache_create(&w, dir, &h, k->s.permit, &err));
    for (int64_t s = 0; s < h.n_sequences; s++) {
        assert_ok(rt_cache_read(k->c, s, &q, &err));
        for (int64_t i = 0; i < q.n; i++) {
            int64_t from = i + by;
            from = from < 0 || from >= q.n || q.mask[from] == 0 ? i : from;
            if (q.mask[i] == 0) {
                continue;
            }
            const rt_target *t = q.targets ? &q.targets[from] : NULL;
            rows[i] = (rt_cache_row){.hidden = q.hidden ? q.hidden[from] : NULL};
            if (t) {
                rows[i] = (rt_cache_row){.n = t->n, .ids = t->ids, .logp = t->weight, .log_tail = t->log_tail};
                rows[i].entropy = t->entropy;
                rows[i].counts = counts + i * width;
            }
            for (int j = 0; t && j < t->n; j++) {
                counts[i * width + j] = (int32_t)lrintf(t->weight[j] * (float)h.draws);
            }
        }
        assert_ok(rt_cache_append(w, &k->s.packed, s, rows, &err));
    }
    assert_ok(rt_cache_finish(w, &err));
    assert_ok(rt_cache_open(&c, dir, &err));
    rt_cache_sequence_release(&q);
    rt_free(rows);
    rt_free(counts);
    return c;
}

static void a_shift_by_one_is_found_and_named(void **state)
{
    (void)state;
    for (int kind = RT_CACHE_SAMPLE; kind <= RT_CACHE_HIDDEN; kind++) {
        for (int by = -1; by <= 1; by++) {
            rt_err err = {0};
            checked k;
            rt_verify_report r;
            checked_open(&k, (rt_cache_kind)kind);
            char *dir = rt_path_join(k.dir, "shifted");
            rt_cache *c = rewrite_shifted(&k, dir, by);
            rt_status st = rt_cache_verify(c, k.s.teacher, 300, 1, &r, &err);
            if (by == 0) {
                assert_ok(st);
            } else {
                assert_int_equal(st, RT_FINDING);
                assert_int_equal(r.shift, -by);
                assert_says(err.msg, "shifted by one");
            }
            rt_cache_close(c);
            rt_free(dir);
            checked_close(&k);
        }
    }
}

static void another_teachers_cache_is_found(void **state)
{
    (void)state;
    for (int kind = RT_CACHE_SAMPLE; kind <= RT_CACHE_HIDDEN; kind++) {
        rt_err err = {0};
        checked k;
        rt_verify_report r;
        checked_open(&k, (rt_cache_kind)kind);
        const rt_param *p = rt_model_find(k.s.teacher, "model.norm.weight");
        for (int64_t i = 0; i < p->n; i++) { /* as if drawn at another temperature */
            k.s.teacher->weights[p->offset + i] *= 1.1f;
        }
        rt_model_refresh(k.s.teacher);
        assert_int_equal(rt_cache_verify(k.c, k.s.teacher, 300, 1, &r, &err), RT_FINDING);
        assert_int_equal(r.shift, 0);
        assert_says(err.msg, "does not hold what this teacher says");
        checked_close(&k);
    }
}

/* Rounding elsewhere moves a few draws; that must pass by the statistics. */
static void a_slightly_rounded_teacher_passes(void **state)
{
    (void)state;
    rt_err err = {0};
    checked k;
    rt_verify_report r;
    checked_open(&k, RT_CACHE_SAMPLE);
    rt_rng rng = rt_rng_init(1, "noise", 0);
    for (int64_t i = 0; i < k.s.teacher->n_elements; i++) {
        k.s.teacher->weights[i] *= 1 + 2e-4f * (float)rt_rng_normal(&rng);
    }
    rt_model_refresh(k.s.teacher);
    assert_ok(rt_cache_verify(k.c, k.s.teacher, 300, 1, &r, &err));
    assert_true(r.identical < 0.99);
    assert_true(fabs(r.z) < 4);
    checked_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_teachers_own_cache_passes),
        cmocka_unit_test(a_shift_by_one_is_found_and_named),
        cmocka_unit_test(another_teachers_cache_is_found),
        cmocka_unit_test(a_slightly_rounded_teacher_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
