/* svg.h - the two charts of the page, as inline SVG. Colours come from CSS classes named after the roles, so that
 * light, dark and print differ in the style sheet alone; each role also has its own fill, dash or mark. Lengths are in
 * units of the view box, which the page shows at about one pixel each: text of 13 (page_style.c) stays readable. */
#ifndef RT_REPORT_SVG_H
#define RT_REPORT_SVG_H

#include "report/html.h"

enum { RT_SVG_NARROW = 310, RT_SVG_WIDE = 520 };

typedef enum rt_unit { RT_UNIT_PLAIN, RT_UNIT_SHARE, RT_UNIT_COUNT, RT_UNIT_SECONDS } rt_unit;

/* ---- axes ---- */

/* lo..hi cut into steps of 1, 2 or 5 times a power of ten. */
typedef struct rt_axis {
    double lo, hi, step;
    rt_unit unit;
} rt_axis;
/* Covers zero and both values with about `ticks` steps. Never empty, whatever the values are. */
rt_axis rt_axis_of(double least, double most, int ticks, rt_unit unit);
int rt_axis_ticks(const rt_axis *a); /* number of marks, both ends included */
double rt_axis_tick(const rt_axis *a, int i);
/* Where `v` lies between `from` and `to`, kept inside. */
double rt_axis_at(const rt_axis *a, double v, double from, double to);
void rt_axis_label(char *buf, size_t size, const rt_axis *a, double v);

/* `css` is the class of the picture. */
void rt_svg_begin(rt_str *out, const char *css, double width, double height, const char *title, const char *desc);
void rt_svg_end(rt_str *out);
/* One line of text, cut to what a narrow picture has room for. `anchor`: "start", "middle" or "end". */
void rt_svg_label(rt_str *out, double x, double y, const char *anchor, const char *css, const char *text);
/* A name that something else stands beside, cut to half the width. */
void rt_svg_name(rt_str *out, double x, double y, const char *name);

/* ---- bars ---- */

typedef struct rt_bar {
    const char *css;   /* class of the bar */
    const char *label; /* whose */
    const char *value; /* in words, with its unit */
    double mean, half; /* NAN half: no interval */
} rt_bar;
typedef struct rt_bar_chart {
    const char *title, *desc, *axis; /* axis: what is measured, with unit */
    rt_unit unit;
    const rt_bar *bars;
    size_t n;
    double chance; /* NAN: no line */
} rt_bar_chart;
/* Lying bars from zero, each under its label, with whiskers for the interval. */
void rt_svg_bars(rt_str *out, const rt_bar_chart *c);

/* ---- lines ---- */

enum { RT_LINE_POINTS = 160 };
typedef struct rt_line {
    const char *css, *label;
    bool marked; /* a mark at each point */
    bool apart;  /* and no line between */
    size_t n;
    double x[RT_LINE_POINTS], y[RT_LINE_POINTS]; /* finite */
    const char *names[RT_LINE_POINTS];           /* of points with marks, for who points at them; NULL: none */
} rt_line;
typedef struct rt_line_chart {
    const char *title, *desc, *x_axis, *y_axis;
    rt_unit x_unit, y_unit;
    double height; /* of the plot itself */
    const rt_line *lines;
    size_t n;
} rt_line_chart;
/* Lines without points are left out. */
void rt_svg_lines(rt_str *out, const rt_line_chart *c, const char *css, double width);

#endif
