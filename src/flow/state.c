/* Opening and closing the state of a run, and its paths. */
#include "flow/state.h"

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

rt_status rt_flow_open(rt_flow *f, const rt_flow_options *o, bool writes, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str canonical = {0};
    char *path = NULL;
    f->o = o;
    RT_TRY(rt_run_recipe_load(&f->recipe, o->recipe, o->sets, o->n_sets, err));
    if (f->recipe.threads > 0) {
        rt_team_set_threads(f->recipe.threads);
    }
    f->dir = rt_path_join(o->runs_dir != NULL ? o->runs_dir : "runs", f->recipe.name);
    if (f->dir == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (writes) {
        RT_TRY(rt_mkdirs(f->dir, err));
        RT_TRY(rt_flow_path_to(f, "run.json", &path, err));
        RT_TRY(rt_manifest_load_or_new(&f->manifest, path, f->recipe.name, err));
        rt_free(path);
        RT_TRY(rt_flow_path_to(f, "recipe.yaml", &path, err));
        rt_recipe_print(&canonical, f->recipe.json);
        RT_TRY(rt_file_write(path, rt_str_cstr(&canonical), canonical.n, err));
    }
out:
    rt_str_release(&canonical);
    rt_free(path);
    return st;
}

void rt_flow_close(rt_flow *f)
{
    rt_packed_release(&f->packed);
    rt_corpus_release(&f->valid);
    rt_corpus_release(&f->text);
    rt_model_close(f->teacher);
    rt_tokenizer_close(f->tokenizer);
    rt_permit_free(f->permit);
    json_decref(f->ruling);
    rt_evidence_release(&f->evidence);
    rt_licence_table_close(f->licences);
    rt_manifest_release(&f->manifest);
    rt_run_recipe_release(&f->recipe);
    rt_free(f->dir);
}
