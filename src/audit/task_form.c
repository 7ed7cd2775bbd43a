/* task_form.c - fields of a row, filters, and texts with both. */
#include "audit/task_form.h"

#include <string.h>

#include "audit/task_text.h"

enum { MAX_FIELD = 64 };

/* --- fields ------------------------------------------------------------------------------------------------------- */

const json_t *rt_form_field(const json_t *row, const char *path)
{
    char key[MAX_FIELD];
    while (row != NULL) {
        const size_t n = strcspn(path, ".");
        int64_t index;
        if (n == 0 || n >= sizeof key) {
            return NULL;
        }
        memcpy(key, path, n);
        key[n] = '\0';
        row = !json_is_array(row)                       ? json_object_get(row, key)
              : rt_parse_i64(key, &index) && index >= 0 ? json_array_get(row, (size_t)index)
                                                        : NULL;
        if (path[n] == '\0') {
            break;
        }
        path += n + 1;
    }
    return row;
}

/* --- filters ------------------------------------------------------------------------------------------------------ */

typedef void filter_fn(rt_str *out, rt_slice s, rt_slice arg);

static void add(rt_str *out, rt_slice s)
{
    rt_str_add(out, s.p, s.n);
}

static void capitalize(rt_str *out, rt_slice s, rt_slice arg)
{
    (void)arg;
    rt_text_capitalize(out, s);
}

static void strip(rt_str *out, rt_slice s, rt_slice arg)
{
    (void)arg;
    add(out, rt_text_strip(s));
}

static void spaces(rt_str *out, rt_slice s, rt_slice arg)
{
    (void)arg;
    for (size_t i = 0; i < s.n; i++) {
        rt_str_putc(out, s.p[i] == '_' ? ' ' : s.p[i]);
    }
}

/* Where the first `arg` begins; the end when there is none. */
static size_t find(rt_slice s, rt_slice arg)
{
    for (size_t i = 0; arg.n > 0 && i + arg.n <= s.n; i++) {
        if (memcmp(s.p + i, arg.p, arg.n) == 0) {
            return i;
        }
    }
    return s.n;
}

static void before(rt_str *out, rt_slice s, rt_slice arg)
{
    rt_str_add(out, s.p, find(s, arg));
}

static void after(rt_str *out, rt_slice s, rt_slice arg)
{
    const size_t at = find(s, arg), from = at < s.n ? at + arg.n : s.n;
    rt_str_add(out, s.p + from, s.n - from);
}

/* Words are what lies between single spaces. */
static size_t last_word_at(rt_slice s)
{
    size_t at = s.n;
    while (at > 0 && s.p[at - 1] != ' ') {
        at--;
    }
    return at;
}

static void last_word(rt_str *out, rt_slice s, rt_slice arg)
{
    (void)arg;
    const size_t at = last_word_at(s);
    rt_str_add(out, s.p + at, s.n - at);
}

static void all_but_last_word(rt_str *out, rt_slice s, rt_slice arg)
{
    (void)arg;
    const size_t at = last_word_at(s);
    rt_str_add(out, s.p, at > 0 ? at - 1 : 0);
}

static const struct {
    const char *name;
    filter_fn *apply;
    bool takes_text;
} filters[] = {
    {"after", after, true},          {"all-but-last-word", all_but_last_word, false},
    {"before", before, true},        {"capitalize", capitalize, false},
    {"last-word", last_word, false}, {"spaces", spaces, false},
    {"strip", strip, false},
};

/* `call` is "before _" or "strip"; NULL: not known, or its text is missing or unwanted. */
static filter_fn *find_filter(rt_slice call, rt_slice *arg)
{
    const size_t n = find(call, (rt_slice){" ", 1});
    *arg = n < call.n ? (rt_slice){call.p + n + 1, call.n - n - 1} : (rt_slice){NULL, 0};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        if (rt_slice_eq((rt_slice){call.p, n}, filters[i].name)) {
            return filters[i].takes_text == (arg->n > 0) ? filters[i].apply : NULL;
        }
    }
    return NULL;
}

/* --- forms -------------------------------------------------------------------------------------------------------- */

/* Splits off what stands before the next bar. */
static rt_slice cut(rt_slice *rest)
{
    const size_t n = find(*rest, (rt_slice){"|", 1}), skip = n < rest->n ? n + 1 : n;
    const rt_slice part = {rest->p, n};
    *rest = (rt_slice){rest->p + skip, rest->n - skip};
    return part;
}

rt_status rt_form_check(const char *form, rt_err *err)
{
    for (const char *p = strchr(form, '{'); p != NULL; p = strchr(p, '{')) {
        if (p[1] == '{') {
            p += 2;
            continue;
        }
        const char *end = strchr(p, '}');
        if (end == NULL) {
            return rt_fail(err, RT_RECIPE, 0, "'%s': a '{' is not closed; write '{{' for a brace", form);
        }
        rt_slice rest = {p + 1, (size_t)(end - p) - 1}, arg;
        const rt_slice name = cut(&rest);
        if (name.n == 0 || name.n >= MAX_FIELD) {
            return rt_fail(err, RT_RECIPE, 0, "'%s': a field's name is empty or longer than %d bytes", form,
                           MAX_FIELD - 1);
        }
        while (rest.n > 0) {
            const rt_slice call = cut(&rest);
            if (find_filter(call, &arg) == NULL) {
                return rt_fail(
                    err, RT_RECIPE, 0,
                    "'%s': no filter '%.*s'; there are after TEXT, all-but-last-word, before TEXT, capitalize, "
                    "last-word, spaces and strip",
                    form, (int)call.n, call.p);
            }
        }
        p = end + 1;
    }
    return RT_OK;
}

static rt_status add_field(rt_str *out, rt_slice rest, const json_t *row, rt_err *err)
{
    char path[MAX_FIELD];
    const rt_slice name = cut(&rest);
    memcpy(path, name.p, name.n);
    path[name.n] = '\0';
    const json_t *value = rt_form_field(row, path);
    rt_str now = {0};
    if (json_is_string(value)) {
        rt_str_add(&now, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        rt_str_printf(&now, "%lld", (long long)json_integer_value(value));
    } else {
        return rt_fail(err, RT_INPUT, 0, "field '%s' is missing or no text", path);
    }
    while (rest.n > 0) {
        rt_str next = {0};
        rt_slice arg;
        const rt_slice call = cut(&rest);
        find_filter(call, &arg)(&next, (rt_slice){rt_str_cstr(&now), now.n}, arg);
        next.failed |= now.failed;
        rt_str_release(&now);
        now = next;
    }
    rt_str_add(out, rt_str_cstr(&now), now.n);
    out->failed |= now.failed;
    rt_str_release(&now);
    return RT_OK;
}

rt_status rt_form_expand(rt_str *out, const char *form, const json_t *row, rt_err *err)
{
    rt_status st = RT_OK;
    for (const char *p = form; *p != '\0';) {
        if (*p != '{') {
            rt_str_putc(out, *p++);
        } else if (p[1] == '{') {
            rt_str_putc(out, '{');
            p += 2;
        } else {
            const char *end = strchr(p, '}');
            RT_TRY(add_field(out, (rt_slice){p + 1, (size_t)(end - p) - 1}, row, err));
            p = end + 1;
        }
    }
    if (out->failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a question");
    }
out:
    return st;
}
