/* A user's command gets its file and gives back what it prints; whatever else it does is an error that names it. */
#include <signal.h>
#include <sys/wait.h>

#include "core/core.h"

#include "scratch.h"

static rt_status run(const char *command, double seconds, rt_str *out, rt_err *err)
{
    char *input = rt_path_join(scratch, "in.txt");
    assert_int_equal(rt_file_write(input, "b\na\n", 4, err), RT_OK);
    const rt_status st = rt_child_filter(out, command, input, seconds, 64, err);
    rt_free(input);
    return st;
}

static void the_file_goes_in_and_the_output_comes_back(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str out = {0};
    assert_ok(run("sort", 60, &out, &err));
    assert_string_equal(rt_str_cstr(&out), "a\nb\n");
    rt_str_release(&out);
}

static void it_runs_where_the_caller_is_with_the_callers_environment(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str out = {0};
    char here[1024], command[1200];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(setenv("RT_TEST_CHILD", "seen", 1), 0);
    snprintf(command, sizeof command, "test \"$(pwd -P)\" = \"$(cd '%s' && pwd -P)\" && printf %%s \"$RT_TEST_CHILD\"",
             here);
    assert_ok(run(command, 60, &out, &err));
    assert_string_equal(rt_str_cstr(&out), "seen");
    rt_str_release(&out);
}

static void failures_name_the_command(void **state)
{
    (void)state;
    static const struct {
        const char *command, *says;
        double seconds;
    } cases[] = {
        {"exit 3", "status 3", 60},
        {"no-such-program-here 2>/dev/null", "status 127", 60},
        {"kill -TERM $$", "signal 15", 60},
        {"sleep 60", "more than 0.1 s", 0.1},
        {"exec >&-; sleep 60", "more than 0.1 s", 0.1},
        {"yes", "more than 64 bytes", 60},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_str out = {0};
        assert_int_equal(run(cases[i].command, cases[i].seconds, &out, &err), RT_INPUT);
        assert_says(err.msg, cases[i].command);
        assert_says(err.msg, cases[i].says);
        rt_str_release(&out);
    }
}

/* What the command started is stopped with it. */
static void nothing_of_it_stays_behind(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str out = {0};
    char command[1200];
    snprintf(command, sizeof command, "(sleep 1; touch '%s/late') & sleep 60", scratch);
    assert_int_equal(run(command, 0.1, &out, &err), RT_INPUT);
    sleep(2);
    char *late = rt_path_join(scratch, "late");
    assert_false(rt_path_exists(late));
    rt_free(late);
    rt_str_release(&out);
}

/* Also behind the end of its output. In a process of its own: the flag stays raised. */
static void an_interrupt_ends_it(void **state)
{
    (void)state;
    static const char *const commands[] = {"kill -TERM $PPID; sleep 60",
                                           "exec >&-; sleep 0.2; kill -TERM $PPID; sleep 60"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const pid_t other = fork();
        if (other == 0) {
            rt_err err = {0};
            rt_str out = {0};
            rt_interrupt_install();
            const rt_status st = run(commands[i], 60, &out, &err);
            _exit(st == RT_CANCELLED && strstr(err.msg, commands[i]) != NULL ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(other, &status, 0), other);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_goes_in_and_the_output_comes_back),
        cmocka_unit_test(it_runs_where_the_caller_is_with_the_callers_environment),
        cmocka_unit_test(failures_name_the_command),
        cmocka_unit_test(nothing_of_it_stays_behind),
        cmocka_unit_test(an_interrupt_ends_it),
    };
    return cmocka_run_group_tests(tests, make_scratch, drop_scratch);
}
