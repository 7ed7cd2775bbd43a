/* recipe_print.c - a checked recipe as canonical YAML: block maps, lists of scalars in one line. Reading it back
 * gives the same recipe. */
#include <string.h>
#include <strings.h>

#include "format/json.h"
#include "format/recipe.h"

static void indent(rt_str *s, int level)
{
    for (int i = 0; i < level; i++) {
        rt_str_puts(s, "  ");
    }
}

/* Words that other YAML readers take for something else than text. */
static bool is_reserved(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* May stand without quotes anywhere, also in a flow list. */
static bool is_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char others[] = "0123456789_-./+@";
    if (!*text || (!strchr(letters, *text) && *text != '/' && *text != '_') || is_reserved(text)) {
        return false;
    }
    for (const char *p = text; *p; p++) {
        if (!strchr(letters, *p) && !strchr(others, *p)) {
            return false;
        }
    }
    return true;
}

static void print_scalar(rt_str *s, const json_t *v)
{
    const char *text = json_string_value(v);
    if (text && is_plain(text)) {
        rt_str_puts(s, text);
    } else {
        rt_json_append(s, v); /* a JSON string is a double-quoted YAML one */
    }
}

static bool is_scalar(const json_t *v)
{
    return !json_is_object(v) && !json_is_array(v);
}

static bool is_flow_list(const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!is_scalar(json_array_get(v, i))) {
            return false;
        }
    }
    return true;
}

static void print_flow_list(rt_str *s, const json_t *list)
{
    rt_str_putc(s, '[');
    for (size_t i = 0; i < json_array_size(list); i++) {
        rt_str_puts(s, i > 0 ? ", " : "");
        print_scalar(s, json_array_get(list, i));
    }
    rt_str_putc(s, ']');
}

static void print_map(rt_str *s, const json_t *map, int level, bool first_in_line);

/* What follows "key:". */
static void print_value(rt_str *s, const json_t *v, int level)
{
    if (is_scalar(v)) {
        rt_str_putc(s, ' ');
        print_scalar(s, v);
        rt_str_putc(s, '\n');
    } else if (json_is_object(v) && json_object_size(v) > 0) {
        rt_str_putc(s, '\n');
        print_map(s, v, level + 1, false);
    } else if (json_is_object(v)) {
        rt_str_puts(s, " {}\n");
    } else if (is_flow_list(v)) {
        rt_str_putc(s, ' ');
        print_flow_list(s, v);
        rt_str_putc(s, '\n');
    } else {
        rt_str_putc(s, '\n');
        for (size_t i = 0; i < json_array_size(v); i++) {
            indent(s, level + 1);
            rt_str_puts(s, "- ");
            print_map(s, json_array_get(v, i), level + 2, true);
        }
    }
}

/* `first_in_line`: the first key follows the "- " of a list. */
static void print_map(rt_str *s, const json_t *map, int level, bool first_in_line)
{
    const char *key;
    json_t *v;
    if (json_object_size(map) == 0) {
        rt_str_puts(s, "{}\n");
        return;
    }
    json_object_foreach((json_t *)map, key, v)
    {
        if (!first_in_line) {
            indent(s, level);
        }
        first_in_line = false;
        rt_str_puts(s, key);
        rt_str_putc(s, ':');
        print_value(s, v, level);
    }
}

void rt_recipe_print(rt_str *s, const json_t *recipe)
{
    print_map(s, recipe, 0, false);
}
