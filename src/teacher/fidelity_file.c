/* fidelity_file.c - what was found of a teacher's fidelity: judged, told, kept beside the cache. */
#include <math.h>
#include <string.h>

#include "format/json.h"
#include "teacher/cache_shard.h"
#include "teacher/fidelity.h"

#define FILE_NAME "fidelity.json"

bool rt_teacher_fidelity_exceeds(const rt_teacher_fidelity *f)
{
    return f->kl.n > 0 && f->kl.mean > RT_TEACHER_KL_BOUND;
}

rt_status rt_teacher_fidelity_judge(const rt_teacher_fidelity *f, const char *name, bool accepted, rt_err *err)
{
    if (accepted || !rt_teacher_fidelity_exceeds(f)) {
        return RT_OK;
    }
    return rt_fail(err, RT_FINDING, 0,
                   "'%s' says something else here than its file: with %s products it is %.3g nats a position from the "
                   "f32 path (%lld positions), above %.2g; a student would learn the rounding. Let it speak in f32 "
                   "(--precision f32; train.precision in a recipe), or accept it with --accept-degraded-teacher "
                   "(teacher.accept_degraded)",
                   name, rt_dtype_name(f->compute), f->kl.mean, (long long)f->kl.n, RT_TEACHER_KL_BOUND);
}

json_t *rt_teacher_fidelity_json(const rt_teacher_fidelity *f)
{
    if (f->kl.n == 0) {
        return json_pack("{s:s}", "unmeasured", f->unmeasured);
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:f, s:o, s:f}", "compute", rt_dtype_name(f->compute), "reference",
                     rt_dtype_name(RT_F32), "positions", (json_int_t)f->kl.n, "pieces", (json_int_t)f->kl.clusters,
                     "kl", f->kl.mean, "stderr", rt_number_json(f->kl.stderr_), "bound", RT_TEACHER_KL_BOUND);
}

/* ---- the file ---- */

static bool parse(rt_teacher_fidelity *f, const json_t *o, const rt_cache_header *h)
{
    const double kl = rt_json_f64(o, "kl", NAN), error = rt_json_f64(o, "stderr", NAN);
    const int64_t n = rt_json_i64(o, "positions", 0), pieces = rt_json_i64(o, "pieces", 0);
    const char *why = rt_json_str(o, "unmeasured", NULL);
    if (why) {
        *f = rt_teacher_fidelity_none(why);
        return true;
    }
    *f = (rt_teacher_fidelity){.kl = {.mean = kl, .stderr_ = error, .n = n, .clusters = pieces}, .compute = h->compute};
    return isfinite(kl) && n > 0 && pieces > 0;
}

/* *found: there is one of a cache with this header. */
static rt_status load(rt_teacher_fidelity *f, bool *found, const char *dir, const rt_cache_header *h, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *root = NULL;
    char *path = rt_path_join(dir, FILE_NAME), of[65];
    *found = false;
    if (!path) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    if (!rt_path_exists(path)) {
        goto out;
    }
    RT_TRY(rt_json_load(&root, path, err));
    rt_digest_hex(rt_cache_header_hash(h), of);
    *found = strcmp(rt_json_str(root, "cache", ""), of) == 0 && parse(f, json_object_get(root, "fidelity"), h);
out:
    json_decref(root);
    rt_free(path);
    return st;
}

static rt_status save(const rt_teacher_fidelity *f, const char *dir, const rt_cache_header *h, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = rt_path_join(dir, FILE_NAME), of[65];
    rt_digest_hex(rt_cache_header_hash(h), of);
    json_t *root = json_pack("{s:s, s:o}", "cache", of, "fidelity", rt_teacher_fidelity_json(f));
    st = path && root ? rt_json_save(root, path, err) : rt_fail(err, RT_MEMORY, 0, "no memory for a path");
    json_decref(root);
    rt_free(path);
    return st;
}

rt_status rt_teacher_fidelity_take(rt_teacher_fidelity *f, const rt_model *teacher, const rt_packed *p, const char *dir,
                                   const rt_cache_header *h, rt_err *err)
{
    rt_status st = RT_OK;
    bool found;
    RT_TRY(load(f, &found, dir, h, err));
    if (!found) {
        RT_TRY(rt_teacher_fidelity_measure(f, teacher, p, err));
        RT_TRY(save(f, dir, h, err));
    }
out:
    return st;
}

rt_status rt_teacher_fidelity_kept(rt_teacher_fidelity *f, const char *dir, const rt_cache_header *h, rt_err *err)
{
    bool found;
    const rt_status st = load(f, &found, dir, h, err);
    if (st == RT_OK && !found) {
        *f = rt_teacher_fidelity_none("the cache is of a version that did not measure it");
    }
    return st;
}
