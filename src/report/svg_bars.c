/* svg_bars.c - lying bars from zero with 95 % intervals: label and value above each bar, so that a phone has room for
 * both. */
#include <math.h>

#include "report/svg.h"

enum { ROW = 42, BAR = 14, BAR_TOP = 20, FOOT = 40, CHANCE_HEAD = 20, TICKS = 4, SIDE = 12 };

static const double LEFT = 1, RIGHT = RT_SVG_NARROW - SIDE;

static rt_axis axis_of(const rt_bar_chart *c)
{
    double most = isfinite(c->chance) ? c->chance : 0, least = 0;
    for (size_t i = 0; i < c->n; i++) {
        const double half = isfinite(c->bars[i].half) ? c->bars[i].half : 0;
        most = fmax(most, c->bars[i].mean + half);
        least = c->bars[i].mean < 0 ? fmin(least, c->bars[i].mean - half) : least;
    }
    if (c->unit == RT_UNIT_SHARE) {
        most = fmin(most, 1);
        least = fmax(least, -1);
    }
    return rt_axis_of(least, most, TICKS, c->unit);
}

static void grid(rt_str *out, const rt_axis *a, double top, double bottom, const char *axis)
{
    char label[32];
    const int n = rt_axis_ticks(a);
    for (int i = 0; i < n; i++) {
        double v = rt_axis_tick(a, i), x = rt_axis_at(a, v, LEFT, RIGHT);
        rt_str_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", x, top, bottom);
        rt_axis_label(label, sizeof label, a, v);
        rt_svg_label(out, i == 0 ? 0 : x, bottom + 16, i == 0 ? "start" : i == n - 1 ? "end" : "middle", "dim", label);
    }
    rt_svg_label(out, 0, bottom + 33, "start", "dim", axis);
}

static void whiskers(rt_str *out, const rt_axis *a, const rt_bar *b, double y)
{
    double x1 = rt_axis_at(a, b->mean - b->half, LEFT, RIGHT), x2 = rt_axis_at(a, b->mean + b->half, LEFT, RIGHT);
    rt_str_printf(out, "<path class=\"whisker\" d=\"M%.1f %.1fv8M%.1f %.1fH%.1fM%.1f %.1fv8\"/>\n", x1, y - 4, x1, y,
                  x2, x2, y - 4);
}

static void row(rt_str *out, const rt_axis *a, const rt_bar *b, double y)
{
    rt_svg_name(out, 0, y + 13, b->label);
    rt_svg_label(out, RIGHT, y + 13, "end", "value", b->value);
    if (!isfinite(b->mean)) {
        return;
    }
    double zero = rt_axis_at(a, 0, LEFT, RIGHT), end = rt_axis_at(a, b->mean, LEFT, RIGHT);
    rt_str_printf(out, "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>\n", b->css,
                  fmin(zero, end), y + BAR_TOP, fabs(end - zero), BAR);
    if (isfinite(b->half) && b->half > 0) {
        whiskers(out, a, b, y + BAR_TOP + BAR / 2.0);
    }
}

/* The level of guessing, named above the bars. */
static void chance_line(rt_str *out, const rt_axis *a, double chance, double bottom)
{
    char label[48];
    double x = rt_axis_at(a, chance, LEFT, RIGHT);
    snprintf(label, sizeof label, "chance %.3g %%", 100 * chance);
    bool right_half = x > (LEFT + RIGHT) / 2;
    rt_svg_label(out, right_half ? x - 4 : x + 4, 13, right_half ? "end" : "start", "dim", label);
    rt_str_printf(out, "<path class=\"chance\" d=\"M%.1f 2V%.1f\"/>\n", x, bottom);
}

void rt_svg_bars(rt_str *out, const rt_bar_chart *c)
{
    const rt_axis a = axis_of(c);
    double top = isfinite(c->chance) ? CHANCE_HEAD : 0, bottom = top + (double)c->n * ROW;
    rt_svg_begin(out, "bars", RT_SVG_NARROW, bottom + FOOT, c->title, c->desc);
    grid(out, &a, top, bottom, c->axis);
    for (size_t i = 0; i < c->n; i++) {
        row(out, &a, &c->bars[i], top + (double)i * ROW);
    }
    if (isfinite(c->chance)) {
        chance_line(out, &a, c->chance, bottom);
    }
    rt_svg_end(out);
}
