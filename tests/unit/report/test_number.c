/* test_number.c - numbers are readable, carry their unit, and never claim digits that the error does not leave. */
#include <math.h>

#include "rt_test.h"

#include "report/number.h"

/* Numbers keep together: blanks within them are no-break spaces. */
static void reads(rt_num n, const char *as)
{
    char plain[sizeof n.s];
    size_t k = 0;
    for (const char *p = n.s; *p; p++) {
        if (strncmp(p, "\u00a0", 2) == 0) {
            plain[k++] = ' ';
            p++;
        } else {
            plain[k++] = *p;
        }
    }
    plain[k] = '\0';
    assert_string_equal(plain, as);
}

static void plain_numbers_have_three_digits(void **state)
{
    (void)state;
    reads(rt_num_plain(61.06), "61.1");
    reads(rt_num_plain(0.0312345), "0.0312");
    reads(rt_num_plain(3117.7), "3118");
    reads(rt_num_plain(0), "0.00");
    reads(rt_num_plain(1.2345e6), "1.23 × 10^6");
    reads(rt_num_plain(-2.5e-7), "-2.50 × 10^-7");
    reads(rt_num_plain(NAN), "unknown");
    reads(rt_num_plain(INFINITY), "unknown");
}

static void counts_and_sizes_have_units(void **state)
{
    (void)state;
    reads(rt_num_exact(134515008), "134,515,008");
    reads(rt_num_exact(-1000), "-1,000");
    reads(rt_num_exact(7), "7");
    reads(rt_num_exact(1e300), "unknown");
    reads(rt_num_short(81413568), "81.4 M");
    reads(rt_num_short(7.24e9), "7.2 B");
    reads(rt_num_short(999), "999");
    reads(rt_num_short(999999), "1.0 M");
    reads(rt_num_bytes(98362432), "98.4 MB");
    reads(rt_num_bytes(742), "742 B");
    reads(rt_num_bytes(NAN), "unknown");
}

static void times_are_read_off_a_clock(void **state)
{
    (void)state;
    reads(rt_num_seconds(0.04), "0.0 s");
    reads(rt_num_seconds(42.4), "42 s");
    reads(rt_num_seconds(59.7), "1 min 00 s");
    reads(rt_num_seconds(432.2), "7 min 12 s");
    reads(rt_num_seconds(7500), "2 h 05 min");
    reads(rt_num_seconds(-1), "unknown");
}

static void digits_end_where_the_error_begins(void **state)
{
    (void)state;
    reads(rt_num_pm(0.83123, 0.0204), "0.83 ± 0.02");
    reads(rt_num_pm(0.83123, 0.0154), "0.831 ± 0.015");
    reads(rt_num_pm(61.06, 12.3), "61 ± 12");
    reads(rt_num_pm(5, 0), "5.000 ± 0.000");
    reads(rt_num_pm(0.83123, NAN), "0.831 (error unknown)");
    reads(rt_num_pm(NAN, 0.1), "unknown");
    reads(rt_num_share_pm(0.5418, 0.0061), "54.2 % ± 0.6");
    reads(rt_num_share_pm(0.33, 0.0653), "33.0 % ± 6.5");
    reads(rt_num_share_pm(0.5418, NAN), "54.2 % (error unknown)");
    reads(rt_num_points_pm(0.085, 0.0946), "8.5 ± 9.5 points");
    reads(rt_num_points_pm(0.085, NAN), "8.5 points");
    reads(rt_num_points_pm(NAN, NAN), "unknown");
}

static void wild_numbers_fit(void **state)
{
    (void)state;
    static const double wild[] = {-1e308, -1e18, -1e-308, 5e-324, 1e15, 1e17, 1e308};
    rt_num (*const forms[])(double) = {rt_num_plain, rt_num_exact,   rt_num_short,
                                       rt_num_bytes, rt_num_seconds, rt_num_share};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            assert_true(strlen(forms[f](wild[i]).s) > 0);
        }
        for (size_t k = 0; k < sizeof wild / sizeof *wild; k++) {
            assert_true(strlen(rt_num_pm(wild[i], fabs(wild[k])).s) > 0);
            assert_true(strlen(rt_num_share_pm(wild[i], fabs(wild[k])).s) > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_numbers_have_three_digits),
        cmocka_unit_test(counts_and_sizes_have_units),
        cmocka_unit_test(times_are_read_off_a_clock),
        cmocka_unit_test(digits_end_where_the_error_begins),
        cmocka_unit_test(wild_numbers_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
