/* recipe.h - YAML recipes checked against a schema. Every value remembers its line and column, so that an unknown
 * key, a wrong type or an impossible value is refused with file:line:column and the nearest valid key. */
#ifndef RT_FORMAT_RECIPE_H
#define RT_FORMAT_RECIPE_H

#include <jansson.h>

#include "core/core.h"

typedef enum rt_field_kind {
    RT_FIELD_STR, /* text */
    RT_FIELD_INT, /* whole number, 2k = 2000 */
    RT_FIELD_NUM, /* real number */
    RT_FIELD_BOOL,
    RT_FIELD_DURATION, /* 8m -> seconds (real) */
    RT_FIELD_ENUM,     /* one of `choices`, separated by '|' */
    RT_FIELD_STRS,     /* list of text; a single text is taken as a list of one */
    RT_FIELD_MAP,      /* nested: `children` */
    RT_FIELD_MAPS      /* list of maps: `children`; a single word w is taken as [{word: w}] */
} rt_field_kind;

typedef struct rt_field {
    const char *key;
    rt_field_kind kind;
    const char *choices; /* RT_FIELD_ENUM */
    const char *word;    /* RT_FIELD_MAPS: key of the child that a word stands for, NULL: none */
    double min, max;     /* INT, NUM, DURATION; min == max: unchecked, INFINITY: no bound */
    const char *dflt; /* default as in a recipe, NULL: none; an absent map gets its children's unless one is required */
    bool required;
    const struct rt_field *children; /* ends with key == NULL */
    const char *help;
} rt_field;

/* The recipe as a JSON object in schema order with defaults filled (durations in seconds). Caller decrefs.
 * `sets`: "key.sub=value" overrides (from --set; list elements by number: "export.0.type=q4_0"), applied before
 * checking; errors name the option. Failures are RT_RECIPE with the line in pos, or what reading the file gave. */
RT_MUST_USE rt_status rt_recipe_load(json_t **out, const char *path, const rt_field *schema, const char *const *sets,
                                     size_t n_sets, rt_err *err);
RT_MUST_USE rt_status rt_recipe_parse(json_t **out, const char *text, size_t n, const char *name,
                                      const rt_field *schema, const char *const *sets, size_t n_sets, rt_err *err);
/* Canonical YAML text of a checked recipe. */
void rt_recipe_print(rt_str *s, const json_t *recipe);

#endif
