/* What a recipe says of its student: the keys, and their reading with the checks that need more than one. */
#include "flow/recipe.h"

#include <string.h>

static const rt_field adapter_fields[] = {
    {.key = "rank", .kind = RT_FIELD_INT, .min = 1, .max = 1024, .help = "of the pairs; default: 16"},
    {.key = "alpha",
     .kind = RT_FIELD_NUM,
     .min = 1e-6,
     .max = 1e6,
     .help = "numerator of their weight; default: 2 rank"},
    {.key = "targets", .kind = RT_FIELD_STRS, .help = "of q, k, v, o, gate, up, down; default: all"},
    {0},
};
const rt_field rt_recipe_student_fields[] = {
    {.key = "init",
     .kind = RT_FIELD_ENUM,
     .choices = "prune|random|model",
     .dflt = "prune",
     .help = "prune: cut out of the teacher, or of `from`; random: their shape, fresh weights; model: `from` as it is"},
    {.key = "from",
     .kind = RT_FIELD_STR,
     .help = "a model here with the teacher's tokenizer, e.g. RUN/student; default: the teacher"},
    {.key = "layers", .kind = RT_FIELD_INT, .min = 1, .max = RT_MAX_LAYERS, .help = "how many layers to keep"},
    {.key = "hidden", .kind = RT_FIELD_INT, .min = 1, .max = 1 << 16, .help = "residual channels, a multiple of 32"},
    {.key = "ffn", .kind = RT_FIELD_INT, .min = 1, .max = 1 << 20, .help = "feed-forward neurons, a multiple of 32"},
    {.key = "kv_heads", .kind = RT_FIELD_INT, .min = 1, .max = 4096, .help = "key/value heads, each with its queries"},
    {.key = "keep", .kind = RT_FIELD_STRS, .help = "the very layers to keep, e.g. [0, 1, 2, 28, 29]"},
    {.key = "ranking", .kind = RT_FIELD_STR, .help = "file with a ranking made before for the model that is cut"},
    {.key = "adapter",
     .kind = RT_FIELD_MAP,
     .children = adapter_fields,
     .help = "train low-rank pairs beside the student's matrices, which stay as they are"},
    {.key = "importance", .kind = RT_FIELD_STR, .help = "file with the importance of its widths, made before"},
    {0},
};

static rt_status read_adapter(rt_run_recipe *r, const json_t *a, rt_err *err)
{
    rt_err why = {0};
    size_t i;
    const json_t *target;
    if (json_object_size(a) == 0) {
        return RT_OK;
    }
    r->adapter =
        (rt_adapter_options){.rank = rt_json_i64(a, "rank", 16), .alpha = rt_json_f64(a, "alpha", 0), .seed = r->seed};
    json_array_foreach(json_object_get(a, "targets"), i, target)
    {
        if (rt_adapter_target(&r->adapter, json_string_value(target), &why) != RT_OK) {
            return rt_fail(err, RT_RECIPE, 0, "'student.adapter.targets': %s", why.msg);
        }
    }
    rt_adapter_settle(&r->adapter);
    return RT_OK;
}

rt_status rt_recipe_read_student(rt_run_recipe *r, const json_t *s, rt_err *err)
{
    const json_t *keep = json_object_get(s, "keep");
    static const char *const shaping[] = {"layers", "hidden", "ffn", "kv_heads", "keep", "ranking", "importance"};
    r->init = rt_json_str(s, "init", "prune");
    r->from = rt_json_str(s, "from", r->teacher);
    r->shape = (rt_shape){.layers = rt_json_i64(s, "layers", 0),
                          .hidden = rt_json_i64(s, "hidden", 0),
                          .ffn = rt_json_i64(s, "ffn", 0),
                          .kv_heads = rt_json_i64(s, "kv_heads", 0)};
    r->ranking = rt_json_str(s, "ranking", NULL);
    r->importance = rt_json_str(s, "importance", NULL);
    r->n_keep = (int)json_array_size(keep);
    const bool prunes = strcmp(r->init, "prune") == 0, narrows = r->shape.hidden + r->shape.ffn + r->shape.kv_heads > 0;
    if (prunes && ((r->shape.layers > 0 && r->n_keep > 0) || (r->shape.layers + r->n_keep == 0 && !narrows))) {
        return rt_fail(err, RT_RECIPE, 0,
                       "'student' needs either 'layers' (how many) or 'keep' (which), or a width to cut");
    }
    if (strcmp(r->init, "random") == 0 && r->n_keep > 0) {
        return rt_fail(err, RT_RECIPE, 0,
                       "'student.keep' names layers to keep; a random student has none: say 'layers'");
    }
    if (strcmp(r->init, "model") == 0 && json_object_get(s, "from") == NULL) {
        return rt_fail(err, RT_RECIPE, 0, "'student.init: model' needs 'student.from', the model to train");
    }
    for (size_t i = 0; strcmp(r->init, "model") == 0 && i < sizeof shaping / sizeof shaping[0]; i++) {
        if (json_object_get(s, shaping[i]) != NULL) {
            return rt_fail(err, RT_RECIPE, 0,
                           "'student.%s' goes with 'student.init: prune': a given model is trained as it is",
                           shaping[i]);
        }
    }
    for (int i = 0; i < r->n_keep; i++) {
        int64_t layer;
        const char *text = json_string_value(json_array_get(keep, (size_t)i));
        if (i >= RT_MAX_LAYERS || !rt_parse_i64(text, &layer) || layer < 0 || layer >= RT_MAX_LAYERS) {
            return rt_fail(err, RT_RECIPE, 0, "'student.keep' entry '%s' is no layer number", text);
        }
        r->keep[i] = (int)layer;
    }
    return read_adapter(r, json_object_get(s, "adapter"), err);
}
