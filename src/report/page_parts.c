/* page_parts.c - what sections are made of: lists of facts, tables that fold on a phone, charts with their numbers. */
#include <math.h>

#include "report/page.h"

/* The policy forbids everything but the page's own style: nothing is fetched, no script runs, whatever the texts hold.
 */
void rt_page_head(rt_str *out, const char *name, const char *about)
{
    rt_str_puts(out,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
                "img-src data:; base-uri 'none'; form-action 'none'\"/>\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                "<meta name=\"color-scheme\" content=\"light dark\"/>\n");
    rt_html_put(out, "<title>%s: %s</title>\n<style>\n", name, about);
    rt_page_style(out);
    rt_str_puts(out, "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n");
}

void rt_page_section(rt_str *out, const char *id, const char *title)
{
    rt_html_put(out, "<section id=\"%s\">\n<h2>%s</h2>\n", id, title);
}

void rt_page_absent(rt_str *out, const char *what)
{
    rt_html_put(out, "<p class=\"absent\">%s</p>\n", what);
}

/* ---- lists ---- */

void rt_page_pair(rt_str *out, const char *name, const char *value)
{
    rt_html_put(out, "<div><dt>%s</dt><dd>%s</dd></div>\n", name, value ? value : "unknown");
}

void rt_page_pair_json(rt_str *out, const char *name, const json_t *object, const char *key)
{
    rt_html_put(out, "<div><dt>%s</dt><dd>", name);
    rt_html_json(out, json_object_get(object, key), "unknown");
    rt_str_puts(out, "</dd></div>\n");
}

void rt_page_pair_num(rt_str *out, const char *name, const json_t *object, const char *key, rt_num (*form)(double))
{
    rt_page_pair(out, name, form(rt_json_f64(object, key, NAN)).s);
}

/* ---- tables ---- */

void rt_page_table(rt_str *out, const rt_column *columns, size_t n)
{
    rt_str_puts(out, "<table class=\"stack\">\n<thead><tr>");
    for (size_t i = 0; i < n; i++) {
        rt_html_put(out, "<th scope=\"col\" class=\"%s\">%s</th>", columns[i].css, columns[i].name);
    }
    rt_str_puts(out, "</tr></thead>\n<tbody>\n");
}

void rt_page_table_end(rt_str *out)
{
    rt_str_puts(out, "</tbody>\n</table>\n");
}

void rt_page_row(rt_str *out, const char *head, const char *remark)
{
    rt_html_put(out, "<tr><th scope=\"row\">%s", head);
    if (*remark) {
        rt_html_put(out, " <small>%s</small>", remark);
    }
    rt_str_puts(out, "</th>");
}

static void cell_begin(rt_str *out, const rt_column *c)
{
    rt_html_put(out, "<td class=\"%s\" data-c=\"%s\">", c->css, c->name);
}

void rt_page_cell(rt_str *out, const rt_column *c, const char *text)
{
    cell_begin(out, c);
    rt_html_put(out, "%s</td>", text);
}

void rt_page_cell_json(rt_str *out, const rt_column *c, const json_t *value, const char *otherwise)
{
    cell_begin(out, c);
    rt_html_json(out, value, otherwise);
    rt_str_puts(out, "</td>");
}

/* ---- charts ---- */

static void figure_begin(rt_str *out, const char *title, const char *desc)
{
    rt_html_put(out, "<figure>\n<figcaption><b>%s</b> <span>%s</span></figcaption>\n", title, desc);
}

static void numbers_begin(rt_str *out, const char *a, const char *b, const char *c)
{
    rt_html_put(out,
                "<details><summary>Numbers drawn</summary>\n<table>\n<thead><tr><th scope=\"col\">%s</th><th "
                "scope=\"col\">%s</th>",
                a, b);
    if (c) {
        rt_html_put(out, "<th scope=\"col\">%s</th>", c);
    }
    rt_str_puts(out, "</tr></thead>\n<tbody>\n");
}

static void numbers_end(rt_str *out)
{
    rt_str_puts(out, "</tbody>\n</table>\n</details>\n</figure>\n");
}

void rt_page_bars(rt_str *out, const rt_bar_chart *c)
{
    figure_begin(out, c->title, c->desc);
    rt_svg_bars(out, c);
    numbers_begin(out, "Bar", c->axis, NULL);
    for (size_t i = 0; i < c->n; i++) {
        rt_html_put(out, "<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n", c->bars[i].label, c->bars[i].value);
    }
    if (isfinite(c->chance)) {
        rt_html_put(out, "<tr><th scope=\"row\">chance</th><td>%s</td></tr>\n", rt_num_share(c->chance).s);
    }
    numbers_end(out);
}

static rt_num (*number_form(rt_unit unit))(double)
{
    switch (unit) {
    case RT_UNIT_SHARE: return rt_num_share;
    case RT_UNIT_COUNT: return rt_num_exact;
    case RT_UNIT_SECONDS: return rt_num_seconds;
    case RT_UNIT_PLAIN: break;
    }
    return rt_num_plain;
}

void rt_page_lines(rt_str *out, const rt_line_chart *c)
{
    figure_begin(out, c->title, c->desc);
    rt_svg_lines(out, c, "wide", RT_SVG_WIDE);
    rt_svg_lines(out, c, "narrow", RT_SVG_NARROW);
    numbers_begin(out, "Line", c->x_axis, c->y_axis);
    for (size_t i = 0; i < c->n; i++) {
        const rt_line *l = &c->lines[i];
        for (size_t k = 0; k < l->n; k++) {
            rt_html_put(out, "<tr><th scope=\"row\">%s</th><td>%s</td><td>%s</td></tr>\n",
                        l->names[k] != NULL ? l->names[k] : l->label, number_form(c->x_unit)(l->x[k]).s,
                        number_form(c->y_unit)(l->y[k]).s);
        }
    }
    numbers_end(out);
}
