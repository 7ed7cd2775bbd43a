/* recipe.c - recipes against a schema: every key known, every value of its kind and possible, defaults filled in. */
#include "format/recipe.h"

#include <math.h>
#include <string.h>

#include "format/yaml_tree.h"

#define RECIPE_SIZE_MAX ((size_t)256 << 10)
#define WORD_MAX 64

static rt_status no_memory(rt_err *err)
{
    return rt_fail(err, RT_MEMORY, 0, "no memory for the recipe");
}

static rt_status put(json_t *object, const char *key, json_t *value, rt_err *err)
{
    return json_object_set_new(object, key, value) == 0 ? RT_OK : no_memory(err);
}

/* ---- the nearest valid word ---- */

typedef struct nearest {
    const char *wrong;
    char best[WORD_MAX];
    int distance;
} nearest;

static nearest nearest_begin(const char *wrong)
{
    /* farther than this it is another word, not a slip */
    return (nearest){.wrong = wrong, .distance = 2 + (int)(strlen(wrong) < 60 ? strlen(wrong) : 60) / 3};
}

static void nearest_try(nearest *n, const char *word, size_t length)
{
    char copy[WORD_MAX];
    if (length >= sizeof copy) {
        return;
    }
    memcpy(copy, word, length);
    copy[length] = '\0';
    int d = rt_edit_distance(n->wrong, copy);
    if (d < n->distance) {
        n->distance = d;
        memcpy(n->best, copy, length + 1);
    }
}

static rt_status fail_unknown_key(const rt_yaml_node *key, const rt_field *fields, const char *where, rt_err *err)
{
    nearest n = nearest_begin(key->text);
    rt_str all = {0};
    for (const rt_field *f = fields; f->key; f++) {
        nearest_try(&n, f->key, strlen(f->key));
        rt_str_printf(&all, "%s%s", f == fields ? "" : ", ", f->key);
    }
    rt_status st =
        n.best[0]
            ? rt_yaml_fail(key, err, "unknown key '%.60s' in %s, did you mean '%s'?", key->text, where, n.best)
            : rt_yaml_fail(key, err, "unknown key '%.60s' in %s, valid keys: %s", key->text, where, rt_str_cstr(&all));
    rt_str_release(&all);
    return st;
}

/* ---- scalars ---- */

static const char *kind_text(rt_field_kind kind)
{
    switch (kind) {
    case RT_FIELD_STR: return "text";
    case RT_FIELD_INT: return "a whole number (2k = 2000)";
    case RT_FIELD_NUM: return "a number";
    case RT_FIELD_BOOL: return "true or false";
    case RT_FIELD_DURATION: return "a duration such as 90s, 8m or 1.5h";
    case RT_FIELD_ENUM: return "a word";
    case RT_FIELD_STRS: return "a list of texts";
    case RT_FIELD_MAP: return "a map";
    case RT_FIELD_MAPS: return "a list of maps";
    }
    return "";
}

static rt_status fail_kind(const rt_yaml_node *n, const rt_field *f, rt_err *err)
{
    const char *got = n->kind == RT_YAML_MAP ? "a map" : n->kind == RT_YAML_LIST ? "a list" : NULL;
    if (got) {
        return rt_yaml_fail(n, err, "'%s' is %s, expected %s", f->key, got, kind_text(f->kind));
    }
    if (rt_yaml_is_null(n)) {
        return rt_yaml_fail(n, err, "'%s' has no value, expected %s", f->key, kind_text(f->kind));
    }
    return rt_yaml_fail(n, err, "'%s' is %s'%.60s', expected %s", f->key, n->quoted ? "the quoted text " : "", n->text,
                        kind_text(f->kind));
}

static rt_status check_range(const rt_yaml_node *n, const rt_field *f, double v, rt_err *err)
{
    if (f->min == f->max || (v >= f->min && v <= f->max)) {
        return RT_OK;
    }
    if (isinf(f->max)) {
        return rt_yaml_fail(n, err, "'%s' is %s, must be at least %g", f->key, n->text, f->min);
    }
    if (isinf(f->min)) {
        return rt_yaml_fail(n, err, "'%s' is %s, must be at most %g", f->key, n->text, f->max);
    }
    return rt_yaml_fail(n, err, "'%s' is %s, must be from %g to %g%s", f->key, n->text, f->min, f->max,
                        f->kind == RT_FIELD_DURATION ? " seconds; minutes are written 8m, hours 2h" : "");
}

static rt_status check_int(const rt_yaml_node *n, const rt_field *f, json_t **out, rt_err *err)
{
    int64_t v;
    if (n->quoted || (!rt_parse_i64(n->text, &v) && !rt_parse_count(n->text, &v))) {
        return fail_kind(n, f, err);
    }
    *out = json_integer(v);
    return check_range(n, f, (double)v, err);
}

static rt_status check_num(const rt_yaml_node *n, const rt_field *f, json_t **out, rt_err *err)
{
    double v;
    bool ok = f->kind == RT_FIELD_DURATION ? rt_parse_duration(n->text, &v) : !n->quoted && rt_parse_f64(n->text, &v);
    if (!ok || !isfinite(v)) {
        return fail_kind(n, f, err);
    }
    *out = json_real(v);
    return check_range(n, f, v, err);
}

static rt_status check_bool(const rt_yaml_node *n, const rt_field *f, json_t **out, rt_err *err)
{
    bool yes = strcmp(n->text, "true") == 0;
    if (n->quoted || (!yes && strcmp(n->text, "false") != 0)) {
        return fail_kind(n, f, err);
    }
    *out = json_boolean(yes);
    return RT_OK;
}

static rt_status check_enum(const rt_yaml_node *n, const rt_field *f, json_t **out, rt_err *err)
{
    nearest near = nearest_begin(n->text);
    for (const char *word = f->choices; *word;) {
        size_t length = strcspn(word, "|");
        if (strlen(n->text) == length && memcmp(word, n->text, length) == 0) {
            *out = json_string(n->text);
            return RT_OK;
        }
        nearest_try(&near, word, length);
        word += length + (word[length] == '|');
    }
    return rt_yaml_fail(n, err, "'%s' is '%.60s', expected one of %s%s%s%s", f->key, n->text, f->choices,
                        near.best[0] ? "; did you mean '" : "", near.best, near.best[0] ? "'?" : "");
}

static rt_status check_scalar(const rt_yaml_node *n, const rt_field *f, json_t **out, rt_err *err)
{
    rt_status st;
    if (n->kind != RT_YAML_SCALAR || rt_yaml_is_null(n)) {
        return fail_kind(n, f, err);
    }
    switch (f->kind) {
    case RT_FIELD_INT: st = check_int(n, f, out, err); break;
    case RT_FIELD_NUM:
    case RT_FIELD_DURATION: st = check_num(n, f, out, err); break;
    case RT_FIELD_BOOL: st = check_bool(n, f, out, err); break;
    case RT_FIELD_ENUM: st = check_enum(n, f, out, err); break;
    default: *out = json_string(n->text); st = RT_OK;
    }
    return st == RT_OK && !*out ? no_memory(err) : st;
}

/* ---- lists and maps ---- */

static rt_status check_map(const rt_yaml_node *map, const rt_field *fields, const char *where, json_t **out,
                           rt_err *err);

static rt_status append(json_t *list, json_t *value, rt_err *err)
{
    return json_array_append_new(list, value) == 0 ? RT_OK : no_memory(err);
}

/* A word in place of a list: one map that has only this. */
static rt_status append_word(json_t *list, const rt_yaml_node *n, const rt_field *f, rt_err *err)
{
    rt_yaml_node key = {.kind = RT_YAML_SCALAR, .text = f->word, .source = n->source}, value = *n, map = *n;
    json_t *v = NULL;
    value.key = &key;
    value.next = NULL;
    map.kind = RT_YAML_MAP;
    map.first = &value;
    rt_status st = check_map(&map, f->children, f->key, &v, err);
    if (st != RT_OK) {
        json_decref(v);
        return st;
    }
    return append(list, v, err);
}

static rt_status check_list(const rt_yaml_node *n, const rt_field *f, json_t **out, rt_err *err)
{
    rt_status st = RT_OK;
    bool texts = f->kind == RT_FIELD_STRS;
    *out = json_array();
    if (!*out) {
        return no_memory(err);
    }
    if (texts && n->kind == RT_YAML_SCALAR && !rt_yaml_is_null(n)) {
        return append(*out, json_string(n->text), err);
    }
    if (f->word && n->kind == RT_YAML_SCALAR && !rt_yaml_is_null(n)) {
        return append_word(*out, n, f, err);
    }
    if (n->kind != RT_YAML_LIST) {
        return fail_kind(n, f, err);
    }
    for (const rt_yaml_node *e = n->first; e && st == RT_OK; e = e->next) {
        json_t *v = NULL;
        if (e->kind != (texts ? RT_YAML_SCALAR : RT_YAML_MAP) || rt_yaml_is_null(e)) {
            return rt_yaml_fail(e, err, "'%s' must be %s", f->key, kind_text(f->kind));
        }
        if (texts) {
            v = json_string(e->text);
        } else {
            st = check_map(e, f->children, f->key, &v, err);
        }
        if (st == RT_OK) {
            st = append(*out, v, err);
        } else {
            json_decref(v);
        }
    }
    return st;
}

static rt_status check_value(const rt_yaml_node *n, const rt_field *f, json_t **out, rt_err *err)
{
    switch (f->kind) {
    case RT_FIELD_STRS:
    case RT_FIELD_MAPS: return check_list(n, f, out, err);
    case RT_FIELD_MAP:
        if (n->kind != RT_YAML_MAP) {
            return fail_kind(n, f, err);
        }
        return check_map(n, f->children, f->key, out, err);
    default: return check_scalar(n, f, out, err);
    }
}

/* A default is recipe text like any other, but a bad one is our own bug. */
static rt_status parse_default(const rt_field *f, json_t **out, rt_err *err)
{
    rt_arena arena = {0};
    rt_yaml_node *n = NULL;
    rt_status st = rt_yaml_parse(&n, &arena, f->dflt, strlen(f->dflt), "default", false, err);
    if (st == RT_OK) {
        RT_BUG_IF(!n);
        st = check_value(n, f, out, err);
    }
    RT_BUG_IF(st == RT_RECIPE);
    rt_arena_release(&arena);
    return st;
}

/* What an absent key stands for; *out = NULL for nothing. An absent map has a value when none of its keys is
 * required and one of them has a default. */
static rt_status default_value(const rt_field *f, json_t **out, rt_err *err)
{
    rt_status st = RT_OK;
    *out = NULL;
    if (f->dflt) {
        return parse_default(f, out, err);
    }
    if (f->kind != RT_FIELD_MAP) {
        return RT_OK;
    }
    for (const rt_field *c = f->children; c->key; c++) {
        if (c->required) {
            return RT_OK;
        }
    }
    json_t *map = json_object();
    if (!map) {
        return no_memory(err);
    }
    for (const rt_field *c = f->children; c->key; c++) {
        json_t *v = NULL;
        st = default_value(c, &v, err);
        if (st == RT_OK && v) {
            st = put(map, c->key, v, err);
            v = NULL;
        }
        json_decref(v);
        if (st != RT_OK) {
            goto out;
        }
    }
    if (json_object_size(map) > 0) {
        *out = json_incref(map);
    }
out:
    json_decref(map);
    return st;
}

static const rt_field *find_field(const rt_field *fields, const char *key)
{
    for (const rt_field *f = fields; f->key; f++) {
        if (strcmp(f->key, key) == 0) {
            return f;
        }
    }
    return NULL;
}

static rt_status check_map(const rt_yaml_node *map, const rt_field *fields, const char *where, json_t **out,
                           rt_err *err)
{
    rt_status st;
    *out = json_object();
    if (!*out) {
        return no_memory(err);
    }
    for (const rt_yaml_node *n = map->first; n; n = n->next) {
        if (!find_field(fields, n->key->text)) {
            return fail_unknown_key(n->key, fields, where, err);
        }
    }
    for (const rt_field *f = fields; f->key; f++) {
        const rt_yaml_node *n = rt_yaml_find(map, f->key);
        json_t *v = NULL;
        if (!n && f->required) {
            return rt_yaml_fail(map, err, "'%s' is missing in %s (%s)", f->key, where,
                                f->help ? f->help : kind_text(f->kind));
        }
        st = n ? check_value(n, f, &v, err) : default_value(f, &v, err);
        if (st == RT_OK && v) {
            st = put(*out, f->key, v, err);
            v = NULL;
        }
        json_decref(v);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

/* ---- entry points ---- */

rt_status rt_recipe_parse(json_t **out, const char *text, size_t n, const char *name, const rt_field *schema,
                          const char *const *sets, size_t n_sets, rt_err *err)
{
    rt_status st;
    rt_arena arena = {0};
    rt_yaml_node *root = NULL;
    *out = NULL;
    if (n > RECIPE_SIZE_MAX) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'%s' has %zu bytes, a recipe has at most %zu", name, n, RECIPE_SIZE_MAX);
    }
    RT_TRY(rt_yaml_parse(&root, &arena, n > 0 ? text : "", n, name, true, err));
    if (!root || root->kind != RT_YAML_MAP) {
        RT_FAIL_OUT(err, RT_RECIPE, 1, "%s:1:1: a recipe is a map of keys to values", name);
    }
    for (size_t i = 0; i < n_sets; i++) {
        RT_TRY(rt_yaml_set(root, &arena, sets[i], err));
    }
    RT_TRY(check_map(root, schema, "the recipe", out, err));
out:
    if (st != RT_OK) {
        json_decref(*out);
        *out = NULL;
    }
    rt_arena_release(&arena);
    return st;
}

rt_status rt_recipe_load(json_t **out, const char *path, const rt_field *schema, const char *const *sets, size_t n_sets,
                         rt_err *err)
{
    rt_status st;
    rt_str text = {0};
    *out = NULL;
    RT_TRY(rt_file_read(&text, path, RECIPE_SIZE_MAX, err));
    RT_TRY(rt_recipe_parse(out, text.p, text.n, path, schema, sets, n_sets, err));
out:
    rt_str_release(&text);
    return st;
}
