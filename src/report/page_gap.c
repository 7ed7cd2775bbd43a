/* page_gap.c - what the student kept of its teacher, task by task and slice by slice, with the claims that allows. */
#include <math.h>
#include <string.h>

#include "report/page.h"

enum { FAMILIES_SHOWN = 12, ROWS_SHOWN = 24 };

static double number(const json_t *row, const char *key)
{
    return rt_json_f64(row, key, NAN);
}

/* ---- retention ---- */

static void retention_chart(rt_str *out, const json_t *rows)
{
    rt_bar bars[ROWS_SHOWN];
    rt_num words[ROWS_SHOWN];
    size_t i, n = 0;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const json_t *kept = json_object_get(row, "retention");
        const double value = number(kept, "value"), half = (number(kept, "high") - number(kept, "low")) / 2;
        if (n < ROWS_SHOWN && isfinite(value)) {
            words[n] = rt_num_share_pm(value, half);
            bars[n] = (rt_bar){"student", rt_json_str(row, "name", "unnamed"), words[n].s, value, half};
            n++;
        }
    }
    if (n > 0) {
        rt_str_puts(out, "<div class=\"charts\">\n");
        rt_page_bars(out, &(rt_bar_chart){"Ability kept", "Of what the teacher has above guessing. 100 % is all of it.",
                                          "share above guessing", RT_UNIT_SHARE, bars, n, NAN});
        rt_str_puts(out, "</div>\n");
    }
}

/* ---- verdicts ---- */

static void verdict_row(rt_str *out, const rt_column c[], const json_t *row)
{
    const char *verdict = rt_json_str(row, "verdict", "unknown"), *alone = rt_json_str(row, "verdict_alone", verdict);
    rt_page_row(out, rt_json_str(row, "name", "unnamed"), rt_json_str(row, "metric", ""));
    rt_page_cell(out, &c[1], rt_num_exact(number(row, "n")).s);
    rt_page_cell(out, &c[2], rt_gap_value(row, "teacher").s);
    rt_page_cell(out, &c[3], rt_gap_value(row, "student").s);
    rt_page_cell(out, &c[4], rt_gap_change(row).s);
    rt_html_put(out, "<td class=\"\" data-c=\"%s\"><b class=\"verdict\">%s</b>", c[5].name, verdict);
    if (strcmp(verdict, alone) != 0) {
        rt_html_put(out, " <small>%s by itself</small>", alone);
    }
    if (number(row, "needed") > 0) {
        rt_html_put(out, " <small>about %s items would decide</small>", rt_num_exact(number(row, "needed")).s);
    }
    rt_str_puts(out, "</td></tr>\n");
}

/* Points lost in the slices that were judged, so that the worst is seen at once. */
static void loss_chart(rt_str *out, const json_t *rows)
{
    rt_bar bars[ROWS_SHOWN];
    rt_num words[ROWS_SHOWN];
    size_t i, n = 0;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const double lost = -number(row, "estimate"), half = number(row, "half_width");
        if (n < ROWS_SHOWN && isfinite(lost) && rt_gap_is_share(row)) {
            words[n] = rt_gap_change(row);
            bars[n] = (rt_bar){"student", rt_json_str(row, "name", "unnamed"), words[n].s, lost, half};
            n++;
        }
    }
    if (n > 0) {
        rt_str_puts(out, "<div class=\"charts\">\n");
        rt_page_bars(out,
                     &(rt_bar_chart){"Lost, slice by slice", "Right answers of the reference that the model lacks.",
                                     "share lost", RT_UNIT_SHARE, bars, n, NAN});
        rt_str_puts(out, "</div>\n");
    }
}

void rt_page_family(rt_str *out, const json_t *family)
{
    const char *reference = rt_json_str(family, "reference", "reference"),
               *model = rt_json_str(family, "model", "model");
    const rt_column columns[] = {{"What", ""},     {"Items", "n"},  {reference, "n"},
                                 {model, "n own"}, {"Change", "n"}, {"Verdict", ""}};
    const json_t *rows = json_object_get(family, "rows"), *first = json_array_get(rows, 0);
    const double half = number(family, "half_width"), margin = number(first, "margin");
    size_t i;
    json_t *row;
    rt_html_put(out, "<h3>%s: %s beside %s</h3>\n", rt_json_str(family, "table", "Verdicts"), model, reference);
    if (strcmp(rt_json_str(family, "family", ""), "slices") == 0) {
        loss_chart(out, rows);
    }
    rt_page_table(out, columns, sizeof columns / sizeof *columns);
    json_array_foreach(rows, i, row)
    {
        if (i < ROWS_SHOWN) {
            verdict_row(out, columns, row);
        }
    }
    rt_page_table_end(out);
    const bool share = rt_gap_is_share(first);
    rt_html_put(out,
                "<p class=\"note\">Margin %s, stated before the run. Half-width up to %s: what is smaller cannot be "
                "seen with these items. Verdicts after Holm\u2019s correction over the table.",
                share ? rt_num_points_pm(margin, NAN).s : rt_num_plain(margin).s,
                share ? rt_num_points_pm(half, NAN).s : rt_num_plain(half).s);
    if (json_array_size(rows) > ROWS_SHOWN) {
        rt_html_put(out, " %zu further rows are in report.json.", json_array_size(rows) - ROWS_SHOWN);
    }
    rt_str_puts(out, "</p>\n");
}

/* ---- benchmarks it was trained for, and others ---- */

static void seen_row(rt_str *out, const rt_column c[], const char *head, const json_t *side)
{
    rt_str tasks = {0};
    rt_texts_join(&tasks, json_object_get(side, "tasks"), ", ");
    rt_page_row(out, head, "");
    rt_page_cell(out, &c[1], rt_str_cstr(&tasks));
    rt_page_cell(out, &c[2], rt_num_share(number(side, "retention")).s);
    rt_str_puts(out, "</tr>\n");
    out->failed |= tasks.failed;
    rt_str_release(&tasks);
}

static void trained_for_note(rt_str *out, const json_t *list)
{
    size_t i;
    json_t *one;
    rt_str_puts(out, "<p class=\"note\">");
    if (json_array_size(list) == 0) {
        rt_str_puts(out, json_is_array(list) ? "None of the benchmarks is known to be of the kind it was trained on"
                                             : "Nobody said or looked which of the benchmarks it was trained for");
    }
    json_array_foreach(list, i, one)
    {
        rt_html_put(out, "%s%s (%s)",
                    i > 0 ? ", " : "Of the kind it was trained on: ", rt_json_str(one, "task", "unnamed"),
                    rt_json_str(one, "how", "unknown"));
    }
    rt_str_puts(out, ".</p>\n");
}

static void seen_table(rt_str *out, const json_t *seen)
{
    static const rt_column c[] = {{"Benchmarks", ""}, {"Which", ""}, {"Ability kept", "n"}};
    const double low = number(seen, "low"), high = number(seen, "high");
    rt_page_table(out, c, sizeof c / sizeof *c);
    seen_row(out, c, "trained for", json_object_get(seen, "seen"));
    seen_row(out, c, "others", json_object_get(seen, "unseen"));
    rt_page_table_end(out);
    rt_html_put(out, "<p class=\"note\">Difference: %s%s. %s</p>\n", number(seen, "difference") < 0 ? "\u2212" : "",
                rt_num_points_pm(fabs(number(seen, "difference")), (high - low) / 2).s,
                low > 0    ? "It kept more of what it was trained for: other abilities are not to be judged by these."
                : high < 0 ? "It kept less of what it was trained for."
                           : "Both were kept alike, as far as these can tell.");
}

static void in_domain(rt_str *out, const json_t *gap)
{
    const json_t *seen = json_object_get(gap, "seen");
    rt_str_puts(out, "<h3>Benchmarks it was trained for, beside others</h3>\n");
    trained_for_note(out, json_object_get(gap, "trained_for"));
    if (json_is_object(seen)) {
        seen_table(out, seen);
    }
}

/* ---- what stands beside every score ---- */

static void beside_scores(rt_str *out, const json_t *gap)
{
    const json_t *contamination = json_object_get(gap, "contamination"), *seeds = json_object_get(gap, "seeds"),
                 *search = json_object_get(gap, "slice_search");
    size_t i;
    json_t *v;
    rt_str_puts(out, "<ul>\n");
    if (!json_is_array(contamination)) {
        rt_str_puts(out, "<li>Nobody looked for the items in the training text.</li>\n");
    }
    json_array_foreach(contamination, i, v)
    {
        if (i < ROWS_SHOWN) {
            rt_html_put(out, "<li>%s: %s of %s items stand in the training text.</li>\n",
                        rt_json_str(v, "task", "unnamed"), rt_num_exact(number(v, "found")).s,
                        rt_num_exact(number(v, "checked")).s);
        }
    }
    if (!(number(seeds, "n") > 1)) {
        rt_str_puts(out, "<li>One seed: how far another would lie is not known.</li>\n");
    }
    if (json_is_object(search)) {
        rt_html_put(out, "<li>%s slices were searched on one half of the items, %s judged on the other.</li>\n",
                    rt_num_exact(number(search, "searched")).s, rt_num_exact(number(search, "judged")).s);
    }
    json_array_foreach(json_object_get(gap, "unlike"), i, v)
    {
        rt_str_puts(out, "<li>Not measured alike: ");
        rt_html_json(out, v, "unknown");
        rt_str_puts(out, ".</li>\n");
    }
    rt_str_puts(out, "</ul>\n");
}

void rt_page_gap(rt_str *out, const json_t *facts)
{
    const json_t *gap = json_object_get(facts, "gap"), *families = json_object_get(gap, "families"),
                 *slices = json_object_get(facts, "slices");
    size_t i;
    json_t *family;
    rt_page_section(out, "gap", "What was kept and lost");
    if (json_array_size(families) == 0 && json_array_size(slices) == 0) {
        rt_page_absent(out, "The student was not compared with its teacher item by item.");
    }
    if (json_array_size(families) > 0) {
        rt_str_puts(out, "<p class=\"claim\"><b>In one sentence:</b> ");
        rt_html_json(out, json_object_get(json_object_get(gap, "claims"), "statement"), "nothing can be claimed");
        rt_str_puts(out, ".</p>\n");
        retention_chart(out, json_object_get(json_array_get(families, 0), "rows"));
    }
    json_array_foreach(families, i, family)
    {
        if (i < FAMILIES_SHOWN && json_array_size(json_object_get(family, "rows")) > 0) {
            rt_page_family(out, family);
        }
    }
    if (json_is_object(gap)) {
        in_domain(out, gap);
        beside_scores(out, gap);
    }
    rt_page_slices(out, slices);
    rt_str_puts(out, "</section>\n");
}
