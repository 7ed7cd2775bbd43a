/* parse.c - strict numbers from text, edit distance, UTF-8 check. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool rt_parse_i64(const char *s, int64_t *out)
{
    /* strtoll would take leading white space. */
    const char *digits = s + (*s == '-' || *s == '+');
    if (!is_digit(*digits)) {
        return false;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (*end || errno) {
        return false;
    }
    *out = v;
    return true;
}

bool rt_parse_f64(const char *s, double *out)
{
    /* strtod would take white space, hexadecimal, "nan" and "inf". */
    if (*s == '\0' || s[strspn(s, "0123456789+-.eE")] != '\0') {
        return false;
    }
    char *end;
    double v = strtod(s, &end);
    if (*end || end == s || !isfinite(v)) {
        return false;
    }
    *out = v;
    return true;
}

/* Power of ten of a count's suffix, -1 for no such suffix. */
static int suffix_exponent(const char *s)
{
    if (*s == '\0') {
        return 0;
    }
    if (s[1] != '\0') {
        return -1;
    }
    switch (*s) {
    case 'k':
    case 'K': return 3;
    case 'M': return 6;
    case 'G': return 9;
    case 'T': return 12;
    default: return -1;
    }
}

/* Shifts one decimal digit into *v. */
static bool push_digit(int64_t *v, int digit)
{
    return !__builtin_mul_overflow(*v, (int64_t)10, v) && !__builtin_add_overflow(*v, (int64_t)digit, v);
}

bool rt_parse_count(const char *s, int64_t *out)
{
    int64_t v = 0;
    int decimals = 0;
    if (!is_digit(*s)) {
        return false;
    }
    for (; is_digit(*s); s++) {
        if (!push_digit(&v, *s - '0')) {
            return false;
        }
    }
    if (*s == '.') {
        s++;
        if (!is_digit(*s)) {
            return false;
        }
        for (; is_digit(*s); s++, decimals++) {
            if (!push_digit(&v, *s - '0')) {
                return false;
            }
        }
    }
    /* 1.5k is a whole number, 1.5 is none. */
    int exponent = suffix_exponent(s);
    for (; exponent >= 0 && decimals > exponent && v % 10 == 0; decimals--) {
        v /= 10;
    }
    if (exponent < 0 || decimals > exponent) {
        return false;
    }
    for (int i = decimals; i < exponent; i++) {
        if (!push_digit(&v, 0)) {
            return false;
        }
    }
    *out = v;
    return true;
}

bool rt_parse_duration(const char *s, double *out)
{
    char number[64];
    size_t n = strlen(s);
    double unit = 1;
    if (n == 0 || n >= sizeof number) {
        return false;
    }
    switch (s[n - 1]) {
    case 's': n--; break;
    case 'm': unit = 60, n--; break;
    case 'h': unit = 3600, n--; break;
    default: break;
    }
    memcpy(number, s, n);
    number[n] = '\0';
    double v;
    if (!rt_parse_f64(number, &v) || v < 0) {
        return false;
    }
    *out = v * unit;
    return true;
}

#define EDIT_MAX 64

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

int rt_edit_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > EDIT_MAX || nb > EDIT_MAX) {
        return EDIT_MAX + 1;
    }
    int row[EDIT_MAX + 1];
    for (size_t j = 0; j <= nb; j++) {
        row[j] = (int)j;
    }
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = min_int(replace, min_int(row[j], row[j - 1]) + 1);
        }
    }
    return row[nb];
}

/* Bytes of the well-formed sequence at p (Unicode table 3-7), 0 when there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < len) {
        return 0;
    }
    /* The second byte's range shuts out overlong forms, surrogates and values above U+10FFFF. */
    unsigned lo = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned hi = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < lo || p[1] > hi) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return len;
}

bool rt_utf8_valid(const void *p, size_t n)
{
    const unsigned char *s = p;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_sequence(s + i, n - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

size_t rt_utf8_cut(const char *p, size_t n, size_t most)
{
    size_t cut = most < n ? most : n;
    while (cut > 0 && cut < n && ((unsigned char)p[cut] & 0xC0) == 0x80) {
        cut--;
    }
    return cut;
}
