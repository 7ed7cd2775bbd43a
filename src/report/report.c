/* report.c - the page as a whole: head, sections in order, and the way to a file. */
#include "report/page.h"

static const struct {
    const char *id, *title;
    void (*write)(rt_str *out, const json_t *facts);
    const char *fact; /* there is no such section without it; NULL: always */
} sections[] = {
    {"summary", "Summary", rt_page_summary, NULL},
    {"answers", "The task", rt_page_answers, "answers"},
    {"comparison", "Comparison", rt_page_comparison, NULL},
    {"gap", "Kept and lost", rt_page_gap, NULL},
    {"reliability", "Reliability", rt_page_reliability, NULL},
    {"curves", "Training", rt_page_curves, NULL},
    {"samples", "Samples", rt_page_samples, NULL},
    {"cost", "Cost", rt_page_cost, NULL},
    {"provenance", "Provenance", rt_page_provenance, NULL},
    {"recipe", "Do it again", rt_page_recipe, NULL},
    {"glossary", "Glossary", rt_page_glossary, NULL},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

static bool is_shown(size_t i, const json_t *facts)
{
    return sections[i].fact == NULL || json_is_object(json_object_get(facts, sections[i].fact));
}

static void navigation(rt_str *out, const json_t *facts)
{
    rt_str_puts(out, "<nav aria-label=\"Sections\">");
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (is_shown(i, facts)) {
            rt_html_put(out, "<a href=\"#%s\">%s</a> ", sections[i].id, sections[i].title);
        }
    }
    rt_str_puts(out, "</nav>\n");
}

rt_status rt_report_html(rt_str *out, const json_t *facts, rt_err *err)
{
    const size_t before = out->n;
    if (!json_is_object(facts)) {
        return rt_fail(err, RT_INPUT, 0, "the facts of a report are no JSON object");
    }
    rt_page_head(out, rt_json_str(facts, "name", "Unnamed student"), "what was kept and lost");
    navigation(out, facts);
    rt_str_puts(out, "<main id=\"content\">\n");
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (is_shown(i, facts)) {
            sections[i].write(out, facts);
        }
    }
    rt_str_puts(out, "</main>\n</body>\n</html>\n");
    if (!out->failed) {
        return RT_OK;
    }
    if (out->p) {
        out->n = before;
        out->p[before] = '\0';
    }
    return rt_fail(err, RT_MEMORY, 0, "no memory for the report");
}

rt_status rt_report_write(const char *path, const json_t *facts, rt_err *err)
{
    rt_str page = {0};
    rt_status st = rt_report_html(&page, facts, err);
    if (st == RT_OK) {
        st = rt_file_write(path, page.p, page.n, err);
    }
    rt_str_release(&page);
    return st;
}
