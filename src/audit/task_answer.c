/* task_answer.c - PCRE2 in the role of Python's re: findall with groups, and sub with nothing. */
#include "audit/task_answer.h"

#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "audit/task_text.h"
#include "format/json.h"

enum { MAX_PATTERNS = 16, MATCH_LIMIT = 1000000 };

typedef struct way {
    char name[64];
    pcre2_code *code;
    bool last;
} way;

struct rt_answer_rules {
    way ways[MAX_PATTERNS];
    size_t n_ways; /* 0: the answer as it is */
    pcre2_code *ignored[MAX_PATTERNS];
    size_t n_ignored;
    bool ignore_case;
    pcre2_match_context *limits;
};

static rt_status compile(pcre2_code **out, const char *pattern, rt_err *err)
{
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR why[128];
    *out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    if (*out == NULL) {
        (void)pcre2_get_error_message(code, why, sizeof why);
        return rt_fail(err, RT_RECIPE, 0, "'%s' is no regular expression: %s at byte %zu", pattern, (const char *)why,
                       at);
    }
    return RT_OK;
}

rt_status rt_answer_rules_open(rt_answer_rules **out, const json_t *spec, rt_err *err)
{
    rt_status st = RT_OK;
    rt_answer_rules *r = NULL;
    size_t i;
    json_t *entry;
    const json_t *extract = json_object_get(spec, "extract"), *ignore = json_object_get(spec, "ignore");
    RT_TRY(RT_NEW(&r, 1, "patterns", err));
    r->ignore_case = rt_json_bool(spec, "ignore_case", false);
    r->limits = pcre2_match_context_create(NULL);
    if (r->limits == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for patterns");
    }
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    if (json_array_size(extract) > MAX_PATTERNS || json_array_size(ignore) > MAX_PATTERNS) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "more than %d patterns", MAX_PATTERNS);
    }
    json_array_foreach(extract, i, entry)
    {
        way *w = &r->ways[r->n_ways];
        snprintf(w->name, sizeof w->name, "exact_match,%.16s", rt_json_str(entry, "name", ""));
        w->last = strcmp(rt_json_str(entry, "take", "first"), "last") == 0;
        RT_TRY(compile(&w->code, rt_json_str(entry, "pattern", ""), err));
        r->n_ways++;
    }
    json_array_foreach(ignore, i, entry)
    {
        RT_TRY(compile(&r->ignored[r->n_ignored], json_string_value(entry), err));
        r->n_ignored++;
    }
    *out = r;
    r = NULL;
out:
    rt_answer_rules_close(r);
    return st;
}

void rt_answer_rules_close(rt_answer_rules *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < MAX_PATTERNS; i++) {
        pcre2_code_free(r->ways[i].code);
        pcre2_code_free(r->ignored[i]);
    }
    pcre2_match_context_free(r->limits);
    rt_free(r);
}

size_t rt_answer_rules_count(const rt_answer_rules *r)
{
    return r->n_ways > 0 ? r->n_ways : 1;
}

const char *rt_answer_rules_name(const rt_answer_rules *r, size_t index)
{
    return r->n_ways > 0 ? r->ways[index].name : "exact_match";
}

/* --- matching ------------------------------------------------------------------------------------------------------
 */

/* One pattern over one text. */
typedef struct scan {
    const pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
    rt_slice text;
    size_t at;
    bool empty_before; /* the last match was empty: the next may not be, there */
} scan;

/* The next match; *found false: there is none left. */
static rt_status next_match(scan *s, bool *found, rt_err *err)
{
    *found = false;
    while (s->at <= s->text.n) {
        const uint32_t flags = PCRE2_NO_UTF_CHECK | (s->empty_before ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0);
        const int rc = pcre2_match(s->code, (PCRE2_SPTR)s->text.p, s->text.n, s->at, flags, s->data, s->limits);
        if (rc >= 0) {
            const PCRE2_SIZE *range = pcre2_get_ovector_pointer(s->data);
            s->empty_before = range[1] == range[0];
            s->at = range[1];
            *found = true;
            return RT_OK;
        }
        if (rc != PCRE2_ERROR_NOMATCH) {
            return rt_fail(err, RT_INPUT, 0, "a pattern is too costly on an answer (PCRE2 result %d)", rc);
        }
        if (!s->empty_before) {
            break;
        }
        s->empty_before = false; /* one character on */
        for (s->at++; s->at < s->text.n && (s->text.p[s->at] & 0xC0) == 0x80; s->at++) {
        }
    }
    return RT_OK;
}

static rt_status start(scan *s, const rt_answer_rules *r, const pcre2_code *code, rt_slice text, rt_err *err)
{
    *s = (scan){
        .code = code, .limits = r->limits, .text = text, .data = pcre2_match_data_create_from_pattern(code, NULL)};
    return s->data != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for a pattern");
}

/* The first group that holds something; the match where the pattern has no groups. */
static rt_slice group_of(const scan *s)
{
    uint32_t groups = 0;
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(s->data);
    (void)pcre2_pattern_info(s->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    for (uint32_t g = groups > 0; g <= groups; g++) {
        const PCRE2_SIZE from = range[2 * g], to = range[2 * g + 1];
        if (from != PCRE2_UNSET && to > from) {
            return (rt_slice){s->text.p + from, to - from};
        }
    }
    return (rt_slice){s->text.p, 0};
}

rt_status rt_answer_extract(rt_str *out, const rt_answer_rules *r, size_t index, rt_slice answer, rt_err *err)
{
    rt_status st = RT_OK;
    scan s = {0};
    bool found = true, any = false;
    rt_slice taken = answer;
    if (r->n_ways > 0) {
        RT_TRY(start(&s, r, r->ways[index].code, answer, err));
        while (found && (!any || r->ways[index].last)) {
            RT_TRY(next_match(&s, &found, err));
            taken = found ? rt_text_strip(group_of(&s)) : taken;
            any |= found;
        }
        taken = any ? taken : (rt_slice){RT_ANSWER_NONE, sizeof RT_ANSWER_NONE - 1};
    }
    rt_str_add(out, taken.p, taken.n);
    if (out->failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for an answer");
    }
out:
    pcre2_match_data_free(s.data);
    return st;
}

/* --- comparing ------------------------------------------------------------------------------------------------------
 */

/* *text becomes what is left without the matches. */
static rt_status delete_matches(rt_str *text, const rt_answer_rules *r, const pcre2_code *code, rt_err *err)
{
    rt_status st = RT_OK;
    scan s = {0};
    rt_str left = {0};
    size_t from = 0;
    bool found;
    RT_TRY(start(&s, r, code, (rt_slice){rt_str_cstr(text), text->n}, err));
    for (;;) {
        RT_TRY(next_match(&s, &found, err));
        if (!found) {
            break;
        }
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(s.data);
        rt_str_add(&left, s.text.p + from, range[0] - from);
        from = range[1];
    }
    rt_str_add(&left, s.text.p + from, s.text.n - from);
    left.failed |= text->failed;
    rt_str_release(text);
    *text = left;
    left = (rt_str){0};
out:
    pcre2_match_data_free(s.data);
    rt_str_release(&left);
    return st;
}

rt_status rt_answer_normalise(rt_str *out, const rt_answer_rules *r, rt_slice s, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    rt_str_add(&text, s.p, s.n);
    for (size_t i = 0; i < r->n_ignored; i++) {
        RT_TRY(delete_matches(&text, r, r->ignored[i], err));
    }
    if (r->ignore_case) {
        rt_text_lower(out, (rt_slice){rt_str_cstr(&text), text.n});
    } else {
        rt_str_add(out, rt_str_cstr(&text), text.n);
    }
    if (text.failed || out->failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for an answer");
    }
out:
    rt_str_release(&text);
    return st;
}

rt_status rt_answer_equal(bool *equal, const rt_answer_rules *r, rt_slice a, rt_slice b, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str x = {0}, y = {0};
    RT_TRY(rt_answer_normalise(&x, r, a, err));
    RT_TRY(rt_answer_normalise(&y, r, b, err));
    *equal = x.n == y.n && memcmp(rt_str_cstr(&x), rt_str_cstr(&y), x.n) == 0;
out:
    rt_str_release(&x);
    rt_str_release(&y);
    return st;
}
