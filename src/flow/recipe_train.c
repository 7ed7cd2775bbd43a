/* recipe_train.c - the block `train`: the terms of the loss, steps, optimiser, schedule. */
#include "flow/recipe.h"

#define RT_LOSS(name, recipe, power, distils, formula) "|" recipe
#define RT_STATE_LOSS(name, recipe, formula) "|" recipe
static const char loss_names[] =
#include "tensor/loss.def"
#include "tensor/state_loss.def"
    ;
#undef RT_LOSS
#undef RT_STATE_LOSS
static const rt_field loss_fields[] = {
    {.key = "kind",
     .kind = RT_FIELD_ENUM,
     .choices = loss_names + 1,
     .required = true,
     .help = "name of the loss (docs/losses.md)"},
    {.key = "weight", .kind = RT_FIELD_NUM, .min = 0, .max = 1e6, .dflt = "1", .help = "of the term"},
    {.key = "to", .kind = RT_FIELD_NUM, .min = 0, .max = 1e6, .help = "what the weight moves to, with `over`"},
    {.key = "over", .kind = RT_FIELD_INT, .min = 1, .max = 1e9, .help = "steps in which it gets there, linearly"},
    {.key = "mix",
     .kind = RT_FIELD_NUM,
     .min = 0,
     .max = 1,
     .help = "jsd: weight of the teacher, default: 0.5; skewed losses: share of the other side, default: 0.1"},
    {.key = "smoothing", .kind = RT_FIELD_NUM, .min = 0, .max = 0.99, .help = "ce: label smoothing; default: 0"},
    {.key = "project",
     .kind = RT_FIELD_BOOL,
     .help = "hidden_cosine, hidden_mse: learn a map between states of equal width too"},
    {.key = "layers",
     .kind = RT_FIELD_BOOL,
     .help = "hidden_cosine, hidden_mse: compare what layers read, not what the heads do"},
    {0},
};
const rt_field rt_recipe_train_fields[] = {
    {.key = "loss",
     .kind = RT_FIELD_MAPS,
     .children = loss_fields,
     .word = "kind",
     .dflt = "forward_kl",
     .help = "terms of the loss; a name alone is that loss with weight 1"},
    {.key = "temperature", .kind = RT_FIELD_NUM, .min = 0.05, .max = 20, .dflt = "1", .help = "of the loss"},
    {.key = "batch_tokens", .kind = RT_FIELD_INT, .min = 1, .max = 1e7, .dflt = "2k", .help = "tokens a step"},
    {.key = "sequence", .kind = RT_FIELD_INT, .min = 8, .max = 8192, .dflt = "512", .help = "longest sequence"},
    {.key = "tokens",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 1e13,
     .help = "train on so many, the last step whole; default: what the budget allows, or one pass"},
    {.key = "optimizer",
     .kind = RT_FIELD_ENUM,
     .choices = "adamw|muon",
     .dflt = "adamw",
     .help = "update rule; muon: of the matrices inside, the rest by AdamW"},
    {.key = "recompute",
     .kind = RT_FIELD_ENUM,
     .choices = "auto|none|layers",
     .dflt = "auto",
     .help = "layers run again in the backward pass: less memory, more time; auto: where memory is short"},
    {.key = "lr", .kind = RT_FIELD_NUM, .min = 1e-8, .max = 1, .dflt = "6e-4", .help = "peak learning rate"},
    {.key = "schedule",
     .kind = RT_FIELD_ENUM,
     .choices = "wsd|cosine|linear",
     .dflt = "wsd",
     .help = "shape of the learning rate"},
    {.key = "warmup",
     .kind = RT_FIELD_INT,
     .min = -1,
     .max = 1e9,
     .dflt = "-1",
     .help = "steps; -1: 2 % of the run, 50 at least, a tenth at most"},
    {.key = "decay", .kind = RT_FIELD_NUM, .min = 0, .max = 1, .dflt = "0.25", .help = "wsd: share that falls to zero"},
    {.key = "weight_decay",
     .kind = RT_FIELD_NUM,
     .min = 0,
     .max = 10,
     .dflt = "0.1",
     .help = "of matrices other than the embedding"},
    {.key = "clip", .kind = RT_FIELD_NUM, .min = 1e-6, .max = 1e9, .dflt = "1", .help = "largest norm of the gradient"},
    {.key = "eval_every",
     .kind = RT_FIELD_INT,
     .min = 0,
     .max = 1e9,
     .dflt = "0",
     .help = "steps between validations; 0: start and end"},
    {.key = "patience",
     .kind = RT_FIELD_INT,
     .min = 0,
     .max = 1e6,
     .dflt = "0",
     .help = "validations without a new best before stopping; 0: never"},
    {.key = "precision",
     .kind = RT_FIELD_ENUM,
     .choices = "auto|f32",
     .dflt = "auto",
     .help = "auto: bf16 products where the machine is faster with them"},
    {.key = "on_policy", .kind = RT_FIELD_MAP, .children = rt_on_policy_schema, .help = "then: on text of its own"},
    {0},
};

static rt_target_kind target_kind(rt_cache_kind k)
{
    return k == RT_CACHE_TOPK ? RT_TARGET_TOPK : k == RT_CACHE_HIDDEN ? RT_TARGET_DENSE : RT_TARGET_SAMPLE;
}

static rt_status read_term(const rt_run_recipe *r, const json_t *j, rt_train_loss *l, rt_err *err)
{
    rt_status st = RT_OK;
    rt_loss_kind kind = RT_LOSS_FORWARD_KL;
    rt_state_loss state = RT_STATE_NONE;
    const char *name = rt_json_str(j, "kind", ""); /* the schema has seen to it */
    (void)rt_loss_from_name(name, &kind);
    *l = rt_state_loss_from_name(name, &state) ? rt_train_state_loss_of(state)
                                               : rt_train_loss_of(kind, r->loss_temperature);
    if (l->loss.mix == 0.0 && json_object_get(j, "mix") != NULL) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'mix' says nothing about loss '%s'", name);
    }
    for (int i = 0; i < 2 && state == RT_STATE_NONE; i++) {
        static const char *const of_states[] = {"project", "layers"};
        if (json_object_get(j, of_states[i]) != NULL) {
            RT_FAIL_OUT(err, RT_RECIPE, 0, "'%s' says nothing about loss '%s'", of_states[i], name);
        }
    }
    l->project = rt_json_bool(j, "project", false);
    l->layers = rt_json_bool(j, "layers", false);
    l->weight = rt_json_f64(j, "weight", 1.0);
    l->to = rt_json_f64(j, "to", 0.0);
    l->over = rt_json_i64(j, "over", 0);
    l->loss.mix = rt_json_f64(j, "mix", l->loss.mix);
    l->loss.label_smoothing = rt_json_f64(j, "smoothing", 0.0);
    RT_TRY(rt_train_loss_check(l, err));
    if (state != RT_STATE_NONE) {
        if (l->layers && r->server.url != NULL) {
            RT_FAIL_OUT(err, RT_RECIPE, 0,
                        "loss '%s' between layers needs the teacher's weights: 'teacher' is a server", name);
        }
        if (!l->layers && r->targets != RT_CACHE_HIDDEN) {
            RT_FAIL_OUT(err, RT_RECIPE, 0, "loss '%s' needs the teacher's states: `collect.targets: hidden`", name);
        }
        if (l->loss.label_smoothing != 0.0) {
            RT_FAIL_OUT(err, RT_RECIPE, 0, "'smoothing' says nothing about loss '%s'", name);
        }
        return RT_OK;
    }
    RT_TRY(rt_loss_check(&l->loss, rt_loss_distils(kind) ? target_kind(r->targets) : RT_TARGET_LABEL, r->temperature,
                         err));
out:
    return st;
}

/* Refused here what training would refuse after hours of collecting. */
static rt_status read_losses(rt_run_recipe *r, const json_t *list, rt_err *err)
{
    rt_err why;
    const size_t n = json_array_size(list);
    if (n < 1 || n > RT_TRAIN_LOSSES) {
        return rt_fail(err, RT_RECIPE, 0, "'train.loss' has %zu terms, expected 1 to %d", n, RT_TRAIN_LOSSES);
    }
    for (r->n_losses = 0; r->n_losses < (int)n; r->n_losses++) {
        const json_t *term = json_array_get(list, (size_t)r->n_losses);
        if (read_term(r, term, &r->losses[r->n_losses], &why) != RT_OK) {
            return rt_fail(err, RT_RECIPE, 0, "'train.loss': %s", why.msg);
        }
    }
    return RT_OK;
}

rt_status rt_recipe_read_train(rt_run_recipe *r, const json_t *t, rt_err *err)
{
    r->loss_temperature = rt_json_f64(t, "temperature", 1.0);
    r->batch_tokens = rt_json_i64(t, "batch_tokens", 2000);
    r->sequence = rt_json_i64(t, "sequence", 512);
    r->tokens = rt_json_i64(t, "tokens", 0);
    r->lr = rt_json_f64(t, "lr", 6e-4);
    r->schedule = rt_json_str(t, "schedule", "wsd");
    r->optimizer = rt_json_str(t, "optimizer", "adamw");
    r->recompute = rt_json_str(t, "recompute", "auto");
    r->warmup_steps = (double)rt_json_i64(t, "warmup", -1);
    r->decay = rt_json_f64(t, "decay", 0.25);
    r->weight_decay = rt_json_f64(t, "weight_decay", 0.1);
    r->clip = rt_json_f64(t, "clip", 1.0);
    r->eval_every = rt_json_i64(t, "eval_every", 0);
    r->patience = rt_json_i64(t, "patience", 0);
    r->precision = rt_json_str(t, "precision", "auto");
    return read_losses(r, json_object_get(t, "loss"), err);
}
