/* scratch.h - one scratch directory for all tests of a program: make_scratch and drop_scratch go with
 * cmocka_run_group_tests. */
#ifndef RT_TESTS_SCRATCH_H
#define RT_TESTS_SCRATCH_H

#include "rt_test.h"

static char *scratch;

static int make_scratch(void **state)
{
    (void)state;
    scratch = rt_test_scratch();
    return 0;
}

static int drop_scratch(void **state)
{
    (void)state;
    rt_test_scratch_drop(scratch);
    return 0;
}

#endif
