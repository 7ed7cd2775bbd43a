/* provenance_card.c - what a model says of its origin as README.md: a head for programs, the same in words. */
#include "record/provenance_impl.h"

#include <stdio.h>

#include "record/card.h"

/* A scalar for one licence, a list for several. */
static void print_parts(rt_str *s, const char *key, const char *expression)
{
    rt_str one = {0};
    if (*expression == '\0' || rt_is_licence_text(expression)) {
        return;
    }
    if (strstr(expression, RT_PROVENANCE_AND) == NULL) {
        rt_yaml_line(s, key, expression);
        return;
    }
    rt_str_printf(s, "%s:\n", key);
    for (const char *at = expression, *end; at != NULL; at = end != NULL ? end + strlen(RT_PROVENANCE_AND) : NULL) {
        end = strstr(at, RT_PROVENANCE_AND);
        rt_str_clear(&one);
        rt_str_add(&one, at, end != NULL ? (size_t)(end - at) : strlen(at));
        rt_yaml_item(s, rt_str_cstr(&one));
    }
    s->failed = s->failed || one.failed;
    rt_str_release(&one);
}

static void print_bases(rt_str *s, const json_t *p)
{
    rt_str label = {0};
    if (rt_provenance_n_bases(p) > 0) {
        rt_str_puts(s, "base_model:\n");
    }
    for (int i = 0; i < rt_provenance_n_bases(p); i++) {
        rt_provenance_base(&label, p, i);
        rt_yaml_item(s, rt_str_cstr(&label));
    }
    if (rt_provenance_n_bases(p) > 0) {
        rt_yaml_line(s, "base_model_relation", "finetune");
    }
    s->failed = s->failed || label.failed;
    rt_str_release(&label);
}

static void print_own_keys(rt_str *s, const json_t *p)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)p, key, v)
    {
        char own[64];
        if (rt_begins_with(key, "retort.") && json_is_string(v) && strlen(key) < sizeof own) {
            snprintf(own, sizeof own, "%s", key);
            rt_swap_in_key(own, '.', '_');
            rt_yaml_line(s, own, json_string_value(v));
        }
    }
}

static void fact(rt_str *s, const char *what, const char *value)
{
    if (*value && !rt_is_licence_text(value)) {
        rt_str_printf(s, "- %s: ", what);
        rt_md_escape(s, value);
        rt_str_putc(s, '\n');
    }
}

rt_status rt_provenance_print(rt_str *out, const json_t *p, const char *name, const char *what, rt_err *err)
{
    rt_str label = {0};
    rt_str_puts(out, "---\n");
    print_parts(out, "license", rt_json_str(p, RT_PROVENANCE_LICENCE, ""));
    print_parts(out, "license_name", rt_json_str(p, RT_PROVENANCE_LICENCE_NAME, ""));
    print_parts(out, "license_link", rt_json_str(p, RT_PROVENANCE_LICENCE_LINK, ""));
    print_bases(out, p);
    rt_str_puts(out, "tags:\n- distillation\n- retort\n");
    print_own_keys(out, p);
    rt_str_puts(out, "---\n\n# ");
    rt_md_escape(out, name);
    rt_str_printf(out, "\n\n%s\n\n", what);
    for (int i = 0; i < rt_provenance_n_bases(p); i++) {
        rt_provenance_base(&label, p, i);
        fact(out, "Made from", rt_str_cstr(&label));
    }
    fact(out, "Licence", rt_json_str(p, RT_PROVENANCE_LICENCE, ""));
    fact(out, "Licence by name", rt_json_str(p, RT_PROVENANCE_LICENCE_NAME, ""));
    fact(out, "Teacher", rt_json_str(p, "retort.teacher.name", ""));
    fact(out, "SHA-256 of the teacher", rt_json_str(p, "retort.teacher.sha256", ""));
    fact(out, "Verdict of the licence gate", rt_json_str(p, "retort.licence.verdict", ""));
    const bool failed = out->failed || label.failed;
    rt_str_release(&label);
    return failed ? rt_fail(err, RT_MEMORY, 0, "no memory for a model's card") : RT_OK;
}
