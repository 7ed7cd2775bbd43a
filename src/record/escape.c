/* escape.c - foreign text into Markdown and YAML without letting it act there. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "format/json.h"
#include "record/card.h"

void rt_md_escape(rt_str *out, const char *text)
{
    /* ':' and '@' so that bare addresses do not become links. */
    static const char special[] = "\\`*_[]<>|&~$#:@!";
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < ' ' || c == 127) {
            rt_str_putc(out, ' ');
        } else {
            if (strchr(special, *p) || (p == text && strchr("-+=", *p))) {
                rt_str_putc(out, '\\');
            }
            rt_str_putc(out, *p);
        }
    }
}

/* A word that YAML takes as text without quotes: starts with a letter, holds nothing that YAML gives a meaning. */
static bool is_plain_word(const char *s)
{
    static const char *const meant[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"};
    if (!isalpha((unsigned char)*s)) {
        return false;
    }
    for (const char *p = s; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("._/+-", *p)) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof meant / sizeof *meant; i++) {
        if (strcasecmp(s, meant[i]) == 0) {
            return false;
        }
    }
    return true;
}

void rt_yaml_scalar(rt_str *out, const char *text)
{
    if (is_plain_word(text)) {
        rt_str_puts(out, text);
    } else {
        rt_json_append_text(out, text, strlen(text)); /* JSON text is YAML text */
    }
}

void rt_yaml_line(rt_str *out, const char *key, const char *value)
{
    rt_str_printf(out, "%s: ", key);
    rt_yaml_scalar(out, value);
    rt_str_putc(out, '\n');
}

void rt_yaml_item(rt_str *out, const char *value)
{
    rt_str_puts(out, "- ");
    rt_yaml_scalar(out, value);
    rt_str_putc(out, '\n');
}
