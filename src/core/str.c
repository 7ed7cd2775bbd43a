/* str.c - growable byte strings and slices. */
#include "core/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

bool rt_slice_eq(rt_slice a, const char *cstr)
{
    size_t n = strlen(cstr);
    return a.n == n && (n == 0 || memcmp(a.p, cstr, n) == 0);
}

/* Room for `more` bytes and the final NUL. */
static bool str_grow(rt_str *s, size_t more)
{
    size_t need;
    if (s->failed) {
        return false;
    }
    if (!rt_add_size(s->n, more, &need) || !rt_add_size(need, 1, &need)) {
        s->failed = true;
        return false;
    }
    if (need <= s->cap) {
        return true;
    }
    size_t cap = s->cap < 32 ? 64 : s->cap;
    while (cap < need && cap <= SIZE_MAX / 2) {
        cap *= 2;
    }
    char *p = rt_realloc(s->p, cap < need ? need : cap);
    if (!p) {
        s->failed = true;
        return false;
    }
    s->p = p;
    s->cap = cap < need ? need : cap;
    return true;
}

void rt_str_add(rt_str *s, const void *bytes, size_t n)
{
    if (n == 0 || !str_grow(s, n)) {
        return;
    }
    memcpy(s->p + s->n, bytes, n);
    s->n += n;
    s->p[s->n] = '\0';
}

void rt_str_puts(rt_str *s, const char *cstr)
{
    rt_str_add(s, cstr, strlen(cstr));
}

void rt_str_putc(rt_str *s, char c)
{
    rt_str_add(s, &c, 1);
}

void rt_str_printf(rt_str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        s->failed = true;
        return;
    }
    if (!str_grow(s, (size_t)n)) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(s->p + s->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    s->n += (size_t)n;
}

void rt_str_clear(rt_str *s)
{
    s->n = 0;
    s->failed = false;
    if (s->p) {
        s->p[0] = '\0';
    }
}

void rt_str_release(rt_str *s)
{
    rt_free(s->p);
    memset(s, 0, sizeof *s);
}

const char *rt_str_cstr(const rt_str *s)
{
    return s->p ? s->p : "";
}
