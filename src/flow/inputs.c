/* What each result of a run depends on: parts of the recipe, what the plan made of them, and the files they name. */
#include "flow/inputs.h"

#include <string.h>

static json_t *file_digests(const rt_flow *f, const char *const *paths, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        rt_digest d;
        char hex[65] = "absent";
        if (rt_file_sha256(paths[i], f->hashes, &d, NULL) == RT_OK) {
            rt_digest_hex(d, hex);
        }
        json_array_append_new(out, json_string(hex));
    }
    return out;
}

static json_t *part(const rt_flow *f, const char *key)
{
    json_t *v = json_object_get(f->recipe.json, key);
    return v != NULL ? json_deep_copy(v) : json_null();
}

/* What is taught beside the data. NULL, which is left out: nothing is. */
static json_t *taught(const rt_flow *f)
{
    const rt_retain_spec *r = &f->recipe.retain;
    if (r->n_prompts == 0) {
        return NULL;
    }
    return json_pack("{s:b, s:i, s:I, s:o}", "policy", (int)r->policy, "split", (int)r->split, "new_tokens",
                     (json_int_t)r->new_tokens, "prompts", file_digests(f, r->prompts, r->n_prompts));
}

/* How much that counts, and what is watched of it; a watched task may be a file. */
static json_t *retained(const rt_flow *f)
{
    const rt_retain_spec *r = &f->recipe.retain;
    const char *watched[2 * RT_WATCHED];
    for (size_t i = 0; i < r->n_watch; i++) {
        watched[2 * i] = r->watch[i].data;
        watched[2 * i + 1] = r->watch[i].task;
    }
    if (r->n_prompts == 0) {
        return NULL;
    }
    json_t *block = part(f, "retain");
    json_object_del(block, "beside"); /* only the page asks for it */
    return json_pack("{s:o, s:o}", "retain", block, "watched", file_digests(f, watched, 2 * r->n_watch));
}

/* How answers are read and kept is the filter's; documents beside the prompts are collect's. */
json_t *rt_inputs_answers(const rt_flow *f)
{
    const rt_run_recipe *r = &f->recipe;
    const char *served = rt_flow_is_served(f) ? r->server.model : NULL, *form = r->chat_form;
    const rt_sampling *s = &r->sampling;
    return json_pack("{s:s, s:s*, s:s*, s:[f, f, f, I, I], s:i, s:I, s:I, s:o, s:o, s:s}", "teacher", f->teacher_sha,
                     "served", served, "template", form, "sampling", s->temperature, s->top_p, s->min_p,
                     (json_int_t)s->top_k, (json_int_t)s->seed, "n", r->answers, "new_tokens",
                     (json_int_t)r->new_tokens, "most", (json_int_t)f->split.prompts, "prompts",
                     file_digests(f, r->prompts, r->n_prompts), "held_out", file_digests(f, r->held_out, r->n_held_out),
                     "precision", r->precision);
}

static bool is_file_task(const char *name)
{
    return rt_path_exists(name) && !rt_path_is_dir(name);
}

json_t *rt_inputs_filter(const rt_flow *f)
{
    const rt_run_recipe *r = &f->recipe;
    return json_pack("{s:O, s:o, s:I}", "answers", json_object_get(r->json, "answers"), "task",
                     is_file_task(r->task) ? file_digests(f, &r->task, 1) : json_null(), "sequence",
                     (json_int_t)r->sequence);
}

/* Without a file for it the held-out text comes out of the text, and is not collected. */
json_t *rt_inputs_collect(const rt_flow *f)
{
    const char *served = rt_flow_is_served(f) ? f->recipe.server.model : NULL;
    return json_pack("{s:s, s:s*, s:o*, s:o, s:I, s:I, s:I, s:o, s:b, s:s}", "teacher", f->teacher_sha, "served",
                     served, "retained", taught(f), "collect", part(f, "collect"), "tokens",
                     (json_int_t)f->split.collect_tokens, "sequence", (json_int_t)f->recipe.sequence, "seed",
                     (json_int_t)f->recipe.seed, "text", file_digests(f, f->recipe.text, f->recipe.n_text), "held_out",
                     (int)(f->recipe.n_valid == 0), "precision", f->recipe.precision);
}

json_t *rt_inputs_init(const rt_flow *f)
{
    const rt_run_recipe *r = &f->recipe;
    const bool random = strcmp(r->init, "random") == 0;
    json_t *ranking = r->ranking != NULL ? file_digests(f, &r->ranking, 1) : NULL;
    json_t *importance = r->importance != NULL ? file_digests(f, &r->importance, 1) : NULL;
    return json_pack("{s:s, s:o, s:o*, s:o*, s:o*}", "teacher", rt_permit_model_sha256(rt_flow_weights_permit(f)),
                     "student", part(f, "student"), "seed", random ? json_integer((json_int_t)r->seed) : NULL,
                     "ranking", ranking, "importance", importance);
}

json_t *rt_inputs_train(const rt_flow *f)
{
    const rt_own_text_spec *own = &f->recipe.own_text;
    json_t *prompts = own->n_prompts > 0 ? file_digests(f, own->prompts, own->n_prompts) : NULL;
    return json_pack("{s:o, s:f, s:I, s:o, s:I, s:o*, s:o*}", "train", part(f, "train"), "seconds",
                     f->split.train_seconds, "tokens", (json_int_t)f->split.train_tokens, "valid",
                     file_digests(f, f->recipe.valid, f->recipe.n_valid), "held_out",
                     (json_int_t)rt_flow_held_out_tokens(f), "prompts", prompts, "retained", retained(f));
}

/* Its length is the student's, which a budget in seconds decides only while training. */
json_t *rt_inputs_twin(const rt_flow *f)
{
    json_t *student = NULL;
    char *path = rt_flow_path(f, "student/train.json");
    const bool known = path != NULL && rt_path_exists(path) && rt_json_load(&student, path, NULL) == RT_OK;
    json_t *j = json_pack("{s:I}", "tokens", (json_int_t)(known ? rt_json_i64(student, "tokens", 0) : 0));
    json_decref(student);
    rt_free(path);
    return j;
}

json_t *rt_inputs_export(const rt_flow *f)
{
    return json_pack("{s:o, s:s}", "export", part(f, "export"), "name", f->recipe.name);
}

json_t *rt_inputs_audit(const rt_flow *f)
{
    return json_pack("{s:o, s:I, s:I, s:o}", "audit", part(f, "audit"), "tokens", (json_int_t)f->split.audit_tokens,
                     "limit", (json_int_t)f->split.audit_limit, "data",
                     file_digests(f, (const char *const *)f->recipe.task_data, f->recipe.n_tasks));
}

json_t *rt_inputs_report(const rt_flow *f)
{
    return json_pack("{s:O}", "recipe", f->recipe.json);
}

/* The audit's size is left out: it follows from the recipe and the measured pace each time (split.c), for another audit
 * is no reason to train again. Without a budget nothing is measured and the rest follows from the recipe alone. */
json_t *rt_inputs_plan(const rt_flow *f)
{
    const rt_run_recipe *r = &f->recipe;
    json_t *prompts = rt_flow_has_prompts(f) ? file_digests(f, r->prompts, r->n_prompts) : NULL;
    if (r->budget == 0) {
        json_decref(prompts);
        return json_pack("{s:s, s:o, s:I, s:I, s:I}", "teacher", f->teacher_sha, "student", part(f, "student"),
                         "collect_tokens", (json_int_t)r->collect_tokens, "train_tokens", (json_int_t)r->tokens,
                         "sequence", (json_int_t)r->sequence);
    }
    json_t *answers = prompts != NULL ? json_pack("[o, i, I]", prompts, r->answers, (json_int_t)r->new_tokens) : NULL;
    return json_pack("{s:s, s:o, s:f, s:I, s:o, s:I, s:I, s:I, s:s, s:b, s:o*, s:O*, s:o*}", "teacher", f->teacher_sha,
                     "student", part(f, "student"), "budget", r->budget, "collect_tokens",
                     (json_int_t)r->collect_tokens, "text", file_digests(f, r->text, r->n_text), "train_tokens",
                     (json_int_t)r->tokens, "batch_tokens", (json_int_t)r->batch_tokens, "sequence",
                     (json_int_t)r->sequence, "precision", r->precision, "twin", (int)r->twin, "answers", answers,
                     "on_policy", json_object_get(json_object_get(r->json, "train"), "on_policy"), "layers",
                     rt_losses_compare_layers(r->losses, r->n_losses) ? json_true() : NULL);
}

rt_status rt_inputs_digest(const char *before, const char *what, json_t *inputs, char hex[65], rt_err *err)
{
    rt_str text = {0};
    if (inputs == NULL) {
        return rt_fail(err, RT_INTERNAL, 0, "inputs of '%s' cannot be described", what);
    }
    rt_str_printf(&text, "%s %s ", before, what);
    rt_json_append(&text, inputs);
    json_decref(inputs);
    const bool failed = text.failed;
    rt_digest_hex(rt_sha256_of(rt_str_cstr(&text), text.n), hex);
    rt_str_release(&text);
    return failed ? rt_fail(err, RT_MEMORY, 0, "out of memory") : RT_OK;
}
