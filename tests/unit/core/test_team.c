/* test_team.c - every task once, the same bits at any thread count, float mode as promised. */
#include <math.h>
#include <stdatomic.h>

#include "rt_test.h"

enum { N_TASKS = 1000 };

typedef struct tally {
    atomic_int runs[N_TASKS];
    atomic_int bad_index;
    double part[N_TASKS];
} tally;

static void count_task(void *arg, int64_t task, int thread)
{
    tally *t = arg;
    atomic_fetch_add(&t->runs[task], 1);
    if (thread < 0 || thread >= rt_team_threads()) {
        atomic_store(&t->bad_index, 1);
    }
}

static void every_task_runs_once(void **state)
{
    (void)state;
    static tally t;
    for (int threads = 1; threads <= 5; threads++) {
        memset(&t, 0, sizeof t);
        rt_team_set_threads(threads);
        assert_int_equal(rt_team_threads(), threads);
        for (int repeat = 1; repeat <= 20; repeat++) {
            rt_team_for(N_TASKS, count_task, &t);
            for (int i = 0; i < N_TASKS; i++) {
                assert_int_equal(atomic_load(&t.runs[i]), repeat);
            }
        }
        assert_int_equal(atomic_load(&t.bad_index), 0);
    }
    rt_team_for(0, count_task, NULL);
    rt_team_for(-1, count_task, NULL);
}

static void thread_count_is_kept_in_bounds(void **state)
{
    (void)state;
    rt_team_set_threads(0);
    assert_int_equal(rt_team_threads(), 1);
    rt_team_set_threads(100000);
    assert_int_equal(rt_team_threads(), RT_MAX_THREADS);
    rt_team_set_threads(2);
}

static void sum_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    tally *t = arg;
    double s = 0;
    for (int i = 1; i <= 200; i++) {
        s += sin((double)(task * 200 + i)) / i;
    }
    t->part[task] = s;
}

static double sum_with(int threads)
{
    static tally t;
    double s = 0;
    rt_team_set_threads(threads);
    rt_team_for(N_TASKS, sum_task, &t);
    for (int i = 0; i < N_TASKS; i++) {
        s += t.part[i];
    }
    return s;
}

static void the_bits_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    double one = sum_with(1);
    for (int threads = 2; threads <= 4; threads++) {
        double more = sum_with(threads);
        assert_memory_equal(&one, &more, sizeof one);
    }
}

typedef struct nest {
    atomic_int inner_runs, moved; /* moved: an inner task saw another thread index than its outer task */
    int outer_thread[8];
} nest;

typedef struct nest_task {
    nest *n;
    int outer;
} nest_task;

static void inner_task(void *arg, int64_t task, int thread)
{
    (void)task;
    nest_task *t = arg;
    atomic_fetch_add(&t->n->inner_runs, 1);
    if (thread != t->n->outer_thread[t->outer]) {
        atomic_store(&t->n->moved, 1);
    }
}

static void outer_task(void *arg, int64_t task, int thread)
{
    nest *n = arg;
    n->outer_thread[task] = thread;
    rt_team_for(5, inner_task, &(nest_task){n, (int)task});
}

static void a_nested_call_runs_in_its_own_thread(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        nest n = {0};
        rt_team_set_threads(threads);
        rt_team_for(8, outer_task, &n);
        assert_int_equal(atomic_load(&n.inner_runs), 40);
        assert_int_equal(atomic_load(&n.moved), 0);
    }
}

static void denormal_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    volatile float tiny = 1e-38f;
    ((float *)arg)[task] = tiny * 0.01f;
}

static void denormals_are_flushed_in_tasks_and_kept_outside(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        float out[64];
        volatile float tiny = 1e-38f;
        rt_team_set_threads(threads);
        rt_team_for(64, denormal_task, out);
#if defined(__x86_64__) || defined(__aarch64__)
        for (int i = 0; i < 64; i++) {
            assert_true(out[i] == 0.0f);
        }
#endif
        float after = tiny * 0.01f;
        assert_true(after > 0.0f);
    }
}

/* Absent where the team is made of pthreads. */
int omp_get_max_threads(void) __attribute__((weak));

static void library_width_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    ((int *)arg)[task] = omp_get_max_threads();
}

static void openmp_libraries_keep_to_one_thread(void **state)
{
    (void)state;
    if (!omp_get_max_threads) {
        return;
    }
    for (int threads = 1; threads <= 3; threads++) {
        int width[16];
        rt_team_set_threads(threads);
        assert_int_equal(omp_get_max_threads(), 1);
        for (int n_tasks = 1; n_tasks <= 16; n_tasks += 15) {
            rt_team_for(n_tasks, library_width_task, width);
            for (int i = 0; i < n_tasks; i++) {
                assert_int_equal(width[i], 1);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(thread_count_is_kept_in_bounds),
        cmocka_unit_test(the_bits_do_not_depend_on_the_thread_count),
        cmocka_unit_test(a_nested_call_runs_in_its_own_thread),
        cmocka_unit_test(denormals_are_flushed_in_tasks_and_kept_outside),
        cmocka_unit_test(openmp_libraries_keep_to_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
