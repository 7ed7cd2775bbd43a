/* str.h - growable byte string (always NUL-terminated) and slices. */
#ifndef RT_CORE_STR_H
#define RT_CORE_STR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* Borrowed bytes, not NUL-terminated. */
typedef struct rt_slice {
    const char *p;
    size_t n;
} rt_slice;
bool rt_slice_eq(rt_slice a, const char *cstr);

/* Zero-initialise; out-of-memory is remembered in `failed`, later calls do nothing: check once at the end. */
typedef struct rt_str {
    char *p; /* NULL until the first byte */
    size_t n, cap;
    bool failed;
} rt_str;
void rt_str_add(rt_str *s, const void *bytes, size_t n);
void rt_str_puts(rt_str *s, const char *cstr);
void rt_str_putc(rt_str *s, char c);
void rt_str_printf(rt_str *s, const char *fmt, ...) RT_PRINTF(2, 3);
void rt_str_clear(rt_str *s);   /* keeps the block */
void rt_str_release(rt_str *s); /* frees it */
/* "" when empty; never NULL. */
const char *rt_str_cstr(const rt_str *s);

/* Strict: the whole string must be the number. */
bool rt_parse_i64(const char *s, int64_t *out);
bool rt_parse_f64(const char *s, double *out);
/* 512, 2k, 64M, 1.5G (k = 1000). */
bool rt_parse_count(const char *s, int64_t *out);
/* 90s, 8m, 1.5h -> seconds. A bare number is seconds. */
bool rt_parse_duration(const char *s, double *out);
/* Levenshtein distance, for "did you mean". Strings up to 64 bytes; longer ones compare as far. */
int rt_edit_distance(const char *a, const char *b);
/* true when the bytes are well-formed UTF-8. */
bool rt_utf8_valid(const void *p, size_t n);
/* The first `most` of n bytes, fewer where that would cut a character of UTF-8. */
size_t rt_utf8_cut(const char *p, size_t n, size_t most);

#endif
