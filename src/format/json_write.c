/* json_write.c - JSON text: keys in insertion order and the shortest digits that read back as the same number
 * (jansson would print 0.1 as 0.10000000000000001). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"

/* Characters that YAML or JavaScript would not take raw in a quoted text: C1 controls, line separators, byte-order
 * mark, noncharacters. Returns their UTF-8 length and the code, 0 for any other. */
static size_t invisible(const unsigned char *p, size_t n, unsigned *code)
{
    if (n >= 2 && p[0] == 0xc2 && p[1] < 0xa0) {
        *code = p[1];
        return 2;
    }
    if (n < 3 || (p[0] != 0xe2 && p[0] != 0xef)) {
        return 0;
    }
    *code = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return *code == 0x2028 || *code == 0x2029 || *code == 0xfeff || *code >= 0xfffe ? 3 : 0;
}

void rt_json_append_text(rt_str *s, const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned code;
    rt_str_putc(s, '"');
    for (size_t i = 0; i < n; i++) {
        size_t length = invisible(p + i, n - i, &code);
        if (p[i] == '"' || p[i] == '\\') {
            rt_str_putc(s, '\\');
            rt_str_putc(s, text[i]);
        } else if (p[i] == '\n') {
            rt_str_puts(s, "\\n");
        } else if (p[i] == '\t') {
            rt_str_puts(s, "\\t");
        } else if (p[i] == '\r') {
            rt_str_puts(s, "\\r");
        } else if (p[i] < 0x20 || p[i] == 0x7f) {
            rt_str_printf(s, "\\u%04x", p[i]);
        } else if (length > 0) {
            rt_str_printf(s, "\\u%04x", code);
            i += length - 1;
        } else {
            rt_str_putc(s, text[i]);
        }
    }
    rt_str_putc(s, '"');
}

void rt_json_append_real(rt_str *s, double v)
{
    char digits[40];
    if (!isfinite(v)) { /* JSON has no such number */
        rt_str_puts(s, "null");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, v);
        if (strtod(digits, NULL) == v) {
            break;
        }
    }
    char *comma = strchr(digits, ','); /* the host program's locale */
    if (comma) {
        *comma = '.';
    }
    rt_str_puts(s, digits);
    if (!strpbrk(digits, ".e")) {
        rt_str_puts(s, ".0");
    }
}

/* New line and two spaces a level; nothing when `level` is negative (compact). */
static void break_line(rt_str *s, int level)
{
    if (level < 0) {
        return;
    }
    rt_str_putc(s, '\n');
    for (int i = 0; i < level; i++) {
        rt_str_puts(s, "  ");
    }
}

static void append_value(rt_str *s, const json_t *j, int level);

static void append_object(rt_str *s, const json_t *j, int level)
{
    const char *key, *comma = "";
    json_t *v;
    int inner = level < 0 ? level : level + 1;
    rt_str_putc(s, '{');
    json_object_foreach((json_t *)j, key, v)
    {
        rt_str_puts(s, comma);
        break_line(s, inner);
        rt_json_append_text(s, key, strlen(key));
        rt_str_puts(s, level < 0 ? ":" : ": ");
        append_value(s, v, inner);
        comma = ",";
    }
    if (json_object_size(j) > 0) {
        break_line(s, level);
    }
    rt_str_putc(s, '}');
}

static void append_array(rt_str *s, const json_t *j, int level)
{
    int inner = level < 0 ? level : level + 1;
    rt_str_putc(s, '[');
    for (size_t i = 0; i < json_array_size(j); i++) {
        rt_str_puts(s, i > 0 ? "," : "");
        break_line(s, inner);
        append_value(s, json_array_get(j, i), inner);
    }
    if (json_array_size(j) > 0) {
        break_line(s, level);
    }
    rt_str_putc(s, ']');
}

static void append_value(rt_str *s, const json_t *j, int level)
{
    switch (j ? json_typeof(j) : JSON_NULL) {
    case JSON_OBJECT: append_object(s, j, level); break;
    case JSON_ARRAY: append_array(s, j, level); break;
    case JSON_STRING: rt_json_append_text(s, json_string_value(j), json_string_length(j)); break;
    case JSON_INTEGER: rt_str_printf(s, "%" JSON_INTEGER_FORMAT, json_integer_value(j)); break;
    case JSON_REAL: rt_json_append_real(s, json_real_value(j)); break;
    case JSON_TRUE: rt_str_puts(s, "true"); break;
    case JSON_FALSE: rt_str_puts(s, "false"); break;
    case JSON_NULL: rt_str_puts(s, "null"); break;
    }
}

void rt_json_append(rt_str *s, const json_t *j)
{
    append_value(s, j, -1);
}

rt_status rt_json_save(const json_t *j, const char *path, rt_err *err)
{
    rt_str text = {0};
    rt_status st;
    append_value(&text, j, 0);
    rt_str_putc(&text, '\n');
    if (text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the text of '%s'", path);
    }
    RT_TRY(rt_file_write(path, text.p, text.n, err));
out:
    rt_str_release(&text);
    return st;
}

json_t *rt_number_json(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}
