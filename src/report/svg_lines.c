/* svg_lines.c - lines over a common x axis: key on top, y axis on the left. */
#include <math.h>
#include <string.h>

#include "report/svg.h"

enum {
    LEFT = 56,
    SIDE = 14,
    FOOT = 42,
    KEY_ROW = 20,
    KEY_SWATCH = 30,
    KEY_GAP = 16,
    GLYPH = 8,
    X_TICK_ROOM = 64,
    Y_TICKS = 4
};

typedef struct plot {
    rt_axis x, y;
    double left, right, top, bottom;
} plot;

static void widen(const double *v, size_t n, double *least, double *most)
{
    for (size_t i = 0; i < n; i++) {
        *least = fmin(*least, v[i]);
        *most = fmax(*most, v[i]);
    }
}

static plot plot_of(const rt_line_chart *c, double width, double top)
{
    double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
    for (size_t i = 0; i < c->n; i++) {
        widen(c->lines[i].x, c->lines[i].n, &x0, &x1);
        widen(c->lines[i].y, c->lines[i].n, &y0, &y1);
    }
    plot p = {.left = LEFT, .right = width - SIDE, .top = top, .bottom = top + c->height};
    p.x = rt_axis_of(x0, x1, (int)((p.right - p.left) / X_TICK_ROOM), c->x_unit);
    p.x.hi = fmax(x1, p.x.lo + p.x.step); /* the last step need not be a whole one */
    p.y = rt_axis_of(y0, y1, Y_TICKS, c->y_unit);
    return p;
}

static void line_path(rt_str *out, const rt_line *l, const plot *p)
{
    rt_str_printf(out, "<path class=\"line %s\" d=\"", l->css);
    for (size_t i = 0; i < l->n; i++) {
        rt_str_printf(out, "%c%.1f %.1f", i ? 'L' : 'M', rt_axis_at(&p->x, l->x[i], p->left, p->right),
                      rt_axis_at(&p->y, l->y[i], p->bottom, p->top));
    }
    rt_str_puts(out, "\"/>\n");
}

/* Round for the student, square for everyone else. */
static void mark(rt_str *out, const rt_line *l, const char *name, double x, double y)
{
    const bool round = strncmp(l->css, "student", 7) == 0;
    if (round) {
        rt_str_printf(out, "<circle class=\"mark %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"", l->css, x, y);
    } else {
        rt_str_printf(out, "<rect class=\"mark %s\" x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\"", l->css, x - 3.5,
                      y - 3.5);
    }
    if (name != NULL) {
        rt_html_put(out, "><title>%s</title></%s>\n", name, round ? "circle" : "rect");
    } else {
        rt_str_puts(out, "/>\n");
    }
}

/* Names of the lines in rows of `width`; returns the height taken. Draws nothing without `out`. */
static double key(rt_str *out, const rt_line_chart *c, double width, double top)
{
    double x = 0, y = top;
    for (size_t i = 0; i < c->n; i++) {
        const rt_line *l = &c->lines[i];
        double room = KEY_SWATCH + GLYPH * (double)strlen(l->label);
        if (l->n == 0) {
            continue;
        }
        if (x > 0 && x + room > width) {
            x = 0;
            y += KEY_ROW;
        }
        if (out) {
            if (!l->apart) {
                rt_str_printf(out, "<path class=\"line %s\" d=\"M%.1f %.1fh24\"/>\n", l->css, x, y + 9);
            }
            if (l->marked) {
                mark(out, l, NULL, x + 12, y + 9);
            }
            rt_svg_label(out, x + KEY_SWATCH, y + 13, "start", "", l->label);
        }
        x += room + KEY_GAP;
    }
    return y + KEY_ROW - top;
}

static void frame(rt_str *out, const rt_line_chart *c, const plot *p)
{
    char label[32];
    for (int i = 0; i < rt_axis_ticks(&p->y); i++) {
        double v = rt_axis_tick(&p->y, i), y = rt_axis_at(&p->y, v, p->bottom, p->top);
        rt_str_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", p->left, y, p->right);
        rt_axis_label(label, sizeof label, &p->y, v);
        rt_svg_label(out, p->left - 6, y + 4.5, "end", "dim", label);
    }
    for (int i = 0; i < rt_axis_ticks(&p->x); i++) {
        double v = rt_axis_tick(&p->x, i);
        if (v > p->x.hi * (1 + 1e-9)) {
            break;
        }
        double x = rt_axis_at(&p->x, v, p->left, p->right);
        rt_str_printf(out, "<path class=\"tick\" d=\"M%.1f %.1fv5\"/>\n", x, p->bottom);
        rt_axis_label(label, sizeof label, &p->x, v);
        rt_svg_label(out, x, p->bottom + 19, x > p->right - 16 ? "end" : "middle", "dim", label);
    }
    rt_str_printf(out, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", p->left, p->bottom, p->right);
    rt_svg_label(out, p->right, p->bottom + 36, "end", "dim", c->x_axis);
}

void rt_svg_lines(rt_str *out, const rt_line_chart *c, const char *css, double width)
{
    const double key_height = key(NULL, c, width, 0);
    const plot p = plot_of(c, width, key_height + KEY_ROW + 4);
    rt_svg_begin(out, css, width, p.bottom + FOOT, c->title, c->desc);
    key(out, c, width, 0);
    rt_svg_label(out, 0, key_height + 13, "start", "dim", c->y_axis);
    frame(out, c, &p);
    for (size_t i = 0; i < c->n; i++) {
        if (c->lines[i].n > 1 && !c->lines[i].apart) {
            line_path(out, &c->lines[i], &p);
        }
        for (size_t k = 0; c->lines[i].marked && k < c->lines[i].n; k++) {
            mark(out, &c->lines[i], c->lines[i].names[k], rt_axis_at(&p.x, c->lines[i].x[k], p.left, p.right),
                 rt_axis_at(&p.y, c->lines[i].y[k], p.bottom, p.top));
        }
    }
    rt_svg_end(out);
}
