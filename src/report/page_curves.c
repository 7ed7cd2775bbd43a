/* page_curves.c - how training went: KL, loss, agreement and learning rate over the tokens seen, student and twin. */
#include <math.h>

#include "report/page.h"

static const json_t *at(const json_t *o, const char *key)
{
    return json_object_get(o, key);
}

/* ---- points ---- */

/* (tokens so far, value) of point `i`; false where either is no number. A line of metrics.jsonl has its own tokens
 * under "tokens" and those so far under "total_tokens". */
static bool point(const json_t *points, size_t i, const char *key, double *x, double *y)
{
    const json_t *p = json_array_get(points, i);
    *x = rt_json_f64(p, "total_tokens", rt_json_f64(p, "tokens", NAN));
    *y = rt_json_f64(p, key, NAN);
    return isfinite(*x) && isfinite(*y);
}

static size_t count_points(const json_t *points, const char *key)
{
    size_t n = 0;
    double x, y;
    for (size_t i = 0; i < json_array_size(points); i++) {
        n += point(points, i, key, &x, &y);
    }
    return n;
}

/* More points than a line has room for are averaged in equal groups. */
static void take_points(rt_line *l, const json_t *points, const char *key)
{
    const size_t n = count_points(points, key);
    const size_t groups = n < RT_LINE_POINTS ? n : RT_LINE_POINTS;
    size_t seen = 0, in_group = 0;
    double x, y, sum_x = 0, sum_y = 0;
    l->n = 0;
    for (size_t i = 0; i < json_array_size(points); i++) {
        if (!point(points, i, key, &x, &y)) {
            continue;
        }
        sum_x += x;
        sum_y += y;
        seen++;
        in_group++;
        if (seen * groups / n > l->n) {
            l->x[l->n] = sum_x / (double)in_group;
            l->y[l->n++] = sum_y / (double)in_group;
            sum_x = sum_y = 0;
            in_group = 0;
        }
    }
}

/* ---- charts ---- */

enum { MOST_LINES = 4 };

/* A line of the page: from which training, which list and field. */
typedef struct wish {
    const char *of, *list, *key, *css, *label;
    bool marked;
} wish;

static bool chart(rt_str *out, const json_t *facts, rt_line_chart c, const wish *wishes, size_t n)
{
    rt_line lines[MOST_LINES];
    size_t points = 0;
    for (size_t i = 0; i < n; i++) {
        lines[i] = (rt_line){.css = wishes[i].css, .label = wishes[i].label, .marked = wishes[i].marked};
        take_points(&lines[i], at(at(facts, wishes[i].of), wishes[i].list), wishes[i].key);
        points += lines[i].n;
    }
    if (points == 0) {
        return false;
    }
    c.lines = lines;
    c.n = n;
    c.x_axis = "tokens seen in training";
    c.x_unit = RT_UNIT_COUNT;
    rt_page_lines(out, &c);
    return true;
}

static bool charts(rt_str *out, const json_t *facts)
{
    static const wish kl[] = {
        {"train", "curve", "kl", "student thin", "student, training", false},
        {"train", "validations", "kl", "student", "student, held out", true},
        {"twin", "validations", "kl", "twin", "twin, held out", true},
    };
    static const wish loss[] = {
        {"train", "curve", "loss", "student", "student, its loss", false},
        {"twin", "curve", "loss", "twin", "twin, its loss", false},
    };
    static const wish top1[] = {
        {"train", "validations", "top1", "student", "student, held out", true},
        {"twin", "validations", "top1", "twin", "twin, held out", true},
    };
    static const wish lr[] = {
        {"train", "curve", "lr", "student", "student", false},
        {"twin", "curve", "lr", "twin", "twin", false},
    };
    bool any = chart(out, facts,
                     (rt_line_chart){.title = "KL to the teacher",
                                     .desc = "Held out at the marks, on training text between.",
                                     .y_axis = "nats a token",
                                     .from_zero = true,
                                     .height = 220},
                     kl, 3);
    any |= chart(out, facts,
                 (rt_line_chart){.title = "Training loss",
                                 .desc = "Each by its own loss, so that levels do not compare; slopes do.",
                                 .y_axis = "nats a token",
                                 .height = 220},
                 loss, 2);
    any |= chart(out, facts,
                 (rt_line_chart){.title = "Top-1 agreement",
                                 .desc = "With the teacher, on held-out text.",
                                 .y_axis = "share of tokens",
                                 .y_unit = RT_UNIT_SHARE,
                                 .from_zero = true,
                                 .height = 150},
                 top1, 2);
    any |= chart(out, facts,
                 (rt_line_chart){.title = "Learning rate",
                                 .desc = "As the schedule set it.",
                                 .y_axis = "step size",
                                 .from_zero = true,
                                 .height = 150},
                 lr, 2);
    return any;
}

/* ---- how ---- */

static void training_cell(rt_str *out, const json_t *t, const rt_column *c, const char *key, rt_num (*form)(double))
{
    rt_page_cell(out, c, form(rt_json_f64(t, key, NAN)).s);
}

static void training_row(rt_str *out, const json_t *facts, rt_role role, const rt_column *columns)
{
    const json_t *t = at(facts, role == RT_ROLE_TWIN ? "twin" : "train");
    if (t == NULL) {
        return;
    }
    rt_page_row(out, rt_role_name(role), "");
    rt_page_cell_json(out, &columns[1], json_object_get(t, "loss"), "unknown");
    training_cell(out, t, &columns[2], "steps", rt_num_exact);
    training_cell(out, t, &columns[3], "tokens", rt_num_exact);
    training_cell(out, t, &columns[4], "tokens_per_s", rt_num_plain);
    training_cell(out, t, &columns[5], "seconds", rt_num_seconds);
    training_cell(out, t, &columns[6], "first_loss", rt_num_plain);
    training_cell(out, t, &columns[7], "last_loss", rt_num_plain);
    rt_page_cell_json(out, &columns[8], json_object_get(t, "stopped"), "unknown");
    rt_str_puts(out, "</tr>\n");
}

static void settings(rt_str *out, const json_t *facts)
{
    static const rt_column columns[] = {
        {"Model", ""}, {"Loss", ""},        {"Steps", "n"},     {"Tokens", "n"}, {"Tokens a second", "n"},
        {"Time", "n"}, {"First loss", "n"}, {"Last loss", "n"}, {"Stopped", ""},
    };
    const json_t *train = at(facts, "train"), *start = at(at(facts, "student"), "start");
    rt_page_table(out, columns, sizeof columns / sizeof *columns);
    training_row(out, facts, RT_ROLE_STUDENT, columns);
    training_row(out, facts, RT_ROLE_TWIN, columns);
    rt_page_table_end(out);
    rt_str_puts(out, "<dl class=\"facts\">\n");
    rt_page_pair_json(out, "Formula", train, "formula");
    rt_page_pair_json(out, "Temperature", train, "temperature");
    rt_page_pair_json(out, "Learning rate", train, "lr");
    rt_page_pair_json(out, "Schedule", train, "schedule");
    rt_page_pair_num(out, "Tokens a step", train, "batch_tokens", rt_num_exact);
    rt_page_pair_num(out, "KL before training", start, "kl", rt_num_plain);
    rt_page_pair_num(out, "Perplexity before training", start, "perplexity", rt_num_plain);
    rt_str_puts(out, "</dl>\n");
}

void rt_page_curves(rt_str *out, const json_t *facts)
{
    rt_page_section(out, "curves", "Training");
    if (at(facts, "train") == NULL && at(facts, "twin") == NULL) {
        rt_page_absent(out, "How it was trained is not recorded.");
    } else {
        rt_str_puts(out, "<div class=\"curves\">\n");
        bool any = charts(out, facts);
        rt_str_puts(out, "</div>\n");
        if (!any) {
            rt_page_absent(out, "No curve was recorded.");
        }
        settings(out, facts);
    }
    rt_str_puts(out, "</section>\n");
}
