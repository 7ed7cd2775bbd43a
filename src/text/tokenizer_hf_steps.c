/* tokenizer_hf_steps.c - normalizer and pre_tokenizer of a tokenizer.json, recognised by structure. Byte-level ones are
 * given the pre-tokenizer name that GGUF files use. Steps that cannot be reproduced exactly are refused. */
#include <string.h>

#include "text/tokenizer_impl.h"

bool rt_hf_is(const json_t *o, const char *type)
{
    return strcmp(rt_json_str(o, "type", ""), type) == 0;
}

/* --- of bytes ---------------------------------------------------------------------------------------------------- */

typedef struct steps {
    bool digits, byte_level, own_regex;
    const char *splits[RT_PRE_MAX_STEPS];
    size_t n_splits;
} steps;

static rt_status refuse_step(const json_t *step, const char *why, rt_err *err)
{
    return rt_fail(err, RT_UNSUPPORTED, 0, "pre-tokenizer step '%s' %s", rt_json_str(step, "type", "?"), why);
}

static rt_status read_step(steps *s, const json_t *step, rt_err *err)
{
    if (s->byte_level) {
        return refuse_step(step, "comes after ByteLevel", err);
    }
    if (rt_hf_is(step, "Digits")) {
        if (!rt_json_bool(step, "individual_digits", false) || s->digits || s->n_splits > 0) {
            return refuse_step(step, "is not a first step with individual_digits", err);
        }
        s->digits = true;
        return RT_OK;
    }
    if (rt_hf_is(step, "Split")) {
        const char *regex = rt_json_str(json_object_get(step, "pattern"), "Regex", NULL);
        if (!regex || strcmp(rt_json_str(step, "behavior", ""), "Isolated") != 0 ||
            rt_json_bool(step, "invert", false)) {
            return refuse_step(step, "is no Isolated split by a Regex", err);
        }
        if (s->n_splits == RT_PRE_MAX_STEPS) {
            return refuse_step(step, "comes after more of its kind than any known rule has", err);
        }
        s->splits[s->n_splits++] = regex;
        return RT_OK;
    }
    if (rt_hf_is(step, "ByteLevel")) {
        if (rt_json_bool(step, "add_prefix_space", true)) {
            return refuse_step(step, "adds a space before the text", err);
        }
        s->byte_level = true;
        s->own_regex = rt_json_bool(step, "use_regex", true);
        return RT_OK;
    }
    return refuse_step(step, "is not supported; known are Digits, Split, ByteLevel", err);
}

static rt_status read_cutting(rt_tokenizer *t, const json_t *root, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    steps s = {0};
    if (rt_hf_is(pre, "Sequence")) {
        const json_t *list = json_object_get(pre, "pretokenizers");
        for (size_t i = 0; i < json_array_size(list); i++) {
            RT_TRY(read_step(&s, json_array_get(list, i), err));
        }
    } else {
        RT_TRY(read_step(&s, pre, err));
    }
    bool ignore_merges = rt_json_bool(json_object_get(root, "model"), "ignore_merges", false);
    if (s.byte_level) {
        t->pre = rt_pre_find_hf(s.digits, s.splits, s.n_splits, s.own_regex, ignore_merges);
    }
    if (!t->pre) {
        rt_str known = {0};
        rt_pre_list(&known);
        st = rt_fail(err, RT_UNSUPPORTED, 0, "the steps of 'pre_tokenizer'%s are none of the known: %s",
                     ignore_merges ? " (with ignore_merges)" : "", rt_str_cstr(&known));
        rt_str_release(&known);
    }
out:
    return st;
}

/* The only member of a list of one, NULL for an empty list; else what was given. */
static const json_t *only_member(const json_t *step, const char *list)
{
    const json_t *members = json_object_get(step, list);
    const bool short_list = rt_hf_is(step, "Sequence") && json_is_array(members) && json_array_size(members) <= 1;
    return short_list ? json_array_get(members, 0) : step;
}

static rt_status read_nfc(rt_tokenizer *t, const json_t *root, rt_err *err)
{
    const json_t *n = only_member(json_object_get(root, "normalizer"), "normalizers");
    if (!n || json_is_null(n)) {
        return RT_OK;
    }
    if (!rt_hf_is(n, "NFC")) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "normalizer '%s' is not supported; known is NFC",
                       rt_json_str(n, "type", "?"));
    }
    t->nfc = true;
    return RT_OK;
}

/* --- of characters ----------------------------------------------------------------------------------------------- */

static bool says(const json_t *o, const char *key, const char *text)
{
    return strcmp(rt_json_str(o, key, ""), text) == 0;
}

/* A step of the normalizer: spaces become U+2581, or one goes before the text. */
static bool read_marking(rt_tokenizer *t, const json_t *step, bool *marks)
{
    if (rt_hf_is(step, "Prepend") && says(step, "prepend", RT_SPACE_MARK) && !*marks) {
        t->space_prefix = RT_PREFIX_ALWAYS;
        return true;
    }
    if (rt_hf_is(step, "Replace") && says(json_object_get(step, "pattern"), "String", " ") &&
        says(step, "content", RT_SPACE_MARK) && !*marks) {
        *marks = true;
        return true;
    }
    return false;
}

/* The same as a pre-tokenizer. Its prefix is left out where the text begins with a space. */
static bool read_metaspace(rt_tokenizer *t, const json_t *step, bool *marks)
{
    if (!rt_hf_is(step, "Metaspace") || !says(step, "replacement", RT_SPACE_MARK) ||
        rt_json_bool(step, "split", true) || *marks) {
        return false;
    }
    const char *scheme = rt_json_str(step, "prepend_scheme", "always");
    *marks = true;
    t->metaspace = true;
    t->space_prefix = strcmp(scheme, "never") == 0   ? RT_PREFIX_NEVER
                      : strcmp(scheme, "first") == 0 ? RT_PREFIX_FIRST
                                                     : RT_PREFIX_ALWAYS;
    return true;
}

/* Cutting behind spaces where none is left does nothing. */
static bool is_idle_split(const json_t *step, bool marks)
{
    return marks && rt_hf_is(step, "Split") && says(json_object_get(step, "pattern"), "String", " ");
}

static rt_status read_marks(rt_tokenizer *t, const json_t *root, rt_err *err)
{
    bool marks = false;
    const json_t *n = json_object_get(root, "normalizer"), *list = json_object_get(n, "normalizers");
    const bool several = rt_hf_is(n, "Sequence");
    const size_t n_steps = several ? json_array_size(list) : n && !json_is_null(n) ? 1 : 0;
    for (size_t i = 0; i < n_steps; i++) {
        const json_t *step = several ? json_array_get(list, i) : n;
        if (!read_marking(t, step, &marks)) {
            return rt_fail(err, RT_UNSUPPORTED, 0,
                           "normalizer '%s' is not supported with 'byte_fallback'; known are Prepend and Replace that "
                           "mark spaces with U+2581",
                           rt_json_str(step, "type", "?"));
        }
    }
    const json_t *p = only_member(json_object_get(root, "pre_tokenizer"), "pretokenizers");
    if (p && !json_is_null(p) && !read_metaspace(t, p, &marks) && !is_idle_split(p, marks)) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "pre-tokenizer '%s' is not supported with 'byte_fallback'; known is Metaspace without 'split'",
                       rt_json_str(p, "type", "?"));
    }
    if (!marks) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "'byte_fallback' without a step that marks spaces with U+2581");
    }
    t->pre = &rt_pre_whole;
    return RT_OK;
}

rt_status rt_hf_read_steps(rt_tokenizer *t, const json_t *root, rt_err *err)
{
    rt_status st = RT_OK;
    if (rt_json_bool(json_object_get(root, "model"), "byte_fallback", false)) {
        return read_marks(t, root, err);
    }
    RT_TRY(read_nfc(t, root, err));
    RT_TRY(read_cutting(t, root, err));
out:
    return st;
}
