/* The recipe's schema and its reading into a struct, with the checks that need more than one key. */
#include "flow/recipe.h"

#include <ctype.h>
#include <string.h>

#include "flow/recipe_answers.h"

static const rt_field teacher_fields[] = {
    {.key = "model",
     .kind = RT_FIELD_STR,
     .required = true,
     .help = "GGUF file, safetensors file or Hugging Face folder; with `endpoint` the name of what is served there"},
    {.key = "endpoint", .kind = RT_FIELD_STR, .help = "address of an OpenAI-compatible server (docs/endpoint.md)"},
    {.key = "licence", .kind = RT_FIELD_STR, .help = "endpoint: licence of the served model; declared, not observed"},
    {.key = "base_model", .kind = RT_FIELD_STR, .help = "endpoint: what the served model was made from"},
    {.key = "tokenizer",
     .kind = RT_FIELD_STR,
     .help = "endpoint: file with the served model's tokenizer, which must be that of `student.from`"},
    {.key = "api_key_env", .kind = RT_FIELD_STR, .help = "endpoint: environment variable that holds the API key"},
    {.key = "parallel",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 256,
     .help = "endpoint: requests at a time at most; default: 4"},
    {.key = "attempts",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 1000,
     .help = "endpoint: tries a request before giving up; default: 5"},
    {.key = "wait",
     .kind = RT_FIELD_DURATION,
     .min = 0,
     .max = 3600,
     .help = "endpoint: before the second try, then doubled; default: 1s"},
    {.key = "max_wait",
     .kind = RT_FIELD_DURATION,
     .min = 0,
     .max = 1e6,
     .help = "endpoint: longest wait the server may ask for; default: 10m"},
    {.key = "timeout",
     .kind = RT_FIELD_DURATION,
     .min = 0.01,
     .max = 86400,
     .help = "endpoint: longest time a request may take; default: 5m"},
    {.key = "noncommercial",
     .kind = RT_FIELD_BOOL,
     .dflt = "false",
     .help = "judge the licence for non-commercial use"},
    {.key = "grant", .kind = RT_FIELD_STR, .help = "file with a written grant of the rights holder"},
    {0},
};
static const rt_field collect_fields[] = {
    {.key = "targets",
     .kind = RT_FIELD_ENUM,
     .choices = "sample|topk|hidden",
     .dflt = "sample",
     .help = "what is kept of each distribution"},
    {.key = "draws",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 255,
     .dflt = "50",
     .help = "sample: draws with replacement a position"},
    {.key = "k",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 1024,
     .dflt = "32",
     .help = "topk: entries a position, the tail is kept as one mass"},
    {.key = "hidden_type",
     .kind = RT_FIELD_ENUM,
     .choices = "f16|f32",
     .dflt = "f16",
     .help = "hidden: type of the states"},
    {.key = "temperature",
     .kind = RT_FIELD_NUM,
     .min = 0.05,
     .max = 20,
     .dflt = "1",
     .help = "of the teacher's distribution"},
    {.key = "tokens",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 1e12,
     .help = "stop after the document that reaches so many; default: what the budget allows, or all"},
    {.key = "template",
     .kind = RT_FIELD_STR,
     .help = "form of the turns of conversations (docs/tokenizers.md); default: what the teacher's template says"},
    {0},
};
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
    {0},
};
static const rt_field train_fields[] = {
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
static const rt_field export_fields[] = {
    {.key = "type",
     .kind = RT_FIELD_ENUM,
     .choices = "f32|f16|bf16|q8_0|q4_0|q4_1|safetensors",
     .required = true,
     .help = "GGUF type, or a safetensors folder"},
    {.key = "draft_for", .kind = RT_FIELD_STR, .help = "a model that llama.cpp must take this one as the draft of"},
    {0},
};
const rt_field rt_run_schema[] = {
    {.key = "name", .kind = RT_FIELD_STR, .help = "of the run directory; default: the recipe's file name"},
    {.key = "budget", .kind = RT_FIELD_DURATION, .min = 10, .max = 3.2e7, .help = "time for the whole recipe, e.g. 8m"},
    {.key = "seed", .kind = RT_FIELD_INT, .min = 0, .max = 9e15, .dflt = "1", .help = "of every random choice"},
    {.key = "threads", .kind = RT_FIELD_INT, .min = 0, .max = RT_MAX_THREADS, .dflt = "0", .help = "0: all processors"},
    {.key = "teacher",
     .kind = RT_FIELD_MAP,
     .required = true,
     .children = teacher_fields,
     .help = "the model to learn from"},
    {.key = "data", .kind = RT_FIELD_MAP, .required = true, .children = rt_data_fields, .help = "texts"},
    {.key = "answers",
     .kind = RT_FIELD_MAP,
     .children = rt_answers_fields,
     .help = "what the teacher writes to data.prompts"},
    {.key = "collect", .kind = RT_FIELD_MAP, .children = collect_fields, .help = "the teacher's outputs"},
    {.key = "student",
     .kind = RT_FIELD_MAP,
     .required = true,
     .children = rt_recipe_student_fields,
     .help = "the model to make"},
    {.key = "train", .kind = RT_FIELD_MAP, .children = train_fields, .help = "how it learns"},
    {.key = "retain",
     .kind = RT_FIELD_MAP,
     .children = rt_retain_schema,
     .help = "behaviour that must not be lost, taught beside the data (docs/retention.md)"},
    {.key = "export", .kind = RT_FIELD_MAPS, .children = export_fields, .help = "files to leave"},
    {.key = "audit", .kind = RT_FIELD_MAP, .children = rt_recipe_audit_fields, .help = "what is measured"},
    {0},
};

/* The name becomes a directory: letters, digits, dot, dash, underscore. */
static rt_status set_name(rt_run_recipe *r, const char *path, rt_err *err)
{
    const char *given = rt_json_str(r->json, "name", NULL);
    const char *base = given != NULL ? given : rt_path_base(path);
    size_t n = 0;
    for (const char *p = base; *p != '\0' && n + 1 < sizeof r->name; p++) {
        if (given == NULL && *p == '.') {
            break; /* file name without its ending */
        }
        if (!isalnum((unsigned char)*p) && strchr("._-", *p) == NULL) {
            return rt_fail(err, RT_RECIPE, 0, "%s: name '%s' may hold letters, digits, '.', '_' and '-' only", path,
                           base);
        }
        r->name[n++] = *p;
    }
    if (n == 0 || r->name[0] == '.') {
        return rt_fail(err, RT_RECIPE, 0, "%s: the run needs a name that does not begin with a dot", path);
    }
    r->name[n] = '\0';
    return RT_OK;
}

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
    if (state == RT_STATE_NONE && json_object_get(j, "project") != NULL) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'project' says nothing about loss '%s'", name);
    }
    l->project = rt_json_bool(j, "project", false);
    l->weight = rt_json_f64(j, "weight", 1.0);
    l->to = rt_json_f64(j, "to", 0.0);
    l->over = rt_json_i64(j, "over", 0);
    l->loss.mix = rt_json_f64(j, "mix", l->loss.mix);
    l->loss.label_smoothing = rt_json_f64(j, "smoothing", 0.0);
    RT_TRY(rt_train_loss_check(l, err));
    if (state != RT_STATE_NONE) {
        if (r->targets != RT_CACHE_HIDDEN) {
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

static rt_status read_train(rt_run_recipe *r, const json_t *t, rt_err *err)
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

static void read_collect(rt_run_recipe *r, const json_t *c)
{
    const char *targets = rt_json_str(c, "targets", "sample");
    r->targets = strcmp(targets, "topk") == 0     ? RT_CACHE_TOPK
                 : strcmp(targets, "hidden") == 0 ? RT_CACHE_HIDDEN
                                                  : RT_CACHE_SAMPLE;
    r->draws = (int)rt_json_i64(c, "draws", 50);
    r->k = (int)rt_json_i64(c, "k", 32);
    r->hidden_dtype = strcmp(rt_json_str(c, "hidden_type", "f16"), "f32") == 0 ? RT_F32 : RT_F16;
    r->temperature = rt_json_f64(c, "temperature", 1.0);
    r->collect_tokens = rt_json_i64(c, "tokens", 0);
    r->chat_form = rt_json_str(c, "template", NULL);
}

/* A server gives a few log-probabilities a position, and no weights. */
static rt_status read_server(rt_run_recipe *r, const json_t *teacher, const json_t *student, rt_err *err)
{
    static const char *const own[] = {"licence",  "base_model", "tokenizer", "api_key_env", "parallel",
                                      "attempts", "wait",       "max_wait",  "timeout"};
    rt_http_url url;
    const rt_endpoint_options usual = rt_endpoint_default();
    r->server = (rt_endpoint_options){.url = rt_json_str(teacher, "endpoint", NULL),
                                      .model = rt_json_str(teacher, "model", NULL),
                                      .key_env = rt_json_str(teacher, "api_key_env", NULL),
                                      .parallel = (int)rt_json_i64(teacher, "parallel", usual.parallel),
                                      .attempts = (int)rt_json_i64(teacher, "attempts", usual.attempts),
                                      .wait = rt_json_f64(teacher, "wait", usual.wait),
                                      .max_wait = rt_json_f64(teacher, "max_wait", usual.max_wait),
                                      .timeout = rt_json_f64(teacher, "timeout", usual.timeout)};
    r->teacher = r->server.url != NULL ? rt_json_str(student, "from", NULL) : r->server.model;
    for (size_t i = 0; i < sizeof own / sizeof own[0] && r->server.url == NULL; i++) {
        if (json_object_get(teacher, own[i]) != NULL) {
            return rt_fail(err, RT_RECIPE, 0, "'teacher.%s' goes with 'teacher.endpoint': of a file it is read",
                           own[i]);
        }
    }
    if (r->server.url == NULL) {
        return RT_OK;
    }
    r->licence = rt_json_str(teacher, "licence", NULL);
    r->base_model = rt_json_str(teacher, "base_model", NULL);
    r->tokenizer = rt_json_str(teacher, "tokenizer", NULL);
    if (r->licence == NULL || r->teacher == NULL) {
        return rt_fail(err, RT_RECIPE, 0,
                       "with 'teacher.endpoint' %s: a server does not tell its model's terms, nor give its weights",
                       r->licence == NULL ? "'teacher.licence' is needed" : "'student.from' is needed, a model here");
    }
    return rt_http_url_parse(&url, r->server.url, err);
}

static rt_status check_server(const rt_run_recipe *r, const char *path, rt_err *err)
{
    if (r->server.url == NULL) {
        return RT_OK;
    }
    if (r->targets != RT_CACHE_TOPK || r->temperature != 1) {
        return rt_fail(err, RT_RECIPE, 0,
                       "%s: a server gives collect.targets = topk at temperature 1: it shows its likeliest tokens, no "
                       "states and no draws. The texts it writes are collected before, with 'retort collect URL "
                       "--targets text', and become data.text",
                       path);
    }
    if (r->eval_every > 0 || r->patience > 0) {
        return rt_fail(err, RT_RECIPE, 0,
                       "%s: train.eval_every and train.patience compare with the teacher, whose weights a server keeps",
                       path);
    }
    if (r->budget > 0 && r->collect_tokens == 0) {
        return rt_fail(err, RT_RECIPE, 0, "%s: how fast a server is cannot be planned; say collect.tokens", path);
    }
    return RT_OK;
}

rt_status rt_run_recipe_load(rt_run_recipe *r, const char *path, const char *const *sets, size_t n_sets, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_recipe_load(&r->json, path, rt_run_schema, sets, n_sets, err));
    RT_TRY(set_name(r, path, err));
    if (json_object_set_new(r->json, "name", json_string(r->name)) != 0) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    const json_t *teacher = json_object_get(r->json, "teacher"), *data = json_object_get(r->json, "data");
    const json_t *student = json_object_get(r->json, "student");
    r->budget = rt_json_f64(r->json, "budget", 0.0);
    r->seed = (uint64_t)rt_json_i64(r->json, "seed", 1);
    r->threads = (int)rt_json_i64(r->json, "threads", 0);
    RT_TRY(read_server(r, teacher, student, err));
    r->noncommercial = rt_json_bool(teacher, "noncommercial", false);
    r->grant = rt_json_str(teacher, "grant", NULL);
    RT_TRY(rt_recipe_read_data(r, data, err));
    RT_TRY(rt_recipe_read_answers(r, json_object_get(r->json, "answers"), err));
    read_collect(r, json_object_get(r->json, "collect"));
    RT_TRY(rt_recipe_read_student(r, student, err));
    RT_TRY(read_train(r, json_object_get(r->json, "train"), err));
    RT_TRY(rt_own_text_spec_read(&r->own_text, r, err));
    RT_TRY(rt_retain_spec_read(&r->retain, json_object_get(r->json, "retain"), r->batch_tokens, err));
    const json_t *exports = json_object_get(r->json, "export");
    r->n_exports = json_array_size(exports);
    if (r->n_exports > RT_MAX_EXPORTS) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "%s: 'export' has %zu entries, at most %d are taken", path, r->n_exports,
                    RT_MAX_EXPORTS);
    }
    for (size_t i = 0; i < r->n_exports; i++) {
        const json_t *e = json_array_get(exports, i);
        r->exports[i] = (rt_export_spec){rt_json_str(e, "type", NULL), rt_json_str(e, "draft_for", NULL)};
    }
    if (r->n_exports == 0) {
        r->exports[r->n_exports++].type = "q8_0";
    }
    RT_TRY(rt_recipe_read_audit(r, json_object_get(r->json, "audit"), err));
    RT_TRY(check_server(r, path, err));
out:
    if (st != RT_OK) {
        rt_run_recipe_release(r);
    }
    return st;
}

void rt_run_recipe_release(rt_run_recipe *r)
{
    for (size_t i = 0; i < r->n_tasks; i++) {
        rt_free(r->tasks[i]);
        rt_free(r->task_data[i]);
    }
    json_decref(r->json);
    *r = (rt_run_recipe){0};
}
