/* sentences.c - the five sentences of the first screen. Each says what is known in plain words, and says so where
 * nothing is: a reader who stops here must not have been misled. */
#include <math.h>
#include <string.h>

#include "audit/gap_row.h"
#include "report/figure.h"
#include "report/report.h"

enum { NAMES_SHOWN = 3, TASKS_SHOWN = 4 };

/* A teacher says something about a task only where it is clearly above guessing. */
static const double ABOVE_CHANCE = 0.02;

/* ---- made from ---- */

static bool is_training(const json_t *data)
{
    return strcmp(rt_json_str(data, "use", "train"), "train") == 0;
}

static void training_texts(rt_str *s, const json_t *data)
{
    size_t i, n = 0;
    json_t *d;
    json_array_foreach(data, i, d)
    {
        if (is_training(d) && n++ < NAMES_SHOWN) {
            rt_str_printf(s, "%s%s", n > 1 ? ", " : "", rt_json_str(d, "name", "an unnamed text"));
        }
    }
    if (n > NAMES_SHOWN) {
        rt_str_printf(s, " and %zu more", n - NAMES_SHOWN);
    }
    if (n == 0) {
        rt_str_puts(s, "texts that are not recorded");
    }
}

static void teacher_in_words(rt_str *s, const json_t *teacher)
{
    double layers = rt_json_f64(teacher, "layers", NAN), parameters = rt_json_f64(teacher, "parameters", NAN);
    rt_str_puts(s, rt_json_str(teacher, "name", "a teacher whose name is not recorded"));
    if (isfinite(layers) && isfinite(parameters)) {
        rt_str_printf(s, " (%s layers, %s parameters)", rt_num_exact(layers).s, rt_num_short(parameters).s);
    } else if (isfinite(parameters)) {
        rt_str_printf(s, " (%s parameters)", rt_num_short(parameters).s);
    }
}

static void student_in_words(rt_str *s, const json_t *student)
{
    double layers = rt_json_f64(student, "layers", NAN), parameters = rt_json_f64(student, "parameters", NAN);
    if (isfinite(layers)) {
        rt_str_printf(s, "a student of %s layers and ", rt_num_exact(layers).s);
    } else {
        rt_str_puts(s, "a student of ");
    }
    if (isfinite(parameters)) {
        rt_str_printf(s, "%s parameters", rt_num_short(parameters).s);
    } else {
        rt_str_puts(s, "unknown size");
    }
}

static void sentence_made(rt_str *s, const json_t *facts)
{
    const json_t *student = json_object_get(facts, "student"), *collect = json_object_get(facts, "collect"),
                 *train = json_object_get(facts, "train");
    const char *init = rt_json_str(student, "init", "");
    double tokens = rt_json_f64(train, "tokens", NAN), draws = rt_json_f64(collect, "draws", NAN);
    rt_str_printf(s, "%s is ", rt_json_str(facts, "name", "This model"));
    student_in_words(s, student);
    const char *from = rt_json_str(student, "from", NULL);
    if (from != NULL) {
        rt_str_printf(s, strcmp(init, "prune") == 0 ? ", cut out of %s and taught by " : ", begun as %s and taught by ",
                      from);
    } else {
        rt_str_puts(s, strcmp(init, "prune") == 0 ? ", cut out of " : ", learned from ");
    }
    teacher_in_words(s, json_object_get(facts, "teacher"));
    if (isfinite(tokens)) {
        rt_str_printf(s, " and trained on %s tokens of ", rt_num_short(tokens).s);
        training_texts(s, json_object_get(facts, "data"));
        rt_str_printf(s, " with the loss %s", rt_json_str(train, "loss", "(not recorded)"));
        if (draws > 0 && strcmp(rt_json_str(collect, "targets", ""), "sample") == 0) {
            rt_str_printf(s, " towards %s draws a token from the teacher", rt_num_exact(draws).s);
        }
        rt_str_puts(s, ".");
    } else {
        rt_str_puts(s, "; how it was trained is not recorded.");
    }
}

/* ---- allowed by what ---- */

/* How the verdict lets the run go on; NULL when it is none that does so by itself. */
static const char *verdict_in_words(const char *verdict, const json_t *permit)
{
    if (strcmp(verdict, "permit") == 0) {
        return "allows this use";
    }
    if (strcmp(verdict, "permit-with-duties") == 0) {
        return json_object_get(permit, "decision") ? "allows this use under duties, which a person has accepted"
                                                   : "allows this use under duties";
    }
    if (strcmp(verdict, "unknown") == 0 && json_object_get(permit, "decision")) {
        return "is not one this program knows; a person has decided that this use is allowed";
    }
    return NULL;
}

static void sentence_allowed(rt_str *s, const json_t *facts)
{
    const json_t *teacher = json_object_get(facts, "teacher"), *permit = json_object_get(facts, "permit");
    const char *licence = rt_json_str(teacher, "licence", rt_json_str(permit, "id", NULL));
    const char *verdict = rt_json_str(teacher, "verdict", rt_json_str(permit, "verdict", ""));
    const char *grantor = rt_json_str(json_object_get(permit, "grant"), "grantor", NULL);
    const json_t *duties =
        json_object_get(teacher, "duties") ? json_object_get(teacher, "duties") : json_object_get(permit, "duties");
    const char *words = verdict_in_words(verdict, permit);
    if (licence == NULL || *verdict == '\0') {
        rt_str_puts(s, "By nothing that is recorded: neither licence nor verdict is among the facts of this run.");
        return;
    }
    if (words == NULL && grantor != NULL) {
        rt_str_printf(s, "A written grant of %s, for the teacher's licence %s alone does not allow this use", grantor,
                      licence);
    } else {
        rt_str_printf(s, "The teacher's licence %s %s", licence, words ? words : "does not allow this use");
    }
    rt_str_printf(s, " (verdict: %s)", verdict);
    if (json_array_size(duties) > 0) {
        rt_str_printf(s, "; %zu %s with it, listed under provenance", json_array_size(duties),
                      json_array_size(duties) == 1 ? "duty comes" : "duties come");
    } else {
        rt_str_puts(s, duties ? "; it asks for nothing in return" : "; its duties are not recorded");
    }
    if (rt_json_bool(permit, "declared", false)) {
        rt_str_puts(s, "; the teacher was declared, not observed");
    }
    rt_str_putc(s, '.');
}

/* ---- kept ---- */

static void baselines_in_brackets(rt_str *s, const json_t *facts)
{
    static const struct {
        rt_role role;
        const char *words;
    } baselines[] = {{RT_ROLE_CUT, "untrained"}, {RT_ROLE_TWIN, "trained without the teacher"}};
    const char *before = " (";
    for (size_t i = 0; i < 2; i++) {
        rt_figure f = rt_figure_fidelity(rt_role_model(facts, baselines[i].role), "top1");
        if (rt_figure_known(f)) {
            rt_str_printf(s, "%s%s %s", before, baselines[i].words, rt_num_share(f.mean).s);
            before = ", ";
        }
    }
    rt_str_puts(s, *before == ',' ? ")" : "");
}

static void sentence_kept(rt_str *s, const json_t *facts)
{
    const json_t *student = rt_role_model(facts, RT_ROLE_STUDENT), *teacher = rt_role_model(facts, RT_ROLE_TEACHER);
    rt_figure top1 = rt_figure_fidelity(student, "top1"), kl = rt_figure_fidelity(student, "kl");
    rt_figure mine = rt_figure_fidelity(student, "nll"), theirs = rt_figure_fidelity(teacher, "nll");
    double positions = rt_json_f64(json_object_get(student, "fidelity"), "positions", NAN);
    const char *join = "";
    if (rt_figure_known(top1)) {
        rt_str_printf(s, "Of the teacher's top-1 choices it makes %s the same",
                      rt_num_share_pm(top1.mean, top1.half).s);
        baselines_in_brackets(s, facts);
        join = "; ";
    }
    if (rt_figure_known(kl)) {
        rt_str_printf(s, "%s%s is %s nats a token", join, *join ? "KL to the teacher" : "Its KL to the teacher",
                      rt_num_pm(kl.mean, kl.half).s);
        join = "; ";
    }
    if (rt_figure_known(mine)) {
        rt_str_printf(s, "%s%s %s", join, *join ? "perplexity" : "Its perplexity is", rt_num_plain(exp(mine.mean)).s);
        if (rt_figure_known(theirs)) {
            rt_str_printf(s, " beside the teacher's %s", rt_num_plain(exp(theirs.mean)).s);
        }
        join = "; ";
    }
    if (*join == '\0') {
        rt_str_puts(s, "What it kept of the teacher was not measured.");
    } else if (isfinite(positions)) {
        rt_str_printf(s, ", on %s held-out tokens.", rt_num_exact(positions).s);
    } else {
        rt_str_putc(s, '.');
    }
}

/* ---- lost ---- */

static bool perplexity_lost(rt_str *s, const json_t *student, const json_t *teacher)
{
    rt_figure d = rt_figure_minus(rt_figure_fidelity(student, "nll"), rt_figure_fidelity(teacher, "nll"));
    if (!rt_figure_known(d)) {
        return false;
    }
    rt_str_printf(s, "Its perplexity is %s times the teacher's", rt_num_plain(exp(d.mean)).s);
    if (isfinite(d.half)) {
        rt_str_printf(s, " (%s to %s)", rt_num_plain(exp(d.mean - d.half)).s, rt_num_plain(exp(d.mean + d.half)).s);
    }
    if (!rt_figure_beyond_error(d)) {
        rt_str_printf(s, ", which is %s", rt_figure_verdict(d));
    }
    return true;
}

/* With the error that the audit found item by item, for those of two separate shares are not that of their difference;
 * where it did not compare them that error is not known. */
static rt_figure task_difference(const json_t *facts, const char *task, rt_figure mine, rt_figure theirs)
{
    const json_t *row = rt_gap_row(json_object_get(facts, "gap"), task);
    return (rt_figure){.mean = rt_json_f64(row, "difference", mine.mean - theirs.mean),
                       .half = RT_INTERVAL_95 * rt_json_f64(row, "stderr", NAN)};
}

static bool task_lost(rt_str *s, const json_t *facts, const char *task, const char *join)
{
    const json_t *student = rt_role_model(facts, RT_ROLE_STUDENT), *teacher = rt_role_model(facts, RT_ROLE_TEACHER);
    const json_t *entry = rt_figure_task_entry(student, task);
    rt_figure mine = rt_figure_task(student, task, NULL), theirs = rt_figure_task(teacher, task, NULL);
    rt_figure d = task_difference(facts, task, mine, theirs);
    double chance = rt_json_f64(entry, "chance", NAN), n = rt_json_f64(entry, "n", NAN);
    if (!rt_figure_known(d)) {
        return false;
    }
    rt_str_printf(s, "%s%s: %s ", join, task, rt_num_share(mine.mean).s);
    if (isfinite(n)) {
        rt_str_printf(s, "of %s questions ", rt_num_exact(n).s);
    }
    rt_str_printf(s, "right beside the teacher's %s", rt_num_share(theirs.mean).s);
    if (isfinite(chance) && !(theirs.mean - theirs.half > chance + ABOVE_CHANCE)) {
        rt_str_printf(s,
                      ", but the teacher itself is not shown to be above chance (%s), so that this test says nothing",
                      rt_num_share(chance).s);
    } else {
        rt_str_printf(s, ", %s %s", rt_figure_points(d).s, d.mean < 0 ? "fewer" : "more");
        if (!rt_figure_beyond_error(d)) {
            rt_str_printf(s, ", which is %s", rt_figure_verdict(d));
        }
    }
    return true;
}

/* Safeguards of the student that the audit found worse than the teacher's. */
static void safeguards_lost(rt_str *s, const json_t *facts)
{
    size_t i, k;
    json_t *family, *row;
    const json_t *families = json_object_get(json_object_get(facts, "gap"), "families");
    const char *student = rt_json_str(json_array_get(families, 0), "model", "");
    json_array_foreach(families, i, family)
    {
        if (strcmp(rt_json_str(family, "family", ""), "safeguards") != 0 ||
            strcmp(rt_json_str(family, "model", "?"), student) != 0) {
            continue;
        }
        json_array_foreach(json_object_get(family, "rows"), k, row)
        {
            const char *verdict = rt_json_str(row, "verdict", "");
            const bool share = strcmp(rt_json_str(row, "unit", ""), "share") == 0;
            const double mine = rt_json_f64(row, "student", NAN), theirs = rt_json_f64(row, "teacher", NAN);
            if (strcmp(verdict, "lost") == 0 || strcmp(verdict, "worse, size open") == 0) {
                rt_str_printf(s, "; safeguard %s of %s: %s beside %s, %s", rt_json_str(row, "metric", ""),
                              rt_json_str(row, "name", ""), (share ? rt_num_share(mine) : rt_num_plain(mine)).s,
                              (share ? rt_num_share(theirs) : rt_num_plain(theirs)).s, verdict);
            }
        }
    }
}

static void sentence_lost(rt_str *s, const json_t *facts)
{
    const json_t *student = rt_role_model(facts, RT_ROLE_STUDENT), *teacher = rt_role_model(facts, RT_ROLE_TEACHER);
    bool said = perplexity_lost(s, student, teacher), any_task = false;
    const char *task;
    for (size_t i = 0; i < TASKS_SHOWN && (task = rt_figure_task_name(facts, i)) != NULL; i++) {
        any_task |= task_lost(s, facts, task, said ? "; " : "");
        said |= any_task;
    }
    if (!said) {
        rt_str_puts(s, "Not known: student and teacher were not measured side by side.");
        return;
    }
    safeguards_lost(s, facts);
    if (!any_task) {
        rt_str_puts(s, "; no task with right answers was given to both");
    } else if (rt_figure_task_name(facts, TASKS_SHOWN) != NULL) {
        rt_str_puts(s, "; more tasks below");
    }
    rt_str_putc(s, '.');
}

/* ---- not measured ---- */

static void sentence_unmeasured(rt_str *s, const json_t *facts)
{
    const json_t *list = json_object_get(facts, "not_measured");
    if (json_array_size(list) == 0) {
        rt_str_puts(s, "No list was kept: take everything that this page does not show as not measured.");
        return;
    }
    rt_str_puts(s, "Nothing on this page speaks of ");
    rt_texts_join(s, list, "; ");
    rt_str_putc(s, '.');
}

void rt_report_sentence(rt_str *out, const json_t *facts, rt_sentence which)
{
    static void (*const sentences[RT_SENTENCE_COUNT])(rt_str *, const json_t *) = {
        [RT_SENTENCE_MADE] = sentence_made,
        [RT_SENTENCE_ALLOWED] = sentence_allowed,
        [RT_SENTENCE_KEPT] = sentence_kept,
        [RT_SENTENCE_LOST] = sentence_lost,
        [RT_SENTENCE_UNMEASURED] = sentence_unmeasured,
    };
    sentences[which](out, facts);
}
