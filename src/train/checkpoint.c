/* checkpoint.c - saving, finding and loading the state of training. */
#include "train/checkpoint_impl.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define META_KEY "retort.train"
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
    json_t *state = rt_checkpoint_to_json(c);
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
    RT_TRY(rt_checkpoint_from_json(c, path, err));
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
