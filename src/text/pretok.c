/* pretok.c - the rules, and PCRE2 with JIT that runs them.
 *
 * White space is spelled out: with UCP, PCRE2's \s also takes U+180E, which the reference tokenizers do not. */
#include "text/pretok.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define WS "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define CONTRACTION "'s|'t|'re|'ve|'m|'ll|'d"
#define WORD " ?\\p{L}+"
#define SYMBOLS " ?[^" WS "\\p{L}\\p{N}]+"

/* A run of white space leaves its last character to the word that follows. */
#define GPT2 CONTRACTION "|" WORD "| ?\\p{N}+|" SYMBOLS "|[" WS "]+(?![^" WS "])|[" WS "]+"
/* Digits are cut out one by one first, then GPT2 splits what lies between. As one pattern: a digit, like the end of the
 * text, takes no white space from the run before it. */
#define SMOLLM "\\p{N}|" CONTRACTION "|" WORD "|" SYMBOLS "|[" WS "]+(?![^" WS "\\p{N}])|[" WS "]+"
#define LLAMA3(digits)                                                                                 \
    "(?i:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*|" \
    "[" WS "]*[\\r\\n]+|[" WS "]+(?![^" WS "])|[" WS "]+"

#define HF_LLAMA3(digits)                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const char *const as_smollm[] = {"starcoder", "refact",     "command-r", "codeshell",
                                        "exaone",    "minerva-7b", "mellum2",   NULL};
static const char *const as_gpt2[] = {"gpt2",    "phi-2",       "mpt",        "olmo",       "jais",     "exaone4",
                                      "jina-es", "jina-de",     "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0",
                                      "mellum",  "modern-bert", "trillion",   NULL};
static const char *const as_llama_bpe[] = {"llama3",  "llama-v3", "falcon3", "falcon-h1",
                                           "pixtral", "midm-2.0", "lfm2",    NULL};
static const char *const as_qwen2[] = {"deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "grok-2", "kormo", NULL};
static const char *const as_dbrx[] = {"smaug-bpe", NULL};

const rt_pre rt_pre_whole = {.name = "spm", .adds_bos = true};

static const rt_pre rules[] = {
    {.name = "smollm", .aliases = as_smollm, .pattern = SMOLLM, .hf_digits = true},
    {.name = "gpt-2", .aliases = as_gpt2, .pattern = GPT2},
    {.name = "llama-bpe",
     .aliases = as_llama_bpe,
     .pattern = LLAMA3("\\p{N}{1,3}"),
     .hf_split = HF_LLAMA3("\\p{N}{1,3}"),
     .ignore_merges = true,
     .adds_bos = true},
    {.name = "qwen2", .aliases = as_qwen2, .pattern = LLAMA3("\\p{N}"), .hf_split = HF_LLAMA3("\\p{N}")},
    {.name = "dbrx", .aliases = as_dbrx, .pattern = LLAMA3("\\p{N}{1,3}"), .hf_split = HF_LLAMA3("\\p{N}{1,3}")},
};
#define N_RULES (sizeof rules / sizeof *rules)

const rt_pre *rt_pre_find(const char *name, size_t n)
{
    rt_slice wanted = {name, n};
    for (size_t i = 0; i < N_RULES; i++) {
        if (rt_slice_eq(wanted, rules[i].name)) {
            return &rules[i];
        }
        for (const char *const *a = rules[i].aliases; *a; a++) {
            if (rt_slice_eq(wanted, *a)) {
                return &rules[i];
            }
        }
    }
    return NULL;
}

const rt_pre *rt_pre_find_hf(bool digits, const char *split, bool ignore_merges)
{
    for (size_t i = 0; i < N_RULES; i++) {
        const rt_pre *r = &rules[i];
        bool same_split = split && r->hf_split ? strcmp(split, r->hf_split) == 0 : split == r->hf_split;
        if (r->hf_digits == digits && same_split && r->ignore_merges == ignore_merges) {
            return r;
        }
    }
    return NULL;
}

void rt_pre_list(rt_str *s)
{
    for (size_t i = 0; i < N_RULES; i++) {
        rt_str_printf(s, "%s%s", i ? ", " : "", rules[i].name);
    }
}

struct rt_pretok {
    pcre2_general_context *memory;
    pcre2_compile_context *options;
    pcre2_match_context *limits;
    pcre2_code *code;
};

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

rt_status rt_pretok_open(rt_pretok **out, const rt_pre *pre, rt_err *err)
{
    rt_status st = RT_OK;
    rt_pretok *p = NULL;
    int code = 0;
    PCRE2_SIZE at = 0;
    RT_TRY(RT_NEW(&p, 1, "pre-tokenizer", err));
    p->memory = pcre2_general_context_create(take, give, NULL);
    p->options = p->memory ? pcre2_compile_context_create(p->memory) : NULL;
    p->limits = p->memory ? pcre2_match_context_create(p->memory) : NULL;
    if (!p->options || !p->limits) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the pre-tokenizer '%s'", pre->name);
    }
    p->code = pcre2_compile((PCRE2_SPTR)pre->pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED,
                            &code, &at, p->options);
    if (!p->code) {
        /* The patterns are ours and known to compile: only memory can be missing. */
        RT_FAIL_OUT(err, RT_MEMORY, at, "compiling the pre-tokenizer '%s' failed (PCRE2 error %d)", pre->name, code);
    }
    /* The patterns are linear in the text, so a long run of white space must not meet a limit made for others. */
    pcre2_set_match_limit(p->limits, UINT32_MAX);
    /* Without JIT on this machine the interpreter does the same, slower. */
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
    *out = p;
    p = NULL;
out:
    rt_pretok_close(p);
    return st;
}

void rt_pretok_close(rt_pretok *p)
{
    if (p) {
        pcre2_code_free(p->code);
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

void rt_pretok_walk_start(rt_pretok_walk *w, const char *text, size_t n)
{
    w->text = text;
    w->n = n;
    w->at = 0;
}

rt_status rt_pretok_walk_next(rt_pretok_walk *w, rt_slice *piece, rt_err *err)
{
    *piece = (rt_slice){w->text + w->at, 0};
    if (w->at == w->n) {
        return RT_OK;
    }
    int rc =
        pcre2_match(w->rule->code, (PCRE2_SPTR)w->text, w->n, w->at, PCRE2_NO_UTF_CHECK, w->match, w->rule->limits);
    if (rc == PCRE2_ERROR_NOMEMORY || rc == PCRE2_ERROR_HEAPLIMIT) {
        return rt_fail(err, RT_MEMORY, w->at, "no memory to split text");
    }
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(w->match);
    if (rc < 0 || range[1] <= w->at) {
        return rt_fail(err, RT_INTERNAL, w->at, "pre-tokenizer stopped (PCRE2 result %d)", rc);
    }
    piece->n = range[1] - w->at;
    w->at = range[1];
    return RT_OK;
}

void rt_pretok_walk_close(rt_pretok_walk *w)
{
    pcre2_match_data_free(w->match);
    w->match = NULL;
}
