/* pre_rules.c - the pre-tokenizers by name. Regexes stand here as their models publish them. */
#include <string.h>

#include "text/pretok.h"

#define CONTRACTION "'s|'t|'re|'ve|'m|'ll|'d"
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A run of white space leaves its last character to the word that follows. */
#define GPT2 CONTRACTION "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define SPACES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3(digits) \
    "(?i:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES
#define QWEN35 \
    "(?i:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES

/* A word is capitals then small letters; letters without case are both. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K(contraction, digits)                                                                                     \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" contraction "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" contraction \
    "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES
/* The published form intersects the classes with "not Han", which PCRE2 has no notation for. */
#define NOT_HAN(class_) "(?:(?!\\p{Han})" class_ ")"
#define KIMI                                                         \
    "\\p{Han}+"                                                      \
    "|[^\\r\\n\\p{L}\\p{N}]?" NOT_HAN(UPPER) "*" NOT_HAN(            \
        LOWER) "+(?i:" CONTRACTION ")?"                              \
               "|[^\\r\\n\\p{L}\\p{N}]?" NOT_HAN(UPPER) "+" NOT_HAN( \
                   LOWER) "*(?i:" CONTRACTION ")?"                   \
                          "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES

#define DEEPSEEK3_CJK "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
#define DEEPSEEK3                                                                                       \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACES
#define DEEPSEEK_CJK "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"

const rt_pre rt_pre_whole = {.name = "spm", .adds_bos = true};

static const rt_pre rules[] = {
    {.name = "smollm",
     .aliases = LIST("starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"),
     .steps = LIST("\\p{N}", GPT2),
     .hf_digits = true,
     .hf_own = true},
    {.name = "gpt-2",
     .aliases = LIST("gpt2", "phi-2", "mpt", "olmo", "jais", "exaone4", "jina-es", "jina-de", "jina-v2-es",
                     "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "modern-bert", "trillion"),
     .steps = LIST(GPT2),
     .hf_own = true},
    {.name = "llama-bpe",
     .aliases = LIST("llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
     .steps = LIST(LLAMA3("\\p{N}{1,3}")),
     .ignore_merges = true,
     .adds_bos = true},
    {.name = "qwen2",
     .aliases = LIST("deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "grok-2", "kormo"),
     .steps = LIST(LLAMA3("\\p{N}"))},
    {.name = "qwen35", .aliases = LIST(NULL), .steps = LIST(QWEN35)},
    {.name = "dbrx", .aliases = LIST("smaug-bpe", "glm4", "chatglm-bpe"), .steps = LIST(LLAMA3("\\p{N}{1,3}"))},
    {.name = "deepseek-v3",
     .aliases = LIST("hunyuan-dense", "joyai-llm"),
     .steps = LIST("\\p{N}{1,3}", DEEPSEEK3_CJK, DEEPSEEK3)},
    {.name = "deepseek-coder",
     .aliases = LIST(NULL),
     .steps = LIST("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_CJK, "\\p{N}")},
    {.name = "gpt-4o",
     .aliases = LIST("llama4", "minimax-m2", "o200k"),
     .steps = LIST(O200K("(?i:" CONTRACTION ")?", "\\p{N}{1,3}")),
     .whole_anyway = true},
    {.name = "kimi-k2", .aliases = LIST(NULL), .steps = LIST(KIMI), .whole_anyway = true},
    {.name = "tekken",
     .aliases = LIST(NULL),
     .steps = LIST(O200K("", "\\p{N}")),
     .ignore_merges = true,
     .whole_anyway = true,
     .adds_bos = true},
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

/* Equal but for how line ends are written: files have both the characters and their escapes. */
static bool same_regex(const char *published, const char *given)
{
    for (; *published && *given; published++, given++) {
        if (published[0] == '\\' &&
            ((published[1] == 'r' && *given == '\r') || (published[1] == 'n' && *given == '\n'))) {
            published++;
        } else if (*published != *given) {
            return false;
        }
    }
    return *published == *given;
}

static bool same_steps(const rt_pre *r, const char *const *splits, size_t n)
{
    const char *const *step = r->steps + (r->hf_digits ? 1 : 0);
    for (size_t i = 0; i < n; i++, step++) {
        if (!*step || !same_regex(*step, splits[i])) {
            return false;
        }
    }
    return r->hf_own ? *step && !step[1] : !*step;
}

const rt_pre *rt_pre_find_hf(bool digits, const char *const *splits, size_t n, bool own, bool ignore_merges)
{
    for (size_t i = 0; i < N_RULES; i++) {
        const rt_pre *r = &rules[i];
        if (r->hf_digits == digits && r->hf_own == own && (r->ignore_merges == ignore_merges || r->whole_anyway) &&
            same_steps(r, splits, n)) {
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
