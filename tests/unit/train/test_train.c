/* Whole runs on the toy: what training does, when it stops, what it refuses. */
#include "train/run.h"
#include "unit/train/toy.h"

typedef struct toy {
    rt_model *teacher, *student;
    rt_source *source;
    char *dir;
    rt_train_options o;
} toy;

static toy toy_open(rt_source_kind kind)
{
    toy t = {.teacher = toy_teacher(), .student = toy_student(), .dir = rt_test_scratch(), .o = rt_train_default()};
    t.source = toy_source(kind, t.teacher);
    t.o.run_dir = t.dir;
    t.o.batch_tokens = 96;
    t.o.micro_tokens = 48;
    t.o.lr = 2e-3;
    t.o.steps = 10;
    t.o.checkpoint_seconds = 0;
    return t;
}

static void toy_close(toy *t)
{
    rt_source_close(t->source);
    rt_model_close(t->teacher);
    rt_model_close(t->student);
    rt_test_scratch_drop(t->dir);
}

static void fresh_student(toy *t)
{
    rt_model_close(t->student);
    t->student = toy_student();
}

static rt_status train(toy *t, rt_train_result *r, rt_err *err)
{
    return rt_train_run(t->student, t->source, t->teacher, &t->o, r, err);
}

/* Lines of metrics.jsonl with this event; NULL: steps. Returns the last one's `key`. */
static int count_lines(const toy *t, const char *event, const char *key, double *last)
{
    rt_err err;
    rt_jsonl r;
    json_t *o;
    int n = 0;
    char *path = rt_path_join(t->dir, "metrics.jsonl");
    assert_ok(rt_jsonl_open(&r, path, &err));
    for (;;) {
        assert_ok(rt_jsonl_next(&r, &o, &err));
        if (!o) {
            break;
        }
        const char *is = rt_json_str(o, "event", NULL);
        bool hit = event ? is && strcmp(is, event) == 0 : !is && json_object_get(o, "loss");
        n += hit;
        if (hit && last) {
            *last = rt_json_f64(o, key, NAN);
        }
        json_decref(o);
    }
    rt_jsonl_close(&r);
    rt_free(path);
    return n;
}

static int count_checkpoints(const toy *t)
{
    int n = 0;
    char *dir = rt_path_join(t->dir, "checkpoints");
    for (int64_t step = 0; step < 1000; step++) {
        char *path = rt_checkpoint_path(dir, step);
        n += rt_path_exists(path);
        rt_free(path);
    }
    rt_free(dir);
    return n;
}

/* --- learning --------------------------------------------------------------------------------------------------- */

/* KL to the true targets, on the first batch. */
static double measure(toy *t)
{
    rt_err err;
    rt_train_result r;
    toy probe = *t;
    probe.source->shuffled = false;
    probe.o.steps = 1;
    probe.o.lr = 0;
    probe.o.run_dir = rt_test_scratch();
    assert_ok(train(&probe, &r, &err));
    rt_test_scratch_drop((char *)probe.o.run_dir);
    return r.last.kl;
}

static void learn(bool shuffled, double *before, double *after)
{
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    *before = measure(&t);
    t.source->shuffled = shuffled;
    t.o.steps = 200;
    assert_ok(train(&t, &r, &err));
    assert_int_equal(count_lines(&t, NULL, "kl", NULL), 200);
    *after = measure(&t);
    toy_close(&t);
}

static void kl_falls_by_half_and_not_with_shuffled_targets(void **state)
{
    (void)state;
    double before, after;
    learn(false, &before, &after);
    assert_true(before > 0.1);
    assert_true(after < 0.5 * before);
    learn(true, &before, &after);
    assert_true(after > 0.5 * before);
}

static void every_kind_of_target_teaches(void **state)
{
    (void)state;
    static const rt_source_kind kinds[] = {RT_SOURCE_TOPK, RT_SOURCE_HIDDEN, RT_SOURCE_DENSE};
    for (size_t i = 0; i < 3; i++) {
        rt_err err;
        rt_train_result r;
        toy t = toy_open(kinds[i]);
        t.o.steps = 40;
        assert_ok(train(&t, &r, &err));
        assert_true(r.last.kl < 0.7 * r.counts.first_loss);
        toy_close(&t);
    }
}

static void the_cross_entropy_twin_learns_the_labels(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.losses[0].loss.kind = RT_LOSS_CE;
    t.o.steps = 40;
    assert_ok(train(&t, &r, &err));
    assert_true(r.last.loss < 0.8 * r.counts.first_loss);
    assert_true(isnan(r.last.kl));
    toy_close(&t);
}

/* --- steady state ----------------------------------------------------------------------------------------------- */

static void a_step_allocates_nothing_and_makes_no_primitive(void **state)
{
    (void)state;
    static const rt_source_kind kinds[] = {RT_SOURCE_SAMPLE, RT_SOURCE_DENSE, RT_SOURCE_SAMPLE};
    for (size_t i = 0; i < 3; i++) {
        rt_err err;
        rt_train_result r;
        rt_adapter_options adapter;
        toy t = toy_open(kinds[i]);
        if (i == 2) {
            assert_ok(rt_adapter_parse(&adapter, "rank=4", &err));
            assert_ok(rt_model_adapt(t.student, &adapter, &err));
        }
        t.o.steps = 40;
        t.source->watch[0] = 12; /* every length of batch has been seen */
        t.source->watch[1] = 40;
        assert_ok(train(&t, &r, &err));
        assert_int_equal(t.source->allocs_at[0], t.source->allocs_at[1]);
        assert_int_equal(t.source->primitives_at[0], t.source->primitives_at[1]);
        toy_close(&t);
    }
}

/* --- length ----------------------------------------------------------------------------------------------------- */

static void a_run_by_tokens_ends_with_the_step_that_reaches_them(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.steps = 0;
    t.o.tokens = 1000;
    assert_ok(train(&t, &r, &err));
    assert_true(r.counts.tokens >= 1000);
    assert_true(r.counts.tokens - r.last.tokens < 1000);
    toy_close(&t);
}

static void length_must_be_given_once(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.tokens = 5;
    assert_int_equal(train(&t, &r, &err), RT_USAGE);
    t.o.steps = t.o.tokens = 0;
    assert_int_equal(train(&t, &r, &err), RT_USAGE);
    assert_says(err.msg, "budget");
    toy_close(&t);
}

/* By the run's own record: no step follows one that ended with the budget spent. */
static void assert_no_step_beyond(const toy *t, double budget)
{
    rt_err err;
    rt_jsonl r;
    json_t *line;
    bool spent = false;
    char *path = rt_path_join(t->dir, "metrics.jsonl");
    assert_ok(rt_jsonl_open(&r, path, &err));
    for (;;) {
        assert_ok(rt_jsonl_next(&r, &line, &err));
        if (!line) {
            break;
        }
        if (json_object_get(line, "loss")) {
            assert_false(spent);
            spent = rt_json_f64(line, "active", INFINITY) >= budget;
        }
        json_decref(line);
    }
    rt_jsonl_close(&r);
    rt_free(path);
}

static void a_budget_is_kept_and_its_replay_has_the_same_bits(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r, again;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.steps = 0;
    t.o.budget = 1.0;
    assert_ok(train(&t, &r, &err));
    assert_no_step_beyond(&t, 1.0);
    assert_true(r.counts.step >= 1);
    assert_true(count_lines(&t, "schedule", "total", NULL) >= 1);
    rt_model *first = t.student;
    t.student = toy_student();
    char *run = t.dir;
    t.o.replay = run;
    t.o.run_dir = t.dir = rt_test_scratch();
    t.o.budget = 0;
    assert_ok(train(&t, &again, &err));
    assert_int_equal(again.counts.step, r.counts.step);
    assert_memory_equal(first->weights, t.student->weights, (size_t)first->n_elements * sizeof(float));
    rt_model_close(first);
    rt_test_scratch_drop(run);
    toy_close(&t);
}

/* --- validation -------------------------------------------------------------------------------------------------- */

typedef struct judge {
    int calls;
    const double *kl; /* by call; the last one is repeated */
    int n;
    float seen[64]; /* a weight at each call */
} judge;

static rt_status judge_run(void *ud, const rt_model *m, double *kl, double *top1, rt_err *err)
{
    (void)err;
    judge *j = ud;
    *kl = j->kl[j->calls < j->n ? j->calls : j->n - 1];
    *top1 = 0.5;
    j->seen[j->calls++] = m->weights[1000];
    return RT_OK;
}

static void validation_that_does_not_improve_stops_and_the_best_weights_stay(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r, again;
    static const double kl[] = {5, 3, 2, 2.5, 2.4};
    judge j = {.kl = kl, .n = 5};
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.steps = 100;
    t.o.eval_every = 5;
    t.o.patience = 2;
    t.o.validate = judge_run;
    t.o.validate_ud = &j;
    assert_ok(train(&t, &r, &err));
    assert_int_equal(r.counts.step, 20);
    assert_string_equal(r.counts.stopped, "early stop");
    assert_int_equal(r.counts.best_step, 10);
    assert_int_equal(r.weights_step, 10);
    assert_true(r.final_kl == 2);
    assert_true(t.student->weights[1000] == j.seen[2]);
    assert_int_equal(count_lines(&t, "validation", "kl", NULL), 5);
    /* the same call again does nothing and says the same */
    fresh_student(&t);
    assert_ok(train(&t, &again, &err));
    assert_int_equal(j.calls, 5);
    assert_true(again.resumed);
    assert_int_equal(again.weights_step, 10);
    assert_true(t.student->weights[1000] == j.seen[2]);
    toy_close(&t);
}

static rt_status judge_fails(void *ud, const rt_model *m, double *kl, double *top1, rt_err *err)
{
    (void)ud;
    (void)m;
    (void)kl;
    (void)top1;
    return rt_fail(err, RT_INPUT, 0, "no held-out text");
}

static void a_failing_validation_fails_the_run(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.validate = judge_fails;
    assert_int_equal(train(&t, &r, &err), RT_INPUT);
    assert_says(err.msg, "held-out");
    toy_close(&t);
}

/* --- things going wrong ------------------------------------------------------------------------------------------ */

static void a_loss_that_is_no_number_aborts_with_nothing_written(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.student->output_norm->w[3] = NAN;
    rt_model_refresh(t.student);
    assert_int_equal(train(&t, &r, &err), RT_NUMERIC);
    assert_says(err.msg, "step 1");
    double loss;
    assert_int_equal(count_lines(&t, NULL, "loss", &loss), 1); /* null, and named */
    assert_true(isnan(loss));
    assert_int_equal(count_checkpoints(&t), 0);
    toy_close(&t);
}

static void divergence_keeps_the_last_checkpoint(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.steps = 20;
    t.o.checkpoint_steps = 4;
    t.source->poison_at = 10;
    assert_int_equal(train(&t, &r, &err), RT_NUMERIC);
    assert_says(err.msg, "step 10");
    assert_int_equal(count_checkpoints(&t), 2);
    t.source->poison_at = 0;
    fresh_student(&t);
    assert_ok(train(&t, &r, &err)); /* goes on from step 8 */
    assert_int_equal(r.counts.step, 20);
    assert_int_equal(count_lines(&t, NULL, "loss", NULL), 20);
    toy_close(&t);
}

static void missing_targets_abort(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.source->missing_every = 50;
    assert_int_equal(train(&t, &r, &err), RT_INPUT);
    assert_says(err.msg, "targets are missing");
    toy_close(&t);
}

static void a_distillation_that_does_nothing_aborts(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_DENSE);
    rt_model_close(t.student);
    t.student = toy_teacher();
    t.o.steps = 100;
    t.o.optim.weight_decay = 0;
    t.o.lr = 1e-9;
    assert_int_equal(train(&t, &r, &err), RT_NUMERIC);
    assert_says(err.msg, "negligible");
    assert_int_equal(count_lines(&t, NULL, "kl", NULL), 49);
    toy_close(&t);
}

/* One that is to end leaves a run that goes on without it. */
static void a_distillation_that_fades_away_goes_on(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    double norm;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.losses[0].over = 10;
    t.o.losses[1] = (rt_train_loss){.loss = {.kind = RT_LOSS_CE, .temperature = 1}, .weight = 0, .to = 1, .over = 10};
    t.o.n_losses = 2;
    t.o.steps = 70;
    assert_ok(train(&t, &r, &err));
    assert_int_equal(count_lines(&t, NULL, "kd_norm", &norm), 70);
    assert_true(norm > 1e-3);
    toy_close(&t);
}

static void a_prediction_above_the_machine_is_refused(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.batch_tokens = t.o.micro_tokens = 400000000;
    assert_int_equal(train(&t, &r, &err), RT_MEMORY);
    assert_says(err.msg, "GB");
    toy_close(&t);
}

/* First smaller micro-batches, then layers run again: each only where what comes before does not fit. */
static void short_memory_halves_micro_batches_then_recomputes(void **state)
{
    (void)state;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    rt_source_info info = *rt_source_get_info(t.source);
    rt_train_options o = t.o, kept, again;
    info.sequence = 48; /* a micro-batch holds one at least */
    o.batch_tokens = 96;
    o.micro_tokens = 0;
    const size_t whole = rt_run_fit(&o, t.student, &info, t.teacher, -1);
    assert_int_equal(o.micro_tokens, 96);
    assert_int_equal(o.recompute, RT_RECOMPUTE_NONE);
    kept = again = o;
    kept.micro_tokens = again.micro_tokens = 0;
    kept.recompute = again.recompute = RT_RECOMPUTE_AUTO;
    const size_t halves = rt_run_fit(&kept, t.student, &info, t.teacher, (int64_t)whole - 1);
    assert_int_equal(kept.micro_tokens, 48);
    assert_int_equal(kept.recompute, RT_RECOMPUTE_NONE);
    assert_true(halves < whole);
    const size_t least = rt_run_fit(&again, t.student, &info, t.teacher, (int64_t)halves - 1);
    assert_int_equal(again.micro_tokens, 48);
    assert_int_equal(again.recompute, RT_RECOMPUTE_LAYERS);
    assert_true(least < halves);
    kept.recompute = RT_RECOMPUTE_NONE; /* asked for: held to, whatever it takes */
    assert_int_equal(rt_run_fit(&kept, t.student, &info, t.teacher, 1), halves);
    toy_close(&t);
}

static void impossible_settings_are_refused_by_name(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = toy_open(RT_SOURCE_SAMPLE);
    t.o.lr = NAN;
    assert_int_equal(train(&t, &r, &err), RT_USAGE);
    assert_says(err.msg, "'lr'");
    t.o.lr = 1e-3;
    t.o.optim.beta2 = 1;
    assert_int_equal(train(&t, &r, &err), RT_USAGE);
    assert_says(err.msg, "'beta2'");
    toy_close(&t);
}

/* Many short runs: a second thread would only wait. */
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
        cmocka_unit_test(kl_falls_by_half_and_not_with_shuffled_targets),
        cmocka_unit_test(every_kind_of_target_teaches),
        cmocka_unit_test(the_cross_entropy_twin_learns_the_labels),
        cmocka_unit_test(a_step_allocates_nothing_and_makes_no_primitive),
        cmocka_unit_test(a_run_by_tokens_ends_with_the_step_that_reaches_them),
        cmocka_unit_test(length_must_be_given_once),
        cmocka_unit_test(a_budget_is_kept_and_its_replay_has_the_same_bits),
        cmocka_unit_test(validation_that_does_not_improve_stops_and_the_best_weights_stay),
        cmocka_unit_test(a_failing_validation_fails_the_run),
        cmocka_unit_test(a_loss_that_is_no_number_aborts_with_nothing_written),
        cmocka_unit_test(divergence_keeps_the_last_checkpoint),
        cmocka_unit_test(missing_targets_abort),
        cmocka_unit_test(a_distillation_that_does_nothing_aborts),
        cmocka_unit_test(a_distillation_that_fades_away_goes_on),
        cmocka_unit_test(a_prediction_above_the_machine_is_refused),
        cmocka_unit_test(short_memory_halves_micro_batches_then_recomputes),
        cmocka_unit_test(impossible_settings_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
