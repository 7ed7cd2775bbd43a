/* Opening and closing the state of a run, its lock, and its paths. */
#include "flow/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "flow/leftovers.h"

char *rt_flow_path(const rt_flow *f, const char *name)
{
    return rt_path_join(f->dir, name);
}

rt_status rt_flow_path_to(const rt_flow *f, const char *name, char **out, rt_err *err)
{
    *out = rt_flow_path(f, name);
    return *out != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "out of memory");
}

rt_status rt_flow_save_json(rt_flow *f, const char *stage, const char *name, const json_t *j, rt_err *err)
{
    char *path = NULL;
    rt_status st = rt_flow_path_to(f, name, &path, err);
    if (st == RT_OK) {
        st = rt_json_save(j, path, err);
    }
    rt_free(path);
    return st == RT_OK ? rt_manifest_add_output(&f->manifest, stage, name, err) : st;
}

rt_status rt_flow_tick(rt_flow *f, const char *stage, rt_err *err)
{
    rt_leftovers_seen(f, stage);
    return rt_manifest_tick(&f->manifest, stage, err);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* Held until the flow is closed or the process dies. */
static rt_status lock(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = NULL;
    RT_TRY(rt_flow_path_to(f, ".lock", &path, err));
    f->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (f->lock_fd < 0) {
        RT_FAIL_OUT(err, RT_IO, 0, "cannot open '%s': %s", path, strerror(errno));
    }
    f->locked = true;
    if (flock(f->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        RT_FAIL_OUT(err, RT_IO, 0, "run directory '%s' is in use by another process", f->dir);
    }
out:
    rt_free(path);
    return st;
}

/* Nothing of the directory is read before the lock is held. */
static rt_status open_for_writing(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = NULL;
    RT_TRY(lock(f, err));
    RT_TRY(rt_flow_path_to(f, ".hashes.json", &f->hashes, err));
    RT_TRY(rt_flow_path_to(f, "run.json", &path, err));
    RT_TRY(rt_manifest_load_or_new(&f->manifest, path, f->recipe.name, err));
out:
    rt_free(path);
    return st;
}

static rt_status load_recipe(rt_flow *f, const char *path, const rt_flow_options *o, rt_err *err)
{
    const rt_status st = rt_run_recipe_load(&f->recipe, path, o->sets, o->n_sets, err);
    f->threads_before = rt_team_threads();
    if (st == RT_OK && f->recipe.threads > 0) {
        rt_team_set_threads(f->recipe.threads);
    }
    return st;
}

rt_status rt_flow_keep_recipe(const rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str canonical = {0};
    char *path = NULL;
    RT_TRY(rt_flow_path_to(f, "recipe.yaml", &path, err));
    rt_recipe_print(&canonical, f->recipe.json);
    RT_TRY(rt_file_write(path, rt_str_cstr(&canonical), canonical.n, err));
out:
    rt_str_release(&canonical);
    rt_free(path);
    return st;
}

rt_status rt_flow_open(rt_flow *f, const rt_flow_options *o, bool writes, rt_err *err)
{
    rt_status st = RT_OK;
    f->o = o;
    RT_TRY(load_recipe(f, o->recipe, o, err));
    f->dir = rt_path_join(o->runs_dir != NULL ? o->runs_dir : "runs", f->recipe.name);
    if (f->dir == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (writes) {
        RT_TRY(rt_mkdirs(f->dir, err));
        RT_TRY(open_for_writing(f, err));
    }
out:
    return st;
}

rt_status rt_flow_reopen(rt_flow *f, const char *run_dir, rt_err *err)
{
    static const rt_flow_options none = {0};
    rt_status st = RT_OK;
    char *recipe = NULL, *manifest = NULL;
    size_t n = strlen(run_dir);
    while (n > 1 && run_dir[n - 1] == '/') {
        n--;
    }
    f->o = &none;
    f->dir = rt_strndup(run_dir, n);
    if (f->dir == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_flow_path_to(f, "run.json", &manifest, err));
    RT_TRY(rt_flow_path_to(f, "recipe.yaml", &recipe, err));
    if (!rt_path_exists(manifest) || !rt_path_exists(recipe)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "'%s' is no run directory: it has no run.json or no recipe.yaml", f->dir);
    }
    RT_TRY(load_recipe(f, recipe, &none, err));
    RT_TRY(open_for_writing(f, err));
out:
    rt_free(recipe);
    rt_free(manifest);
    return st;
}

void rt_flow_close(rt_flow *f)
{
    rt_flow_drop_texts(f);
    rt_model_close(f->teacher);
    rt_tokenizer_close(f->tokenizer);
    rt_permit_free(f->permit);
    rt_permit_free(f->weights_permit);
    rt_evidence_release(&f->evidence);
    rt_manifest_release(&f->manifest);
    rt_run_recipe_release(&f->recipe);
    rt_free(f->kept);
    rt_free(f->hashes);
    rt_free(f->dir);
    if (f->locked) {
        close(f->lock_fd);
    }
    if (f->threads_before > 0) {
        rt_team_set_threads(f->threads_before);
    }
}
