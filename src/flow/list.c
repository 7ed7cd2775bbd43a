/* Runs on disk: their list, and the page of one written again. */
#include <string.h>

#include "flow/state.h"

/* The run's worst stage speaks for it; all done: done. */
static const char *state_of(const json_t *root)
{
    static const char *const order[] = {"done", "pending", "interrupted", "running", "failed"};
    size_t worst = 0, i;
    json_t *stage;
    json_array_foreach(json_object_get(root, "stages"), i, stage)
    {
        const char *s = rt_json_str(stage, "state", "pending");
        for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
            worst = strcmp(s, order[k]) == 0 && k > worst ? k : worst;
        }
    }
    return order[worst];
}

static json_t *entry_of(const char *dir, const json_t *root)
{
    double active = 0;
    size_t i;
    json_t *stage, *stages = json_object();
    json_array_foreach(json_object_get(root, "stages"), i, stage)
    {
        active += rt_json_f64(stage, "active_s", 0);
        json_object_set_new(stages, rt_json_str(stage, "name", "?"),
                            json_string(rt_json_str(stage, "state", "pending")));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:o}", "name", rt_json_str(root, "name", rt_path_base(dir)), "dir", dir,
                     "state", state_of(root), "created", rt_json_str(root, "created", ""), "active_s", active, "stages",
                     stages);
}

rt_status rt_flow_list(const char *runs_dir, json_t **out, rt_err *err)
{
    char **names;
    size_t n;
    const char *dir = runs_dir != NULL ? runs_dir : "runs";
    *out = json_array();
    if (!rt_path_exists(dir)) {
        return RT_OK; /* nothing was run yet */
    }
    const rt_status st = rt_dir_names(dir, &names, &n, err);
    for (size_t i = 0; st == RT_OK && i < n; i++) {
        char *run = names[i][0] != '.' ? rt_path_join(dir, names[i]) : NULL;
        char *manifest = run != NULL ? rt_path_join(run, "run.json") : NULL;
        json_t *root = NULL;
        if (manifest != NULL && rt_path_exists(manifest) && rt_json_load(&root, manifest, NULL) == RT_OK) {
            json_array_append_new(*out, entry_of(run, root));
        }
        json_decref(root);
        rt_free(manifest);
        rt_free(run);
    }
    if (st == RT_OK) {
        rt_dir_names_free(names, n);
    }
    return st;
}

rt_status rt_flow_report(const char *run_dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_flow f = {0};
    RT_TRY(rt_flow_reopen(&f, run_dir, err));
    if (!rt_split_parse(rt_manifest_get(&f.manifest, "plan"), &f.split)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "'%s' has no plan yet: nothing was carried out in it", run_dir);
    }
    RT_TRY(rt_flow_gate(&f, err));
    RT_TRY(rt_stage_report(&f, err));
    RT_TRY(rt_manifest_save(&f.manifest, err));
out:
    rt_flow_close(&f);
    return st;
}
