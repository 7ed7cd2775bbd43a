/* page_recipe.c - how to do it again. */
#include "report/page.h"

static void block(rt_str *out, const char *title, const json_t *text, const char *absent)
{
    rt_html_put(out, "<h3>%s</h3>\n", title);
    if (!json_is_string(text)) {
        rt_page_absent(out, absent);
        return;
    }
    rt_str_puts(out, "<pre>");
    rt_html_text(out, json_string_value(text), json_string_length(text), RT_HTML_RECIPE_MAX);
    rt_str_puts(out, "</pre>\n");
}

void rt_page_recipe(rt_str *out, const json_t *facts)
{
    rt_page_section(out, "recipe", "Do it again");
    block(out, "Command", json_object_get(facts, "command"), "The command is not recorded.");
    block(out, "Recipe, with every default filled in", json_object_get(facts, "recipe"), "The recipe is not recorded.");
    rt_str_puts(out, "</section>\n");
}
