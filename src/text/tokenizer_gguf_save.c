/* tokenizer_gguf_save.c - the tokenizer.* keys of a GGUF file, written from a tokenizer that came from elsewhere. */
#include "text/spm_rules.h"
#include "text/tokenizer_impl.h"

#define KEY(name) "tokenizer.ggml." name

static rt_status set_tokens(const rt_tokenizer *t, rt_gguf_writer *w, rt_err *err)
{
    rt_status st = RT_OK;
    size_t n = (size_t)t->vocab.n;
    const char **texts = NULL;
    int32_t *kinds = NULL;
    RT_TRY(RT_NEW(&texts, n, "texts of the tokens", err));
    RT_TRY(RT_NEW(&kinds, n, "kinds of the tokens", err));
    for (size_t id = 0; id < n; id++) {
        texts[id] = t->vocab.tokens[id].text.p;
        kinds[id] = (int32_t)t->vocab.tokens[id].kind;
    }
    rt_gguf_set_str_array(w, KEY("tokens"), texts, n);
    rt_gguf_set_i32_array(w, KEY("token_type"), kinds, n);
out:
    rt_free(texts);
    rt_free(kinds);
    return st;
}

static rt_status set_merges(const rt_tokenizer *t, rt_gguf_writer *w, rt_err *err)
{
    rt_status st = RT_OK;
    size_t n = t->bpe.n_merges;
    rt_arena lines = {0};
    const char **merges = NULL;
    RT_TRY(RT_NEW(&merges, n, "merges", err));
    for (size_t i = 0; i < n; i++) {
        const rt_token *left = &t->vocab.tokens[t->bpe.merges[i].left];
        const rt_token *right = &t->vocab.tokens[t->bpe.merges[i].right];
        size_t size = left->text.n + 1 + right->text.n + 1;
        char *line = rt_arena_alloc(&lines, size);
        if (!line) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to write the merges");
        }
        (void)snprintf(line, size, "%s %s", left->text.p, right->text.p);
        merges[i] = line;
    }
    rt_gguf_set_str_array(w, KEY("merges"), merges, n);
out:
    rt_free(merges);
    rt_arena_release(&lines);
    return st;
}

static rt_status set_scores(const rt_tokenizer *t, rt_gguf_writer *w, rt_err *err)
{
    rt_status st = RT_OK;
    float *scores = NULL;
    RT_TRY(RT_NEW(&scores, (size_t)t->vocab.n, "scores of the tokens", err));
    RT_TRY(rt_spm_scores(&t->bpe, &t->vocab, scores, err));
    rt_gguf_set_f32_array(w, KEY("scores"), scores, (size_t)t->vocab.n);
    rt_gguf_set_bool(w, KEY("add_space_prefix"), t->space_prefix != RT_PREFIX_NEVER);
out:
    rt_free(scores);
    return st;
}

static void set_id(rt_gguf_writer *w, const char *key, int32_t id)
{
    if (id >= 0) {
        rt_gguf_set_u32(w, key, (uint32_t)id);
    }
}

rt_status rt_tokenizer_set_gguf(const rt_tokenizer *t, rt_gguf_writer *w, rt_err *err)
{
    rt_status st = RT_OK;
    const bool spm = t->vocab.alphabet == RT_ALPHABET_SPACES;
    rt_gguf_set_str(w, KEY("model"), spm ? "llama" : "gpt2");
    rt_gguf_set_str(w, KEY("pre"), spm ? "default" : t->pre->name);
    RT_TRY(set_tokens(t, w, err));
    RT_TRY(spm ? set_scores(t, w, err) : set_merges(t, w, err));
    set_id(w, KEY("bos_token_id"), t->bos);
    set_id(w, KEY("eos_token_id"), t->eos);
    set_id(w, KEY("eot_token_id"), t->eot);
    set_id(w, KEY("eom_token_id"), t->eom);
    set_id(w, KEY("unknown_token_id"), t->unk);
    set_id(w, KEY("padding_token_id"), t->pad);
    rt_gguf_set_bool(w, KEY("add_bos_token"), t->adds_bos);
    if (t->chat_template) {
        rt_gguf_set_str(w, "tokenizer.chat_template", t->chat_template);
    }
out:
    return st;
}
