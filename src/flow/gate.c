/* The gate, before the teacher is opened: whose model is it, on what terms, and may these uses be made of it. */
#include <string.h>

#include "flow/permit.h"
#include "flow/state.h"

bool rt_flow_is_served(const rt_flow *f)
{
    return f->recipe.server.url != NULL;
}

const rt_permit *rt_flow_weights_permit(const rt_flow *f)
{
    return f->weights_permit != NULL ? f->weights_permit : f->permit;
}

static bool is_planned(const rt_flow *f)
{
    return f->manifest.root == NULL;
}

rt_served_ask rt_flow_served_ask(const rt_flow *f, const char *dir)
{
    return (rt_served_ask){.server = f->recipe.server,
                           .licence = f->recipe.licence,
                           .base_model = f->recipe.base_model,
                           .weights = f->recipe.teacher,
                           .dir = dir,
                           .decisions = f->dir,
                           .accept = f->o->accept_licence,
                           .reason = f->o->accept_reason,
                           .planned = is_planned(f),
                           .grant = f->recipe.grant,
                           .noncommercial = f->recipe.noncommercial};
}

/* A model that is not the teacher, whose weights the student begins with. */
static rt_status judge_weights(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_permit_ask ask = {.model = f->recipe.from,
                               .uses = RT_USE_DERIVE_WEIGHTS,
                               .dir = f->dir,
                               .accept = f->o->accept_licence,
                               .reason = f->o->accept_reason,
                               .planned = is_planned(f),
                               .grant = f->recipe.grant,
                               .noncommercial = f->recipe.noncommercial,
                               .hashes = f->hashes};
    RT_TRY(rt_permit_get(&f->weights_permit, &ask, NULL, err));
    if (!is_planned(f)) {
        RT_TRY(rt_manifest_set(&f->manifest, "weights_permit", (json_t *)rt_permit_json(f->weights_permit), err));
    }
out:
    return st;
}

/* On what is declared; once the server was asked, its own name for the model counts again. */
static rt_status judge_served(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    char *dir = NULL, *path = NULL;
    json_t *before = NULL;
    RT_TRY(rt_flow_path_to(f, "cache", &dir, err));
    RT_TRY(rt_flow_path_to(f, "cache/endpoint.json", &path, err));
    if (rt_path_exists(path)) {
        RT_TRY(rt_json_load(&before, path, err));
    }
    const rt_served_ask ask = rt_flow_served_ask(f, dir);
    f->weights_permit = f->permit;
    f->permit = NULL;
    if (!is_planned(f)) {
        RT_TRY(rt_manifest_set(&f->manifest, "weights_permit", (json_t *)rt_permit_json(f->weights_permit), err));
    }
    RT_TRY(rt_served_permit(&f->permit, &ask, rt_json_str(before, "served", NULL), ask.accept, err));
out:
    json_decref(before);
    rt_free(dir);
    rt_free(path);
    return st;
}

rt_status rt_flow_gate(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const bool served = rt_flow_is_served(f);
    const bool apart = strcmp(f->recipe.from, f->recipe.teacher) != 0; /* no weights of the teacher's */
    const bool random = strcmp(f->recipe.init, "random") == 0;
    const unsigned derive = random && !served && !apart ? 0u : RT_USE_DERIVE_WEIGHTS;
    if (!rt_path_exists(f->recipe.teacher)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "%s '%s' does not exist; run ./quickstart or make fetch, or name another %s",
                    served ? "model" : "teacher", f->recipe.teacher, served ? "student.from" : "teacher.model");
    }
    if (!rt_path_exists(f->recipe.from)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "'student.from' names '%s', which does not exist", f->recipe.from);
    }
    const rt_permit_ask ask = {
        .model = f->recipe.teacher,
        .uses = served ? derive : RT_USE_TRAIN_ON_OUTPUTS | (apart ? 0u : derive),
        .dir = f->dir,
        .accept = f->o->accept_licence,
        .reason = f->o->accept_reason,
        .planned = is_planned(f),
        .grant = f->recipe.grant,
        .noncommercial = f->recipe.noncommercial,
        .hashes = f->hashes,
    };
    RT_TRY(rt_permit_get(&f->permit, &ask, &f->evidence, err));
    snprintf(f->teacher_sha, sizeof f->teacher_sha, "%s", rt_permit_model_sha256(f->permit));
    if (served) {
        RT_TRY(judge_served(f, err));
    } else if (apart) {
        RT_TRY(judge_weights(f, err));
    }
    if (!is_planned(f)) {
        RT_TRY(rt_manifest_set(&f->manifest, "permit", (json_t *)rt_permit_json(f->permit), err));
    }
    rt_log(RT_LOG_INFO, "gate: %s, licence %s: %s", rt_permit_model(f->permit), rt_permit_licence(f->permit),
           rt_verdict_name(rt_permit_verdict(f->permit)));
out:
    return st;
}

rt_status rt_flow_take_permit(rt_flow *f, rt_permit **permit, rt_err *err)
{
    rt_permit_free(f->permit);
    f->permit = *permit;
    *permit = NULL;
    return rt_manifest_set(&f->manifest, "permit", (json_t *)rt_permit_json(f->permit), err);
}
