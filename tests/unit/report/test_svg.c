/* test_svg.c - pictures are well-formed, start at zero, and draw what they were given, whatever that is. */
#include <math.h>

#include "markup.h"

#include "report/svg.h"

static void axes_have_round_ticks_and_cover_their_values(void **state)
{
    (void)state;
    static const double most[] = {0.0006, 0.54, 0.83, 2.71, 5.12, 30, 168, 475136, 1e6, 9.99e20};
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        rt_axis a = rt_axis_of(0.1 * most[i], most[i], 4, RT_UNIT_PLAIN);
        double lead = a.step / pow(10, floor(log10(a.step) + 1e-9));
        assert_true(a.lo == 0 && a.hi >= most[i] * (1 - 1e-9));
        assert_true(fabs(lead - 1) < 1e-9 || fabs(lead - 2) < 1e-9 || fabs(lead - 5) < 1e-9);
        assert_in_range(rt_axis_ticks(&a), 3, 7);
        assert_true(fabs(rt_axis_tick(&a, rt_axis_ticks(&a) - 1) - a.hi) < a.step / 100);
    }
}

static void axes_survive_any_values(void **state)
{
    (void)state;
    static const double wild[] = {0, -1, 1, NAN, INFINITY, -INFINITY, 1e308, -1e308, 1e-308, 5e-324, 1e-29, 1e29};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        for (size_t k = 0; k < sizeof wild / sizeof *wild; k++) {
            for (rt_unit u = RT_UNIT_PLAIN; u <= RT_UNIT_SECONDS; u++) {
                char label[32];
                rt_axis a = rt_axis_of(wild[i], wild[k], 4, u);
                double at = rt_axis_at(&a, wild[k], 10, 20);
                assert_true(isfinite(a.lo) && isfinite(a.hi) && a.hi > a.lo && a.step > 0);
                assert_in_range(rt_axis_ticks(&a), 2, 20);
                assert_true(!(at < 10) && !(at > 20));
                rt_axis_label(label, sizeof label, &a, rt_axis_tick(&a, 1));
                assert_true(strlen(label) > 0);
            }
        }
    }
}

static void ticks_are_labelled_with_their_unit(void **state)
{
    (void)state;
    static const struct {
        double most, tick;
        rt_unit unit;
        const char *as;
    } cases[] = {
        {0.6, 0.2, RT_UNIT_SHARE, "20 %"}, {475136, 200e3, RT_UNIT_COUNT, "200 k"},
        {2e6, 1e6, RT_UNIT_COUNT, "1 M"},  {0.0006, 0.0002, RT_UNIT_PLAIN, "0.0002"},
        {3, 0, RT_UNIT_PLAIN, "0"},        {420, 120, RT_UNIT_SECONDS, "2 min"},
        {40, 10, RT_UNIT_SECONDS, "10 s"}, {3, 1, RT_UNIT_PLAIN, "1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char label[32];
        rt_axis a = rt_axis_of(0, cases[i].most, 4, cases[i].unit);
        rt_axis_label(label, sizeof label, &a, cases[i].tick);
        assert_string_equal(label, cases[i].as);
    }
}

/* Number after `attribute` in the first element of `text` that has `class="css"`. */
static double number_in(const char *text, const char *css, const char *attribute)
{
    char key[64];
    snprintf(key, sizeof key, "class=\"%s\"", css);
    const char *p = strstr(text, key);
    assert_non_null(p);
    snprintf(key, sizeof key, " %s=\"", attribute);
    p = strstr(p, key);
    assert_non_null(p);
    return strtod(p + strlen(key), NULL);
}

static void bars_start_at_zero_and_keep_their_ratio(void **state)
{
    (void)state;
    const rt_bar bars[] = {{"student", "student", "0.8", 0.8, 0.1},
                           {"twin", "twin <b>", "0.4", 0.4, NAN},
                           {"cut", "cut", "not measured", NAN, NAN}};
    rt_str s = {0};
    rt_svg_bars(&s, &(rt_bar_chart){"A & B", "what", "nats", RT_UNIT_PLAIN, bars, 3, NAN});
    assert_false(s.failed);
    check_markup(s.p);
    assert_says(s.p, "role=\"img\"");
    assert_says(s.p, "<title>A &amp; B</title><desc>what</desc>");
    assert_says(s.p, "twin &lt;b&gt;");
    assert_true(number_in(s.p, "bar student", "x") == number_in(s.p, "bar twin", "x"));
    assert_true(fabs(number_in(s.p, "bar student", "width") - 2 * number_in(s.p, "bar twin", "width")) < 0.2);
    assert_int_equal(count_of(s.p, "class=\"whisker\""), 1); /* one interval is known */
    assert_int_equal(count_of(s.p, "class=\"bar "), 2);      /* what was not measured has no bar */
    assert_int_equal(count_of(s.p, "class=\"chance\""), 0);
    rt_str_release(&s);
}

static void chance_is_a_named_line(void **state)
{
    (void)state;
    const rt_bar bars[] = {{"student", "student", "33 %", 0.33, 0.06}};
    rt_str s = {0};
    rt_svg_bars(&s, &(rt_bar_chart){"task", "", "share", RT_UNIT_SHARE, bars, 1, 0.25});
    check_markup(s.p);
    assert_int_equal(count_of(s.p, "class=\"chance\""), 1);
    assert_says(s.p, "chance 25 %");
    rt_str_release(&s);
}

static void lines_draw_every_point_inside_the_frame(void **state)
{
    (void)state;
    static rt_line lines[2] = {{.css = "student", .label = "student"},
                               {.css = "twin", .label = "twin", .marked = true}};
    for (size_t i = 0; i < RT_LINE_POINTS; i++) {
        lines[0].x[i] = 1000.0 * (double)i;
        lines[0].y[i] = 3 / (1 + (double)i);
    }
    lines[0].n = RT_LINE_POINTS;
    lines[1].x[0] = 5;
    lines[1].y[0] = 1;
    lines[1].n = 1;
    static const double widths[] = {RT_SVG_NARROW, RT_SVG_WIDE};
    for (int w = 0; w < 2; w++) {
        rt_str s = {0};
        rt_svg_lines(&s,
                     &(rt_line_chart){.title = "KL",
                                      .desc = "d",
                                      .x_axis = "tokens",
                                      .y_axis = "nats",
                                      .height = 200,
                                      .lines = lines,
                                      .n = 2,
                                      .x_unit = RT_UNIT_COUNT},
                     "wide", widths[w]);
        check_markup(s.p);
        const char *d = strstr(strstr(s.p, "class=\"axis\""), "class=\"line student\"");
        assert_non_null(d);
        int n = 0;
        for (const char *p = strchr(d, 'M'); *p != '"'; p++) {
            if (*p == 'M' || *p == 'L') {
                double x = strtod(p + 1, NULL);
                assert_true(x >= 0 && x <= widths[w]);
                n++;
            }
        }
        assert_int_equal(n, RT_LINE_POINTS);
        assert_int_equal(count_of(s.p, "<rect class=\"mark twin\""), 2); /* one in the key, one point */
        rt_str_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_have_round_ticks_and_cover_their_values),
        cmocka_unit_test(axes_survive_any_values),
        cmocka_unit_test(ticks_are_labelled_with_their_unit),
        cmocka_unit_test(bars_start_at_zero_and_keep_their_ratio),
        cmocka_unit_test(chance_is_a_named_line),
        cmocka_unit_test(lines_draw_every_point_inside_the_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
