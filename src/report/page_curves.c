/* page_curves.c - how training went: KL, loss, agreement and learning rate over the tokens seen, student and twin. */
#include <math.h>

#include "report/page.h"

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
        if (seen * groups >= (l->n + 1) * n) {
            l->x[l->n] = sum_x / (double)in_group;
            l->y[l->n++] = sum_y / (double)in_group;
            sum_x = sum_y = 0;
            in_group = 0;
        }
    }
}

/* ---- charts ---- */

enum { MOST_LINES = 3, TALL = 220, SHORT = 150 };

/* A line of the page: from which training, which list and field. */
typedef struct wish {
    const char *of, *list, *key, *css, *label;
    bool marked;
} wish;

static const struct plan {
    const char *title, *desc, *y_axis;
    rt_unit y_unit;
    double height;
    wish lines[MOST_LINES];
} plans[] = {
    {"KL to the teacher",
     "Held out at the marks, on training text between.",
     "nats a token",
     RT_UNIT_PLAIN,
     TALL,
     {{"train", "curve", "kl", "student thin", "student, training", false},
      {"train", "validations", "kl", "student", "student, held out", true},
      {"twin", "validations", "kl", "twin", "twin, held out", true}}},
    {"Training loss",
     "Each by its own loss: their levels do not compare.",
     "nats a token",
     RT_UNIT_PLAIN,
     TALL,
     {{"train", "curve", "loss", "student", "student, its loss", false},
      {"twin", "curve", "loss", "twin", "twin, its loss", false}}},
    {"Top-1 agreement",
     "With the teacher, on held-out text.",
     "share of tokens",
     RT_UNIT_SHARE,
     SHORT,
     {{"train", "validations", "top1", "student", "student, held out", true},
      {"twin", "validations", "top1", "twin", "twin, held out", true}}},
    {"Learning rate",
     "As the schedule set it.",
     "step size",
     RT_UNIT_PLAIN,
     SHORT,
     {{"train", "curve", "lr", "student", "student", false}, {"twin", "curve", "lr", "twin", "twin", false}}},
};

/* False, and nothing written, where no line has a point. */
static bool chart(rt_str *out, const json_t *facts, const struct plan *p)
{
    rt_line lines[MOST_LINES];
    size_t n = 0, points = 0;
    for (; n < MOST_LINES && p->lines[n].of != NULL; n++) {
        const wish *w = &p->lines[n];
        lines[n] = (rt_line){.css = w->css, .label = w->label, .marked = w->marked};
        take_points(&lines[n], json_object_get(json_object_get(facts, w->of), w->list), w->key);
        points += lines[n].n;
    }
    if (points > 0) {
        rt_page_lines(out, &(rt_line_chart){.title = p->title,
                                            .desc = p->desc,
                                            .x_axis = "tokens seen in training",
                                            .y_axis = p->y_axis,
                                            .x_unit = RT_UNIT_COUNT,
                                            .y_unit = p->y_unit,
                                            .height = p->height,
                                            .lines = lines,
                                            .n = n});
    }
    return points > 0;
}

/* ---- how ---- */

static void training_cell(rt_str *out, const json_t *t, const rt_column *c, const char *key, rt_num (*form)(double))
{
    rt_page_cell(out, c, form(rt_json_f64(t, key, NAN)).s);
}

static void training_row(rt_str *out, const json_t *facts, rt_role role, const rt_column *columns)
{
    const json_t *t = json_object_get(facts, role == RT_ROLE_TWIN ? "twin" : "train");
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
    const json_t *train = json_object_get(facts, "train"),
                 *start = json_object_get(json_object_get(facts, "student"), "start");
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
    if (json_object_get(facts, "train") == NULL && json_object_get(facts, "twin") == NULL) {
        rt_page_absent(out, "How it was trained is not recorded.");
    } else {
        rt_str_puts(out, "<div class=\"curves\">\n");
        bool any = false;
        for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
            any |= chart(out, facts, &plans[i]);
        }
        rt_str_puts(out, "</div>\n");
        if (!any) {
            rt_page_absent(out, "No curve was recorded.");
        }
        settings(out, facts);
    }
    rt_str_puts(out, "</section>\n");
}
