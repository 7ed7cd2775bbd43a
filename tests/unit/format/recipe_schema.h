/* recipe_schema.h - a schema with a field of every kind, for the recipe's test and fuzz target. */
#ifndef RT_TESTS_RECIPE_SCHEMA_H
#define RT_TESTS_RECIPE_SCHEMA_H

#include <math.h>

#include "format/recipe.h"

static const rt_field teacher_fields[] = {
    {.key = "model", .kind = RT_FIELD_STR, .required = true, .help = "GGUF file or folder"},
    {.key = "url", .kind = RT_FIELD_STR},
    {0},
};
static const rt_field train_fields[] = {
    {.key = "loss", .kind = RT_FIELD_ENUM, .choices = "forward_kl|reverse_kl|ce", .dflt = "forward_kl"},
    {.key = "batch_tokens", .kind = RT_FIELD_INT, .min = 1, .max = INFINITY, .dflt = "2k"},
    {.key = "lr", .kind = RT_FIELD_NUM, .min = 0, .max = 1, .dflt = "6e-4"},
    {.key = "resume", .kind = RT_FIELD_BOOL, .dflt = "true"},
    {0},
};
static const rt_field export_fields[] = {
    {.key = "type", .kind = RT_FIELD_ENUM, .choices = "f32|q8_0|q4_0|safetensors", .required = true},
    {.key = "name", .kind = RT_FIELD_STR},
    {0},
};
static const rt_field audit_fields[] = {
    {.key = "tasks", .kind = RT_FIELD_STRS},
    {0},
};
static const rt_field recipe_schema[] = {
    {.key = "name", .kind = RT_FIELD_STR},
    {.key = "budget", .kind = RT_FIELD_DURATION, .min = 1, .max = 86400},
    {.key = "teacher", .kind = RT_FIELD_MAP, .children = teacher_fields, .required = true, .help = "what is distilled"},
    {.key = "text", .kind = RT_FIELD_STRS, .dflt = "[books.jsonl]"},
    {.key = "train", .kind = RT_FIELD_MAP, .children = train_fields},
    {.key = "export", .kind = RT_FIELD_MAPS, .children = export_fields, .word = "type", .dflt = "[{type: q8_0}]"},
    {.key = "audit", .kind = RT_FIELD_MAP, .children = audit_fields},
    {0},
};

#endif
