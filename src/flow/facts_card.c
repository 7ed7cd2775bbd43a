/* The model card's view of a run's facts: what was kept and lost in figures, training data with its origins. */
#include <math.h>
#include <stdio.h>

#include "audit/gap_row.h"
#include "flow/facts.h"

/* One figure of a model: fidelity.<key>.<field>, or NAN. */
static double fidelity(const json_t *model, const char *key, const char *field)
{
    return rt_json_f64(json_object_get(json_object_get(model, "fidelity"), key), field, NAN);
}

/* What cannot be computed (one cluster has no standard error) is left out instead of shown as nought. */
static void set_number(json_t *o, const char *key, double v)
{
    if (isfinite(v)) {
        json_object_set_new(o, key, json_real(v));
    }
}

typedef struct figure {
    const char *what, *unit;
    double student, teacher, baseline, se;
    int64_t n;
} figure;

static void add_figure(json_t *kept, const figure *f)
{
    json_t *o = json_pack("{s:s, s:s, s:I}", "what", f->what, "unit", f->unit, "n", (json_int_t)f->n);
    set_number(o, "student", f->student);
    set_number(o, "teacher", f->teacher);
    set_number(o, "baseline", f->baseline);
    set_number(o, "stderr", f->se);
    json_array_append_new(kept, o);
}

static void add_fidelity(json_t *kept, const json_t *models, const char *key, const char *what, const char *unit,
                         double teacher)
{
    const json_t *s = rt_facts_model(models, "student"), *c = rt_facts_model(models, "cut");
    add_figure(kept, &(figure){.what = what,
                               .unit = unit,
                               .student = fidelity(s, key, "mean"),
                               .teacher = teacher,
                               .baseline = fidelity(c, key, "mean"),
                               .se = fidelity(s, key, "stderr"),
                               .n = rt_json_i64(json_object_get(s, "fidelity"), "positions", 0)});
}

/* The files beside the one all other figures are of. */
static void add_exports(json_t *kept, const json_t *exports)
{
    for (size_t i = 0; i < json_array_size(exports); i++) {
        const json_t *e = json_array_get(exports, i);
        char what[128];
        snprintf(what, sizeof what, "KL to the teacher, held-out text, %s", rt_json_str(e, "file", "?"));
        add_figure(kept, &(figure){.what = what,
                                   .unit = "nats a token",
                                   .student = fidelity(e, "kl", "mean"),
                                   .teacher = NAN,
                                   .baseline = NAN,
                                   .se = fidelity(e, "kl", "stderr"),
                                   .n = rt_json_i64(json_object_get(e, "fidelity"), "positions", 0)});
    }
}

/* Accuracy by length, or the plain one of a task that has no other; `like` says which of the two, so that the models of
 * one row are measured alike. */
typedef struct accuracy {
    double mean, se;
    const char *name;
} accuracy;

static accuracy accuracy_of(const json_t *entry, const json_t *like)
{
    if (json_is_number(json_object_get(like, "acc_norm"))) {
        return (accuracy){rt_json_f64(entry, "acc_norm", NAN), rt_json_f64(entry, "acc_norm_stderr", NAN),
                          "accuracy by length"};
    }
    return (accuracy){rt_json_f64(entry, "acc", NAN), rt_json_f64(entry, "stderr", NAN), "accuracy"};
}

static json_t *kept_figures(const json_t *models, const json_t *exports)
{
    json_t *kept = json_array();
    const json_t *s = rt_facts_model(models, "student"), *t = rt_facts_model(models, "teacher"),
                 *c = rt_facts_model(models, "cut");
    if (s == NULL || t == NULL) {
        return kept;
    }
    add_fidelity(kept, models, "kl", "KL to the teacher, held-out text", "nats a token", 0.0);
    add_fidelity(kept, models, "top1", "top-1 agreement with the teacher", "share", 1.0);
    add_fidelity(kept, models, "acceptance", "acceptance as a drafter, sum of min(p, q)", "share", 1.0);
    add_fidelity(kept, models, "nll", "negative log-likelihood, held-out text", "nats a token",
                 fidelity(t, "nll", "mean"));
    const json_t *tasks = json_object_get(s, "tasks");
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        const json_t *a = json_array_get(tasks, i);
        const accuracy student = accuracy_of(a, a);
        char what[96];
        snprintf(what, sizeof what, "%s, %s", rt_json_str(a, "task", "task"), student.name);
        add_figure(kept, &(figure){.what = what,
                                   .unit = "share",
                                   .student = student.mean,
                                   .teacher = accuracy_of(json_array_get(json_object_get(t, "tasks"), i), a).mean,
                                   .baseline = accuracy_of(json_array_get(json_object_get(c, "tasks"), i), a).mean,
                                   .se = student.se,
                                   .n = rt_json_i64(a, "n", 0)});
    }
    add_exports(kept, exports);
    return kept;
}

/* What a student loses is judged by the items that both answered: errors of two separate shares are not that of their
 * difference. NULL: the task has no accuracy. */
static json_t *task_lost(const json_t *facts, const json_t *student, const json_t *teacher)
{
    const char *task = rt_json_str(student, "task", "task");
    const json_t *row = rt_gap_row(json_object_get(facts, "gap"), task);
    const double apart = accuracy_of(teacher, student).mean - accuracy_of(student, student).mean,
                 gap = 0 - rt_json_f64(row, "difference", -apart), se = rt_json_f64(row, "stderr", NAN);
    const long long n = (long long)rt_json_i64(student, "n", 0);
    if (!isfinite(gap)) {
        return NULL;
    }
    if (!isfinite(se)) {
        return json_sprintf("%s: %.1f points below the teacher on %lld items.", task, 100.0 * gap, n);
    }
    return json_sprintf("%s: %.1f points below the teacher, %s twice the standard error of the difference (%.1f) on "
                        "%lld items.",
                        task, 100.0 * gap, fabs(gap) > 2.0 * se ? "beyond" : "within", 100.0 * se, n);
}

static json_t *lost_sentences(const json_t *facts)
{
    json_t *lost = json_array();
    const json_t *models = json_object_get(facts, "models");
    const json_t *s = rt_facts_model(models, "student"), *t = rt_facts_model(models, "teacher");
    const double mine = fidelity(s, "nll", "mean"), its = fidelity(t, "nll", "mean"),
                 top1 = fidelity(s, "top1", "mean");
    if (isfinite(mine) && isfinite(its)) {
        json_array_append_new(
            lost, json_sprintf("On held-out text its perplexity is %.1f beside the teacher's %.1f, %.2f times as high.",
                               exp(mine), exp(its), exp(mine - its)));
    }
    if (isfinite(top1)) {
        json_array_append_new(lost,
                              json_sprintf("In %.1f %% of positions its most probable token is not the teacher's.",
                                           100.0 * (1.0 - top1)));
    }
    const json_t *tasks = json_object_get(s, "tasks");
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        json_t *sentence = task_lost(facts, json_array_get(tasks, i), json_array_get(json_object_get(t, "tasks"), i));
        if (sentence != NULL) {
            json_array_append_new(lost, sentence);
        }
    }
    return lost;
}

/* Held-out text was not trained on and is no part of the model. */
static json_t *training_data(const json_t *data)
{
    json_t *out = json_array(), *d;
    size_t i;
    json_array_foreach((json_t *)data, i, d)
    {
        if (rt_json_str(d, "use", "")[0] == 't') {
            json_array_append(out, d);
        }
    }
    return out;
}

json_t *rt_facts_card(const json_t *facts)
{
    static const char *const same[] = {"name",   "permit", "teacher", "student", "not_measured",
                                       "ledger", "files",  "command", "tool"};
    json_t *card = json_object();
    const json_t *train = json_object_get(facts, "train"), *collect = json_object_get(facts, "collect");
    const json_t *models = json_object_get(facts, "models");
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        json_t *v = json_object_get(facts, same[i]);
        if (v != NULL) {
            json_object_set(card, same[i], v);
        }
    }
    json_object_set_new(card, "data", training_data(json_object_get(facts, "data")));
    json_object_set_new(
        card, "how",
        json_pack("{s:s, s:I, s:I, s:f, s:f, s:s, s:s, s:i, s:f}", "loss", rt_json_str(train, "loss", "unknown"),
                  "tokens", (json_int_t)rt_json_i64(train, "tokens", 0), "steps",
                  (json_int_t)rt_json_i64(train, "steps", 0), "seconds", rt_json_f64(train, "seconds", 0),
                  "cpu_seconds", rt_json_f64(train, "cpu_seconds", 0), "machine",
                  rt_json_str(json_object_get(facts, "machine"), "cpu", "unknown"), "targets",
                  rt_json_str(collect, "targets", "unknown"), "draws", (int)rt_json_i64(collect, "draws", 0),
                  "temperature", rt_json_f64(train, "temperature", 1)));
    json_object_set_new(card, "kept", kept_figures(models, json_object_get(facts, "exports")));
    json_object_set_new(card, "lost", lost_sentences(facts));
    return card;
}
