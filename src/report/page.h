/* page.h - the sections of the page in their order, and the pieces they share. Each section appends itself whole. */
#ifndef RT_REPORT_PAGE_H
#define RT_REPORT_PAGE_H

#include "report/figure.h"
#include "report/html.h"
#include "report/report.h"
#include "report/svg.h"

void rt_page_style(rt_str *out); /* the style sheet's text */
/* All until the body is open and the way past the navigation to #content is there; "name: about" is the title. */
void rt_page_head(rt_str *out, const char *name, const char *about);

void rt_page_summary(rt_str *out, const json_t *facts);
void rt_page_comparison(rt_str *out, const json_t *facts);
void rt_page_answers(rt_str *out, const json_t *facts);
void rt_page_gap(rt_str *out, const json_t *facts);
void rt_page_reliability(rt_str *out, const json_t *facts);
void rt_page_curves(rt_str *out, const json_t *facts);
void rt_page_samples(rt_str *out, const json_t *facts);
void rt_page_cost(rt_str *out, const json_t *facts);
void rt_page_provenance(rt_str *out, const json_t *facts);
void rt_page_recipe(rt_str *out, const json_t *facts);
void rt_page_glossary(rt_str *out, const json_t *facts);

/* ---- shared pieces (page_parts.c) ---- */

void rt_page_section(rt_str *out, const char *id, const char *title); /* closed by </section> */
void rt_page_absent(rt_str *out, const char *what);                   /* one line saying that it is not there */

/* One line of a list <dl class="facts">. A number that is not finite, and a text that is NULL, read "unknown". */
void rt_page_pair(rt_str *out, const char *name, const char *value);
void rt_page_pair_json(rt_str *out, const char *name, const json_t *object, const char *key);
void rt_page_pair_num(rt_str *out, const char *name, const json_t *object, const char *key, rt_num (*form)(double));

/* <table class="stack">, whose rows a phone shows as blocks: the row's head first, then a line for each cell with the
 * name of its column before it. rt_page_table opens table and body. */
typedef struct rt_column {
    const char *name;
    const char *css; /* "n": numbers, to the right */
} rt_column;
void rt_page_table(rt_str *out, const rt_column *columns, size_t n);
void rt_page_table_end(rt_str *out);
void rt_page_row(rt_str *out, const char *head, const char *remark); /* closed by </tr> */
void rt_page_cell(rt_str *out, const rt_column *c, const char *text);
void rt_page_cell_json(rt_str *out, const rt_column *c, const json_t *value, const char *otherwise);

/* A prompt, the right answer where there is one, and what each model wrote: {prompt, gold, outputs: {role: text}}; of
 * one that is `harmful` nothing but that. */
void rt_page_sample(rt_str *out, const json_t *s);

/* A family of verdicts as a table with its margin (page_gap.c). */
void rt_page_family(rt_str *out, const json_t *family);

/* Slices of held-out text, a part of the gap's section (page_slices.c). */
void rt_page_slices(rt_str *out, const json_t *slices);

/* Chart, words and the numbers drawn. */
void rt_page_bars(rt_str *out, const rt_bar_chart *c);
void rt_page_lines(rt_str *out, const rt_line_chart *c);

#endif
