/* pretok.c - PCRE2 with JIT runs the rules: one regex after the other, each on the pieces of the one before, so that
 * what looks ahead sees a piece's end as the end of the text.
 *
 * Two notations are spelled out, for PCRE2 means more by them than the reference tokenizers do: with UCP its \s also
 * takes U+180E, and its \p{Han} also characters that Han text shares with others. */
#include "text/pretok.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define WS "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

struct rt_pretok {
    pcre2_general_context *memory;
    pcre2_compile_context *options;
    pcre2_match_context *limits;
    pcre2_code *code[RT_PRE_MAX_STEPS];
    int n;
};

/* The regex with its \s, \S and \p{Han} spelled out. */
static void spell_out(rt_str *out, const char *regex)
{
    static const char han[] = "\\p{Han}";
    bool in_class = false;
    for (; *regex; regex++) {
        if (*regex == '\\' && regex[1] == 's') {
            rt_str_puts(out, in_class ? WS : "[" WS "]");
            regex++;
        } else if (*regex == '\\' && regex[1] == 'S') {
            rt_str_puts(out, "[^" WS "]");
            regex++;
        } else if (strncmp(regex, han, sizeof han - 1) == 0) {
            rt_str_puts(out, "\\p{sc:Han}");
            regex += sizeof han - 2;
        } else if (*regex == '\\') {
            rt_str_add(out, regex++, 2);
        } else {
            in_class = *regex == '[' || (in_class && *regex != ']');
            rt_str_putc(out, *regex);
        }
    }
}

static void *take(PCRE2_SIZE n, void *ud)
{
    (void)ud;
    return rt_malloc(n);
}

static void give(void *p, void *ud)
{
    (void)ud;
    rt_free(p);
}

static rt_status compile(rt_pretok *p, const char *name, const char *regex, rt_err *err)
{
    rt_status st = RT_OK;
    int code = 0;
    PCRE2_SIZE at = 0;
    rt_str spelled = {0};
    spell_out(&spelled, regex);
    if (spelled.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the pre-tokenizer '%s'", name);
    }
    p->code[p->n] = pcre2_compile((PCRE2_SPTR)rt_str_cstr(&spelled), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                                  &code, &at, p->options);
    if (!p->code[p->n]) {
        /* The patterns are ours and known to compile: only memory can be missing. */
        RT_FAIL_OUT(err, RT_MEMORY, at, "compiling the pre-tokenizer '%s' failed (PCRE2 error %d)", name, code);
    }
    /* Without JIT on this machine the interpreter does the same, slower. */
    (void)pcre2_jit_compile(p->code[p->n++], PCRE2_JIT_COMPLETE);
out:
    rt_str_release(&spelled);
    return st;
}

rt_status rt_pretok_open(rt_pretok **out, const rt_pre *pre, rt_err *err)
{
    rt_status st = RT_OK;
    rt_pretok *p = NULL;
    RT_TRY(RT_NEW(&p, 1, "pre-tokenizer", err));
    p->memory = pcre2_general_context_create(take, give, NULL);
    p->options = p->memory ? pcre2_compile_context_create(p->memory) : NULL;
    p->limits = p->memory ? pcre2_match_context_create(p->memory) : NULL;
    if (!p->options || !p->limits) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the pre-tokenizer '%s'", pre->name);
    }
    for (const char *const *step = pre->steps; *step; step++) {
        RT_BUG_IF(p->n == RT_PRE_MAX_STEPS);
        RT_TRY(compile(p, pre->name, *step, err));
    }
    /* The patterns are linear in the text, so a long run must not meet limits made for others. */
    pcre2_set_match_limit(p->limits, UINT32_MAX);
    pcre2_set_depth_limit(p->limits, UINT32_MAX);
    *out = p;
    p = NULL;
out:
    rt_pretok_close(p);
    return st;
}

void rt_pretok_close(rt_pretok *p)
{
    if (p) {
        for (int k = 0; k < p->n; k++) {
            pcre2_code_free(p->code[k]);
        }
        pcre2_match_context_free(p->limits);
        pcre2_compile_context_free(p->options);
        pcre2_general_context_free(p->memory);
        rt_free(p);
    }
}

rt_status rt_pretok_walk_open(rt_pretok_walk *w, const rt_pretok *rule, rt_err *err)
{
    *w = (rt_pretok_walk){.rule = rule, .match = pcre2_match_data_create(1, rule->memory)};
    return w->match ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for the pre-tokenizer");
}

static void start_step(rt_pretok_walk *w, int k, rt_slice text)
{
    w->step[k].text = text.p;
    w->step[k].n = text.n;
    w->step[k].at = 0;
    w->step[k].match_end = 0;
}

void rt_pretok_walk_start(rt_pretok_walk *w, const char *text, size_t n)
{
    start_step(w, 0, (rt_slice){text, n});
    for (int k = 1; k < w->rule->n; k++) {
        start_step(w, k, (rt_slice){text, 0});
    }
}

static int match(rt_pretok_walk *w, int k, uint32_t options)
{
    return pcre2_match(w->rule->code[k], (PCRE2_SPTR)w->step[k].text, w->step[k].n, w->step[k].at,
                       options | PCRE2_NO_UTF_CHECK, w->match, w->rule->limits);
}

/* *end = where the next piece of step `k` ends: at the end of a match that begins here, or where the next one begins.
 */
static rt_status cut(rt_pretok_walk *w, int k, size_t *end, rt_err *err)
{
    const size_t n = w->step[k].n, at = w->step[k].at;
    if (w->step[k].match_end > at) {
        *end = w->step[k].match_end;
        return RT_OK;
    }
    int rc = match(w, k, 0);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) { /* a group that is repeated takes some of it a character */
        rc = match(w, k, PCRE2_NO_JIT);
    }
    if (rc == PCRE2_ERROR_NOMATCH) {
        *end = n;
        return RT_OK;
    }
    if (rc == PCRE2_ERROR_NOMEMORY || rc == PCRE2_ERROR_HEAPLIMIT) {
        return rt_fail(err, RT_MEMORY, at, "no memory to split text");
    }
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(w->match);
    if (rc < 0 || range[1] <= range[0]) {
        return rt_fail(err, RT_INTERNAL, at, "pre-tokenizer stopped (PCRE2 result %d)", rc);
    }
    *end = range[0] > at ? range[0] : range[1];
    w->step[k].match_end = range[1];
    return RT_OK;
}

/* The next piece of step `k`, out of the pieces of the step before; empty at the end. */
static rt_status next_of(rt_pretok_walk *w, int k, rt_slice *piece, rt_err *err)
{
    rt_status st = RT_OK;
    size_t end = 0;
    if (w->step[k].at == w->step[k].n && k > 0) {
        RT_TRY(next_of(w, k - 1, piece, err));
        start_step(w, k, *piece);
    }
    *piece = (rt_slice){w->step[k].text + w->step[k].at, 0};
    if (w->step[k].at < w->step[k].n) {
        RT_TRY(cut(w, k, &end, err));
        piece->n = end - w->step[k].at;
        w->step[k].at = end;
    }
out:
    return st;
}

rt_status rt_pretok_walk_next(rt_pretok_walk *w, rt_slice *piece, rt_err *err)
{
    return next_of(w, w->rule->n - 1, piece, err);
}

void rt_pretok_walk_close(rt_pretok_walk *w)
{
    pcre2_match_data_free(w->match);
    w->match = NULL;
}
