/* svg_axis.c - scales, round ticks, and the frame every picture has. */
#include <math.h>
#include <string.h>

#include "report/svg.h"

enum { MOST_TICKS = 20, LABEL_BYTES = 40, NAME_BYTES = 20 };

/* The least of 1, 2, 5, 10 times a power of ten that is not below `rough`. */
static double round_step(double rough)
{
    double power = pow(10, floor(log10(rough))), lead = rough / power;
    double nice = lead <= 1.0001 ? 1 : lead <= 2.0001 ? 2 : lead <= 5.0001 ? 5 : 10;
    return nice * power;
}

rt_axis rt_axis_of(double least, double most, int ticks, rt_unit unit)
{
    if (!isfinite(least) || !isfinite(most) || fabs(least) > 1e30 || fabs(most) > 1e30) {
        return (rt_axis){0, 1, 0.5, unit};
    }
    least = fmin(least, 0);
    most = fmax(most, 0);
    if (most - least < 1e-30) {
        most = 1;
    }
    /* Whole minutes where there are some. */
    double base = unit == RT_UNIT_SECONDS && most - least > 120 ? 60 : 1;
    rt_axis a = {.step = base * round_step((most - least) / base / ticks), .unit = unit};
    a.lo = floor(least / a.step + 1e-9) * a.step;
    a.hi = ceil(most / a.step - 1e-9) * a.step;
    return a;
}

int rt_axis_ticks(const rt_axis *a)
{
    double n = floor((a->hi - a->lo) / a->step + 0.5) + 1;
    return n < MOST_TICKS ? (int)n : MOST_TICKS;
}

double rt_axis_tick(const rt_axis *a, int i)
{
    double v = a->lo + i * a->step;
    return fabs(v) < a->step * 1e-9 ? 0 : v;
}

double rt_axis_at(const rt_axis *a, double v, double from, double to)
{
    double share = (v - a->lo) / (a->hi - a->lo);
    return from + (to - from) * fmin(1, fmax(0, share));
}

/* Decimals that tell two ticks apart. */
static int tick_decimals(double step)
{
    int places = (int)ceil(-log10(step) - 1e-9);
    return places < 0 ? 0 : places;
}

void rt_axis_label(char *buf, size_t size, const rt_axis *a, double v)
{
    if (v == 0) {
        snprintf(buf, size, "0");
    } else if (a->unit == RT_UNIT_SHARE) {
        snprintf(buf, size, "%.*f %%", tick_decimals(a->step * 100), v * 100);
    } else if (a->unit == RT_UNIT_SECONDS) {
        bool minutes = a->step >= 30;
        snprintf(buf, size, "%g %s", minutes ? v / 60 : v, minutes ? "min" : "s");
    } else if (fabs(v) >= 1e6) {
        snprintf(buf, size, "%g M", v / 1e6);
    } else if (fabs(v) >= (a->unit == RT_UNIT_COUNT ? 1e3 : 1e4)) {
        snprintf(buf, size, "%g k", v / 1e3);
    } else if (a->step < 1e-5) {
        snprintf(buf, size, "%.1e", v);
    } else {
        snprintf(buf, size, "%.*f", tick_decimals(a->step), v);
    }
}

void rt_svg_begin(rt_str *out, const char *css, double width, double height, const char *title, const char *desc)
{
    rt_str_printf(out, "<svg class=\"%s\" role=\"img\" viewBox=\"0 0 %.0f %.0f\">", css, width, height);
    rt_html_put(out, "<title>%s</title><desc>%s</desc>\n", title, desc);
}

void rt_svg_end(rt_str *out)
{
    rt_str_puts(out, "</svg>\n");
}

static void label(rt_str *out, double x, double y, const char *anchor, const char *css, const char *text, size_t most)
{
    rt_str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"", x, y, anchor);
    if (*css) {
        rt_str_printf(out, " class=\"%s\"", css);
    }
    rt_str_putc(out, '>');
    bool cut = rt_html_cut(out, text, strlen(text), most) > 0;
    rt_str_puts(out, cut ? "…</text>\n" : "</text>\n");
}

void rt_svg_label(rt_str *out, double x, double y, const char *anchor, const char *css, const char *text)
{
    label(out, x, y, anchor, css, text, LABEL_BYTES);
}

void rt_svg_name(rt_str *out, double x, double y, const char *name)
{
    label(out, x, y, "start", "", name, NAME_BYTES);
}
