/* frontier_page.c - the frontier of runs as a page and as Markdown: a picture and, beside it, its table. */
#include <math.h>

#include "record/card.h"
#include "report/frontier.h"
#include "report/page.h"

enum { HEIGHT = 240, GROUPS_SHOWN = 12, RUNS_SHOWN = RT_LINE_POINTS };

static double number(const json_t *run, const char *key)
{
    return rt_json_f64(run, key, NAN);
}

static bool on_frontier(const json_t *run)
{
    return rt_json_bool(run, "on_frontier", false);
}

/* ---- page ---- */

static void put_point(rt_line *line, const json_t *run, const char *y)
{
    const double v = number(run, y);
    if (line->n < RT_LINE_POINTS && isfinite(v)) {
        line->names[line->n] = rt_json_str(run, "name", "unnamed");
        line->x[line->n] = number(run, "seconds");
        line->y[line->n++] = v;
    }
}

static rt_status picture(rt_str *out, const json_t *runs)
{
    rt_status st = RT_OK;
    rt_line *lines = NULL;
    size_t i;
    json_t *run;
    RT_TRY(RT_NEW(&lines, 2, "lines of a chart", NULL));
    lines[0] = (rt_line){.css = "student", .label = "on the frontier", .marked = true};
    lines[1] = (rt_line){.css = "cut", .label = "beaten by another", .marked = true, .apart = true};
    json_array_foreach(runs, i, run)
    {
        put_point(&lines[on_frontier(run) ? 0 : 1], run, "kl");
    }
    rt_str_puts(out, "<div class=\"curves\">\n");
    rt_page_lines(out, &(rt_line_chart){"Time spent and distance left",
                                        "Each mark is a run; low and to the left is better. No run beats those on the "
                                        "line in both.",
                                        "time of all stages", "KL to the teacher, nats a token", RT_UNIT_SECONDS,
                                        RT_UNIT_PLAIN, HEIGHT, lines, 2});
    rt_str_puts(out, "</div>\n");
out:
    rt_free(lines);
    return st;
}

static void run_row(rt_str *out, const rt_column c[], const json_t *run)
{
    rt_page_row(out, rt_json_str(run, "name", "unnamed"), on_frontier(run) ? "on the frontier" : "");
    rt_page_cell(out, &c[1], rt_num_seconds(number(run, "seconds")).s);
    rt_page_cell(out, &c[2], rt_num_exact(number(run, "tokens")).s);
    rt_page_cell(out, &c[3], rt_num_plain(number(run, "flop")).s);
    rt_page_cell(out, &c[4], rt_num_short(number(run, "parameters")).s);
    rt_page_cell(out, &c[5], rt_num_bytes(number(run, "bytes")).s);
    rt_page_cell(out, &c[6], rt_num_pm(number(run, "kl"), number(run, "kl_half")).s);
    rt_page_cell(out, &c[7], rt_num_plain(number(run, "perplexity_ratio")).s);
    rt_str_puts(out, "</tr>\n");
}

static void table(rt_str *out, const json_t *runs)
{
    static const rt_column c[] = {
        {"Run", ""},
        {"Time", "n"},
        {"Tokens trained on", "n"},
        {"FLOP, estimated", "n"},
        {"Parameters", "n"},
        {"File", "n"},
        {"KL", "n own"},
        {"Perplexity / teacher\u2019s", "n"},
    };
    size_t i;
    json_t *run;
    rt_page_table(out, c, sizeof c / sizeof *c);
    json_array_foreach(runs, i, run)
    {
        if (i < RUNS_SHOWN) {
            run_row(out, c, run);
        }
    }
    rt_page_table_end(out);
    if (json_array_size(runs) > RUNS_SHOWN) {
        rt_html_put(out, "<p class=\"note\">%zu further runs are in frontier.json.</p>\n",
                    json_array_size(runs) - RUNS_SHOWN);
    }
}

static rt_status group_part(rt_str *out, const json_t *group, size_t i)
{
    const json_t *runs = json_object_get(group, "runs");
    char id[32];
    snprintf(id, sizeof id, "group-%zu", i + 1);
    rt_page_section(out, id, rt_json_str(group, "teacher", "unknown teacher"));
    rt_html_put(out,
                "<p>%zu runs, judged beside this teacher on the same %s positions of text; its own perplexity there is "
                "%s.</p>\n",
                json_array_size(runs), rt_num_exact(number(group, "positions")).s,
                rt_num_plain(number(group, "teacher_perplexity")).s);
    const rt_status st = picture(out, runs);
    table(out, runs);
    rt_str_puts(out, "</section>\n");
    return st;
}

static void left_out_part(rt_str *out, const json_t *list)
{
    size_t i;
    json_t *v;
    if (json_array_size(list) == 0) {
        return;
    }
    rt_page_section(out, "left-out", "Left out");
    rt_str_puts(out, "<ul>\n");
    json_array_foreach(list, i, v)
    {
        if (i < RUNS_SHOWN) {
            rt_html_put(out, "<li>%s: %s.</li>\n", rt_json_str(v, "name", "unnamed"), rt_json_str(v, "why", "unknown"));
        }
    }
    rt_str_puts(out, "</ul>\n</section>\n");
}

rt_status rt_frontier_html(rt_str *out, const json_t *frontier, rt_err *err)
{
    const json_t *groups = json_object_get(frontier, "groups");
    size_t i;
    json_t *group;
    rt_page_head(out, "Runs", "what they cost and kept");
    rt_str_puts(out,
                "<main id=\"content\">\n<h1>What runs cost and kept</h1>\n"
                "<p class=\"note\">Time is that of all stages. \u00b1 is a 95 % interval: what lies within it may be "
                "chance. FLOP are estimated: 6 a parameter and token trained on, 2 a parameter and token the "
                "teacher read.</p>\n");
    if (json_array_size(groups) == 0) {
        rt_page_absent(out, "No run has a report with time and distance.");
    }
    json_array_foreach(groups, i, group)
    {
        if (i < GROUPS_SHOWN && group_part(out, group, i) != RT_OK) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for the report");
        }
    }
    if (json_array_size(groups) > GROUPS_SHOWN) {
        rt_html_put(out, "<p class=\"note\">%zu further groups are in frontier.json.</p>\n",
                    json_array_size(groups) - GROUPS_SHOWN);
    }
    left_out_part(out, json_object_get(frontier, "left_out"));
    rt_str_puts(out, "</main>\n</body>\n</html>\n");
    return out->failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the report") : RT_OK;
}

/* ---- Markdown ---- */

static void md_text(rt_str *out, const json_t *o, const char *key)
{
    rt_md_escape(out, rt_json_str(o, key, "unknown"));
}

static void md_group(rt_str *out, const json_t *group)
{
    size_t i;
    json_t *run;
    rt_str_puts(out, "\n## ");
    md_text(out, group, "teacher");
    rt_str_printf(
        out,
        "\n\nThe same %.0f positions of text for all.\n\n| run | time | tokens | FLOP, estimated | parameters | KL "
        "| perplexity / teacher's | |\n|---|--:|--:|--:|--:|--:|--:|---|\n",
        number(group, "positions"));
    json_array_foreach(json_object_get(group, "runs"), i, run)
    {
        rt_str_puts(out, "| ");
        md_text(out, run, "name");
        rt_str_printf(out, " | %s | %s | %s | %s | %s | %s | %s |\n", rt_num_seconds(number(run, "seconds")).s,
                      rt_num_exact(number(run, "tokens")).s, rt_num_plain(number(run, "flop")).s,
                      rt_num_short(number(run, "parameters")).s, rt_num_pm(number(run, "kl"), number(run, "kl_half")).s,
                      rt_num_plain(number(run, "perplexity_ratio")).s, on_frontier(run) ? "on the frontier" : "");
    }
}

rt_status rt_frontier_markdown(rt_str *out, const json_t *frontier, rt_err *err)
{
    size_t i;
    json_t *v;
    rt_str_puts(out, "# What runs cost and kept\n");
    json_array_foreach(json_object_get(frontier, "groups"), i, v)
    {
        md_group(out, v);
    }
    json_array_foreach(json_object_get(frontier, "left_out"), i, v)
    {
        rt_str_puts(out, i == 0 ? "\n## Left out\n\n- " : "- ");
        md_text(out, v, "name");
        rt_str_puts(out, ": ");
        md_text(out, v, "why");
        rt_str_puts(out, "\n");
    }
    return out->failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the report") : RT_OK;
}
