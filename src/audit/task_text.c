/* task_text.c - Python's strip, capitalize, lower, split and len; HellaSwag's pre-processing. */
#include "audit/task_text.h"

#include <string.h>
#include <utf8proc.h>

#include "text/utf8.h"

/* str.isspace */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Next character; the index moves on. */
static uint32_t next(rt_slice s, size_t *i)
{
    size_t part;
    uint32_t c = 0xFFFD;
    rt_utf8_char(s.p + *i, s.n - *i, &part, &c);
    *i += part;
    return c;
}

rt_slice rt_text_rstrip(rt_slice s)
{
    size_t end = 0;
    for (size_t i = 0; i < s.n;) {
        if (!is_space(next(s, &i))) {
            end = i;
        }
    }
    return (rt_slice){s.p, end};
}

rt_slice rt_text_strip(rt_slice s)
{
    size_t start = 0;
    s = rt_text_rstrip(s);
    for (size_t i = 0; i < s.n && is_space(next(s, &i));) {
        start = i;
    }
    return (rt_slice){s.p + start, s.n - start};
}

void rt_text_capitalize(rt_str *out, rt_slice s)
{
    for (size_t i = 0; i < s.n;) {
        const bool first = i == 0;
        const uint32_t c = next(s, &i);
        rt_utf8_add(out,
                    (uint32_t)(first ? utf8proc_totitle((utf8proc_int32_t)c) : utf8proc_tolower((utf8proc_int32_t)c)));
    }
}

void rt_text_lower(rt_str *out, rt_slice s)
{
    for (size_t i = 0; i < s.n;) {
        rt_utf8_add(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)next(s, &i)));
    }
}

int64_t rt_text_words(rt_slice s)
{
    int64_t n = 1;
    bool in_space = false;
    for (size_t i = 0; i < s.n;) {
        const bool space = is_space(next(s, &i));
        n += space && !in_space;
        in_space = space;
    }
    return n;
}

int64_t rt_text_length(rt_slice s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; n++) {
        next(s, &i);
    }
    return n;
}

/* Every `from` becomes `to`, left to right, without looking at what was put in. */
static void replace(rt_str *out, rt_slice s, const char *from, const char *to)
{
    const size_t n = strlen(from);
    for (size_t i = 0; i < s.n;) {
        if (s.n - i >= n && memcmp(s.p + i, from, n) == 0) {
            rt_str_puts(out, to);
            i += n;
        } else {
            rt_str_putc(out, s.p[i++]);
        }
    }
}

/* re.sub(r"\[.*?\]", "", s): the dot takes no line feed. */
static void delete_brackets(rt_str *out, rt_slice s)
{
    for (size_t i = 0; i < s.n;) {
        size_t end = i;
        if (s.p[i] == '[') {
            while (end < s.n && s.p[end] != ']' && s.p[end] != '\n') {
                end++;
            }
        }
        if (end > i && end < s.n && s.p[end] == ']') {
            i = end + 1;
        } else {
            rt_str_putc(out, s.p[i++]);
        }
    }
}

void rt_text_clean_hellaswag(rt_str *out, rt_slice s)
{
    rt_str titled = {0}, plain = {0};
    replace(&titled, rt_text_strip(s), " [title]", ". ");
    delete_brackets(&plain, (rt_slice){rt_str_cstr(&titled), titled.n});
    replace(out, (rt_slice){rt_str_cstr(&plain), plain.n}, "  ", " ");
    out->failed |= titled.failed || plain.failed;
    rt_str_release(&titled);
    rt_str_release(&plain);
}
