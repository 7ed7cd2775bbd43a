/* page_samples.c - what the models write after the same prompt. Their text is shown, never obeyed. */
#include <math.h>
#include <string.h>

#include "report/page.h"

enum { SAMPLES_SHOWN = 12 };

/* Bytes at the start that two texts share, cut back to whole characters, less blanks at its end. */
static size_t common_start(const json_t *a, const json_t *b)
{
    const char *p = json_string_value(a), *q = json_string_value(b);
    if (p == NULL || q == NULL) {
        return 0;
    }
    size_t n = 0, most = json_string_length(a) < json_string_length(b) ? json_string_length(a) : json_string_length(b);
    while (n < most && p[n] == q[n]) {
        n++;
    }
    n = rt_utf8_cut(p, json_string_length(a), n);
    while (n > 0 && p[n - 1] == ' ') {
        n--;
    }
    return n;
}

/* The part that is word for word the teacher's is underlined. */
static void output(rt_str *out, const json_t *outputs, rt_role role)
{
    const json_t *text = json_object_get(outputs, rt_role_id(role));
    if (!json_is_string(text)) {
        return;
    }
    size_t n = json_string_length(text), same = 0;
    if (role != RT_ROLE_TEACHER) {
        same = common_start(text, json_object_get(outputs, rt_role_id(RT_ROLE_TEACHER)));
    }
    rt_html_put(out, "<div class=\"out %s\"><h4>%s</h4><p class=\"text\" dir=\"auto\">", rt_role_id(role),
                rt_role_name(role));
    if (same > 0) {
        rt_str_puts(out, "<u>");
        rt_html_text(out, json_string_value(text), same, RT_HTML_SAMPLE_MAX);
        rt_str_puts(out, "</u>");
    }
    rt_html_text(out, json_string_value(text) + same, n - same, RT_HTML_SAMPLE_MAX);
    rt_str_puts(out, n == 0 ? "<i>nothing</i></p></div>\n" : "</p></div>\n");
}

void rt_page_sample(rt_str *out, const json_t *s)
{
    const json_t *prompt = json_object_get(s, "prompt"), *outputs = json_object_get(s, "outputs"),
                 *gold = json_object_get(s, "gold");
    if (rt_json_bool(s, "harmful", false)) {
        rt_str_puts(out, "<article>\n<h3>Prompt</h3>\n<p class=\"absent\">Harmful: neither it nor what was answered is "
                         "shown.</p>\n</article>\n");
        return;
    }
    rt_str_puts(out, "<article>\n<h3>Prompt</h3>\n<p class=\"text prompt\" dir=\"auto\">");
    if (json_is_string(prompt)) {
        rt_html_text(out, json_string_value(prompt), json_string_length(prompt), RT_HTML_SAMPLE_MAX);
    } else {
        rt_str_puts(out, "<i>not recorded</i>");
    }
    rt_str_puts(out, "</p>\n");
    if (json_is_string(gold)) {
        rt_str_puts(out, "<p class=\"note\">Right: ");
        rt_html_text(out, json_string_value(gold), json_string_length(gold), RT_HTML_TEXT_MAX);
        rt_str_puts(out, "</p>\n");
    }
    rt_str_puts(out, "<div class=\"outs\">\n");
    for (rt_role r = 0; r < RT_ROLE_COUNT; r++) {
        output(out, outputs, r);
    }
    rt_str_puts(out, "</div>\n</article>\n");
}

/* Row by row as the models: does the student repeat itself more than its teacher? */
static void variety(rt_str *out, const json_t *facts)
{
    const json_t *verdicts = json_object_get(facts, "variety");
    static const rt_column c[] = {{"Model", ""}, {"Tokens", "n"}, {"Pairs", "n"}, {"Triples", "n"}};
    enum { ORDERS = sizeof c / sizeof *c - 1 };
    bool any = false;
    for (rt_role r = 0; r < RT_ROLE_COUNT; r++) {
        const json_t *list = json_object_get(rt_role_model(facts, r), "distinct");
        if (json_array_size(list) == 0) {
            continue;
        }
        if (!any) {
            rt_str_puts(out, "<h3>Do they repeat themselves?</h3>\n");
            rt_page_table(out, c, sizeof c / sizeof *c);
        }
        any = true;
        rt_page_row(out, rt_role_name(r), "");
        for (size_t k = 0; k < ORDERS; k++) {
            const json_t *s = json_array_get(list, k);
            rt_page_cell(
                out, &c[k + 1],
                rt_num_share_pm(rt_json_f64(s, "mean", NAN), RT_INTERVAL_95 * rt_json_f64(s, "stderr", NAN)).s);
        }
        rt_str_puts(out, "</tr>\n");
    }
    if (any) {
        rt_page_table_end(out);
        rt_str_puts(out,
                    "<p class=\"note\">Share of tokens, pairs and triples of tokens in a greedy continuation that are "
                    "different ones: 100 % repeats nothing.</p>\n");
    }
    if (json_array_size(json_object_get(verdicts, "rows")) > 0) {
        rt_page_family(out, verdicts);
    }
}

void rt_page_samples(rt_str *out, const json_t *facts)
{
    const json_t *samples = json_object_get(facts, "samples");
    const size_t n = json_array_size(samples);
    rt_page_section(out, "samples", "Samples");
    if (n == 0) {
        rt_page_absent(out, "No samples were written.");
    } else {
        rt_str_puts(
            out,
            "<p>Greedy continuations of held-out text. What is word for word the teacher's beginning is underlined; "
            "characters that would not be seen are written out, as in [U+202E].</p>\n");
    }
    for (size_t i = 0; i < n && i < SAMPLES_SHOWN; i++) {
        rt_page_sample(out, json_array_get(samples, i));
    }
    if (n > SAMPLES_SHOWN) {
        rt_html_put(out, "<p class=\"note\">%zu more samples are in the run directory.</p>\n", n - SAMPLES_SHOWN);
    }
    variety(out, facts);
    rt_str_puts(out, "</section>\n");
}
