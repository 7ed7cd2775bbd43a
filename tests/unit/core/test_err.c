/* test_err.c - statuses and error records. */
#include <errno.h>

#include "rt_test.h"

static void statuses_have_text_and_exit_code(void **state)
{
    (void)state;
    assert_string_equal(rt_status_text(RT_OK), "ok");
    assert_string_equal(rt_status_text(RT_LICENCE), "licence refused");
    assert_int_equal(rt_status_exit_code(RT_OK), 0);
    assert_int_equal(rt_status_exit_code(RT_USAGE), 2);
    assert_int_equal(rt_status_exit_code(RT_INPUT), 3);
    assert_int_equal(rt_status_exit_code(RT_LICENCE), 4);
    assert_int_equal(rt_status_exit_code(RT_IO), 5);
    assert_int_equal(rt_status_exit_code(RT_NUMERIC), 6);
    assert_int_equal(rt_status_exit_code(RT_FINDING), 10);
    assert_int_equal(rt_status_exit_code(RT_CANCELLED), 130);
    assert_int_equal(rt_status_exit_code(RT_INTERNAL), 70);
}

static void an_unknown_status_counts_as_internal(void **state)
{
    (void)state;
    assert_non_null(rt_status_text((rt_status)-99));
    assert_int_equal(rt_status_exit_code((rt_status)-99), 70);
}

static void version_has_three_numbers(void **state)
{
    (void)state;
    int major, minor, patch, n = 0;
    assert_int_equal(sscanf(rt_version(), "%d.%d.%d%n", &major, &minor, &patch, &n), 3);
    assert_int_equal(n, strlen(rt_version()));
}

static void a_failure_fills_the_record(void **state)
{
    (void)state;
    rt_err err = {0};
    errno = EACCES;
    assert_int_equal(rt_fail(&err, RT_INPUT, 17, "tensor '%s' has %d dims", "w", 3), RT_INPUT);
    assert_int_equal(err.code, RT_INPUT);
    assert_int_equal(err.os_errno, 0);
    assert_int_equal(err.pos, 17);
    assert_string_equal(err.msg, "tensor 'w' has 3 dims");
}

static void an_io_failure_keeps_errno(void **state)
{
    (void)state;
    rt_err err = {0};
    errno = ENOSPC;
    (void)rt_fail(&err, RT_IO, 0, "cannot write");
    assert_int_equal(err.os_errno, ENOSPC);
}

static void context_reads_outside_in(void **state)
{
    (void)state;
    rt_err err = {0};
    (void)rt_fail(&err, RT_INPUT, 5, "tensor 'w' is cut off");
    assert_int_equal(rt_err_wrap(&err, RT_INPUT, "loading '%s'", "x.gguf"), RT_INPUT);
    assert_string_equal(err.msg, "loading 'x.gguf': tensor 'w' is cut off");
    assert_int_equal(err.pos, 5);
}

static void context_gives_a_silent_failure_its_code(void **state)
{
    (void)state;
    rt_err err = {0};
    assert_int_equal(rt_err_wrap(&err, RT_MEMORY, "packing"), RT_MEMORY);
    assert_int_equal(err.code, RT_MEMORY);
    assert_string_equal(err.msg, "packing");
}

static void no_record_is_fine(void **state)
{
    (void)state;
    assert_int_equal(rt_fail(NULL, RT_IO, 0, "lost"), RT_IO);
    assert_int_equal(rt_err_wrap(NULL, RT_IO, "lost"), RT_IO);
    rt_err_clear(NULL);
}

static void long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    char big[2000];
    struct {
        rt_err err;
        char guard[16];
    } box = {.guard = "untouched"};
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)rt_fail(&box.err, RT_INPUT, 0, "%s", big);
    assert_int_equal(strlen(box.err.msg), sizeof box.err.msg - 1);
    (void)rt_err_wrap(&box.err, RT_INPUT, "outer %s", big);
    (void)rt_err_wrap(&box.err, RT_INPUT, "outermost");
    assert_int_equal(strlen(box.err.msg), sizeof box.err.msg - 1);
    assert_memory_equal(box.err.msg, "outermost: outer a", 18);
    assert_string_equal(box.guard, "untouched");
}

static void a_message_gives_no_orders_to_a_terminal(void **state)
{
    (void)state;
    rt_err err = {0};
    (void)rt_fail(&err, RT_INPUT, 0, "pre-tokenizer '%s'", "\x1b]0;x\x07\x1b[2J\x7f\xc2\x9b\n\u00e9\u4e00");
    assert_string_equal(err.msg, "pre-tokenizer '?]0;x??[2J????\u00e9\u4e00'");
    (void)rt_err_wrap(&err, RT_INPUT, "loading '%s'", "a\tb");
    assert_string_equal(err.msg, "loading 'a?b': pre-tokenizer '?]0;x??[2J????\u00e9\u4e00'");
}

static rt_status two_steps(int fail_at, int *cleaned, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(fail_at == 1 ? rt_fail(err, RT_INPUT, 0, "first") : RT_OK);
    if (fail_at == 2) {
        RT_FAIL_OUT(err, RT_NUMERIC, 0, "second");
    }
out:
    ++*cleaned;
    return st;
}

static void every_way_out_passes_the_cleanup(void **state)
{
    (void)state;
    rt_err err = {0};
    int cleaned = 0;
    assert_ok(two_steps(0, &cleaned, &err));
    assert_int_equal(two_steps(1, &cleaned, &err), RT_INPUT);
    assert_int_equal(two_steps(2, &cleaned, &err), RT_NUMERIC);
    assert_string_equal(err.msg, "second");
    assert_int_equal(cleaned, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_have_text_and_exit_code),
        cmocka_unit_test(an_unknown_status_counts_as_internal),
        cmocka_unit_test(version_has_three_numbers),
        cmocka_unit_test(a_failure_fills_the_record),
        cmocka_unit_test(an_io_failure_keeps_errno),
        cmocka_unit_test(context_reads_outside_in),
        cmocka_unit_test(context_gives_a_silent_failure_its_code),
        cmocka_unit_test(no_record_is_fine),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
        cmocka_unit_test(a_message_gives_no_orders_to_a_terminal),
        cmocka_unit_test(every_way_out_passes_the_cleanup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
