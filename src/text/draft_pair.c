/* draft_pair.c - rules of a drafter's vocabulary, in llama.cpp's order. */
#include "text/draft_pair.h"

#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_impl.h"

static const char *kind_of(const rt_tokenizer *t)
{
    return t->vocab.alphabet == RT_ALPHABET_SPACES ? "SentencePiece" : "byte-level BPE";
}

typedef struct number {
    const char *what;
    int draft, target;
} number;

static rt_status check_numbers(const rt_tokenizer *d, const rt_tokenizer *t, const char *path, rt_err *err)
{
    const number numbers[] = {
        {"add_bos_token", d->adds_bos, t->adds_bos},
        {"add_eos_token", d->adds_eos, t->adds_eos},
        {"bos_token_id", d->bos, t->bos},
        {"eos_token_id", d->eos, t->eos},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i].draft != numbers[i].target) {
            return rt_fail(err, RT_INPUT, 0,
                           "no draft for '%s': %s is %d there and %d here; a drafter needs the target's own tokenizer",
                           path, numbers[i].what, numbers[i].target, numbers[i].draft);
        }
    }
    return RT_OK;
}

static rt_status check_texts(const rt_vocab *d, const rt_vocab *t, const char *path, rt_err *err)
{
    for (int32_t id = RT_DRAFT_FIRST_COMPARED; id < d->n && id < t->n; id++) {
        const rt_slice a = d->tokens[id].text, b = t->tokens[id].text;
        if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0) {
            return rt_fail(
                err, RT_INPUT, 0,
                "no draft for '%s': token %d is '%.*s' there and '%.*s' here; a drafter needs the target's own "
                "tokenizer",
                path, id, (int)b.n, b.p, (int)a.n, a.p);
        }
    }
    return RT_OK;
}

rt_status rt_draft_pair_check(const rt_tokenizer *draft, const rt_tokenizer *target, const char *target_path,
                              rt_err *err)
{
    rt_status st = RT_OK;
    const rt_vocab *d = &draft->vocab, *t = &target->vocab;
    if (d->alphabet != t->alphabet) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no draft for '%s': its vocabulary is %s, this one is %s", target_path,
                    kind_of(target), kind_of(draft));
    }
    RT_TRY(check_numbers(draft, target, target_path, err));
    if (abs(d->n - t->n) > RT_DRAFT_MOST_SPARE) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no draft for '%s': it has %d tokens, this one %d; they may differ by %d",
                    target_path, t->n, d->n, RT_DRAFT_MOST_SPARE);
    }
    RT_TRY(check_texts(d, t, target_path, err));
out:
    return st;
}

rt_status rt_draft_pair_check_files(const char *draft_path, const char *target_path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_tokenizer *draft = NULL, *target = NULL;
    RT_TRY(rt_tokenizer_open(&draft, draft_path, err));
    RT_TRY(rt_tokenizer_open(&target, target_path, err));
    RT_TRY(rt_draft_pair_check(draft, target, target_path, err));
out:
    rt_tokenizer_close(draft);
    rt_tokenizer_close(target);
    return st;
}
