/* What is to be retained has exactly its share of a step; what fell fails the run, or the last weights that held are
 * left; going on gives the same bits. */
#include "train/retain.h"

#include "unit/train/toy.h"

enum { STEPS = 12, HELD_UNTIL = 6 };
#define WEIGHT 0.25

static const rt_train_loss fkl = {.loss = {.kind = RT_LOSS_FORWARD_KL, .temperature = 1}, .weight = 1};

/* How the data is stepped. */
static const rt_step_options beside = {.micro_tokens = 24};

static rt_retain_options retain_of(rt_source *second)
{
    return (rt_retain_options){.source = second, .weight = WEIGHT, .batch_tokens = 40, .losses = {fkl}, .n_losses = 1};
}

/* --- the mixture ---------------------------------------------------------------------------------------------------
 */

static void add_gradient(rt_model *m, rt_source *s, int64_t batch, double scale, float *grads)
{
    rt_err err;
    rt_step *step;
    rt_source_batch b;
    rt_source_cursor c = {0};
    rt_step_report r;
    const rt_step_options o = {.losses = {fkl}, .n_losses = 1, .batch_tokens = batch, .micro_tokens = 24};
    assert_ok(rt_step_new(&step, m, &s->info, &o, &err));
    rt_step_scale(step, scale);
    assert_ok(rt_source_next(s, &c, batch, &b, &err));
    assert_ok(rt_step_run(step, &b, grads, &r, &err));
    rt_step_free(step);
}

/* The share of a step is that of the weight, however many tokens either side has. */
static void a_share_is_a_share_of_the_weight(void **state)
{
    (void)state;
    rt_err err;
    rt_model *teacher = toy_teacher(), *m = toy_student();
    rt_source *first = toy_source(RT_SOURCE_SAMPLE, teacher), *second = toy_source(RT_SOURCE_TOPK, teacher);
    const size_t n = (size_t)m->n_elements;
    float *mixed = rt_calloc(n, sizeof(float)), *a = rt_calloc(n, sizeof(float)), *b = rt_calloc(n, sizeof(float));
    const rt_retain_options o = retain_of(second);
    rt_retain *r;
    rt_step_report report;
    rt_source_cursor at = {0};
    double diff = 0, norm = 0;
    add_gradient(m, first, 96, 1, a);
    add_gradient(m, second, 40, 1, b);
    add_gradient(m, first, 96, rt_retain_rest(&o), mixed);
    assert_ok(rt_retain_new(&r, m, &o, &beside, &err));
    assert_ok(rt_retain_step(r, 0, &at, mixed, &report, &err));
    for (size_t i = 0; i < n; i++) {
        const double want = (1 - WEIGHT) * (double)a[i] + WEIGHT * (double)b[i];
        diff += pow((double)mixed[i] - want, 2);
        norm += want * want;
    }
    assert_true(sqrt(diff / norm) < 1e-6);
    assert_true(report.rows > 0 && at.index > 0);
    rt_retain_free(r);
    rt_free(mixed);
    rt_free(a);
    rt_free(b);
    rt_source_close(first);
    rt_source_close(second);
    rt_model_close(m);
    rt_model_close(teacher);
}

/* The maps of the data's terms serve both, and layers are run again for both. */
static void terms_between_states_share_the_maps_of_the_data(void **state)
{
    (void)state;
    rt_err err;
    rt_model *teacher = toy_teacher(), *m = toy_student();
    rt_source *second = toy_source(RT_SOURCE_HIDDEN, teacher);
    const size_t n = (size_t)m->n_elements;
    float *want = rt_calloc(n, sizeof(float)), *got = rt_calloc(n, sizeof(float));
    rt_retain_options o = retain_of(second);
    rt_projections maps;
    rt_step_options data = {.batch_tokens = 96, .micro_tokens = 24, .teacher = teacher, .projections = &maps};
    rt_step_report report;
    rt_step *step;
    rt_retain *r;
    rt_source_batch b;
    rt_source_cursor at = {0};
    o.losses[1] = rt_train_state_loss_of(RT_STATE_MSE);
    o.losses[1].project = true;
    o.n_losses = 2;
    memcpy(data.losses, o.losses, sizeof o.losses);
    data.n_losses = o.n_losses;
    assert_ok(rt_projections_init(&maps, o.losses, o.n_losses, teacher->hp.d_model, m->hp.d_model, 1, &err));
    const size_t map_bytes = (size_t)(teacher->hp.d_model * m->hp.d_model) * sizeof(float);
    float *map_gradient = rt_calloc(1, map_bytes);
    assert_ok(rt_step_new(&step, m, &second->info, &data, &err));
    rt_step_scale(step, WEIGHT);
    assert_ok(rt_source_next(second, &at, o.batch_tokens, &b, &err));
    assert_ok(rt_step_run(step, &b, want, &report, &err));
    memcpy(map_gradient, maps.list[0].grad, map_bytes);
    memset(maps.list[0].grad, 0, map_bytes);
    const size_t kept = rt_retain_bytes(m, &o, &data);
    data.recompute = true;
    assert_true(rt_retain_bytes(m, &o, &data) < kept);
    at = (rt_source_cursor){0};
    assert_ok(rt_retain_new(&r, m, &o, &data, &err));
    assert_ok(rt_retain_step(r, 0, &at, got, &report, &err));
    assert_memory_equal(got, want, n * sizeof(float));
    assert_memory_equal(maps.list[0].grad, map_gradient, map_bytes);
    rt_retain_free(r);
    data.n_losses = 1; /* nobody learns a map */
    assert_int_equal(rt_retain_new(&r, m, &o, &data, &err), RT_USAGE);
    assert_says(err.msg, "'hidden_mse' needs a map");
    rt_step_free(step);
    rt_projections_release(&maps);
    rt_free(map_gradient);
    rt_free(want);
    rt_free(got);
    rt_source_close(second);
    rt_model_close(m);
    rt_model_close(teacher);
}

static void a_share_that_is_none_is_refused(void **state)
{
    (void)state;
    rt_err err;
    rt_model *teacher = toy_teacher();
    rt_source *second = toy_source(RT_SOURCE_SAMPLE, teacher);
    static const double none[] = {0, 1, -0.1, NAN};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        rt_retain *r;
        rt_retain_options o = retain_of(second);
        o.weight = none[i];
        assert_int_equal(rt_retain_new(&r, teacher, &o, &beside, &err), RT_USAGE);
    }
    rt_source_close(second);
    rt_model_close(teacher);
}

/* --- runs ----------------------------------------------------------------------------------------------------------
 */

typedef struct looker {
    int64_t calls, until; /* looks that find everything; weights seen before are found as they were */
    float seen[16];
    bool held[16];
} looker;

static rt_status look(void *ud, const rt_model *m, rt_watched list[RT_WATCHED], size_t *n, rt_err *err)
{
    looker *l = ud;
    const int64_t at = l->calls++;
    (void)err;
    l->seen[at] = m->weights[1000];
    l->held[at] = at < l->until;
    for (int64_t i = 0; i < at; i++) {
        l->held[at] = l->seen[i] == l->seen[at] ? l->held[i] : l->held[at];
    }
    list[0] = (rt_watched){"refusals", l->held[at] ? 0.9 : 0.4, 0.8, NAN};
    *n = 1;
    return RT_OK;
}

typedef struct judge {
    double kl[STEPS]; /* by call */
    int64_t calls, patience;
} judge;

static judge *validates; /* every second step of a test's runs; NULL: nobody does */

static rt_status judge_run(void *ud, const rt_model *m, double *kl, double *top1, rt_err *err)
{
    judge *j = ud;
    (void)m;
    (void)err;
    *kl = j->kl[j->calls++];
    *top1 = 0.5;
    return RT_OK;
}

static rt_status train(const char *dir, const rt_retain_options *retain, float *weights, rt_train_result *r,
                       rt_err *err)
{
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *first = toy_source(RT_SOURCE_SAMPLE, teacher), *second = toy_source(RT_SOURCE_TOPK, teacher);
    rt_retain_options own = *retain;
    own.source = second;
    rt_train_options o = rt_train_default();
    o.run_dir = dir;
    o.batch_tokens = 96;
    o.micro_tokens = 48;
    o.steps = STEPS;
    o.lr = 2e-3;
    o.checkpoint_seconds = 0;
    o.checkpoint_steps = 4;
    o.retain = &own;
    if (validates != NULL) {
        o.validate = judge_run;
        o.validate_ud = validates;
        o.eval_every = 2;
        o.patience = validates->patience;
    }
    const rt_status st = rt_train_run(student, first, NULL, &o, r, err);
    if (weights != NULL) {
        memcpy(weights, student->weights, (size_t)student->n_elements * sizeof(float));
    }
    rt_source_close(first);
    rt_source_close(second);
    rt_model_close(student);
    rt_model_close(teacher);
    return st;
}

static uint64_t allocations_of(int64_t steps)
{
    rt_err err;
    rt_train_result r;
    char *dir = rt_test_scratch();
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *first = toy_source(RT_SOURCE_HIDDEN, teacher), *second = toy_source(RT_SOURCE_HIDDEN, teacher);
    rt_retain_options retain = retain_of(second);
    rt_train_options o = rt_train_default();
    o.run_dir = dir;
    o.losses[0] = fkl;
    o.losses[1] = rt_train_state_loss_of(RT_STATE_COSINE);
    o.losses[1].project = true;
    o.n_losses = retain.n_losses = 2;
    memcpy(retain.losses, o.losses, sizeof o.losses);
    o.batch_tokens = 96;
    o.micro_tokens = 48;
    o.steps = steps;
    o.recompute = RT_RECOMPUTE_LAYERS;
    o.checkpoint_seconds = 0;
    o.checkpoint_steps = 0;
    o.retain = &retain;
    const uint64_t before = rt_mem_get_stats().n_alloc;
    assert_ok(rt_train_run(student, first, teacher, &o, &r, &err));
    const uint64_t n = rt_mem_get_stats().n_alloc - before;
    rt_source_close(first);
    rt_source_close(second);
    rt_model_close(student);
    rt_model_close(teacher);
    rt_test_scratch_drop(dir);
    return n;
}

/* Neither of its two sides, with maps of states, nor layers run again. */
static void a_step_allocates_nothing(void **state)
{
    (void)state;
    (void)allocations_of(4); /* what is made once a process */
    assert_int_equal(allocations_of(20), allocations_of(4));
}

static int64_t toy_elements(void)
{
    rt_model *m = toy_student();
    const int64_t n = m->n_elements;
    rt_model_close(m);
    return n;
}

static void what_fell_fails_the_run(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    char *dir = rt_test_scratch();
    looker l = {.until = 3};
    rt_retain_options o = retain_of(NULL);
    o.look = look;
    o.ud = &l;
    o.every = 2;
    assert_int_equal(train(dir, &o, NULL, &r, &err), RT_FINDING);
    assert_says(err.msg, "refusals is 0.4 at step 8, below its bound 0.8");
    assert_int_equal(r.counts.step, 8);
    rt_test_scratch_drop(dir);
    /* what never was there may come until the end */
    dir = rt_test_scratch();
    l = (looker){.until = 0};
    assert_int_equal(train(dir, &o, NULL, &r, &err), RT_FINDING);
    assert_int_equal(r.counts.step, STEPS);
    rt_test_scratch_drop(dir);
}

static void the_last_weights_that_held_are_left(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    char *dir = rt_test_scratch();
    looker l = {.until = HELD_UNTIL / 2};
    rt_retain_options o = retain_of(NULL);
    o.look = look;
    o.ud = &l;
    o.every = 2;
    o.keep = true;
    float *weights = rt_calloc((size_t)toy_elements(), sizeof(float));
    assert_ok(train(dir, &o, weights, &r, &err));
    assert_int_equal(r.counts.step, STEPS);
    assert_int_equal(r.counts.passed_step, HELD_UNTIL);
    assert_int_equal(r.weights_step, HELD_UNTIL);
    assert_true(weights[1000] == l.seen[HELD_UNTIL / 2 - 1]);
    assert_true(weights[1000] != l.seen[STEPS / 2 - 1]);
    /* the latest look was at what is left, and so it is where the same call says the same again */
    assert_int_equal(l.calls, STEPS / 2 + 1);
    assert_true(weights[1000] == l.seen[STEPS / 2] && l.held[STEPS / 2]);
    assert_ok(train(dir, &o, weights, &r, &err));
    assert_int_equal(l.calls, STEPS / 2 + 2);
    assert_int_equal(r.weights_step, HELD_UNTIL);
    assert_true(weights[1000] == l.seen[STEPS / 2 + 1]);
    rt_free(weights);
    rt_test_scratch_drop(dir);
}

/* Until the first look nobody knows of a loss, and what could not be the best is not stale. */
static void a_run_stops_for_patience_with_candidates_alone(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    for (int64_t every = 0; every <= 2; every += 2) {
        char *dir = rt_test_scratch();
        looker l = {.until = 1};
        judge j = {.kl = {5, 4, 3, 2.5, 2, 1.5, 1}, .patience = 2};
        rt_retain_options o = retain_of(NULL);
        o.look = look;
        o.ud = &l;
        o.every = every;
        o.keep = true;
        validates = &j;
        assert_ok(train(dir, &o, NULL, &r, &err));
        validates = NULL;
        assert_int_equal(r.counts.step, STEPS);
        assert_int_equal(r.counts.best_step, every == 0 ? STEPS : 2);
        assert_int_equal(r.weights_step, every == 0 ? STEPS : 2);
        assert_int_equal(l.calls, every == 0 ? 1 : STEPS / 2 + 1);
        rt_test_scratch_drop(dir);
    }
}

static void the_best_weights_are_looked_at_before_they_are_left(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    float *weights = rt_calloc((size_t)toy_elements(), sizeof(float));
    for (int64_t until = 1; until <= 2; until++) {
        char *dir = rt_test_scratch();
        looker l = {.until = until};
        judge j = {.kl = {5, 3, 2, 2.5, 2.6, 2.7, 2.8}};
        rt_retain_options o = retain_of(NULL);
        o.look = look;
        o.ud = &l;
        validates = &j;
        for (int again = 0; again < 2; again++) {
            assert_ok(train(dir, &o, weights, &r, &err));
            assert_int_equal(r.counts.best_step, 4);
            assert_int_equal(r.weights_step, until == 1 ? STEPS : 4); /* where they lost it, the last are left */
            assert_true(r.final_kl == (until == 1 ? 2.8 : 2));
            assert_true(weights[1000] == l.seen[l.calls - 1] && l.held[l.calls - 1]);
        }
        validates = NULL;
        assert_true(l.seen[0] != l.seen[1]);
        rt_test_scratch_drop(dir);
    }
    rt_free(weights);
}

static void remove_checkpoint(const char *dir, int64_t step)
{
    rt_err err;
    char *checkpoints = rt_path_join(dir, "checkpoints"), *path = rt_checkpoint_path(checkpoints, step);
    assert_ok(rt_path_remove(path, &err));
    rt_free(path);
    rt_free(checkpoints);
}

static void going_on_gives_the_same_bits(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    char *dir = rt_test_scratch();
    const rt_retain_options o = retain_of(NULL);
    const size_t n = (size_t)toy_elements();
    float *whole = rt_calloc(n, sizeof(float)), *again = rt_calloc(n, sizeof(float));
    assert_ok(train(dir, &o, whole, &r, &err));
    assert_true(r.counts.retained.index > 0 || r.counts.retained.epoch > 0);
    remove_checkpoint(dir, STEPS);
    assert_ok(train(dir, &o, again, &r, &err)); /* from step 8 */
    assert_true(r.resumed);
    assert_memory_equal(whole, again, n * sizeof(float));
    /* another share is another run */
    rt_retain_options other = o;
    other.weight = 0.5;
    assert_int_not_equal(train(dir, &other, NULL, &r, &err), RT_OK);
    assert_says(err.msg, "retain");
    rt_free(whole);
    rt_free(again);
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_between_states_share_the_maps_of_the_data),
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(a_share_is_a_share_of_the_weight),
        cmocka_unit_test(a_share_that_is_none_is_refused),
        cmocka_unit_test(what_fell_fails_the_run),
        cmocka_unit_test(the_last_weights_that_held_are_left),
        cmocka_unit_test(a_run_stops_for_patience_with_candidates_alone),
        cmocka_unit_test(the_best_weights_are_looked_at_before_they_are_left),
        cmocka_unit_test(going_on_gives_the_same_bits),
    };
    return cmocka_run_group_tests_name("retain", tests, NULL, NULL);
}
