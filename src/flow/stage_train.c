/* Training the student from the cache, and its twin that sees the same tokens in the same order without the teacher. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/heldout.h"
#include "flow/facts.h"
#include "flow/lineage.h"
#include "flow/measured.h"
#include "flow/own_text.h"
#include "flow/retain.h"
#include "flow/student.h"

typedef struct training {
    rt_flow *f;
    const char *stage, *dir; /* "student" or "twin": below the run directory */
    const rt_train_loss *losses;
    int n_losses;
    double budget;
    int64_t tokens;
    bool to_the_end; /* no validation may end it sooner */
    rt_heldout *heldout;
    bool retains; /* what the recipe says must not be lost */
    rt_flow_retain retain;
    bool writes;                  /* a phase on the student's own text follows */
    json_t *own;                  /* what is said of it */
    int layer_map[RT_MAX_LAYERS]; /* of a cut: the teacher's layers that stayed */
    bool mapped;
} training;

static rt_status validate(void *ud, const rt_model *m, double *kl, double *top1, rt_err *err)
{
    const training *t = ud;
    rt_fidelity fid;
    const rt_status st = rt_heldout_measure(t->heldout, m, &fid, err);
    if (st == RT_OK) {
        *kl = fid.kl.mean;
        *top1 = fid.top1.mean;
    }
    return st == RT_OK ? rt_flow_tick(t->f, t->stage, err) : st;
}

static rt_train_options options_of(const training *t, const char *run_dir)
{
    const rt_run_recipe *r = &t->f->recipe;
    rt_train_options o = rt_train_default();
    o.run_dir = run_dir;
    memcpy(o.losses, t->losses, (size_t)t->n_losses * sizeof *t->losses);
    o.n_losses = t->n_losses;
    o.budget = t->budget;
    o.tokens = t->tokens;
    o.batch_tokens = r->batch_tokens;
    (void)rt_schedule_from_name(r->schedule, &o.schedule);
    (void)rt_optim_from_name(r->optimizer, &o.optim.kind);
    (void)rt_recompute_from_name(r->recompute, &o.recompute);
    o.lr = r->lr;
    o.warmup = (int64_t)r->warmup_steps;
    o.decay = r->decay;
    o.optim.weight_decay = r->weight_decay;
    o.optim.clip = r->clip;
    o.seed = r->seed;
    o.validate = t->heldout != NULL ? validate : NULL;
    o.validate_ud = (void *)t;
    o.eval_every = t->to_the_end ? 0 : r->eval_every;
    o.patience = t->to_the_end ? 0 : r->patience;
    o.retain = t->retains ? &t->retain.options : NULL;
    o.layer_map = t->mapped ? t->layer_map : NULL;
    return o;
}

/* The twin never saw the teacher's distributions, but its texts may be the teacher's answers. */
static rt_status save_lineage(const training *t, const char *dir, const rt_cache_header *cache, rt_err *err)
{
    rt_status st = RT_OK;
    const bool twin = strcmp(t->dir, "twin") == 0;
    if (twin) {
        RT_TRY(rt_lineage_of_cut(rt_flow_weights_permit(t->f), "The cut student trained on texts alone, as a baseline.",
                                 dir, err));
    }
    if (!twin || rt_flow_has_prompts(t->f)) {
        RT_TRY(rt_lineage_of_training(dir, cache, dir, err));
    }
out:
    return st;
}

/* The student in memory becomes <dir>/model.safetensors; each of the two folders can be opened as a model. */
static rt_status save_model(const training *t, const rt_model *m, const rt_cache_header *cache, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *merged = NULL;
    char name[64], *dir = NULL, *init = NULL, *adapter = NULL;
    snprintf(name, sizeof name, "%s/model.safetensors", t->dir);
    RT_TRY(rt_flow_path_to(t->f, t->dir, &dir, err));
    if (m->adapter != NULL) {
        snprintf(name, sizeof name, "%s/adapter", t->dir);
        RT_TRY(rt_flow_path_to(t->f, name, &adapter, err));
        RT_TRY(rt_flow_path_to(t->f, "student/init.safetensors", &init, err));
        RT_TRY(rt_student_merge(&merged, m, init, adapter, err));
        snprintf(name, sizeof name, "%s/model.safetensors", t->dir);
        m = merged;
    }
    RT_TRY(rt_student_save(m, t->f->tokenizer, dir, "model.safetensors", RT_F32, err));
    RT_TRY(rt_student_save_tokenizer(t->f->tokenizer, t->f->recipe.teacher, dir, err));
    RT_TRY(save_lineage(t, dir, cache, err));
    RT_TRY(rt_manifest_add_output(&t->f->manifest, t->stage, name, err));
out:
    rt_model_close(merged);
    rt_free(dir);
    rt_free(init);
    rt_free(adapter);
    return st;
}

static rt_status save_result(const training *t, const rt_train_result *res, const rt_model *m, rt_err *err)
{
    char name[64];
    const rt_train_counts *c = &res->counts;
    rt_str loss = {0}, formula = {0};
    snprintf(name, sizeof name, "%s/train.json", t->dir);
    rt_losses_print(&loss, t->losses, t->n_losses);
    rt_losses_formula(&formula, t->losses, t->n_losses);
    json_t *j = json_pack(
        "{s:s, s:s, s:f, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:s, s:I, s:b}", "loss", rt_str_cstr(&loss),
        "formula", rt_str_cstr(&formula), "temperature", rt_losses_temperature(t->losses, t->n_losses), "steps",
        (json_int_t)c->step, "tokens", (json_int_t)c->tokens, "positions", (json_int_t)c->rows, "seconds", c->active,
        "cpu_seconds", c->cpu, "tokens_per_s", c->active > 0 ? (double)c->tokens / c->active : 0.0, "first_loss",
        c->first_loss, "last_loss", c->last_loss, "weights_step", (json_int_t)res->weights_step, "stopped", c->stopped,
        "parameters", (json_int_t)m->n_elements, "comparable", (int)res->comparable);
    rt_str_release(&loss);
    rt_str_release(&formula);
    if (j == NULL) {
        return rt_fail(err, RT_INTERNAL, 0, "training result of '%s' has a value that is no number", t->stage);
    }
    if (t->retains) {
        json_object_set_new(j, "retain", rt_flow_retain_json(&t->retain));
    }
    if (t->own != NULL) {
        json_object_set(j, "on_policy", t->own);
    }
    const rt_status st = rt_flow_save_json(t->f, t->stage, name, j, err);
    json_decref(j);
    return st;
}

static rt_status open_source(const training *t, const rt_cache *cache, rt_source **out, rt_err *err)
{
    return rt_source_from_cache(
        out, cache, &(rt_source_options){.seed = t->f->recipe.seed, .max_batch_tokens = t->f->recipe.batch_tokens},
        err);
}

/* Which of the teacher's layers the student's were, where it was cut out of the teacher and a loss asks for it. */
static rt_status load_layer_map(training *t, const rt_model *student, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = NULL;
    json_t *choice = NULL;
    const rt_own_text_spec *own = &t->f->recipe.own_text;
    if (!rt_losses_compare_layers(t->losses, t->n_losses) &&
        !(t->writes && rt_losses_compare_layers(own->losses, own->n_losses))) {
        return RT_OK;
    }
    RT_TRY(rt_flow_path_to(t->f, "student/init.json", &path, err));
    RT_TRY(rt_json_load(&choice, path, err));
    const json_t *keep = json_object_get(choice, "keep");
    const size_t n = json_array_size(keep);
    t->mapped = strcmp(rt_json_str(choice, "init", ""), "prune") == 0 && json_object_get(choice, "from") == NULL &&
                (int64_t)n == student->hp.n_layer && n <= RT_MAX_LAYERS;
    for (size_t i = 0; t->mapped && i < n; i++) {
        t->layer_map[i] = (int)json_integer_value(json_array_get(keep, i));
    }
out:
    json_decref(choice);
    rt_free(path);
    return st;
}

static rt_status train(training *t, rt_err *err)
{
    rt_flow *f = t->f;
    rt_status st = RT_OK;
    rt_model *student = NULL;
    rt_cache *cache = NULL;
    rt_source *source = NULL;
    rt_train_result res;
    char *init = NULL, *cache_dir = NULL, *dir = NULL;
    RT_TRY(rt_flow_need_teacher(f, err));
    rt_ceiling_lift(f->teacher);
    RT_TRY(rt_flow_need_texts(f, err));
    RT_TRY(rt_flow_path_to(f, "student/init.safetensors", &init, err));
    RT_TRY(rt_flow_path_to(f, "cache", &cache_dir, err));
    /* the student's metrics and checkpoints belong to the run itself, the twin's to its own folder */
    RT_TRY(rt_flow_path_to(f, strcmp(t->dir, "student") == 0 ? "." : t->dir, &dir, err));
    RT_TRY(rt_mkdirs(dir, err));
    const rt_adapter_options *adapter = &f->recipe.adapter;
    RT_TRY(rt_model_open(&student, init,
                         &(rt_model_options){.precision = rt_flow_precision(f), .trainable = adapter->rank == 0}, err));
    if (adapter->rank > 0) {
        RT_TRY(rt_model_adapt(student, adapter, err));
    }
    RT_TRY(rt_cache_open(&cache, cache_dir, err));
    if (t->budget == 0 && t->tokens == 0) {
        t->tokens = rt_cache_get_header(cache)->n_tokens;
    }
    RT_TRY(open_source(t, cache, &source, err));
    if (!rt_flow_is_served(f)) { /* a validation compares with the teacher's weights */
        RT_TRY(
            rt_heldout_new(&t->heldout, f->teacher, &f->watched, (int)f->recipe.sequence, RT_VALIDATION_TOKENS, err));
    }
    if (t->retains) {
        RT_TRY(rt_flow_retain_open(&t->retain, f, err));
    }
    RT_TRY(load_layer_map(t, student, err));
    const rt_train_options o = options_of(t, dir);
    RT_TRY(rt_train_run(student, source, f->teacher, &o, &res, err));
    if (t->writes) {
        RT_TRY(rt_flow_own_text(f, student, &o, &res, &t->own, err));
    }
    RT_TRY(save_model(t, student, rt_cache_get_header(cache), err));
    RT_TRY(save_result(t, &res, student, err));
    t->tokens = res.counts.tokens;
out:
    json_decref(t->own);
    rt_flow_retain_close(&t->retain);
    rt_heldout_free(t->heldout);
    rt_source_close(source);
    rt_cache_close(cache);
    rt_model_close(student);
    rt_free(init);
    rt_free(cache_dir);
    rt_free(dir);
    return st;
}

rt_status rt_stage_train(rt_flow *f, rt_err *err)
{
    const double seconds = f->split.train_seconds; /* 0: by tokens, with a budget too where the recipe gives them */
    const rt_own_text_spec *own = &f->recipe.own_text;
    rt_status st = rt_measured_refuse_files(f, own->prompts, own->n_prompts, err);
    if (st != RT_OK) {
        return st;
    }
    training t = {.f = f,
                  .stage = "train",
                  .dir = "student",
                  .budget = seconds > 0 ? seconds - rt_flow_own_share(f, seconds, 0).seconds : 0,
                  .tokens = seconds > 0 ? 0 : f->split.train_tokens,
                  .losses = f->recipe.losses,
                  .n_losses = f->recipe.n_losses,
                  .retains = rt_flow_retains(f),
                  .writes = rt_flow_writes(f)};
    st = train(&t, err);
    if (st == RT_OK) { /* saved with the stage's end */
        json_t *machine = rt_facts_machine(f);
        st = rt_manifest_set(&f->manifest, "machine", machine, err);
        json_decref(machine);
    }
    return st;
}

rt_status rt_stage_twin(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = NULL;
    json_t *student = NULL;
    RT_TRY(rt_flow_path_to(f, "student/train.json", &path, err));
    RT_TRY(rt_json_load(&student, path, err));
    const int64_t tokens = rt_json_i64(student, "tokens", 0);
    const rt_train_loss ce = rt_train_loss_of(RT_LOSS_CE, 1.0);
    training t = {
        .f = f, .stage = "twin", .dir = "twin", .tokens = tokens, .to_the_end = true, .losses = &ce, .n_losses = 1};
    RT_TRY(train(&t, err));
    rt_log(RT_LOG_INFO, "twin: saw %lld tokens, the student %lld", (long long)t.tokens, (long long)tokens);
out:
    json_decref(student);
    rt_free(path);
    return st;
}
