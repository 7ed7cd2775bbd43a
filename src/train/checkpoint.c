/* checkpoint.c - saving, finding and loading the state of training. */
#include "train/checkpoint.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define META_KEY "retort.train"
#define VERSION 1
#define KEEP_LAST 2
#define NAME_FORMAT "step-%08lld.safetensors"

char *rt_checkpoint_path(const char *dir, int64_t step)
{
    char name[48];
    snprintf(name, sizeof name, NAME_FORMAT, (long long)step);
    return rt_path_join(dir, name);
}

/* --- the directory ---------------------------------------------------------------------------------------------- */

/* Step of a checkpoint's file name, -1 for other files (temporaries have a suffix). */
static int64_t step_of_name(const char *name)
{
    char digits[24], expect[48];
    int64_t step;
    const char *dot = strstr(name, ".safetensors");
    if (strncmp(name, "step-", 5) != 0 || !dot || (size_t)(dot - name) - 5 >= sizeof digits) {
        return -1;
    }
    size_t n = (size_t)(dot - name) - 5;
    memcpy(digits, name + 5, n);
    digits[n] = 0;
    if (!rt_parse_i64(digits, &step) || step < 0) {
        return -1;
    }
    snprintf(expect, sizeof expect, NAME_FORMAT, (long long)step);
    return strcmp(expect, name) == 0 ? step : -1;
}

int64_t rt_checkpoint_before(const char *dir, int64_t below)
{
    int64_t best = -1;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        int64_t step = step_of_name(e->d_name);
        if (step < below && step > best) {
            best = step;
        }
    }
    if (d) {
        closedir(d);
    }
    return best;
}

char *rt_checkpoint_newest(const char *dir)
{
    int64_t step = rt_checkpoint_before(dir, INT64_MAX);
    return step < 0 ? NULL : rt_checkpoint_path(dir, step);
}

/* Oldest first would need a list; there are never more than a handful. */
static rt_status prune(const char *dir, int64_t newest, int64_t best, int64_t passed, rt_err *err)
{
    int kept = 0;
    for (int64_t step = newest; step >= 0; step = rt_checkpoint_before(dir, step)) {
        if (kept++ < KEEP_LAST || step == best || step == passed) {
            continue;
        }
        char *path = rt_checkpoint_path(dir, step);
        if (!path) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for the path of a checkpoint");
        }
        rt_status st = rt_path_remove(path, err);
        rt_free(path);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

/* --- state as JSON ---------------------------------------------------------------------------------------------- */

/* JSON has no infinity: an unknown KL is null. */
static json_t *number_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static bool set_optional(json_t *j, const char *key, json_t *value)
{
    return !value || json_object_set(j, key, value) == 0;
}

static json_t *state_to_json(const rt_checkpoint *c)
{
    const rt_train_counts *n = &c->counts;
    json_t *j = json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I}, s:f, s:f, s:b, s:b, s:s}", "version", VERSION,
                          "step", (json_int_t)n->step, "tokens", (json_int_t)n->tokens, "rows", (json_int_t)n->rows,
                          "missing", (json_int_t)n->missing, "negligible", (json_int_t)n->negligible, "cursor", "epoch",
                          (json_int_t)n->cursor.epoch, "index", (json_int_t)n->cursor.index, "active", n->active, "cpu",
                          n->cpu, "mixed", (int)n->mixed, "finished", (int)n->finished, "stopped", n->stopped);
    json_t *measured = json_pack(
        "{s:o, s:o, s:I, s:o, s:o, s:I, s:o, s:o, s:I}", "first_loss", number_or_null(n->first_loss), "last_loss",
        number_or_null(n->last_loss), "best_step", (json_int_t)n->best_step, "best_kl", number_or_null(n->best_kl),
        "best_top1", number_or_null(n->best_top1), "validated_step", (json_int_t)n->validated_step, "last_kl",
        number_or_null(n->last_kl), "last_top1", number_or_null(n->last_top1), "stale", (json_int_t)n->stale);
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

static rt_status state_from_json(rt_checkpoint *c, const char *path, rt_err *err)
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

void rt_checkpoint_release(rt_checkpoint *c)
{
    json_decref(c->doc);
    *c = (rt_checkpoint){0};
}

/* What is kept of a projection, by the prefix of its tensors. */
static const char *const projection_parts[] = {"", "optimizer.m.", "optimizer.v."};

/* --- saving ----------------------------------------------------------------------------------------------------- */

static void add_moment(rt_st_writer *w, const char *prefix, const rt_param *p, const float *block)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, p->name);
    rt_st_add(w, name, RT_F32, p->n_dims, p->dims, block + p->offset);
}

static void add_projections(rt_st_writer *w, const rt_projections *all)
{
    for (int i = 0; all && i < all->n; i++) {
        const rt_projection *p = &all->list[i];
        const float *const parts[] = {p->w, p->m, p->v};
        for (int k = 0; k < 3; k++) {
            char name[128];
            snprintf(name, sizeof name, "%s%s", projection_parts[k], p->name);
            rt_st_add(w, name, RT_F32, 2, p->dims, parts[k]);
        }
    }
}

static rt_status write_file(const char *path, const rt_checkpoint *c, const rt_optim *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str meta = {0};
    json_t *state = state_to_json(c);
    rt_st_writer *w = rt_st_writer_new();
    if (!state || !w) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to write checkpoint '%s'", path);
    }
    rt_json_append(&meta, state);
    if (meta.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to write checkpoint '%s'", path);
    }
    rt_st_set_meta(w, META_KEY, rt_str_cstr(&meta));
    for (size_t i = 0; i < o->model->n_params; i++) {
        const rt_param *p = &o->model->params[i];
        if (p->frozen) {
            continue; /* as the student had it */
        }
        rt_st_add(w, p->name, RT_F32, p->n_dims, p->dims, p->w);
        add_moment(w, "optimizer.m.", p, o->m);
        if (rt_optim_of(o, p) == RT_OPTIM_ADAMW) {
            add_moment(w, "optimizer.v.", p, o->v);
        }
    }
    add_projections(w, o->projections);
    RT_TRY(rt_st_write(w, path, err));
out:
    rt_st_writer_free(w);
    rt_str_release(&meta);
    json_decref(state);
    return st;
}

rt_status rt_checkpoint_save(const char *dir, const rt_checkpoint *c, const rt_optim *o, double *took, rt_err *err)
{
    rt_status st = RT_OK;
    double t0 = rt_now();
    char *path = rt_checkpoint_path(dir, c->counts.step);
    if (!path) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the path of a checkpoint");
    }
    RT_TRY(rt_mkdirs(dir, err));
    rt_crash_point("train.before_checkpoint");
    RT_TRY(write_file(path, c, o, err));
    rt_crash_point("train.checkpoint_rename");
    RT_TRY(prune(dir, c->counts.step, c->counts.best_step, c->counts.passed_step, err));
    rt_crash_point("train.after_checkpoint");
    *took = rt_now() - t0;
out:
    rt_free(path);
    return st;
}

/* --- loading ---------------------------------------------------------------------------------------------------- */

rt_status rt_checkpoint_read(const char *path, rt_checkpoint *c, rt_err *err)
{
    rt_status st = RT_OK;
    rt_safetensors *f = NULL;
    *c = (rt_checkpoint){0};
    RT_TRY(rt_safetensors_open(&f, path, err));
    const char *meta = rt_safetensors_meta(f, META_KEY);
    if (!meta) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' is no checkpoint of a training run", path);
    }
    RT_TRY(rt_json_parse(&c->doc, meta, strlen(meta), path, err));
    RT_TRY(state_from_json(c, path, err));
out:
    rt_safetensors_close(f);
    if (st != RT_OK) {
        rt_checkpoint_release(c);
    }
    return st;
}

typedef struct tensor_shape {
    const char *name;
    int n_dims;
    const int64_t *dims;
} tensor_shape;

static rt_status copy_shaped(const rt_safetensors *f, const char *path, const char *prefix, const tensor_shape *p,
                             float *dst, rt_err *err)
{
    char name[128];
    int64_t n = 1;
    snprintf(name, sizeof name, "%s%s", prefix, p->name);
    const rt_tensor_info *t = rt_safetensors_find(f, name);
    if (!t) {
        return rt_fail(err, RT_INPUT, 0, "checkpoint '%s' has no tensor '%s'", path, name);
    }
    bool fits = t->dtype == RT_F32 && t->n_dims == p->n_dims;
    for (int i = 0; fits && i < p->n_dims; i++) {
        fits = t->dims[i] == p->dims[i];
        n *= p->dims[i];
    }
    if (!fits) {
        return rt_fail(err, RT_INPUT, 0, "checkpoint '%s': tensor '%s' has another shape than the student's", path,
                       name);
    }
    memcpy(dst, t->data, (size_t)n * sizeof(float));
    return RT_OK;
}

static rt_status copy_tensor(const rt_safetensors *f, const char *path, const char *prefix, const rt_param *p,
                             float *dst, rt_err *err)
{
    return copy_shaped(f, path, prefix, &(tensor_shape){p->name, p->n_dims, p->dims}, dst, err);
}

static rt_status copy_projections(const rt_safetensors *f, const char *path, const rt_projections *all, rt_err *err)
{
    rt_status st = RT_OK;
    for (int i = 0; all && i < all->n; i++) {
        const rt_projection *p = &all->list[i];
        float *const parts[] = {p->w, p->m, p->v};
        for (int k = 0; k < 3; k++) {
            RT_TRY(copy_shaped(f, path, projection_parts[k], &(tensor_shape){p->name, 2, p->dims}, parts[k], err));
        }
    }
out:
    return st;
}

static rt_status restore(const char *path, rt_model *m, rt_optim *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_safetensors *f = NULL;
    RT_TRY(rt_safetensors_open(&f, path, err));
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (p->frozen) {
            continue;
        }
        RT_TRY(copy_tensor(f, path, "", p, p->w, err));
        if (o) {
            RT_TRY(copy_tensor(f, path, "optimizer.m.", p, o->m + p->offset, err));
        }
        if (o && rt_optim_of(o, p) == RT_OPTIM_ADAMW) {
            RT_TRY(copy_tensor(f, path, "optimizer.v.", p, o->v + p->offset, err));
        }
    }
    if (o) {
        RT_TRY(copy_projections(f, path, o->projections, err));
    }
    rt_model_refresh(m);
out:
    rt_safetensors_close(f);
    return st;
}

rt_status rt_checkpoint_restore(const char *path, const rt_checkpoint *c, rt_optim *o, rt_err *err)
{
    o->t = c->counts.step;
    return restore(path, o->model, o, err);
}

rt_status rt_checkpoint_restore_weights(const char *path, rt_model *m, rt_err *err)
{
    return restore(path, m, NULL, err);
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
