/* Which files a stage leaves, and what becomes of them when it begins again. */
#include "flow/leftovers.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Stands for the digest while files are being removed: a kill in between leaves nothing that passes for whole. */
#define CLEARING "clearing"

typedef struct traces {
    const char *stage;
    const char *files[4]; /* below the run directory */
    const char *dir;      /* all files of it but ledgers; NULL: none */
} traces;

static const traces table[] = {
    {"answers", {NULL}, "answers"},
    {"filter", {"answers/filter.json", "answers/kept.jsonl", "answers/verify.jsonl"}, NULL},
    {"collect", {"collect.json"}, "cache"},
    {"collect", {NULL}, "retain"},
    {"collect", {NULL}, "retain/cache"},
    {"train", {"metrics.jsonl", "student/train.json", "student/model.safetensors"}, "checkpoints"},
    {"train", {"on_policy/metrics.jsonl"}, "on_policy/checkpoints"},
    {"train", {NULL}, "student/adapter"},
    {"twin", {"twin/metrics.jsonl", "twin/train.json", "twin/model.safetensors"}, "twin/checkpoints"},
    {"twin", {NULL}, "twin/adapter"},
    {"audit", {NULL}, "audit"},
};

/* --- walking over them -------------------------------------------------------------------------------------------- */

typedef rt_status (*visitor)(void *ud, const char *path, rt_err *err);

static rt_status visit_dir(const rt_flow *f, const char *name, visitor visit, void *ud, rt_err *err)
{
    rt_status st = RT_OK;
    char *dir = NULL, **names = NULL;
    size_t n = 0;
    RT_TRY(rt_flow_path_to(f, name, &dir, err));
    if (rt_path_is_dir(dir)) {
        RT_TRY(rt_dir_names(dir, &names, &n, err));
    }
    for (size_t i = 0; i < n; i++) {
        char *path = rt_path_join(dir, names[i]);
        const bool ledger = strncmp(names[i], "ledger", 6) == 0; /* set aside, or kept as it is */
        st = ledger                 ? RT_OK
             : path == NULL         ? rt_fail(err, RT_MEMORY, 0, "out of memory")
             : rt_path_is_dir(path) ? RT_OK
                                    : visit(ud, path, err);
        rt_free(path);
        RT_TRY(st);
    }
out:
    rt_dir_names_free(names, n);
    rt_free(dir);
    return st;
}

static rt_status visit_file(const rt_flow *f, const char *name, visitor visit, void *ud, rt_err *err)
{
    char *path = NULL;
    rt_status st = rt_flow_path_to(f, name, &path, err);
    if (st == RT_OK && rt_path_exists(path)) {
        st = visit(ud, path, err);
    }
    rt_free(path);
    return st;
}

static rt_status visit_all(const rt_flow *f, const char *stage, visitor visit, void *ud, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const traces *t = &table[i];
        if (strcmp(t->stage, stage) != 0) {
            continue;
        }
        for (size_t k = 0; k < 4 && t->files[k] != NULL; k++) {
            RT_TRY(visit_file(f, t->files[k], visit, ud, err));
        }
        RT_TRY(t->dir != NULL ? visit_dir(f, t->dir, visit, ud, err) : RT_OK);
    }
out:
    return st;
}

/* --- removing ----------------------------------------------------------------------------------------------------- */

static rt_status remove_one(void *ud, const char *path, rt_err *err)
{
    (void)ud;
    return rt_path_remove(path, err);
}

/* Which files an export made is known from run.json alone; no name in it may lead out of the folder. */
static rt_status remove_exports(const rt_flow *f, const json_t *stage, rt_err *err)
{
    rt_status st = RT_OK;
    static const char folder[] = "export/";
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(stage, "outputs"), i, o)
    {
        const char *name = rt_json_str(o, "path", "");
        if (strncmp(name, folder, sizeof folder - 1) == 0 && strchr(name + sizeof folder - 1, '/') == NULL) {
            RT_TRY(visit_file(f, name, remove_one, NULL, err));
        }
    }
out:
    return st;
}

static rt_status move(const rt_flow *f, const char *from, const char *to, rt_err *err)
{
    rt_status st = RT_OK;
    char *a = NULL, *b = NULL;
    RT_TRY(rt_flow_path_to(f, from, &a, err));
    RT_TRY(rt_flow_path_to(f, to, &b, err));
    if (rt_path_exists(a) && rename(a, b) != 0) {
        RT_FAIL_OUT(err, RT_IO, 0, "cannot move '%s' to '%s': %s", a, b, strerror(errno));
    }
out:
    rt_free(a);
    rt_free(b);
    return st;
}

/* What the teacher was made to say stays on record. Salts first: the number is free until the ledger itself has it.
 * `folder` of the ledger, with a slash behind, or "". */
static rt_status set_ledger_aside(const rt_flow *f, const char *folder, rt_err *err)
{
    rt_status st = RT_OK;
    char ledger[48], salts[48], now[2][48], *path = NULL;
    bool taken = true, there;
    snprintf(now[0], sizeof now[0], "%sledger.jsonl", folder);
    snprintf(now[1], sizeof now[1], "%sledger.salts", folder);
    RT_TRY(rt_flow_path_to(f, now[0], &path, err));
    there = rt_path_exists(path);
    for (int n = 1; there && taken; n++) {
        rt_free(path);
        snprintf(ledger, sizeof ledger, "%sledger-%d.jsonl", folder, n);
        snprintf(salts, sizeof salts, "%sledger-%d.salts", folder, n);
        RT_TRY(rt_flow_path_to(f, ledger, &path, err));
        taken = rt_path_exists(path);
    }
    if (there) {
        RT_TRY(move(f, now[1], salts, err));
        RT_TRY(move(f, now[0], ledger, err));
        rt_log(RT_LOG_INFO, "the ledger so far is kept as %s", ledger);
    }
out:
    rt_free(path);
    return st;
}

rt_status rt_leftovers_clear(rt_flow *f, const char *stage, const char *inputs, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *s = rt_manifest_stage(&f->manifest, stage);
    const char *before = rt_json_str(s, "inputs", "");
    if (*before == '\0' || strcmp(before, inputs) == 0) {
        return RT_OK;
    }
    rt_log(RT_LOG_INFO, "%s: its inputs have changed, what it left is removed", stage);
    if (json_object_set_new(s, "inputs", json_string(CLEARING)) != 0 ||
        json_object_set_new(s, "state", json_string("pending")) != 0) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (strcmp(stage, "train") == 0) {
        (void)json_object_del(f->manifest.root, "ledgers"); /* the marks of training's own */
    } else if (strcmp(stage, "collect") == 0) {
        (void)json_object_del(f->manifest.root, "ledger");
    }
    RT_TRY(rt_manifest_save(&f->manifest, err));
    if (strcmp(stage, "answers") == 0) {
        RT_TRY(set_ledger_aside(f, "answers/", err));
    } else if (strcmp(stage, "train") == 0) {
        RT_TRY(set_ledger_aside(f, "on_policy/", err));
    } else if (strcmp(stage, "collect") == 0) {
        RT_TRY(set_ledger_aside(f, "", err));
        RT_TRY(set_ledger_aside(f, "retain/", err));
    } else if (strcmp(stage, "export") == 0) {
        RT_TRY(remove_exports(f, s, err));
    }
    RT_TRY(visit_all(f, stage, remove_one, NULL, err));
out:
    return st;
}

/* --- their time --------------------------------------------------------------------------------------------------- */

/* Wall clock, as files have it: the attempt it dates may have been another process. */
static double wall_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static rt_status newest_of(void *ud, const char *path, rt_err *err)
{
    struct stat sb;
    double *newest = ud;
    (void)err;
    if (stat(path, &sb) == 0) {
        const double at = (double)sb.st_mtim.tv_sec + 1e-9 * (double)sb.st_mtim.tv_nsec;
        *newest = at > *newest ? at : *newest;
    }
    return RT_OK;
}

void rt_leftovers_account(rt_flow *f, const char *stage)
{
    json_t *s = rt_manifest_stage(&f->manifest, stage);
    const double seen = rt_json_f64(s, "seen_at", 0);
    double newest = seen;
    if (strcmp(rt_json_str(s, "state", ""), "interrupted") == 0 && seen > 0 &&
        visit_all(f, stage, newest_of, &newest, NULL) == RT_OK && newest > seen) {
        const double active = rt_json_f64(s, "active_s", 0) + newest - seen;
        json_object_set_new(s, "active_s", json_real(active));
        rt_log(RT_LOG_INFO, "%s: %.1f s of an attempt that was killed are counted", stage, newest - seen);
    }
    rt_leftovers_seen(f, stage);
}

void rt_leftovers_seen(rt_flow *f, const char *stage)
{
    json_object_set_new(rt_manifest_stage(&f->manifest, stage), "seen_at", json_real(wall_now()));
}

void rt_leftovers_closed(rt_flow *f, const char *stage)
{
    json_object_del(rt_manifest_stage(&f->manifest, stage), "seen_at");
}
