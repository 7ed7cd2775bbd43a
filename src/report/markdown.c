/* markdown.c - the report as Markdown: the sentences, the verdicts and the slices, for a repository or an issue. */
#include <math.h>
#include <string.h>

#include "record/card.h"
#include "report/figure.h"
#include "report/report.h"

enum { TASKS_SHOWN = 64 };

static double number(const json_t *o, const char *key)
{
    return rt_json_f64(o, key, NAN);
}

static void text(rt_str *out, const json_t *o, const char *key, const char *otherwise)
{
    rt_md_escape(out, rt_json_str(o, key, otherwise));
}

static void sentences(rt_str *out, const json_t *facts)
{
    static const char *const labels[RT_SENTENCE_COUNT] = {
        [RT_SENTENCE_MADE] = "Made from", [RT_SENTENCE_ALLOWED] = "Allowed by",      [RT_SENTENCE_KEPT] = "Kept",
        [RT_SENTENCE_LOST] = "Lost",      [RT_SENTENCE_UNMEASURED] = "Not measured",
    };
    for (int i = 0; i < RT_SENTENCE_COUNT; i++) {
        rt_str sentence = {0};
        rt_report_sentence(&sentence, facts, (rt_sentence)i);
        rt_str_printf(out, "- **%s:** ", labels[i]);
        rt_md_escape(out, rt_str_cstr(&sentence));
        rt_str_putc(out, '\n');
        out->failed |= sentence.failed;
        rt_str_release(&sentence);
    }
}

static void verdict_row(rt_str *out, const json_t *row)
{
    rt_str_puts(out, "| ");
    text(out, row, "name", "unnamed");
    rt_str_puts(out, " | ");
    text(out, row, "metric", "");
    rt_str_printf(out, " | %s | %s | %s | %s | ", rt_num_exact(number(row, "n")).s, rt_gap_value(row, "teacher").s,
                  rt_gap_value(row, "student").s, rt_gap_change(row).s);
    text(out, row, "verdict", "unknown");
    rt_str_puts(out, " |\n");
}

static void family(rt_str *out, const json_t *f)
{
    size_t i;
    json_t *row;
    rt_str_puts(out, "\n## ");
    text(out, f, "table", "Verdicts");
    rt_str_puts(out, "\n\n| what | metric | items | ");
    text(out, f, "reference", "reference");
    rt_str_puts(out, " | ");
    text(out, f, "model", "model");
    rt_str_puts(out, " | change ± 95 % | verdict |\n|---|---|--:|--:|--:|--:|---|\n");
    json_array_foreach(json_object_get(f, "rows"), i, row)
    {
        verdict_row(out, row);
    }
    rt_str_puts(out, "\nVerdicts after Holm's correction.\n");
}

static void trained_for(rt_str *out, const json_t *list)
{
    size_t i;
    json_t *one;
    if (json_is_array(list)) {
        rt_str_puts(out, json_array_size(list) > 0 ? "\nBenchmarks of the kind it was trained on: "
                                                   : "\nNo benchmark is known to be of the kind it was trained on");
    }
    json_array_foreach(list, i, one)
    {
        rt_str_puts(out, i > 0 ? ", " : "");
        text(out, one, "task", "unnamed");
        rt_str_puts(out, " (");
        text(out, one, "how", "unknown");
        rt_str_puts(out, ")");
    }
    rt_str_puts(out, json_is_array(list) ? ".\n" : "");
}

static void seen(rt_str *out, const json_t *s)
{
    if (json_is_object(s)) {
        rt_str_printf(out,
                      "\nOf the ability there %.3g %% was kept, of the others %.3g %%; difference "
                      "%+.3g points, 95 %% interval %+.3g to %+.3g.\n",
                      100 * number(json_object_get(s, "seen"), "retention"),
                      100 * number(json_object_get(s, "unseen"), "retention"), 100 * number(s, "difference"),
                      100 * number(s, "low"), 100 * number(s, "high"));
    }
}

/* One row a model and task that has choices. */
static void calibration(rt_str *out, const json_t *facts)
{
    const char *task;
    bool any = false;
    for (size_t i = 0; i < TASKS_SHOWN && (task = rt_figure_task_name(facts, i)) != NULL; i++) {
        for (rt_role r = 0; r < RT_ROLE_COUNT; r++) {
            const json_t *c = json_object_get(rt_figure_task_entry(rt_role_model(facts, r), task), "calibration"),
                         *t = json_object_get(c, "temperature");
            if (!json_is_object(c)) {
                continue;
            }
            rt_str_puts(out,
                        any ? ""
                            : "\n## Calibration by task\n\n| task | model | error | best temperature | error of the "
                              "other half | at that temperature |\n|---|---|--:|--:|--:|--:|\n");
            any = true;
            rt_str_puts(out, "| ");
            rt_md_escape(out, task);
            rt_str_printf(out, " | %s | %.3f | ", rt_role_name(r), number(c, "ece"));
            if (json_is_null(json_object_get(t, "value"))) {
                rt_str_printf(out, "none calibrates | %.3f | |\n", number(t, "ece_before"));
            } else if (json_is_object(t)) {
                rt_str_printf(out, "%.2f | %.3f | %.3f |\n", number(t, "value"), number(t, "ece_before"),
                              number(t, "ece"));
            } else {
                rt_str_puts(out, "too few items | | |\n");
            }
        }
    }
}

static void slices(rt_str *out, const json_t *list)
{
    size_t i;
    json_t *s;
    if (json_array_size(list) == 0) {
        return;
    }
    rt_str_puts(out, "\n## Held-out text by slice\n\n| slice | by | tokens | KL | lost nats | top-1 |\n"
                     "|---|---|--:|--:|--:|--:|\n");
    json_array_foreach(list, i, s)
    {
        rt_str_puts(out, "| ");
        text(out, s, "slice", "unnamed");
        rt_str_puts(out, " | ");
        text(out, s, "dimension", "");
        const rt_figure kl = rt_figure_slice(s, "kl"), gap = rt_figure_slice(s, "gap"),
                        top1 = rt_figure_slice(s, "top1");
        rt_str_printf(out, " | %s | %s | %s | %s |\n", rt_num_exact(number(s, "n")).s, rt_num_pm(kl.mean, kl.half).s,
                      rt_num_pm(gap.mean, gap.half).s, rt_num_share_pm(top1.mean, top1.half).s);
    }
}

rt_status rt_report_markdown(rt_str *out, const json_t *facts, rt_err *err)
{
    size_t i;
    json_t *f;
    const json_t *gap = json_object_get(facts, "gap");
    if (!json_is_object(facts)) {
        return rt_fail(err, RT_INPUT, 0, "the facts of a report are no JSON object");
    }
    rt_str_puts(out, "# ");
    text(out, facts, "name", "Unnamed student");
    rt_str_puts(out, "\n\n");
    sentences(out, facts);
    if (json_is_object(gap)) {
        rt_str_puts(out, "\n**In one sentence:** ");
        text(out, json_object_get(gap, "claims"), "statement", "nothing can be claimed");
        rt_str_puts(out, ".\n");
    }
    json_array_foreach(json_object_get(gap, "families"), i, f)
    {
        if (json_array_size(json_object_get(f, "rows")) > 0) {
            family(out, f);
        }
    }
    if (json_is_object(json_object_get(facts, "variety"))) {
        family(out, json_object_get(facts, "variety"));
    }
    trained_for(out, json_object_get(gap, "trained_for"));
    seen(out, json_object_get(gap, "seen"));
    calibration(out, facts);
    slices(out, json_object_get(facts, "slices"));
    return out->failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the report") : RT_OK;
}
