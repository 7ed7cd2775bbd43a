/* json.h - jansson with retort's error record, limits and a line reader. Jansson allocates through core/mem.h. */
#ifndef RT_FORMAT_JSON_H
#define RT_FORMAT_JSON_H

#include <jansson.h>

#include "core/core.h"

/* Strict: duplicate keys refused, trailing bytes refused, nesting and size bounded. `what` names the source in errors.
 * Caller decrefs. Texts may hold NUL (json_string_length tells), keys may not. */
RT_MUST_USE rt_status rt_json_parse(json_t **out, const void *p, size_t n, const char *what, rt_err *err);
RT_MUST_USE rt_status rt_json_load(json_t **out, const char *path, rt_err *err);
/* Atomic, indented by two, keys in insertion order, newline at the end. */
RT_MUST_USE rt_status rt_json_save(const json_t *j, const char *path, rt_err *err);
/* One line, compact, appended to `s` without newline. */
void rt_json_append(rt_str *s, const json_t *j);
/* A quoted, escaped string; a number with the fewest digits that read back the same (null when not finite). */
void rt_json_append_text(rt_str *s, const char *text, size_t n);
void rt_json_append_real(rt_str *s, double v);
json_t *rt_number_json(double v); /* owned; null when v is not finite, for which JSON has no number */

/* Getters with defaults for optional fields, also where the value is of another type; NULL objects are fine. */
int64_t rt_json_i64(const json_t *o, const char *key, int64_t dflt);
double rt_json_f64(const json_t *o, const char *key, double dflt);
bool rt_json_bool(const json_t *o, const char *key, bool dflt);
const char *rt_json_str(const json_t *o, const char *key, const char *dflt); /* a text with NUL counts as absent */

/* JSON lines over a mapped file; blank lines skipped. */
typedef struct rt_jsonl {
    rt_map map;
    const char *path; /* borrows */
    size_t at;        /* byte offset of the next line */
    uint64_t line;    /* number of the line last returned, from 1 */
} rt_jsonl;
RT_MUST_USE rt_status rt_jsonl_open(rt_jsonl *r, const char *path, rt_err *err);
/* *out = next object (caller decrefs) or NULL at the end. Errors name file and line. */
RT_MUST_USE rt_status rt_jsonl_next(rt_jsonl *r, json_t **out, rt_err *err);
void rt_jsonl_close(rt_jsonl *r);

#endif
