/* json.c - parsing with jansson, strict and with retort's errors; getters. Writing is json_write.c. */
#include "format/json.h"

#include <string.h>

/* Large enough for any tokenizer.json or shard index, small enough to keep a hostile file from eating the machine. */
#define JSON_SIZE_MAX ((size_t)512 << 20)

/* Jansson reports some failed allocations as syntax errors, so they are noted where they happen. */
static _Thread_local bool starved;

static void *noting_malloc(size_t size)
{
    void *p = rt_malloc(size);
    starved = starved || !p;
    return p;
}

/* Jansson shares our heap, so that its memory is counted and its allocation failures are tested. Before main,
 * since values made by one allocator must not meet the other. */
__attribute__((constructor)) static void share_allocator(void)
{
    json_set_alloc_funcs(noting_malloc, rt_free);
}

static rt_status fail_parse(const json_error_t *e, const char *what, rt_err *err)
{
    if (starved) {
        return rt_fail(err, RT_MEMORY, 0, "no memory to parse '%s'", what);
    }
    char text[JSON_ERROR_TEXT_LENGTH]; /* quotes the input, which may hold terminal codes */
    size_t n = strnlen(e->text, sizeof text - 1);
    for (size_t i = 0; i < n; i++) {
        text[i] = e->text[i] >= 0x20 && e->text[i] < 0x7f ? e->text[i] : '?';
    }
    text[n] = '\0';
    return rt_fail(err, RT_INPUT, e->position > 0 ? (uint64_t)e->position : 0, "%s:%d:%d: bad JSON: %s", what, e->line,
                   e->column, text);
}

rt_status rt_json_parse(json_t **out, const void *p, size_t n, const char *what, rt_err *err)
{
    json_error_t e = {0};
    *out = NULL;
    if (n > JSON_SIZE_MAX) {
        return rt_fail(err, RT_INPUT, 0, "'%s': %zu bytes of JSON, the limit is %zu", what, n, JSON_SIZE_MAX);
    }
    starved = false;
    *out = json_loadb(n > 0 ? p : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    return *out ? RT_OK : fail_parse(&e, what, err);
}

rt_status rt_json_load(json_t **out, const char *path, rt_err *err)
{
    rt_str text = {0};
    *out = NULL;
    rt_status st;
    RT_TRY(rt_file_read(&text, path, JSON_SIZE_MAX, err));
    RT_TRY(rt_json_parse(out, text.p, text.n, path, err));
out:
    rt_str_release(&text);
    return st;
}

int64_t rt_json_i64(const json_t *o, const char *key, int64_t dflt)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : dflt;
}

double rt_json_f64(const json_t *o, const char *key, double dflt)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : dflt;
}

bool rt_json_bool(const json_t *o, const char *key, bool dflt)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : dflt;
}

const char *rt_json_str(const json_t *o, const char *key, const char *dflt)
{
    const json_t *v = json_object_get(o, key);
    bool whole = json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
    return whole ? json_string_value(v) : dflt;
}
