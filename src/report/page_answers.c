/* page_answers.c - a student for one task: what the teacher was asked, which answers were kept, and how often each
 * model answers held-out rows right. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page.h"

enum { MODELS_SHOWN = 8, EXAMPLES_SHOWN = 12 };

/* ---- prompts and answers ---- */

static void count_pair(rt_str *out, const char *name, const json_t *object, const char *key)
{
    rt_page_pair_num(out, name, object, key, rt_num_exact);
}

/* What each rule took out; those that took nothing are left out. */
static void dropped_pair(rt_str *out, const char *name, const json_t *counts)
{
    rt_str words = {0};
    const char *rule;
    json_t *n;
    json_object_foreach((json_t *)(uintptr_t)counts, rule, n)
    {
        if (json_integer_value(n) > 0) {
            rt_str_printf(&words, "%s%s %lld", words.n > 0 ? ", " : "", rule, (long long)json_integer_value(n));
        }
    }
    rt_page_pair(out, name, words.n > 0 ? rt_str_cstr(&words) : "none");
    out->failed |= words.failed;
    rt_str_release(&words);
}

static void counts(rt_str *out, const json_t *answers)
{
    const json_t *asked = json_object_get(answers, "asked"), *filter = json_object_get(answers, "filter");
    rt_str_puts(out, "<dl class=\"facts\">\n");
    count_pair(out, "Prompts given", asked, "given");
    dropped_pair(out, "Left out because held out", json_object_get(asked, "excluded"));
    count_pair(out, "Prompts asked", asked, "asked");
    count_pair(out, "Answers written", asked, "answers");
    count_pair(out, "Tokens written", asked, "tokens");
    rt_page_pair_num(out, "At temperature", answers, "temperature", rt_num_plain);
    dropped_pair(out, "Dropped, by the first rule that applies", json_object_get(filter, "dropped"));
    count_pair(out, "Answers kept", filter, "kept");
    count_pair(out, "Prompts with a kept answer", filter, "prompts_kept");
    rt_str_puts(out, "</dl>\n");
}

/* ---- scores ---- */

static rt_num value_of(const json_t *model, const char *metric)
{
    const json_t *m = json_object_get(json_object_get(model, "metrics"), metric);
    const double value = rt_json_f64(m, "value", NAN);
    return isfinite(value) ? rt_num_share_pm(value, RT_INTERVAL_95 * rt_json_f64(m, "stderr", NAN)) : (rt_num){"-"};
}

static const json_t *row_of(const json_t *family, const char *metric)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(family, "rows"), i, row)
    {
        if (strcmp(rt_json_str(row, "metric", ""), metric) == 0) {
            return row;
        }
    }
    return NULL;
}

/* +4.0 [+1.0, +7.0], gained */
static rt_num difference(const json_t *model, const char *other, const char *metric)
{
    const json_t *g = row_of(json_object_get(json_object_get(model, "beside"), other), metric);
    const double d = rt_json_f64(g, "difference", NAN);
    rt_num n = {"-"};
    if (isfinite(d)) {
        snprintf(n.s, sizeof n.s, "%+.1f [%+.1f, %+.1f], %.40s", 100 * d, 100 * rt_json_f64(g, "low", NAN),
                 100 * rt_json_f64(g, "high", NAN), rt_json_str(g, "verdict", "unknown"));
    }
    return n;
}

static void table(rt_str *out, const json_t *held_out)
{
    const char *metric = rt_json_str(held_out, "metric", "exact_match");
    const rt_column columns[] = {{"Model", ""},           {"Exact match", "n"},     {"F1", "n"},
                                 {"Beside teacher", "n"}, {"Beside constant", "n"}, {"Beside twin", "n"}};
    const json_t *models = json_object_get(held_out, "models");
    rt_page_table(out, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < json_array_size(models) && i < MODELS_SHOWN; i++) {
        const json_t *m = json_array_get(models, i);
        rt_page_row(out, rt_json_str(m, "label", "unknown"), "");
        rt_page_cell(out, &columns[1], value_of(m, metric).s);
        rt_page_cell(out, &columns[2], value_of(m, "f1").s);
        rt_page_cell(out, &columns[3], difference(m, "teacher", metric).s);
        rt_page_cell(out, &columns[4], difference(m, "constant", metric).s);
        rt_page_cell(out, &columns[5], difference(m, "twin", metric).s);
        rt_str_puts(out, "</tr>\n");
    }
    rt_page_table_end(out);
    rt_html_put(
        out,
        "<p class=\"note\">%s held-out rows, greedy answers, read by task %s (%s). Differences are in points, paired "
        "by row, with 95 %% bootstrap intervals; a loss up to %s counts as kept. The best constant answer is the "
        "one that is right most often in these very rows: no model that does not read its prompt can be better."
        "</p>\n",
        rt_num_exact(rt_json_f64(held_out, "n", NAN)).s, rt_json_str(held_out, "task", "unknown"), metric,
        rt_num_share(rt_json_f64(held_out, "margin", NAN)).s);
}

static void examples(rt_str *out, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && i < EXAMPLES_SHOWN; i++) {
        rt_page_sample(out, json_array_get(list, i));
    }
}

void rt_page_answers(rt_str *out, const json_t *facts)
{
    const json_t *answers = json_object_get(facts, "answers"), *held_out = json_object_get(answers, "held_out");
    rt_page_section(out, "answers", "The task");
    counts(out, answers);
    if (held_out == NULL) {
        rt_page_absent(out, "No held-out rows were named: how well the task is done was not measured.");
    } else {
        table(out, held_out);
        examples(out, json_object_get(held_out, "examples"));
    }
    rt_str_puts(out, "</section>\n");
}
