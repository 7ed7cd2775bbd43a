/* Training on what the teacher module delivers: cache and live teacher teach the same. */
#include "teacher/answers.h"
#include "unit/teacher/teacher_fixture.h"
#include "unit/train/toy_model.h"

enum { STEPS = 12, BATCH = 128, SEQUENCE = 32 };

typedef struct world {
    rt_model *teacher;
    rt_packed packed;
    rt_permit *permit;
    char *dir;
} world;

static world world_open(void)
{
    world w = {.teacher = toy_teacher(), .permit = apache_permit("toy"), .dir = rt_test_scratch()};
    toy_packed(&w.packed, 40, SEQUENCE, (int)w.teacher->hp.n_vocab, true, 9);
    return w;
}

static void world_close(world *w)
{
    rt_model_close(w->teacher);
    rt_packed_release(&w->packed);
    rt_permit_free(w->permit);
    rt_test_scratch_drop(w->dir);
}

/* Sequence by sequence, the rows with targets spread to their tokens. */
static void fill(rt_cache_writer *cw, const world *w, rt_answers *a, rt_gather *g)
{
    rt_err err;
    rt_cache_row rows[SEQUENCE];
    for (size_t s = 0; s < w->packed.n_sequences; s++) {
        rt_gather_clear(g);
        rt_gather_add_packed(g, &w->packed, (int64_t)s);
        const rt_cache_row *found = rt_answers_run(a, g);
        memset(rows, 0, sizeof rows);
        for (int64_t i = 0; i < g->n_rows; i++) {
            rows[g->rows[i]] = found[i];
        }
        assert_ok(rt_cache_append(cw, &w->packed, (int64_t)s, rows, &err));
    }
}

static rt_cache *cache_of(const world *w, rt_cache_kind kind)
{
    rt_err err;
    rt_answers *a;
    rt_gather g = {0};
    rt_cache_writer *cw;
    rt_cache *c;
    char *dir = rt_path_join(w->dir, rt_cache_kind_name(kind));
    rt_cache_header h = toy_header(&w->packed, kind, (int)w->teacher->hp.n_vocab);
    h.hidden_dtype = RT_F32;
    h.d_model = kind == RT_CACHE_HIDDEN ? w->teacher->hp.d_model : 0;
    rt_answer_options o = {.kind = kind,
                           .draws = h.draws,
                           .k = h.k,
                           .temperature = 1,
                           .seed = h.seed,
                           .max_tokens = SEQUENCE,
                           .max_span = SEQUENCE};
    assert_ok(rt_answers_new(&a, w->teacher, &o, &err));
    assert_ok(rt_gather_init(&g, SEQUENCE, &err));
    assert_ok(rt_cache_create(&cw, dir, &h, w->permit, &err));
    fill(cw, w, a, &g);
    assert_ok(rt_cache_finish(cw, &err));
    rt_gather_release(&g);
    rt_answers_free(a);
    assert_ok(rt_cache_open(&c, dir, &err));
    rt_free(dir);
    return c;
}

static const rt_source_options source_options = {.seed = 4, .max_batch_tokens = BATCH, .draws = 50, .draw_seed = 42};

static rt_source *from_cache(const rt_cache *c)
{
    rt_err err;
    rt_source *s;
    assert_ok(rt_source_from_cache(&s, c, &source_options, &err));
    return s;
}

static rt_source *from_corpus(const world *w, rt_source_kind kind)
{
    rt_err err;
    rt_source *s;
    bool labels = kind == RT_SOURCE_LABELS;
    assert_ok(rt_source_from_corpus(&s, &w->packed, kind, labels ? NULL : w->teacher, labels ? NULL : w->permit,
                                    &source_options, &err));
    return s;
}

typedef struct trace {
    double loss[STEPS];
    int64_t rows[STEPS];
} trace;

static trace read_trace(const char *dir)
{
    rt_err err;
    rt_jsonl r;
    json_t *o;
    trace t;
    int n = 0;
    char *path = rt_path_join(dir, "metrics.jsonl");
    assert_ok(rt_jsonl_open(&r, path, &err));
    for (;;) {
        assert_ok(rt_jsonl_next(&r, &o, &err));
        if (!o) {
            break;
        }
        if (json_object_get(o, "loss") && n < STEPS) {
            t.loss[n] = rt_json_f64(o, "loss", NAN);
            t.rows[n++] = rt_json_i64(o, "rows", 0);
        }
        json_decref(o);
    }
    assert_int_equal(n, STEPS);
    rt_jsonl_close(&r);
    rt_free(path);
    return t;
}

/* Closes the source. */
static trace train_on(const world *w, rt_source *s, rt_loss_kind loss)
{
    rt_err err;
    rt_train_result r;
    char *dir = rt_test_scratch();
    rt_model *student = toy_student();
    rt_train_options o = rt_train_default();
    o.run_dir = dir;
    o.losses[0].loss.kind = loss;
    o.steps = STEPS;
    o.batch_tokens = BATCH;
    o.lr = 2e-3;
    o.checkpoint_seconds = 0;
    assert_ok(rt_train_run(student, s, w->teacher, &o, &r, &err));
    assert_true(r.last.loss < 0.9 * r.counts.first_loss);
    trace t = read_trace(dir);
    rt_source_close(s);
    rt_model_close(student);
    rt_test_scratch_drop(dir);
    return t;
}

static void cached_states_train_as_the_live_teacher_does(void **state)
{
    (void)state;
    world w = world_open();
    rt_cache *c = cache_of(&w, RT_CACHE_HIDDEN);
    trace cached = train_on(&w, from_cache(c), RT_LOSS_FORWARD_KL);
    trace live = train_on(&w, from_corpus(&w, RT_SOURCE_DENSE), RT_LOSS_FORWARD_KL);
    for (int i = 0; i < STEPS; i++) {
        assert_int_equal(cached.rows[i], live.rows[i]);
        assert_true(fabs(cached.loss[i] - live.loss[i]) <= 1e-4 * live.loss[i]);
    }
    rt_cache_close(c);
    world_close(&w);
}

static void cached_draws_are_the_draws_made_now_and_estimate_the_live_loss(void **state)
{
    (void)state;
    world w = world_open();
    rt_cache *c = cache_of(&w, RT_CACHE_SAMPLE);
    trace cached = train_on(&w, from_cache(c), RT_LOSS_FORWARD_KL);
    trace drawn = train_on(&w, from_corpus(&w, RT_SOURCE_SAMPLE), RT_LOSS_FORWARD_KL);
    trace live = train_on(&w, from_corpus(&w, RT_SOURCE_DENSE), RT_LOSS_FORWARD_KL);
    for (int i = 0; i < STEPS; i++) {
        assert_true(fabs(cached.loss[i] - drawn.loss[i]) <= 1e-3 * fabs(drawn.loss[i])); /* entropy is kept as f16 */
    }
    /* the first step sees equal weights: only the draws differ; log p - log q has a spread of about 3 nats here */
    assert_true(fabs(cached.loss[0] - live.loss[0]) < 4 * 3.0 / sqrt(50.0 * (double)live.rows[0]));
    rt_cache_close(c);
    world_close(&w);
}

static void the_twin_sees_the_same_labels_in_the_same_order(void **state)
{
    (void)state;
    world w = world_open();
    rt_cache *c = cache_of(&w, RT_CACHE_SAMPLE);
    trace cached = train_on(&w, from_cache(c), RT_LOSS_CE);
    trace plain = train_on(&w, from_corpus(&w, RT_SOURCE_LABELS), RT_LOSS_CE);
    assert_memory_equal(&cached, &plain, sizeof plain);
    rt_cache_close(c);
    world_close(&w);
}

static int one_thread(void **state)
{
    (void)state;
    rt_team_set_threads(1);
    rt_log_set_level(RT_LOG_WARN);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cached_states_train_as_the_live_teacher_does),
        cmocka_unit_test(cached_draws_are_the_draws_made_now_and_estimate_the_live_loss),
        cmocka_unit_test(the_twin_sees_the_same_labels_in_the_same_order),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
