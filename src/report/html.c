/* html.c - escaping. Model outputs, file names and licences reach the page through here and nowhere else. */
#include "report/html.h"

#include <stdarg.h>
#include <string.h>

#include "text/utf8.h"

/* Ranges that are not drawn, that reorder what is drawn, or that XML forbids. */
static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x00, 0x08},     {0x0B, 0x1F},                           /* C0, but for tab and line feed */
    {0x7F, 0x9F},                                             /* DEL, C1 */
    {0xAD, 0xAD},     {0x034F, 0x034F},                       /* soft hyphen, grapheme joiner */
    {0x061C, 0x061C}, {0x115F, 0x1160},   {0x17B4, 0x17B5},   /* Arabic mark, Hangul and Khmer fillers */
    {0x180B, 0x180F}, {0x200B, 0x200F},   {0x2028, 0x202E},   /* zero width, marks, separators, embeddings */
    {0x2060, 0x206F}, {0x3164, 0x3164},   {0xFE00, 0xFE0F},   /* joiners, isolates, filler, variations */
    {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0},   {0xFFF0, 0xFFFB},   /* byte order mark, filler, annotation */
    {0xFFFE, 0xFFFF}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}, /* no characters, musical, tags */
};

static bool is_hidden(uint32_t cp)
{
    if ((cp & 0xFFFE) == 0xFFFE) {
        return true;
    }
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        if (cp >= hidden[i].first && cp <= hidden[i].last) {
            return true;
        }
    }
    return false;
}

/* What stands for the character at `p` of `len` bytes; `buf` holds it when it must be made. */
static const char *shown(const char *p, size_t len, uint32_t cp, char buf[16])
{
    switch (cp) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: break;
    }
    if (is_hidden(cp)) {
        snprintf(buf, 16, "[U+%04X]", (unsigned)cp);
    } else {
        memcpy(buf, p, len);
        buf[len] = '\0';
    }
    return buf;
}

size_t rt_html_cut(rt_str *out, const char *text, size_t n, size_t most)
{
    char buf[16];
    for (size_t i = 0, used = 0; i < n;) {
        uint32_t cp = 0;
        size_t part = 0, len = rt_utf8_char(text + i, n - i, &part, &cp);
        if (len == 0) {
            snprintf(buf, sizeof buf, "[x%02X]", (unsigned)(uint8_t)text[i]);
            part = 1;
        }
        const char *s = len ? shown(text + i, len, cp, buf) : buf;
        size_t bytes = strlen(s);
        if (used + bytes > most) {
            return n - i;
        }
        rt_str_add(out, s, bytes);
        used += bytes;
        i += part;
    }
    return 0;
}

void rt_html_text(rt_str *out, const char *text, size_t n, size_t most)
{
    size_t left = rt_html_cut(out, text, n, most);
    if (left > 0) {
        rt_str_printf(out, "… (%zu bytes more)", left);
    }
}

void rt_html_put(rt_str *out, const char *markup, ...)
{
    va_list args;
    va_start(args, markup);
    for (const char *p = markup; *p; p++) {
        size_t plain = strcspn(p, "%");
        rt_str_add(out, p, plain);
        p += plain;
        if (!*p) {
            break;
        }
        p++;
        if (*p == 's') {
            const char *text = va_arg(args, const char *);
            rt_html_text(out, text, strlen(text), RT_HTML_TEXT_MAX);
        } else if (*p == 'd') {
            rt_str_printf(out, "%d", va_arg(args, int));
        } else if (p[0] == 'z' && p[1] == 'u') {
            rt_str_printf(out, "%zu", va_arg(args, size_t));
            p++;
        } else {
            RT_BUG_IF(*p != '%');
            rt_str_putc(out, '%');
        }
    }
    va_end(args);
}

void rt_html_json(rt_str *out, const json_t *value, const char *otherwise)
{
    if (json_is_string(value) && json_string_length(value) > 0) {
        rt_html_text(out, json_string_value(value), json_string_length(value), RT_HTML_TEXT_MAX);
    } else if (json_is_integer(value)) {
        rt_str_printf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        rt_str_printf(out, "%.6g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        rt_str_puts(out, json_is_true(value) ? "yes" : "no");
    } else {
        rt_html_put(out, "%s", otherwise);
    }
}
