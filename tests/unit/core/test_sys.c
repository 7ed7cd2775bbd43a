/* test_sys.c - clocks, memory, fault points, interruption, processor, log. */
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "rt_test.h"

static void clocks_go_forward(void **state)
{
    (void)state;
    double t = rt_now(), c = rt_cpu_seconds();
    volatile double x = 1;
    for (int i = 0; i < 3000000; i++) {
        x = sqrt(x + i);
    }
    assert_true(rt_now() > t);
    assert_true(rt_cpu_seconds() >= c);
}

static void memory_figures_are_plausible(void **state)
{
    (void)state;
    int64_t before = rt_rss_peak();
    assert_true(before > 100 * 1024);
    char *p = rt_malloc(32 << 20);
    memset(p, 1, 32 << 20);
    assert_true(rt_rss_peak() >= before + (16 << 20));
    rt_free(p);
    assert_true(rt_mem_available() > (1 << 20));
}

static void timestamps_have_one_form_and_can_be_fixed(void **state)
{
    (void)state;
    char t[21];
    int y, mo, d, h, mi, s;
    char z;
    unsetenv("RETORT_NOW");
    rt_timestamp(t);
    assert_int_equal(sscanf(t, "%4d-%2d-%2dT%2d:%2d:%2d%c", &y, &mo, &d, &h, &mi, &s, &z), 7);
    assert_true(z == 'Z' && y >= 2024);
    setenv("RETORT_NOW", "2026-11-21T23:41:38Z", 1);
    rt_timestamp(t);
    assert_string_equal(t, "2026-11-21T23:41:38Z");
    setenv("RETORT_NOW", "yesterday", 1);
    rt_timestamp(t);
    assert_int_equal(strlen(t), 20);
    assert_int_not_equal(t[0], 'y');
    unsetenv("RETORT_NOW");
}

/* Passes point "step" five times under RETORT_CRASH_AT=spec; exit status is the passages made before a crash. */
static int passages(const char *spec, int *killed)
{
    int pipe_fd[2], n = 0, status;
    char byte;
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t child = fork();
    if (child == 0) {
        setenv("RETORT_CRASH_AT", spec, 1);
        rt_log_set_level(RT_LOG_ERROR);
        for (int i = 0; i < 5; i++) {
            rt_crash_point("other");
            rt_crash_point("step");
            if (write(pipe_fd[1], "x", 1) != 1) {
                _exit(1);
            }
        }
        _exit(0);
    }
    close(pipe_fd[1]);
    while (read(pipe_fd[0], &byte, 1) == 1) {
        n++;
    }
    close(pipe_fd[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    *killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    return n;
}

static void a_fault_point_kills_at_the_nth_passage(void **state)
{
    (void)state;
    int killed;
    assert_int_equal(passages("step:3", &killed), 2);
    assert_true(killed);
    assert_int_equal(passages("step:6", &killed), 5);
    assert_false(killed);
    assert_int_equal(passages("ste:1", &killed), 5);
    assert_int_equal(passages("step", &killed), 5);
    assert_int_equal(passages("step:0", &killed), 5);
    assert_false(killed);
}

static void the_first_signal_raises_the_flag(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        rt_interrupt_install();
        int ok = !rt_interrupted() && rt_interrupt_signal() == 0;
        raise(SIGTERM);
        ok = ok && rt_interrupted() && rt_interrupt_signal() == SIGTERM;
        if (!ok) {
            _exit(1);
        }
        raise(SIGTERM); /* the second one ends the process */
        _exit(2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void the_instruction_set_can_be_lowered_not_raised(void **state)
{
    (void)state;
    const rt_cpu *cpu = rt_cpu_get();
    rt_isa detected = cpu->detected;
    assert_true(cpu->n_cpu >= 1 && cpu->n_cpu <= RT_MAX_THREADS);
    assert_true(cpu->isa <= detected);
    assert_true(strlen(cpu->model) > 0);
    assert_int_equal(rt_cpu_force_isa(RT_ISA_GENERIC), RT_ISA_GENERIC);
    assert_int_equal(cpu->isa, RT_ISA_GENERIC);
    assert_false(cpu->fast_bf16);
    assert_int_equal(rt_cpu_force_isa(RT_ISA_AMX), detected);
    assert_string_equal(rt_isa_name(RT_ISA_AVX512BF16), "avx512bf16");
    print_message("processor: %s, %s, %d allowed\n", cpu->model, rt_isa_name(detected), cpu->n_cpu);
}

typedef struct seen {
    int n;
    rt_log_level level;
    char msg[256];
} seen;

static void remember(void *ud, rt_log_level level, const char *msg)
{
    seen *s = ud;
    s->n++;
    s->level = level;
    snprintf(s->msg, sizeof s->msg, "%s", msg);
}

static void messages_below_the_level_are_dropped(void **state)
{
    (void)state;
    seen s = {0};
    rt_log_set(remember, &s);
    rt_log_set_level(RT_LOG_WARN);
    rt_log(RT_LOG_INFO, "quiet");
    assert_int_equal(s.n, 0);
    rt_log(RT_LOG_WARN, "%d tokens", 7);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.level, RT_LOG_WARN);
    assert_string_equal(s.msg, "7 tokens");
    rt_log_set_level(RT_LOG_INFO);
    rt_log_set(NULL, NULL);
}

static void progress_without_a_terminal_is_rare_lines(void **state)
{
    (void)state;
    seen s = {0};
    rt_progress p;
    rt_log_set(remember, &s);
    rt_log_set_level(RT_LOG_INFO);
    rt_progress_begin(&p, "collecting");
    assert_false(p.live);
    for (int i = 1; i <= 1000; i++) {
        rt_progress_update(&p, i, 1000, "%d tokens/s", i);
    }
    assert_int_equal(s.n, 0);
    p.t0 -= 20; /* as if twenty seconds had gone by */
    p.t_last -= 20;
    rt_progress_update(&p, 250, 1000, "%d tokens/s", 250);
    assert_int_equal(s.n, 1);
    assert_says(s.msg, "collecting");
    assert_says(s.msg, "25%");
    assert_says(s.msg, "ETA 1m00s");
    assert_says(s.msg, "250 tokens/s");
    rt_progress_end(&p, NULL);
    assert_int_equal(s.n, 2);
    assert_says(s.msg, "done in 20s");
    rt_log_set(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_go_forward),
        cmocka_unit_test(memory_figures_are_plausible),
        cmocka_unit_test(timestamps_have_one_form_and_can_be_fixed),
        cmocka_unit_test(a_fault_point_kills_at_the_nth_passage),
        cmocka_unit_test(the_first_signal_raises_the_flag),
        cmocka_unit_test(the_instruction_set_can_be_lowered_not_raised),
        cmocka_unit_test(messages_below_the_level_are_dropped),
        cmocka_unit_test(progress_without_a_terminal_is_rare_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
