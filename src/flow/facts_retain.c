/* What a run retained, as found at the end, and what that cost in fidelity beside a run without it. */
#include <math.h>

#include "format/json.h"
#include "flow/facts.h"

/* Mean KL to the teacher of the student that ships; NAN: not measured. */
static double kl_of(const json_t *models)
{
    const json_t *fidelity = json_object_get(rt_facts_model(models, "student"), "fidelity");
    return rt_json_f64(json_object_get(fidelity, "kl"), "mean", NAN);
}

static double kl_of_run(const char *dir)
{
    json_t *audit = NULL;
    char *path = rt_path_join(dir, "audit/models.json");
    const bool there = path != NULL && rt_path_exists(path) && rt_json_load(&audit, path, NULL) == RT_OK;
    const double kl = there ? kl_of(json_object_get(audit, "models")) : NAN;
    json_decref(audit);
    rt_free(path);
    return kl;
}

json_t *rt_facts_retain(const rt_flow *f, const json_t *train, const json_t *models)
{
    const json_t *found = json_object_get(train, "retain");
    const char *beside = f->recipe.retain.beside;
    if (found == NULL) {
        return NULL;
    }
    json_t *j = json_deep_copy(found);
    const double kl = kl_of(models), without = beside != NULL ? kl_of_run(beside) : NAN;
    json_object_set_new(j, "kl", rt_number_json(kl));
    if (beside != NULL) {
        json_object_set_new(j, "beside", json_string(rt_path_base(beside)));
        json_object_set_new(j, "kl_without", rt_number_json(without));
        json_object_set_new(j, "price", rt_number_json(kl / without - 1));
    }
    return j;
}
