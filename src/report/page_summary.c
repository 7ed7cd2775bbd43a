/* page_summary.c - the first screen: name, warning where one is due, and five plain sentences. */
#include "report/page.h"

static void meta(rt_str *out, const json_t *facts)
{
    const json_t *machine = json_object_get(facts, "machine");
    rt_str_puts(out, "<p class=\"meta\">Distilled with ");
    rt_html_json(out, json_object_get(facts, "tool"), "an unknown tool");
    rt_str_puts(out, " · ");
    rt_html_json(out, json_object_get(facts, "created"), "at an unknown time");
    if (json_object_get(machine, "cpu") != NULL) {
        rt_str_puts(out, " · ");
        rt_html_json(out, json_object_get(machine, "cpu"), "");
    }
    rt_str_puts(out, "</p>\n");
}

static void warnings(rt_str *out, const json_t *facts)
{
    if (!rt_json_bool(facts, "provenance_complete", false)) {
        rt_str_puts(out,
                    "<p class=\"banner\"><b>Provenance incomplete.</b> A training text has no stated origin, or the "
                    "record does not say. See <a href=\"#provenance\">provenance</a>.</p>\n");
    }
    if (rt_json_bool(json_object_get(facts, "permit"), "declared", false)) {
        rt_str_puts(out,
                    "<p class=\"banner\"><b>Declared, not observed.</b> The teacher's identity was stated by the user, "
                    "not read from its file.</p>\n");
    }
}

void rt_page_summary(rt_str *out, const json_t *facts)
{
    static const char *const labels[RT_SENTENCE_COUNT] = {
        [RT_SENTENCE_MADE] = "Made from", [RT_SENTENCE_ALLOWED] = "Allowed by",      [RT_SENTENCE_KEPT] = "Kept",
        [RT_SENTENCE_LOST] = "Lost",      [RT_SENTENCE_UNMEASURED] = "Not measured",
    };
    rt_str_puts(out, "<section id=\"summary\">\n<h1>");
    rt_html_json(out, json_object_get(facts, "name"), "Unnamed student");
    rt_str_puts(out, "</h1>\n");
    meta(out, facts);
    warnings(out, facts);
    rt_str_puts(out, "<dl class=\"five\">\n");
    for (int i = 0; i < RT_SENTENCE_COUNT; i++) {
        rt_str sentence = {0};
        rt_report_sentence(&sentence, facts, (rt_sentence)i);
        rt_html_put(out, "<div><dt>%s</dt><dd>", labels[i]);
        rt_html_text(out, rt_str_cstr(&sentence), sentence.n, 4 * RT_HTML_TEXT_MAX);
        rt_str_puts(out, "</dd></div>\n");
        out->failed |= sentence.failed;
        rt_str_release(&sentence);
    }
    rt_str_puts(
        out, "</dl>\n<p class=\"note\">± is a 95 % interval: 1.96 standard errors, clustered by document on held-out "
             "text.</p>\n</section>\n");
}
