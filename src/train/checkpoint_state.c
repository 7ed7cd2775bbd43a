/* checkpoint_state.c - what a checkpoint says beside its tensors, as JSON, and how two configurations differ. */
#include "train/checkpoint_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1

static bool set_optional(json_t *j, const char *key, json_t *value)
{
    return !value || json_object_set(j, key, value) == 0;
}

json_t *rt_checkpoint_to_json(const rt_checkpoint *c)
{
    const rt_train_counts *n = &c->counts;
    json_t *j = json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I}, s:f, s:f, s:b, s:b, s:s}", "version", VERSION,
                          "step", (json_int_t)n->step, "tokens", (json_int_t)n->tokens, "rows", (json_int_t)n->rows,
                          "missing", (json_int_t)n->missing, "negligible", (json_int_t)n->negligible, "cursor", "epoch",
                          (json_int_t)n->cursor.epoch, "index", (json_int_t)n->cursor.index, "active", n->active, "cpu",
                          n->cpu, "mixed", (int)n->mixed, "finished", (int)n->finished, "stopped", n->stopped);
    json_t *measured = json_pack(
        "{s:o, s:o, s:I, s:o, s:o, s:I, s:o, s:o, s:I}", "first_loss", rt_number_json(n->first_loss), "last_loss",
        rt_number_json(n->last_loss), "best_step", (json_int_t)n->best_step, "best_kl", rt_number_json(n->best_kl),
        "best_top1", rt_number_json(n->best_top1), "validated_step", (json_int_t)n->validated_step, "last_kl",
        rt_number_json(n->last_kl), "last_top1", rt_number_json(n->last_top1), "stale", (json_int_t)n->stale);
    json_t *retained = json_pack("{s:{s:I, s:I, s:I, s:I, s:b}}", "retained", "epoch", (json_int_t)n->retained.epoch,
                                 "index", (json_int_t)n->retained.index, "watched_step", (json_int_t)n->watched_step,
                                 "passed_step", (json_int_t)n->passed_step, "holds", (int)n->holds);
    json_t *rest = json_pack("{s:O, s:i, s:O, s:O, s:I}", "decisions", c->decisions, "in_force", c->in_force, "config",
                             c->config, "machine", c->machine, "metrics_bytes", (json_int_t)c->metrics_bytes);
    bool whole = j && measured && retained && rest && json_object_update(j, measured) == 0 &&
                 json_object_update(j, retained) == 0 && json_object_update(j, rest) == 0 &&
                 set_optional(j, "on_policy", c->on_policy) && set_optional(j, "ledger", c->ledger);
    json_decref(measured);
    json_decref(retained);
    json_decref(rest);
    if (!whole) {
        json_decref(j);
        return NULL;
    }
    return j;
}

rt_status rt_checkpoint_from_json(rt_checkpoint *c, const char *path, rt_err *err)
{
    const json_t *j = c->doc, *cursor = json_object_get(j, "cursor"), *retained = json_object_get(j, "retained");
    rt_train_counts *n = &c->counts;
    int64_t version = rt_json_i64(j, "version", 0);
    if (version != VERSION) {
        return rt_fail(err, RT_INPUT, 0, "checkpoint '%s' has version %lld, this program reads %d", path,
                       (long long)version, VERSION);
    }
    *n = (rt_train_counts){
        .step = rt_json_i64(j, "step", -1),
        .tokens = rt_json_i64(j, "tokens", -1),
        .rows = rt_json_i64(j, "rows", -1),
        .missing = rt_json_i64(j, "missing", 0),
        .negligible = rt_json_i64(j, "negligible", 0),
        .cursor = {rt_json_i64(cursor, "epoch", -1), rt_json_i64(cursor, "index", -1)},
        .active = rt_json_f64(j, "active", 0),
        .cpu = rt_json_f64(j, "cpu", 0),
        .best_step = rt_json_i64(j, "best_step", -1),
        .best_kl = rt_json_f64(j, "best_kl", NAN),
        .best_top1 = rt_json_f64(j, "best_top1", NAN),
        .validated_step = rt_json_i64(j, "validated_step", -1),
        .last_kl = rt_json_f64(j, "last_kl", NAN),
        .last_top1 = rt_json_f64(j, "last_top1", NAN),
        .stale = rt_json_i64(j, "stale", 0),
        .retained = {rt_json_i64(retained, "epoch", 0), rt_json_i64(retained, "index", 0)},
        .watched_step = rt_json_i64(retained, "watched_step", -1),
        .passed_step = rt_json_i64(retained, "passed_step", -1),
        .holds = rt_json_bool(retained, "holds", false),
        .first_loss = rt_json_f64(j, "first_loss", NAN),
        .last_loss = rt_json_f64(j, "last_loss", NAN),
        .mixed = rt_json_bool(j, "mixed", false),
        .finished = rt_json_bool(j, "finished", false),
    };
    snprintf(n->stopped, sizeof n->stopped, "%s", rt_json_str(j, "stopped", ""));
    c->decisions = json_object_get(j, "decisions");
    c->in_force = (int)rt_json_i64(j, "in_force", -1);
    c->config = json_object_get(j, "config");
    c->machine = json_object_get(j, "machine");
    c->on_policy = json_object_get(j, "on_policy");
    c->ledger = json_object_get(j, "ledger");
    c->metrics_bytes = rt_json_i64(j, "metrics_bytes", -1);
    if (n->step < 0 || n->tokens < 0 || n->rows < 0 || n->cursor.epoch < 0 || n->cursor.index < 0 ||
        c->metrics_bytes < 0 || !json_is_array(c->decisions) || !json_is_object(c->config)) {
        return rt_fail(err, RT_INPUT, 0, "checkpoint '%s' lacks part of its state", path);
    }
    return RT_OK;
}

/* --- what must be equal ------------------------------------------------------------------------------------------ */

static bool listed(const char *key, const char *const *list)
{
    for (; list && *list; list++) {
        if (strcmp(*list, key) == 0) {
            return true;
        }
    }
    return false;
}

static void add_value(rt_str *s, const json_t *v)
{
    if (v) {
        rt_json_append(s, v);
    } else {
        rt_str_puts(s, "absent");
    }
}

static void add_difference(rt_str *out, const char *key, const json_t *then, const json_t *now)
{
    rt_str_printf(out, "%s%s (", out->n ? ", " : "", key);
    add_value(out, then);
    rt_str_puts(out, ", now ");
    add_value(out, now);
    rt_str_putc(out, ')');
}

void rt_config_differences(rt_str *out, const json_t *then, const json_t *now, const char *const *skip)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)now, key, v)
    {
        const json_t *old = json_object_get(then, key);
        if (!listed(key, skip) && (!old || !json_equal(old, v))) {
            add_difference(out, key, old, v);
        }
    }
    json_object_foreach((json_t *)then, key, v)
    {
        if (!listed(key, skip) && !json_object_get(now, key)) {
            add_difference(out, key, v, NULL);
        }
    }
}
