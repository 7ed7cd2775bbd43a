/* The recipe's keys as a page of Markdown, from the schema that checks them. */
#include "flow/recipe.h"

static const char *kind_name(rt_field_kind k)
{
    switch (k) {
    case RT_FIELD_STR: return "text";
    case RT_FIELD_INT: return "whole number";
    case RT_FIELD_NUM: return "number";
    case RT_FIELD_BOOL: return "true or false";
    case RT_FIELD_DURATION: return "time";
    case RT_FIELD_ENUM: return "one of";
    case RT_FIELD_STRS: return "list";
    case RT_FIELD_MAP: return "map";
    case RT_FIELD_MAPS: return "list of maps";
    }
    return "";
}

static void describe(rt_str *s, const char *prefix, const rt_field *f)
{
    rt_str_printf(s, "| `%s%s` | %s", prefix, f->key, kind_name(f->kind));
    for (const char *p = f->choices; p != NULL && *p != '\0'; p++) {
        rt_str_puts(s, p == f->choices ? " " : "");
        if (*p == '|') {
            rt_str_puts(s, ", ");
        } else {
            rt_str_putc(s, *p);
        }
    }
    rt_str_printf(s, " | %s | %s |\n", f->required ? "required" : f->dflt != NULL ? f->dflt : "", f->help);
    for (const rt_field *c = f->children; c != NULL && c->key != NULL; c++) {
        rt_str below = {0};
        rt_str_printf(&below, "%s%s.", prefix, f->key);
        describe(s, rt_str_cstr(&below), c);
        rt_str_release(&below);
    }
}

void rt_run_recipe_doc(rt_str *s)
{
    rt_str_puts(s, "# Keys of a recipe\n\n"
                   "Only `teacher`, `data` and `student` are required. Numbers take k, M and G (1000, not 1024), times "
                   "s, m and h. Unknown keys, wrong\n"
                   "types and impossible values are refused with file, line, column and the nearest valid key. `--set "
                   "key.sub=value` overrides a\n"
                   "key on the command line. This page is the output of `retort run --keys`.\n\n"
                   "| key | kind | default | meaning |\n|---|---|---|---|\n");
    for (const rt_field *f = rt_run_schema; f->key != NULL; f++) {
        describe(s, "", f);
    }
}
