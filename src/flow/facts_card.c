/* The model card's view of a run's facts: what was kept and lost in figures, training data with its origins. */
#include <math.h>
#include <stdio.h>

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

static void add_fidelity(json_t *kept, const json_t *models, const char *key, const char *what, const char *unit, double teacher)
{
    const json_t *s = rt_facts_model(models, "student"), *c = rt_facts_model(models, "cut");
    add_figure(kept, &(figure){.what = what, .unit = unit, .student = fidelity(s, key, "mean"), .teacher = teacher,
                               .baseline = fidelity(c, key, "mean"), .se = fidelity(s, key, "stderr"),
                               .n = rt_json_i64(json_object_get(s, "fidelity"), "positions", 0)});
}

static json_t *kept_figures(const json_t *models)
{
    json_t *kept = json_array();
    const json_t *s = rt_facts_model(models, "student"), *t = rt_facts_model(models, "teacher"), *c = rt_facts_model(models, "cut");
    if (s == NULL || t == NULL) {
        return kept;
    }
    add_fidelity(kept, models, "kl", "KL to the teacher, held-out text", "nats a token", 0.0);
    add_fidelity(kept, models, "top1", "top-1 agreement with the teacher", "share", 1.0);
    add_fidelity(kept, models, "acceptance", "acceptance as a drafter, sum of min(p, q)", "share", 1.0);
    add_fidelity(kept, models, "nll", "negative log-likelihood, held-out text", "nats a token", fidelity(t, "nll", "mean"));
    const json_t *tasks = json_object_get(s, "tasks");
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        const json_t *a = json_array_get(tasks, i), *b = json_array_get(json_object_get(t, "tasks"), i);
        char what[96];
        snprintf(what, sizeof what, "%s, accuracy by length", rt_json_str(a, "task", "task"));
        add_figure(kept, &(figure){.what = what, .unit = "share", .student = rt_json_f64(a, "acc_norm", NAN),
                                   .teacher = rt_json_f64(b, "acc_norm", NAN),
                                   .baseline = rt_json_f64(json_array_get(json_object_get(c, "tasks"), i), "acc_norm", NAN),
                                   .se = rt_json_f64(a, "acc_norm_stderr", NAN), .n = rt_json_i64(a, "n", 0)});
    }
    return kept;
}

static json_t *lost_sentences(const json_t *models)
{
    json_t *lost = json_array();
    const json_t *s = rt_facts_model(models, "student"), *t = rt_facts_model(models, "teacher");
    const double mine = fidelity(s, "nll", "mean"), its = fidelity(t, "nll", "mean"), top1 = fidelity(s, "top1", "mean");
    if (isfinite(mine) && isfinite(its)) {
        json_array_append_new(lost, json_sprintf("On held-out text its perplexity is %.1f beside the teacher's %.1f, %.2f times as high.",
                                                 exp(mine), exp(its), exp(mine - its)));
    }
    if (isfinite(top1)) {
        json_array_append_new(lost, json_sprintf("In %.1f %% of positions its most probable token is not the teacher's.", 100.0 * (1.0 - top1)));
    }
    const json_t *tasks = json_object_get(s, "tasks");
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        const json_t *a = json_array_get(tasks, i), *b = json_array_get(json_object_get(t, "tasks"), i);
        const double gap = rt_json_f64(b, "acc_norm", NAN) - rt_json_f64(a, "acc_norm", NAN);
        const double se = hypot(rt_json_f64(a, "acc_norm_stderr", NAN), rt_json_f64(b, "acc_norm_stderr", NAN));
        if (isfinite(gap) && isfinite(se)) {
            json_array_append_new(lost, json_sprintf("%s: %.1f points below the teacher, %s twice the standard error of the difference (%.1f) "
                                                     "on %lld items.", rt_json_str(a, "task", "task"), 100.0 * gap,
                                                     fabs(gap) > 2.0 * se ? "beyond" : "within", 100.0 * se,
                                                     (long long)rt_json_i64(a, "n", 0)));
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
    static const char *const same[] = {"name", "permit", "teacher", "student", "not_measured", "ledger", "files", "command", "tool"};
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
    json_object_set_new(card, "how",
                        json_pack("{s:s, s:I, s:I, s:f, s:f, s:s, s:s, s:i, s:f}", "loss", rt_json_str(train, "loss", "unknown"), "tokens",
                                  (json_int_t)rt_json_i64(train, "tokens", 0), "steps", (json_int_t)rt_json_i64(train, "steps", 0), "seconds",
                                  rt_json_f64(train, "seconds", 0), "cpu_seconds", rt_json_f64(train, "cpu_seconds", 0), "machine",
                                  rt_json_str(json_object_get(facts, "machine"), "cpu", "unknown"), "targets",
                                  rt_json_str(collect, "targets", "unknown"), "draws", (int)rt_json_i64(collect, "draws", 0), "temperature",
                                  rt_json_f64(train, "temperature", 1)));
    json_object_set_new(card, "kept", kept_figures(models));
    json_object_set_new(card, "lost", lost_sentences(models));
    return card;
}
