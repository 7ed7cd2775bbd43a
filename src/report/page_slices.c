/* page_slices.c - held-out text slice by slice: bars of what was lost for every way to cut it, and all figures below.
 */
#include <math.h>
#include <string.h>

#include "report/page.h"

enum { SLICES_SHOWN = 40, BARS_SHOWN = 10 };

static const char *dimension_of(const json_t *slice)
{
    return rt_json_str(slice, "dimension", "");
}

/* Slices of one dimension stand one after the other; returns where the next begins. */
static size_t chart(rt_str *out, const json_t *slices, size_t from)
{
    const char *dimension = dimension_of(json_array_get(slices, from));
    rt_bar bars[BARS_SHOWN];
    rt_num words[BARS_SHOWN];
    size_t n = 0, i = from;
    for (; i < json_array_size(slices) && strcmp(dimension_of(json_array_get(slices, i)), dimension) == 0; i++) {
        const json_t *slice = json_array_get(slices, i);
        const rt_figure gap = rt_figure_slice(slice, "gap");
        if (n < BARS_SHOWN && rt_figure_known(gap)) {
            words[n] = rt_num_pm(gap.mean, gap.half);
            bars[n] = (rt_bar){"student", rt_json_str(slice, "slice", "unnamed"), words[n].s, gap.mean, gap.half};
            n++;
        }
    }
    if (n > 0) {
        rt_str title = {0};
        rt_str_printf(&title, "Lost by %s", dimension);
        rt_page_bars(out,
                     &(rt_bar_chart){rt_str_cstr(&title), "The student\u2019s cross-entropy less the teacher\u2019s.",
                                     "nats a token", RT_UNIT_PLAIN, bars, n, NAN});
        out->failed |= title.failed;
        rt_str_release(&title);
    }
    return i;
}

static void rows(rt_str *out, const json_t *slices)
{
    static const rt_column c[] = {{"Slice", ""}, {"Tokens", "n"}, {"KL", "n"}, {"Lost nats", "n"}, {"Top-1", "n"}};
    size_t i;
    json_t *s;
    rt_page_table(out, c, sizeof c / sizeof *c);
    json_array_foreach(slices, i, s)
    {
        const rt_figure kl = rt_figure_slice(s, "kl"), gap = rt_figure_slice(s, "gap"),
                        top1 = rt_figure_slice(s, "top1");
        if (i < SLICES_SHOWN) {
            rt_page_row(out, rt_json_str(s, "slice", "unnamed"), dimension_of(s));
            rt_page_cell(out, &c[1], rt_num_exact(rt_json_f64(s, "n", NAN)).s);
            rt_page_cell(out, &c[2], rt_num_pm(kl.mean, kl.half).s);
            rt_page_cell(out, &c[3], rt_num_pm(gap.mean, gap.half).s);
            rt_page_cell(out, &c[4], rt_num_share_pm(top1.mean, top1.half).s);
            rt_str_puts(out, "</tr>\n");
        }
    }
    rt_page_table_end(out);
}

void rt_page_slices(rt_str *out, const json_t *slices)
{
    const size_t all = json_array_size(slices), n = all < SLICES_SHOWN ? all : SLICES_SHOWN;
    if (n == 0) {
        return;
    }
    rt_str_puts(out, "<h3>Held-out text by slice</h3>\n<div class=\"charts\">\n");
    for (size_t i = 0; i < n;) {
        i = chart(out, slices, i);
    }
    rt_str_puts(out, "</div>\n");
    rows(out, slices);
    rt_str_puts(
        out, "<p class=\"note\">Lost nats: the student\u2019s cross-entropy less the teacher\u2019s, a token. Errors "
             "are clustered by document.</p>\n");
}
