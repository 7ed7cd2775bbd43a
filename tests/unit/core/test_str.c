/* test_str.c - byte strings, strict numbers, edit distance, UTF-8. */
#include "rt_test.h"

static void strings_grow_and_stay_terminated(void **state)
{
    (void)state;
    rt_str s = {0};
    assert_string_equal(rt_str_cstr(&s), "");
    for (int i = 0; i < 1000; i++) {
        rt_str_putc(&s, (char)('a' + i % 26));
        assert_int_equal(s.p[s.n], 0);
    }
    rt_str_printf(&s, "|%d|%s", 42, "x");
    rt_str_add(&s, "\0y", 2);
    rt_str_puts(&s, "z");
    assert_int_equal(s.n, 1000 + 5 + 2 + 1);
    assert_memory_equal(s.p + 1000, "|42|x\0yz", 9);
    assert_false(s.failed);
    size_t cap = s.cap;
    rt_str_clear(&s);
    assert_string_equal(rt_str_cstr(&s), "");
    assert_int_equal(s.cap, cap);
    rt_str_release(&s);
    assert_null(s.p);
}

static void lost_memory_is_remembered_until_looked_at(void **state)
{
    (void)state;
    rt_str s = {0};
    char big[4096];
    memset(big, 'x', sizeof big);
    rt_str_puts(&s, "kept");
    rt_mem_fail_after(1);
    rt_str_add(&s, big, sizeof big);
    rt_mem_fail_after(0);
    rt_str_puts(&s, "ignored");
    rt_str_printf(&s, "%d", 1);
    assert_true(s.failed);
    assert_string_equal(rt_str_cstr(&s), "kept");
    rt_str_release(&s);
}

static void slices_compare_whole(void **state)
{
    (void)state;
    assert_true(rt_slice_eq((rt_slice){"teacher", 7}, "teacher"));
    assert_false(rt_slice_eq((rt_slice){"teacher", 5}, "teacher"));
    assert_false(rt_slice_eq((rt_slice){"teacher", 7}, "teach"));
    assert_true(rt_slice_eq((rt_slice){NULL, 0}, ""));
}

static void integers_are_strict(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_true(rt_parse_i64("-17", &v) && v == -17);
    assert_true(rt_parse_i64("+9223372036854775807", &v) && v == INT64_MAX);
    assert_true(rt_parse_i64("-9223372036854775808", &v) && v == INT64_MIN);
    const char *bad[] = {"", "-", "+", " 1", "1 ", "1x", "0x10", "1.0", "9223372036854775808", "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(rt_parse_i64(bad[i], &v));
    }
}

static void reals_are_strict(void **state)
{
    (void)state;
    double v = 0;
    assert_true(rt_parse_f64("6e-4", &v) && v == 6e-4);
    assert_true(rt_parse_f64("-.5", &v) && v == -0.5);
    const char *bad[] = {"", "nan", "inf", "0x1p3", " 1", "1 ", "1e999", "1e", "e", ".", "1,5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(rt_parse_f64(bad[i], &v));
    }
}

static void counts_take_decimal_suffixes(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_true(rt_parse_count("512", &v) && v == 512);
    assert_true(rt_parse_count("2k", &v) && v == 2000);
    assert_true(rt_parse_count("64M", &v) && v == 64000000);
    assert_true(rt_parse_count("1.5G", &v) && v == 1500000000);
    assert_true(rt_parse_count("0.001k", &v) && v == 1);
    assert_true(rt_parse_count("2.0", &v) && v == 2);
    assert_true(rt_parse_count("9T", &v) && v == INT64_C(9000000000000));
    const char *bad[] = {"", "k", "1.5", "1.2345k", "-1", "1kk", "1 k", "1e3", ".5k", "1.", "9223372036854775807k"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(rt_parse_count(bad[i], &v));
    }
}

static void durations_come_out_in_seconds(void **state)
{
    (void)state;
    double v = 0;
    assert_true(rt_parse_duration("90s", &v) && v == 90);
    assert_true(rt_parse_duration("8m", &v) && v == 480);
    assert_true(rt_parse_duration("1.5h", &v) && v == 5400);
    assert_true(rt_parse_duration("12", &v) && v == 12);
    const char *bad[] = {"", "m", "8 m", "8min", "-3s", "8d"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(rt_parse_duration(bad[i], &v));
    }
}

static void edit_distance_counts_changes(void **state)
{
    (void)state;
    char big[100];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_int_equal(rt_edit_distance("", ""), 0);
    assert_int_equal(rt_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(rt_edit_distance("temprature", "temperature"), 1);
    assert_int_equal(rt_edit_distance("", "abc"), 3);
    assert_true(rt_edit_distance(big, "a") > 64);
}

static void utf8_is_checked_as_the_standard_says(void **state)
{
    (void)state;
    const char *good[] = {
        "", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(rt_utf8_valid(good[i], strlen(good[i])));
    }
    /* Stray, overlong, surrogate, above U+10FFFF, cut short. */
    const char *bad[] = {"\x80",         "\xc0\xaf",     "\xe0\x80\xaf",     "\xf0\x80\x80\xaf",
                         "\xed\xa0\x80", "\xff",         "\xf4\x90\x80\x80", "\xc3",
                         "\xe2\x82",     "\xf0\x9f\x98", "a\xc3(b)",         "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(rt_utf8_valid(bad[i], strlen(bad[i])));
    }
    assert_true(rt_utf8_valid("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_grow_and_stay_terminated),
        cmocka_unit_test(lost_memory_is_remembered_until_looked_at),
        cmocka_unit_test(slices_compare_whole),
        cmocka_unit_test(integers_are_strict),
        cmocka_unit_test(reals_are_strict),
        cmocka_unit_test(counts_take_decimal_suffixes),
        cmocka_unit_test(durations_come_out_in_seconds),
        cmocka_unit_test(edit_distance_counts_changes),
        cmocka_unit_test(utf8_is_checked_as_the_standard_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
