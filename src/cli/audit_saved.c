/* audit_saved.c - results of one model in a folder (audit_saved.h). */
#include "cli/audit_saved.h"

#include "format/json.h"

#define MARK "results.json"

bool rt_audit_is_saved(const char *path)
{
    char *mark = rt_path_join(path, MARK);
    const bool saved = mark != NULL && rt_path_exists(mark);
    rt_free(mark);
    return saved;
}

/* The caller frees. */
static rt_status result_path(char **out, const char *dir, const char *task, rt_err *err)
{
    rt_str name = {0};
    rt_str_printf(&name, "%s.json", task);
    for (size_t i = 0; i < name.n; i++) {
        name.p[i] = name.p[i] == '/' ? '_' : name.p[i];
    }
    *out = name.failed ? NULL : rt_path_join(dir, rt_str_cstr(&name));
    rt_str_release(&name);
    return *out != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for a path");
}

rt_status rt_audit_load(rt_task_result *out, const char *dir, const char *task, rt_err *err)
{
    char *path = NULL;
    rt_status st = result_path(&path, dir, task, err);
    if (st == RT_OK) {
        st = rt_task_result_load(out, path, err);
    }
    rt_free(path);
    return st;
}

static rt_status save_mark(const char *dir, const char *model, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = rt_path_join(dir, MARK);
    json_t *mark = json_pack("{s:s}", "model", model);
    if (path == NULL || mark == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    RT_TRY(rt_json_save(mark, path, err));
out:
    json_decref(mark);
    rt_free(path);
    return st;
}

rt_status rt_audit_save(const char *dir, const char *name, const char *model, const rt_task_result *results, size_t n,
                        rt_err *err)
{
    rt_status st = RT_OK;
    char *own = rt_path_join(dir, name), *path = NULL;
    if (own == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    RT_TRY(rt_mkdirs(own, err));
    for (size_t i = 0; i < n; i++) {
        RT_TRY(result_path(&path, own, results[i].task, err));
        RT_TRY(rt_task_result_save(&results[i], path, err));
        rt_free(path);
        path = NULL;
    }
    RT_TRY(save_mark(own, model, err));
out:
    rt_free(path);
    rt_free(own);
    return st;
}
