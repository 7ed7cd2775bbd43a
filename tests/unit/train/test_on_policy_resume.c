/* A student that learns on text of its own: which bits it ends with, and what a kill leaves. Runs that are killed are
 * processes of their own (this program with arguments). */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "unit/train/own_text_world.h"

static rt_digest weights_of(const rt_model *m)
{
    return rt_sha256_of(m->weights, (size_t)m->n_elements * sizeof(float));
}

static rt_digest trained(const rt_on_policy_options *own, int threads)
{
    rt_err err;
    rt_train_result r;
    const int usual = rt_team_threads();
    rt_team_set_threads(threads);
    world w;
    open_in(&w, rt_test_scratch(), toy_student(), own);
    assert_ok(train(&w, &r, &err));
    const rt_digest d = weights_of(w.student);
    close_world(&w);
    rt_team_set_threads(usual);
    return d;
}

static void without_own_text_a_run_is_the_plain_one(void **state)
{
    (void)state;
    const rt_on_policy_options none = own_options(0, 1), half = own_options(0.5, 2);
    const rt_digest plain = trained(NULL, 1), zero = trained(&none, 1), some = trained(&half, 1);
    assert_memory_equal(&plain, &zero, sizeof plain);
    assert_memory_not_equal(&plain, &some, sizeof plain);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    const rt_on_policy_options half = own_options(0.5, 2);
    const rt_digest one = trained(&half, 1), two = trained(&half, 2);
    assert_memory_equal(&one, &two, sizeof one);
}

static int train_as_child(char *dir, const char *threads, const char *student)
{
    rt_err err = {0};
    rt_train_result r;
    rt_team_set_threads(atoi(threads));
    const rt_on_policy_options own = own_options(0.5, 3);
    world w;
    open_in(&w, dir, strcmp(student, "adapted") == 0 ? adapted_student() : toy_student(), &own);
    rt_status st = train(&w, &r, &err);
    if (st == RT_OK) {
        char *out = rt_path_join(dir, "weights.bin");
        const rt_digest d = weights_of(w.student);
        st = rt_file_write(out, d.b, sizeof d.b, &err);
        rt_free(out);
    } else {
        fprintf(stderr, "%s\n", err.msg);
    }
    close_all(&w);
    return rt_status_exit_code(st);
}

static int run_child(const char *dir, const char *threads, const char *student, const char *crash)
{
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        if (crash) {
            setenv("RETORT_CRASH_AT", crash, 1);
        }
        setenv("RETORT_LOG", "warn", 1);
        execl("/proc/self/exe", "test_on_policy_resume", "child", dir, threads, student, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

typedef struct left {
    rt_digest weights;
    uint64_t positions; /* of the ledger, each once */
    uint64_t repeated;
} left;

static left left_in(const char *dir)
{
    rt_err err;
    rt_str bytes = {0};
    rt_ledger_report ledger;
    left l;
    char *path = rt_path_join(dir, "weights.bin"), *lines = rt_path_join(dir, "ledger.jsonl");
    assert_ok(rt_file_read(&bytes, path, sizeof l.weights.b, &err));
    memcpy(l.weights.b, bytes.p, sizeof l.weights.b);
    assert_ok(rt_ledger_verify(&ledger, lines, &err));
    assert_true(ledger.closed);
    assert_int_equal(ledger.unstated, 0);
    l.positions = ledger.mark.positions - ledger.repeated;
    l.repeated = ledger.repeated;
    rt_ledger_report_release(&ledger);
    rt_str_release(&bytes);
    rt_free(path);
    rt_free(lines);
    return l;
}

/* Checkpoints are at 4 and 8, text is written at 0, 3, 6, 9: both lie inside the use of a text. */
static void kill_and_compare(const char *student, const char *const *crashes, size_t n)
{
    char *calm = rt_test_scratch();
    assert_int_equal(run_child(calm, "1", student, NULL), 0);
    const left want = left_in(calm);
    for (size_t i = 0; i < n; i++) {
        char *dir = rt_test_scratch();
        assert_int_equal(run_child(dir, i % 2 ? "2" : "1", student, crashes[i]), -SIGKILL);
        assert_int_equal(run_child(dir, i % 2 ? "1" : "2", student, NULL), 0);
        const left got = left_in(dir);
        assert_memory_equal(&got.weights, &want.weights, sizeof want.weights);
        assert_int_equal(got.positions, want.positions);
        rt_test_scratch_drop(dir);
    }
    rt_test_scratch_drop(calm);
}

static void killed_while_a_text_is_in_use_the_run_ends_with_the_same_bits_and_ledger(void **state)
{
    (void)state;
    static const char *const crashes[] = {"train.step:6", "train.step:10", "train.before_checkpoint:2",
                                          "ledger-salts:2", "ledger-lines:3"};
    kill_and_compare("whole", crashes, sizeof crashes / sizeof crashes[0]);
}

static void killed_while_an_adapter_trains_on_its_text_the_run_ends_with_the_same_bits(void **state)
{
    (void)state;
    static const char *const crash = "train.step:6";
    kill_and_compare("adapted", &crash, 1);
}

/* The ledger has what the first checkpoint would have been of. */
static void killed_before_the_first_checkpoint_the_ledger_says_what_was_scored_twice(void **state)
{
    (void)state;
    char *calm = rt_test_scratch(), *dir = rt_test_scratch();
    assert_int_equal(run_child(calm, "1", "whole", NULL), 0);
    assert_int_equal(run_child(dir, "1", "whole", "ledger-lines:1"), -SIGKILL);
    assert_int_equal(run_child(dir, "1", "whole", "ledger-lines:1"), -SIGKILL);
    assert_int_equal(run_child(dir, "1", "whole", NULL), 0);
    const left want = left_in(calm), got = left_in(dir);
    assert_memory_equal(&got.weights, &want.weights, sizeof want.weights);
    assert_int_equal(want.repeated, 0);
    assert_true(got.repeated > 0 && got.repeated % 2 == 0);
    assert_int_equal(got.positions, want.positions);
    rt_test_scratch_drop(calm);
    rt_test_scratch_drop(dir);
}

static void a_damaged_text_in_a_checkpoint_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"[[0, 1, 99999]]", "[[0, -1]]",   "[[77777, 1]]", "[[0]]", "[7]", "{}",
                                        "[[0,1],[0,1],7]", "[[-1, 1, 2]]"};
    world w;
    open_world(&w, 0.5, 1);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        rt_err err = {0};
        json_t *j = rt_on_policy_json(w.own);
        json_object_set_new(j, "texts", json_loads(texts[i], 0, NULL));
        assert_int_equal(rt_on_policy_restore(w.own, j, &err), RT_INPUT);
        json_decref(j);
    }
    close_world(&w);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "child") == 0) {
        return train_as_child(argv[2], argv[3], argv[4]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_own_text_a_run_is_the_plain_one),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(killed_while_a_text_is_in_use_the_run_ends_with_the_same_bits_and_ledger),
        cmocka_unit_test(killed_while_an_adapter_trains_on_its_text_the_run_ends_with_the_same_bits),
        cmocka_unit_test(killed_before_the_first_checkpoint_the_ledger_says_what_was_scored_twice),
        cmocka_unit_test(a_damaged_text_in_a_checkpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
