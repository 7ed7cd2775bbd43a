/* Killed and started again: same bits, no line twice, and refusals where going on would be wrong. The runs are
 * processes of their own (this program with arguments), because a thread team does not survive a fork. */
#include <errno.h>
#include <sys/wait.h>

#include "unit/train/toy.h"

enum { RUN_STEPS = 14 };

static rt_optim_kind optimizer = RT_OPTIM_ADAMW; /* of the runs of a test */
static bool with_states;                         /* a term between states through a learned map, beside the usual one */

static rt_train_options options_of(const char *dir)
{
    rt_train_options o = rt_train_default();
    o.optim.kind = optimizer;
    o.run_dir = dir;
    o.batch_tokens = 96;
    o.micro_tokens = 48;
    o.lr = 2e-3;
    o.steps = RUN_STEPS;
    o.checkpoint_seconds = 0;
    o.checkpoint_steps = 3;
    o.eval_every = 4;
    if (with_states) {
        o.losses[o.n_losses] = rt_train_state_loss_of(RT_STATE_COSINE);
        o.losses[o.n_losses++].project = true;
    }
    return o;
}

/* Deterministic in the weights, and as good as random, so that the best is rarely the last. */
static rt_status judge(void *ud, const rt_model *m, double *kl, double *top1, rt_err *err)
{
    (void)ud;
    (void)err;
    *kl = 1 + fabs((double)m->weights[777]);
    *top1 = 0.5;
    return RT_OK;
}

/* --- the child -------------------------------------------------------------------------------------------------- */

static int train_as_child(const char *dir, const char *threads, const char *raise_at, const char *rule,
                          const char *losses)
{
    rt_err err = {0};
    rt_train_result r;
    (void)rt_optim_from_name(rule, &optimizer);
    with_states = strcmp(losses, "states") == 0;
    rt_interrupt_install();
    rt_team_set_threads(atoi(threads));
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *source = toy_source(with_states ? RT_SOURCE_HIDDEN : RT_SOURCE_SAMPLE, teacher);
    source->raise_at = atoi(raise_at);
    rt_train_options o = options_of(dir);
    o.validate = judge;
    rt_status st = rt_train_run(student, source, teacher, &o, &r, &err);
    if (st == RT_OK) {
        char *out = rt_path_join(dir, "weights.bin");
        st = rt_file_write(out, student->weights, (size_t)student->n_elements * sizeof(float), &err);
        rt_free(out);
    }
    if (st != RT_OK) {
        fprintf(stderr, "%s\n", err.msg);
    }
    rt_source_close(source);
    rt_model_close(teacher);
    rt_model_close(student);
    return rt_status_exit_code(st);
}

/* Exit code, or -signal. `crash` NULL: undisturbed. */
static int run_child(const char *dir, int threads, const char *crash, int raise_at)
{
    char count[16], at[16];
    snprintf(count, sizeof count, "%d", threads);
    snprintf(at, sizeof at, "%d", raise_at);
    pid_t pid = fork();
    if (pid == 0) {
        if (crash) {
            setenv("RETORT_CRASH_AT", crash, 1);
        }
        setenv("RETORT_LOG", "warn", 1);
        execl("/proc/self/exe", "test_resume", "child", dir, count, at, rt_optim_name(optimizer),
              with_states ? "states" : "usual", (char *)NULL);
        _exit(127);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- what a run left --------------------------------------------------------------------------------------------- */

static rt_digest weights_of(const char *dir)
{
    rt_err err;
    rt_str bytes = {0};
    char *path = rt_path_join(dir, "weights.bin");
    assert_ok(rt_file_read(&bytes, path, 1 << 24, &err));
    rt_digest d = rt_sha256_of(bytes.p, bytes.n);
    rt_str_release(&bytes);
    rt_free(path);
    return d;
}

/* Every step once and in order; their losses, which must repeat exactly. */
static void losses_of(const char *dir, double loss[RUN_STEPS])
{
    rt_err err;
    rt_jsonl r;
    json_t *o;
    int step = 0;
    char *path = rt_path_join(dir, "metrics.jsonl");
    assert_ok(rt_jsonl_open(&r, path, &err));
    for (;;) {
        assert_ok(rt_jsonl_next(&r, &o, &err));
        if (!o) {
            break;
        }
        if (!json_object_get(o, "event") && json_object_get(o, "loss")) {
            assert_int_equal(rt_json_i64(o, "step", -1), step + 1);
            assert_true(step < RUN_STEPS);
            loss[step++] = rt_json_f64(o, "loss", NAN);
        }
        json_decref(o);
    }
    assert_int_equal(step, RUN_STEPS);
    rt_jsonl_close(&r);
    rt_free(path);
}

typedef struct reference {
    rt_digest weights;
    double loss[RUN_STEPS];
} reference;

static reference undisturbed(void)
{
    reference ref;
    char *dir = rt_test_scratch();
    assert_int_equal(run_child(dir, 1, NULL, 0), 0);
    ref.weights = weights_of(dir);
    losses_of(dir, ref.loss);
    rt_test_scratch_drop(dir);
    return ref;
}

static void expect_same(const char *dir, const reference *ref, const char *how)
{
    double loss[RUN_STEPS];
    rt_digest d = weights_of(dir);
    if (memcmp(&d, &ref->weights, sizeof d) != 0) {
        fail_msg("other parameters after %s", how);
    }
    losses_of(dir, loss);
    if (memcmp(loss, ref->loss, sizeof loss) != 0) {
        fail_msg("other losses after %s", how);
    }
}

/* --- tests ------------------------------------------------------------------------------------------------------- */

static void killed_at_twenty_points_the_run_ends_with_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int most; /* passages in an undisturbed run, at least */
    } points[] = {
        {"train.step", RUN_STEPS},     {"train.before_checkpoint", 6}, {"train.checkpoint_rename", 6},
        {"train.after_checkpoint", 6}, {"train.decision", 1},          {"atomic_written", 8},
        {"atomic_renamed", 8},
    };
    enum { POINTS = sizeof points / sizeof points[0] };
    reference ref = undisturbed();
    rt_rng rng = rt_rng_init(20, "fault points", 0);
    for (int i = 0; i < 20; i++) {
        char crash[64], how[96];
        int p = i % POINTS, threads = 1 + i / POINTS % 2;
        snprintf(crash, sizeof crash, "%s:%d", points[p].name, 1 + (int)rt_rng_below(&rng, (uint64_t)points[p].most));
        snprintf(how, sizeof how, "%s at %d threads", crash, threads);
        char *dir = rt_test_scratch();
        if (run_child(dir, threads, crash, 0) != -SIGKILL) {
            fail_msg("the run survived %s", how);
        }
        assert_int_equal(run_child(dir, 3 - threads, NULL, 0), 0); /* the rest at another thread count */
        expect_same(dir, &ref, how);
        rt_test_scratch_drop(dir);
    }
}

static void killed_again_and_again_the_run_still_ends_the_same(void **state)
{
    (void)state;
    reference ref = undisturbed();
    char *dir = rt_test_scratch();
    int kills = 0;
    while (run_child(dir, 1, "train.step:4", 0) == -SIGKILL) { /* one checkpoint, one step lost, every time */
        kills++;
        assert_true(kills < RUN_STEPS);
    }
    assert_true(kills >= 3);
    expect_same(dir, &ref, "many kills");
    rt_test_scratch_drop(dir);
}

/* Killed in three places and gone on with, by one thread and by two. */
static void expect_same_wherever_killed(const reference *ref)
{
    static const char *const crashes[] = {"train.step:5", "train.step:11", "train.checkpoint_rename:2"};
    for (int i = 0; i < 3; i++) {
        char *dir = rt_test_scratch();
        assert_int_equal(run_child(dir, 1 + i % 2, crashes[i], 0), -SIGKILL);
        assert_int_equal(run_child(dir, 2 - i % 2, NULL, 0), 0);
        expect_same(dir, ref, crashes[i]);
        rt_test_scratch_drop(dir);
    }
}

static void a_run_with_muon_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    reference adamw = undisturbed();
    optimizer = RT_OPTIM_MUON;
    reference ref = undisturbed();
    assert_memory_not_equal(&ref.weights, &adamw.weights, sizeof ref.weights);
    expect_same_wherever_killed(&ref);
    optimizer = RT_OPTIM_ADAMW;
}

/* The map and its moments are part of the state; the student has none of it. */
static void a_run_with_a_learned_map_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    with_states = true;
    reference ref = undisturbed();
    expect_same_wherever_killed(&ref);
    with_states = false;
}

static void a_signal_saves_and_the_run_goes_on(void **state)
{
    (void)state;
    reference ref = undisturbed();
    char *dir = rt_test_scratch();
    assert_int_equal(run_child(dir, 2, NULL, 8), 130);
    char *checkpoints = rt_path_join(dir, "checkpoints"), *path = rt_checkpoint_path(checkpoints, 8);
    assert_true(rt_path_exists(path));
    rt_free(path);
    rt_free(checkpoints);
    assert_int_equal(run_child(dir, 1, NULL, 0), 0);
    expect_same(dir, &ref, "a signal");
    rt_test_scratch_drop(dir);
}

static void only_two_checkpoints_and_the_best_are_kept(void **state)
{
    (void)state;
    rt_err err;
    char *dir = rt_test_scratch();
    assert_int_equal(run_child(dir, 1, NULL, 0), 0);
    char *checkpoints = rt_path_join(dir, "checkpoints"), *newest = rt_checkpoint_newest(checkpoints);
    rt_checkpoint c;
    assert_ok(rt_checkpoint_read(newest, &c, &err));
    assert_true(c.counts.finished);
    assert_int_equal(c.counts.step, RUN_STEPS);
    int n = 0;
    for (int step = 0; step <= RUN_STEPS; step++) {
        char *path = rt_checkpoint_path(checkpoints, step);
        bool there = rt_path_exists(path);
        n += there;
        if (step == c.counts.best_step) {
            assert_true(there);
        }
        rt_free(path);
    }
    assert_in_range(n, 2, 3);
    rt_checkpoint_release(&c);
    rt_free(newest);
    rt_free(checkpoints);
    rt_test_scratch_drop(dir);
}

/* --- refusals, in this process ------------------------------------------------------------------------------------ */

typedef struct toy {
    rt_model *teacher, *student;
    rt_source *source;
    char *dir;
    rt_train_options o;
} toy;

/* A run interrupted half-way by its own length: checkpoints at 3 and 6, then a failure. */
static toy interrupted(void)
{
    rt_err err;
    rt_train_result r;
    toy t = {.teacher = toy_teacher(), .student = toy_student(), .dir = rt_test_scratch()};
    t.source = toy_source(RT_SOURCE_SAMPLE, t.teacher);
    t.o = options_of(t.dir);
    t.source->poison_at = 8;
    assert_int_equal(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err), RT_NUMERIC);
    t.source->poison_at = 0;
    rt_model_close(t.student);
    t.student = toy_student();
    return t;
}

static void toy_close(toy *t)
{
    rt_source_close(t->source);
    rt_model_close(t->teacher);
    rt_model_close(t->student);
    rt_test_scratch_drop(t->dir);
}

static void expect_refusal(toy *t, const char *key)
{
    rt_err err;
    rt_train_result r;
    assert_int_equal(rt_train_run(t->student, t->source, t->teacher, &t->o, &r, &err), RT_INPUT);
    assert_says(err.msg, key);
    assert_says(err.msg, "other settings");
}

static void changed_data_settings_and_student_are_refused_by_name(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = interrupted();
    t.o.lr = 1e-3;
    expect_refusal(&t, "lr (0.002, now 0.001)");
    t.o.lr = 2e-3;
    t.o.optim.kind = RT_OPTIM_MUON;
    expect_refusal(&t, "optimizer (absent, now \"muon\")");
    t.o.optim.kind = RT_OPTIM_ADAMW;
    t.o.losses[0].weight = 2;
    expect_refusal(&t, "loss (");
    t.o.losses[0].weight = 1;
    t.source->info.hash.b[0] ^= 1;
    expect_refusal(&t, "data (");
    t.source->info.hash.b[0] ^= 1;
    t.student->weights[5] += 1;
    expect_refusal(&t, "student (");
    t.student->weights[5] -= 1;
    rt_model_close(t.student);
    t.student = toy_student();
    assert_ok(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err));
    assert_true(r.resumed && r.comparable);
    assert_int_equal(r.counts.step, RUN_STEPS);
    toy_close(&t);
}

/* The checkpoint of `step` as if a machine with another instruction set had written it. */
static void move_elsewhere(const toy *t, int64_t step)
{
    rt_err err;
    rt_str file = {0};
    static const char key[] = "\\\"isa\\\":\\\""; /* JSON within the JSON of the header */
    char *checkpoints = rt_path_join(t->dir, "checkpoints"), *path = rt_checkpoint_path(checkpoints, step);
    assert_ok(rt_file_read(&file, path, 1 << 26, &err));
    char *isa = strstr(file.p + 8, key); /* the header follows its length */
    assert_non_null(isa);
    isa[sizeof key - 1] = 'x';
    assert_ok(rt_file_write(path, file.p, file.n, &err));
    rt_str_release(&file);
    rt_free(path);
    rt_free(checkpoints);
}

static void another_instruction_set_goes_on_and_says_so(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = interrupted();
    move_elsewhere(&t, 6);
    assert_ok(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err));
    assert_true(r.resumed);
    assert_false(r.comparable);
    rt_str text = {0};
    char *path = rt_path_join(t.dir, "metrics.jsonl");
    assert_ok(rt_file_read(&text, path, 1 << 20, &err));
    assert_says(rt_str_cstr(&text), "not bit-comparable");
    rt_str_release(&text);
    rt_free(path);
    toy_close(&t);
}

static void another_run_can_be_prolonged_from_a_checkpoint(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = interrupted();
    char *checkpoints = rt_path_join(t.dir, "checkpoints"), *from = rt_checkpoint_newest(checkpoints),
         *other = rt_test_scratch();
    t.o.run_dir = other;
    t.o.from = from;
    t.o.steps = RUN_STEPS + 5;
    assert_ok(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err));
    assert_true(r.resumed);
    assert_int_equal(r.counts.step, RUN_STEPS + 5);
    rt_test_scratch_drop(other);
    rt_free(from);
    rt_free(checkpoints);
    toy_close(&t);
}

static void a_budget_run_taken_up_again_replays_with_the_same_bits(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r, again;
    toy t = {.teacher = toy_teacher(), .student = toy_student(), .dir = rt_test_scratch()};
    t.source = toy_source(RT_SOURCE_SAMPLE, t.teacher);
    t.o = options_of(t.dir);
    t.o.steps = 0;
    t.o.budget = 2;
    t.source->poison_at = 12;
    assert_int_equal(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err), RT_NUMERIC);
    double spent = r.counts.active;
    t.source->poison_at = 0;
    rt_model_close(t.student);
    t.student = toy_student();
    assert_ok(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err));
    assert_true(r.resumed && r.counts.step > 9);
    assert_true(r.counts.active > spent && r.counts.active < 3); /* one budget for both calls */

    rt_model *repeat = toy_student();
    char *other = rt_test_scratch();
    t.o.replay = t.dir;
    t.o.run_dir = other;
    t.o.budget = 0;
    assert_ok(rt_train_run(repeat, t.source, t.teacher, &t.o, &again, &err));
    assert_int_equal(again.counts.step, r.counts.step);
    assert_memory_equal(repeat->weights, t.student->weights, (size_t)repeat->n_elements * sizeof(float));
    rt_model_close(repeat);
    rt_test_scratch_drop(other);
    toy_close(&t);
}

/* Cuts the checkpoint of `step` short. */
static void damage(const toy *t, int64_t step)
{
    char *checkpoints = rt_path_join(t->dir, "checkpoints"), *path = rt_checkpoint_path(checkpoints, step);
    assert_int_equal(truncate(path, 1000), 0);
    rt_free(path);
    rt_free(checkpoints);
}

static void a_damaged_checkpoint_costs_its_steps_and_no_bit(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = interrupted(), whole = interrupted();
    damage(&t, 6);
    assert_ok(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err));
    assert_true(r.resumed && r.comparable);
    assert_int_equal(r.counts.step, RUN_STEPS);
    assert_ok(rt_train_run(whole.student, whole.source, whole.teacher, &whole.o, &r, &err));
    assert_memory_equal(t.student->weights, whole.student->weights,
                        (size_t)t.student->n_elements * sizeof *t.student->weights);
    double loss[RUN_STEPS], expected[RUN_STEPS];
    losses_of(t.dir, loss);
    losses_of(whole.dir, expected);
    assert_memory_equal(loss, expected, sizeof loss);
    toy_close(&t);
    toy_close(&whole);
}

static void where_all_checkpoints_are_damaged_the_newest_is_named(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = interrupted();
    damage(&t, 3);
    damage(&t, 6);
    assert_int_equal(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err), RT_INPUT);
    assert_says(err.msg, "step-00000006");
    toy_close(&t);
}

/* The best weights of the time of the older checkpoint were pruned when the newer one was saved. */
static void a_best_that_was_pruned_is_not_asked_for(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = interrupted();
    char *checkpoints = rt_path_join(t.dir, "checkpoints"), *newest = rt_checkpoint_newest(checkpoints);
    rt_checkpoint c;
    rt_optim optim;
    double took;
    assert_ok(rt_checkpoint_read(newest, &c, &err));
    assert_ok(rt_optim_init(&optim, t.student, &t.o.optim, &err));
    assert_ok(rt_checkpoint_restore(newest, &c, &optim, &err));
    c.counts.best_step = 2; /* never saved */
    c.counts.best_kl = 0;
    assert_ok(rt_checkpoint_save(checkpoints, &c, &optim, &took, &err));
    rt_optim_release(&optim);
    rt_model_close(t.student);
    t.student = toy_student();
    assert_ok(rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err));
    assert_int_equal(r.weights_step, RUN_STEPS);
    rt_checkpoint_release(&c);
    rt_free(newest);
    rt_free(checkpoints);
    toy_close(&t);
}

static void failing_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    toy t = interrupted();
    size_t live = rt_mem_get_stats().live_bytes;
    for (uint64_t n = 1; n < 400; n += 7) {
        rt_mem_fail_after(n);
        rt_status st = rt_train_run(t.student, t.source, t.teacher, &t.o, &r, &err);
        rt_mem_fail_after(0);
        if (st == RT_OK) {
            break;
        }
        assert_int_equal(st, RT_MEMORY);
        assert_int_equal(rt_mem_get_stats().live_bytes, live);
        rt_model_close(t.student);
        t.student = toy_student();
        live = rt_mem_get_stats().live_bytes;
    }
    toy_close(&t);
}

static int one_thread(void **state)
{
    (void)state;
    rt_team_set_threads(1);
    rt_log_set_level(RT_LOG_ERROR);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "child") == 0) {
        return train_as_child(argv[2], argv[3], argv[4], argv[5], argv[6]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_twenty_points_the_run_ends_with_the_same_bits),
        cmocka_unit_test(killed_again_and_again_the_run_still_ends_the_same),
        cmocka_unit_test(a_run_with_muon_goes_on_with_the_same_bits),
        cmocka_unit_test(a_run_with_a_learned_map_goes_on_with_the_same_bits),
        cmocka_unit_test(a_signal_saves_and_the_run_goes_on),
        cmocka_unit_test(only_two_checkpoints_and_the_best_are_kept),
        cmocka_unit_test(changed_data_settings_and_student_are_refused_by_name),
        cmocka_unit_test(another_instruction_set_goes_on_and_says_so),
        cmocka_unit_test(another_run_can_be_prolonged_from_a_checkpoint),
        cmocka_unit_test(a_budget_run_taken_up_again_replays_with_the_same_bits),
        cmocka_unit_test(a_damaged_checkpoint_costs_its_steps_and_no_bit),
        cmocka_unit_test(where_all_checkpoints_are_damaged_the_newest_is_named),
        cmocka_unit_test(a_best_that_was_pruned_is_not_asked_for),
        cmocka_unit_test(failing_memory_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
