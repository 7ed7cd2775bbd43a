/* chat_form.c - chatml's templates are compared in a canonical spelling with the known ones, which have a hole where
 * the default system content goes; others go by their families' texts. Nothing is evaluated: a template either is of a
 * known form or is refused. */
#include "text/chat_form.h"

#include <string.h>

#define HOLE "\x01"
#define CHATML_DEFAULT_SYSTEM                                 \
    "{% if loop.first and messages[0]['role'] != 'system' %}" \
    "{{ '<|im_start|>system\n" HOLE "<|im_end|>\n' }}{% endif %}"
#define CHATML_TURN "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
#define CHATML_OPEN_REPLY "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
#define DEFAULT_NO_REPLY \
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
#define FOR_EACH "{% for message in messages %}"
#define END_FOR "{% endfor %}"

static const char *const known[] = {
    FOR_EACH CHATML_DEFAULT_SYSTEM CHATML_TURN END_FOR CHATML_OPEN_REPLY,
    FOR_EACH CHATML_TURN END_FOR CHATML_OPEN_REPLY,
    DEFAULT_NO_REPLY FOR_EACH CHATML_TURN END_FOR CHATML_OPEN_REPLY,
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *p)
{
    while (is_space(*p)) {
        p++;
    }
    return p;
}

/* A literal, from its opening quote, with literals added to it by '+' joined on. Returns what follows. */
static const char *copy_literal(rt_str *out, const char *p)
{
    rt_str_putc(out, '\'');
    for (;;) {
        char quote = *p++;
        for (; *p && *p != quote; p++) {
            if (p[0] == '\\' && p[1] == 'n') {
                rt_str_putc(out, '\n');
                p++;
            } else if (p[0] == '\\' && p[1]) {
                rt_str_add(out, p++, 2); /* other escapes stay as they are, and match no known form */
            } else {
                rt_str_putc(out, *p);
            }
        }
        p += *p == quote;
        const char *plus = skip_space(p), *next = *plus == '+' ? skip_space(plus + 1) : "";
        if (*next != '\'' && *next != '"') {
            break;
        }
        p = next;
    }
    rt_str_putc(out, '\'');
    return p;
}

/* Tags without spacing, every literal in single quotes with its line feeds written out. */
static void canonical(rt_str *out, const char *p)
{
    bool in_tag = false;
    while (*p) {
        bool opens = p[0] == '{' && (p[1] == '{' || p[1] == '%');
        bool closes = (p[0] == '}' || p[0] == '%') && p[1] == '}';
        if (!in_tag && opens) {
            in_tag = true;
            rt_str_add(out, p, 2);
            p += 2;
        } else if (in_tag && closes) {
            in_tag = false;
            rt_str_add(out, p, 2);
            p += 2;
        } else if (in_tag && is_space(*p)) {
            p = skip_space(p);
        } else if (in_tag && (*p == '\'' || *p == '"')) {
            p = copy_literal(out, p);
        } else {
            rt_str_putc(out, *p++);
        }
    }
}

/* The hole takes what lies between the two halves, if that is plain text of one literal. */
static bool match_hole(rt_slice text, const char *pattern, rt_slice *hole)
{
    const char *at = strstr(pattern, HOLE);
    *hole = (rt_slice){0};
    if (!at) {
        return rt_slice_eq(text, pattern);
    }
    size_t before = (size_t)(at - pattern), after = strlen(at + 1);
    if (text.n < before + after || memcmp(text.p, pattern, before) != 0 ||
        memcmp(text.p + text.n - after, at + 1, after) != 0) {
        return false;
    }
    *hole = (rt_slice){text.p + before, text.n - before - after};
    return !memchr(hole->p, '\'', hole->n) && !memchr(hole->p, '\\', hole->n);
}

static rt_status match_known(const char *template, bool *found, rt_slice *hole, rt_str *text, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str pattern = {0};
    canonical(text, template);
    *found = false;
    for (size_t i = 0; i < sizeof known / sizeof *known && !*found; i++) {
        rt_str_clear(&pattern);
        canonical(&pattern, known[i]);
        if (text->failed || pattern.failed) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to read the chat template");
        }
        *found = match_hole((rt_slice){rt_str_cstr(text), text->n}, rt_str_cstr(&pattern), hole);
    }
out:
    rt_str_release(&pattern);
    return st;
}

/* The first plain text between the two marks; none where there is none. */
static rt_slice between(const char *template, const char *after, const char *before)
{
    const size_t n_after = strlen(after);
    for (const char *p = strstr(template, after); p; p = strstr(p + 1, after)) {
        const char *text = p + n_after, *end = strstr(text, before);
        if (end && end > text && strcspn(text, "'\"\\{}") >= (size_t)(end - text)) {
            return (rt_slice){text, (size_t)(end - text)};
        }
    }
    return (rt_slice){0};
}

static rt_status take_system(char **system, rt_slice found, rt_err *err)
{
    *system = found.p ? rt_strndup(found.p, found.n) : NULL;
    return found.p && !*system ? rt_fail(err, RT_MEMORY, 0, "no memory to read the chat template") : RT_OK;
}

rt_status rt_chat_form_default(const rt_chat_form_info *form, const char *template, char **system, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    *system = NULL;
    if (template && form->default_after) {
        canonical(&text, template);
        if (text.failed) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to read the chat template");
        }
        RT_TRY(take_system(system, between(rt_str_cstr(&text), form->default_after, form->default_before), err));
    }
out:
    rt_str_release(&text);
    return st;
}

rt_status rt_chat_form_match(const char *template, const rt_chat_form_info **form, char **system, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    rt_slice hole = {0};
    bool is_chatml = false;
    *system = NULL;
    RT_TRY(match_known(template, &is_chatml, &hole, &text, err));
    *form = is_chatml ? rt_chat_form_by_name("chatml") : rt_chat_form_by_print(template);
    if (is_chatml) {
        RT_TRY(take_system(system, hole, err));
    } else if (*form) {
        RT_TRY(rt_chat_form_default(*form, template, system, err));
    }
out:
    rt_str_release(&text);
    return st;
}
