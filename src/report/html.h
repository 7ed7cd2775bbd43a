/* html.h - text into HTML and SVG without letting it act there. What is written is well-formed XML as well. */
#ifndef RT_REPORT_HTML_H
#define RT_REPORT_HTML_H

#include <jansson.h>

#include "core/core.h"

/* Most bytes that one text may take in the page, escaped: names and remarks; outputs of models. */
enum { RT_HTML_TEXT_MAX = 600, RT_HTML_SAMPLE_MAX = 6000, RT_HTML_RECIPE_MAX = 40000 };

/* Appends `text` for element content or a quoted attribute, at most `most` bytes of it as escaped; returns how many
 * bytes of `text` were left out. Control, bidirectional, invisible and ill-formed characters appear as [U+202E]; tab
 * and line feed stay. */
size_t rt_html_cut(rt_str *out, const char *text, size_t n, size_t most);
/* The same; where something is left out the page says how much. */
void rt_html_text(rt_str *out, const char *text, size_t n, size_t most);
/* Markup as it is, with %s = escaped text, %d, %zu, %%; nothing else. */
void rt_html_put(rt_str *out, const char *markup, ...) RT_PRINTF(2, 3);
/* A JSON text, number or boolean, escaped; `otherwise` for all else. */
void rt_html_json(rt_str *out, const json_t *value, const char *otherwise);

#endif
