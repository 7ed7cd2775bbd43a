/* The recipe's schema and its reading into a struct, with the checks that need more than one key. */
#include "flow/recipe.h"

#include <ctype.h>
#include <string.h>

#include "flow/recipe_answers.h"

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
     .children = rt_recipe_teacher_fields,
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
    {.key = "train", .kind = RT_FIELD_MAP, .children = rt_recipe_train_fields, .help = "how it learns"},
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
    RT_TRY(rt_recipe_read_teacher(r, teacher, student, err));
    RT_TRY(rt_recipe_read_data(r, data, err));
    RT_TRY(rt_recipe_read_answers(r, json_object_get(r->json, "answers"), err));
    read_collect(r, json_object_get(r->json, "collect"));
    RT_TRY(rt_recipe_read_student(r, student, err));
    RT_TRY(rt_recipe_read_train(r, json_object_get(r->json, "train"), err));
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
    RT_TRY(rt_recipe_check_server(r, path, err));
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
