/* page_comparison.c - the student beside its teacher and the two baselines: what training gave at all (the cut), and
 * what the teacher's outputs gave beyond the text (the twin). */
#include <math.h>

#include "report/page.h"

enum { TASKS_SHOWN = 24 };

typedef struct measure {
    const char *key, *name, *note, *axis;
    rt_unit unit;
    bool to_teacher; /* says nothing of the teacher itself */
} measure;

static const measure measures[] = {
    {"top1", "Top-1 agreement", "The teacher's most probable token comes first. More is better.",
     "share of held-out tokens", RT_UNIT_SHARE, true},
    {"kl", "KL to the teacher", "How far its predictions are from the teacher's. Less is better.", "nats a token",
     RT_UNIT_PLAIN, true},
    {"acceptance", "Acceptance", "Drafted tokens the teacher would accept. More is better.",
     "mean of the sum of min(p, q)", RT_UNIT_SHARE, true},
    {"nll", "Cross-entropy", "On held-out text; perplexity is e to this power. Less is better.", "nats a token",
     RT_UNIT_PLAIN, false},
};
enum { N_MEASURES = sizeof measures / sizeof *measures };

/* The models that were judged, in the order of the columns. */
typedef struct judged {
    rt_role role;
    const json_t *model;
} judged;
typedef struct field {
    judged m[RT_ROLE_COUNT];
    size_t n;
} field;

static field field_of(const json_t *facts)
{
    field f = {0};
    for (rt_role r = 0; r < RT_ROLE_COUNT; r++) {
        const json_t *m = rt_role_model(facts, r);
        if (m != NULL) {
            f.m[f.n++] = (judged){r, m};
        }
    }
    return f;
}

static rt_num figure_words(rt_figure f, rt_unit unit)
{
    if (!rt_figure_known(f)) {
        return (rt_num){"not measured"};
    }
    return unit == RT_UNIT_SHARE ? rt_num_share_pm(f.mean, f.half) : rt_num_pm(f.mean, f.half);
}

/* ---- table ---- */

static void role_cell(rt_str *out, rt_role r, const char *text)
{
    rt_page_cell(out, &(rt_column){rt_role_name(r), r == RT_ROLE_STUDENT ? "n own" : "n"}, text);
}

static void size_row(rt_str *out, const field *f, const char *name, const char *key, rt_num (*form)(double))
{
    rt_page_row(out, name, "");
    for (size_t i = 0; i < f->n; i++) {
        role_cell(out, f->m[i].role, form(rt_json_f64(f->m[i].model, key, NAN)).s);
    }
    rt_str_puts(out, "</tr>\n");
}

static void measure_row(rt_str *out, const field *f, const measure *of)
{
    rt_page_row(out, of->name, of->axis);
    for (size_t i = 0; i < f->n; i++) {
        bool itself = of->to_teacher && f->m[i].role == RT_ROLE_TEACHER;
        rt_figure figure = rt_figure_fidelity(f->m[i].model, of->key);
        role_cell(out, f->m[i].role, itself ? "itself" : figure_words(figure, of->unit).s);
    }
    rt_str_puts(out, "</tr>\n");
}

static void perplexity_row(rt_str *out, const field *f)
{
    rt_page_row(out, "Perplexity", "on held-out text");
    for (size_t i = 0; i < f->n; i++) {
        rt_figure nll = rt_figure_fidelity(f->m[i].model, "nll");
        role_cell(out, f->m[i].role, rt_figure_known(nll) ? rt_num_plain(exp(nll.mean)).s : "not measured");
    }
    rt_str_puts(out, "</tr>\n");
}

/* The first model's metric stands for all: they were given the same task. */
static const char *metric_of(const field *f, const char *task)
{
    const char *metric = "acc";
    for (size_t i = 0; i < f->n; i++) {
        if (rt_figure_task_entry(f->m[i].model, task) != NULL) {
            rt_figure_task(f->m[i].model, task, &metric);
            break;
        }
    }
    return metric;
}

static void task_row(rt_str *out, const field *f, const char *task)
{
    rt_page_row(out, task, metric_of(f, task));
    for (size_t i = 0; i < f->n; i++) {
        role_cell(out, f->m[i].role, figure_words(rt_figure_task(f->m[i].model, task, NULL), RT_UNIT_SHARE).s);
    }
    rt_str_puts(out, "</tr>\n");
}

static void type_row(rt_str *out, const field *f)
{
    rt_page_row(out, "Weights stored as", "");
    for (size_t i = 0; i < f->n; i++) {
        role_cell(out, f->m[i].role, rt_json_str(f->m[i].model, "type", "unknown"));
    }
    rt_str_puts(out, "</tr>\n");
}

static void table(rt_str *out, const json_t *facts, const field *f)
{
    rt_column columns[1 + RT_ROLE_COUNT] = {{"Measure", ""}};
    const char *task;
    for (size_t i = 0; i < f->n; i++) {
        columns[1 + i] = (rt_column){rt_role_name(f->m[i].role), "n"};
    }
    rt_page_table(out, columns, 1 + f->n);
    for (size_t i = 0; i < N_MEASURES; i++) {
        measure_row(out, f, &measures[i]);
    }
    perplexity_row(out, f);
    for (size_t i = 0; i < TASKS_SHOWN && (task = rt_figure_task_name(facts, i)) != NULL; i++) {
        task_row(out, f, task);
    }
    size_row(out, f, "Parameters", "parameters", rt_num_exact);
    size_row(out, f, "Layers", "layers", rt_num_exact);
    size_row(out, f, "File", "bytes", rt_num_bytes);
    type_row(out, f);
    rt_page_table_end(out);
}

/* ---- charts ---- */

static rt_bar bar_of(rt_role role, rt_figure figure, rt_unit unit, rt_num *words)
{
    *words = figure_words(figure, unit);
    return (rt_bar){rt_role_id(role), rt_role_name(role), words->s, figure.mean, figure.half};
}

static void measure_chart(rt_str *out, const field *f, const measure *of)
{
    rt_bar bars[RT_ROLE_COUNT];
    rt_num words[RT_ROLE_COUNT];
    size_t n = 0;
    bool any = false;
    for (size_t i = 0; i < f->n; i++) {
        if (!of->to_teacher || f->m[i].role != RT_ROLE_TEACHER) {
            rt_figure figure = rt_figure_fidelity(f->m[i].model, of->key);
            bars[n] = bar_of(f->m[i].role, figure, of->unit, &words[n]);
            any |= rt_figure_known(figure);
            n++;
        }
    }
    if (any) {
        rt_page_bars(out, &(rt_bar_chart){of->name, of->note, of->axis, of->unit, bars, n, NAN});
    }
}

static void task_chart(rt_str *out, const field *f, const char *task)
{
    rt_bar bars[RT_ROLE_COUNT];
    rt_num words[RT_ROLE_COUNT];
    double chance = NAN, asked = NAN;
    char axis[64], note[192] = "More is better.";
    for (size_t i = 0; i < f->n; i++) {
        const json_t *entry = rt_figure_task_entry(f->m[i].model, task);
        bars[i] = bar_of(f->m[i].role, rt_figure_task(f->m[i].model, task, NULL), RT_UNIT_SHARE, &words[i]);
        chance = rt_json_f64(entry, "chance", chance);
        asked = rt_json_f64(entry, "n", asked);
    }
    chance = chance >= 0 && chance <= 1 ? chance : NAN;
    snprintf(axis, sizeof axis, "share right (%s)", metric_of(f, task));
    if (isfinite(asked)) {
        snprintf(note, sizeof note, "%s questions, scored as lm-evaluation-harness does. More is better.",
                 rt_num_exact(asked).s);
    }
    rt_page_bars(out, &(rt_bar_chart){task, note, axis, RT_UNIT_SHARE, bars, f->n, chance});
}

static void charts(rt_str *out, const json_t *facts, const field *f)
{
    const char *task;
    rt_str_puts(out, "<div class=\"charts\">\n");
    for (size_t i = 0; i < N_MEASURES; i++) {
        measure_chart(out, f, &measures[i]);
    }
    for (size_t i = 0; i < TASKS_SHOWN && (task = rt_figure_task_name(facts, i)) != NULL; i++) {
        task_chart(out, f, task);
    }
    rt_str_puts(out, "</div>\n");
}

/* ---- differences in words ---- */

static void beside(rt_str *out, const json_t *facts, rt_role other, const char *what)
{
    const json_t *a = rt_role_model(facts, RT_ROLE_STUDENT), *b = rt_role_model(facts, other);
    rt_figure kl = rt_figure_minus(rt_figure_fidelity(a, "kl"), rt_figure_fidelity(b, "kl"));
    rt_figure top1 = rt_figure_minus(rt_figure_fidelity(a, "top1"), rt_figure_fidelity(b, "top1"));
    if (!rt_figure_known(kl) || !rt_figure_known(top1)) {
        rt_html_put(out, "<li>Beside %s: not measured.</li>\n", what);
        return;
    }
    rt_html_put(out, "<li>Beside %s: KL %s nats a token %s (%s), top-1 agreement %s %s (%s).</li>\n", what,
                rt_figure_size(kl).s, kl.mean < 0 ? "lower" : "higher", rt_figure_verdict(kl), rt_figure_points(top1).s,
                top1.mean < 0 ? "lower" : "higher", rt_figure_verdict(top1));
}

void rt_page_comparison(rt_str *out, const json_t *facts)
{
    const field f = field_of(facts);
    rt_page_section(out, "comparison", "Beside teacher and baselines");
    if (f.n == 0) {
        rt_page_absent(out, "No model was judged.");
        rt_str_puts(out, "</section>\n");
        return;
    }
    rt_str_puts(
        out,
        "<p>The <b>cut</b> is the student before any training: what the layers kept are worth alone. The <b>twin</b> "
        "starts from the same cut and sees the same tokens, but learns from the text alone (cross-entropy), without "
        "the teacher.</p>\n<ul>\n");
    beside(out, facts, RT_ROLE_CUT, "the untrained cut");
    beside(out, facts, RT_ROLE_TWIN, "the twin");
    rt_str_puts(out, "</ul>\n");
    table(out, facts, &f);
    rt_str_puts(
        out,
        "<p class=\"note\">Differences have the interval of independent measurements. All models saw the same text "
        "and questions, so the true interval is usually narrower.</p>\n");
    charts(out, facts, &f);
    rt_str_puts(out, "</section>\n");
}
