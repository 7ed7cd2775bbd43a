/* recipe_teacher.c - the block `teacher`: a model here, or one behind a server. */
#include "flow/recipe.h"

const rt_field rt_recipe_teacher_fields[] = {
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
    {.key = "accept_degraded",
     .kind = RT_FIELD_BOOL,
     .dflt = "false",
     .help = "go on though its bf16 products take it more than 0.05 nats from its f32 path (docs/cache.md)"},
    {0},
};

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

rt_status rt_recipe_read_teacher(rt_run_recipe *r, const json_t *teacher, const json_t *student, rt_err *err)
{
    r->noncommercial = rt_json_bool(teacher, "noncommercial", false);
    r->accept_degraded = rt_json_bool(teacher, "accept_degraded", false);
    r->grant = rt_json_str(teacher, "grant", NULL);
    return read_server(r, teacher, student, err);
}

rt_status rt_recipe_check_server(const rt_run_recipe *r, const char *path, rt_err *err)
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
