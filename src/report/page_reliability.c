/* page_reliability.c - is a model as sure as it is right: accuracy by confidence, beside the line of the honest. */
#include <math.h>

#include "report/page.h"

enum { HEIGHT = 240, TASK_ROWS = 32 };

static size_t points(rt_line *line, const json_t *bins)
{
    size_t i;
    json_t *bin;
    json_array_foreach(bins, i, bin)
    {
        const double x = rt_json_f64(bin, "confidence", NAN), y = rt_json_f64(bin, "accuracy", NAN);
        if (line->n < RT_LINE_POINTS && x >= 0 && x <= 1 && y >= 0 && y <= 1) {
            line->x[line->n] = x;
            line->y[line->n++] = y;
        }
    }
    return line->n;
}

static const json_t *calibration_of(const json_t *facts, rt_role role)
{
    return json_object_get(json_object_get(rt_role_model(facts, role), "fidelity"), "calibration");
}

static void errors(rt_str *out, const json_t *facts)
{
    rt_str_puts(out, "<dl class=\"facts\">\n");
    for (rt_role r = 0; r < RT_ROLE_COUNT; r++) {
        const json_t *c = calibration_of(facts, r);
        if (json_is_object(c)) {
            rt_page_pair_num(out, rt_role_name(r), c, "ece", rt_num_share);
        }
    }
    rt_str_puts(out,
                "</dl>\n<p class=\"note\">Expected calibration error: the mean distance from the line, ten bins of "
                "equal width.</p>\n");
}

/* ---- tasks ---- */

static void task_row(rt_str *out, const rt_column c[], const char *task, rt_role r, const json_t *calibration)
{
    const json_t *t = json_object_get(calibration, "temperature");
    rt_page_row(out, task, rt_role_name(r));
    rt_page_cell(out, &c[1], rt_num_share(rt_json_f64(calibration, "ece", NAN)).s);
    if (json_is_null(json_object_get(t, "value"))) {
        rt_page_cell(out, &c[2], "none calibrates");
        rt_page_cell(out, &c[3], rt_num_share(rt_json_f64(t, "ece_before", NAN)).s);
        rt_page_cell(out, &c[4], "none calibrates");
    } else if (json_is_object(t)) {
        rt_page_cell(out, &c[2], rt_num_plain(rt_json_f64(t, "value", NAN)).s);
        rt_page_cell(out, &c[3], rt_num_share(rt_json_f64(t, "ece_before", NAN)).s);
        rt_page_cell(out, &c[4], rt_num_share(rt_json_f64(t, "ece", NAN)).s);
    } else {
        for (int k = 2; k < 5; k++) {
            rt_page_cell(out, &c[k], "too few items");
        }
    }
    rt_str_puts(out, "</tr>\n");
}

/* What one temperature repairs was a matter of scale. */
static void by_task(rt_str *out, const json_t *facts)
{
    static const rt_column c[] = {{"Task", ""},
                                  {"Error", "n"},
                                  {"Best temperature", "n"},
                                  {"Error, other half", "n"},
                                  {"At that temperature", "n"}};
    const char *task;
    size_t rows = 0;
    for (size_t i = 0; i < TASK_ROWS && (task = rt_figure_task_name(facts, i)) != NULL; i++) {
        for (rt_role r = 0; r < RT_ROLE_COUNT && rows < TASK_ROWS; r++) {
            const json_t *own = json_object_get(rt_figure_task_entry(rt_role_model(facts, r), task), "calibration");
            if (!json_is_object(own)) {
                continue;
            }
            if (rows++ == 0) {
                rt_str_puts(out, "<h3>By task</h3>\n");
                rt_page_table(out, c, sizeof c / sizeof *c);
            }
            task_row(out, c, task, r, own);
        }
    }
    if (rows > 0) {
        rt_page_table_end(out);
        rt_str_puts(out,
                    "<p class=\"note\">One temperature is fitted on a half of the items and tried on the other. Above "
                    "1 the model is too sure. What it repairs was a matter of scale; what stays is not. Where none "
                    "calibrates, the fit ran into its bound: no scale makes the model as sure as it is right.</p>\n");
    }
}

void rt_page_reliability(rt_str *out, const json_t *facts)
{
    rt_line *lines = NULL;
    size_t n = 1;
    rt_page_section(out, "reliability", "As sure as it is right?");
    if (RT_NEW(&lines, 1 + RT_ROLE_COUNT, "lines of a chart", NULL) != RT_OK) {
        out->failed = true;
        return;
    }
    lines[0] = (rt_line){.css = "honest", .label = "as sure as right", .n = 2, .x = {0, 1}, .y = {0, 1}};
    for (rt_role r = 0; r < RT_ROLE_COUNT; r++) {
        lines[n] = (rt_line){.css = rt_role_id(r), .label = rt_role_name(r), .marked = r == RT_ROLE_STUDENT};
        n += points(&lines[n], json_object_get(calibration_of(facts, r), "bins")) > 1;
    }
    if (n == 1) {
        rt_page_absent(out, "Calibration was not measured.");
    } else {
        rt_str_puts(out, "<div class=\"curves\">\n");
        rt_page_lines(out, &(rt_line_chart){"Next tokens of held-out text",
                                            "Below the line a model is surer than it is right, above it less sure.",
                                            "probability of the pick", "share right", RT_UNIT_SHARE, RT_UNIT_SHARE,
                                            HEIGHT, lines, n});
        rt_str_puts(out, "</div>\n");
        errors(out, facts);
    }
    rt_free(lines);
    by_task(out, facts);
    rt_str_puts(out, "</section>\n");
}
