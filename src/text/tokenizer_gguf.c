/* tokenizer_gguf.c - a tokenizer out of the tokenizer.* keys of a GGUF file, and a file of nothing but these. */
#include <math.h>
#include <string.h>

#include "text/tokenizer_impl.h"

#define KEY(name) "tokenizer.ggml." name

/* "gpt2" is byte-level BPE, "llama" what SentencePiece calls BPE. */
static rt_status read_model(const rt_gguf *g, rt_alphabet *alphabet, rt_err *err)
{
    rt_slice model;
    if (!rt_gguf_get_str(g, KEY("model"), &model)) {
        return rt_fail(err, RT_INPUT, 0, "file has no tokenizer: key '" KEY("model") "' is missing");
    }
    *alphabet = rt_slice_eq(model, "llama") ? RT_ALPHABET_SPACES : RT_ALPHABET_BYTES;
    if (*alphabet == RT_ALPHABET_BYTES && !rt_slice_eq(model, "gpt2")) {
        return rt_fail(
            err, RT_UNSUPPORTED, 0,
            "tokenizer kind '%.*s' is not supported; known are gpt2 (byte-level BPE) and llama (SentencePiece)",
            (int)(model.n < 64 ? model.n : 64), model.p);
    }
    return RT_OK;
}

static rt_status get_strings(const rt_gguf *g, const char *key, rt_gguf_array *a, rt_err *err)
{
    if (!rt_gguf_get_array(g, key, a) || a->type != RT_GGUF_STRING) {
        return rt_fail(err, RT_INPUT, 0, "key '%s' is missing or no array of strings", key);
    }
    return RT_OK;
}

/* Without types every token is ordinary text; a shorter array than the vocabulary is a broken file. */
static rt_status get_types(const rt_gguf *g, uint64_t n_tokens, rt_gguf_array *types, rt_err *err)
{
    *types = (rt_gguf_array){0};
    if (!rt_gguf_get_array(g, KEY("token_type"), types)) {
        return RT_OK;
    }
    if ((types->type != RT_GGUF_I32 && types->type != RT_GGUF_U32) || types->n != n_tokens) {
        return rt_fail(err, RT_INPUT, 0, "key '" KEY("token_type") "' is no array of %llu integers",
                       (unsigned long long)n_tokens);
    }
    return RT_OK;
}

static rt_status load_vocab(rt_tokenizer *t, const rt_gguf *g, rt_alphabet alphabet, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf_array tokens, types;
    RT_TRY(get_strings(g, KEY("tokens"), &tokens, err));
    RT_TRY(get_types(g, tokens.n, &types, err));
    RT_TRY(rt_vocab_init(&t->vocab, tokens.n, alphabet, err));
    const uint8_t *cursor = NULL;
    rt_slice text;
    for (int32_t id = 0; id < t->vocab.n && rt_gguf_next_str(&tokens, &cursor, &text); id++) {
        int64_t kind = types.n ? rt_gguf_array_i64(&types, (uint64_t)id) : RT_TOKEN_NORMAL;
        if (kind < RT_TOKEN_NORMAL || kind > RT_TOKEN_BYTE) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "token %d has the unknown type %lld", id, (long long)kind);
        }
        RT_TRY(rt_vocab_set(&t->vocab, id, text, (rt_token_kind)kind, err));
    }
    RT_TRY(rt_vocab_seal(&t->vocab, err));
out:
    return st;
}

static rt_status load_merges(rt_tokenizer *t, const rt_gguf *g, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf_array merges;
    RT_TRY(get_strings(g, KEY("merges"), &merges, err));
    RT_TRY(rt_bpe_init(&t->bpe, &t->vocab, merges.n, err));
    const uint8_t *cursor = NULL;
    rt_slice line, left, right;
    while (rt_gguf_next_str(&merges, &cursor, &line)) {
        if (!rt_merge_split(line, &left, &right)) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "merge %zu '%.*s' is not two texts with one space between", t->bpe.n_merges,
                        (int)(line.n < 64 ? line.n : 64), line.p);
        }
        RT_TRY(rt_bpe_add(&t->bpe, &t->vocab, left, right, err));
    }
out:
    return st;
}

/* A score for each token: merging goes by these. */
static rt_status load_scores(rt_tokenizer *t, const rt_gguf *g, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf_array a;
    float *scores = NULL;
    const size_t n = (size_t)t->vocab.n;
    if (!rt_gguf_get_array(g, KEY("scores"), &a) || a.type != RT_GGUF_F32 || a.n != n) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "key '" KEY("scores") "' is no array of %zu floats", n);
    }
    RT_TRY(RT_NEW(&scores, n, "scores of the tokens", err));
    memcpy(scores, a.data, n * sizeof *scores);
    for (size_t id = 0; id < n; id++) {
        if (isnan(scores[id])) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "the score of token %zu is not a number", id);
        }
    }
    RT_TRY(rt_bpe_init(&t->bpe, &t->vocab, 0, err));
    RT_TRY(rt_bpe_set_scores(&t->bpe, &t->vocab, scores, err));
out:
    rt_free(scores);
    return st;
}

static int32_t get_id(const rt_gguf *g, const char *key)
{
    int64_t id;
    if (!rt_gguf_get_i64(g, key, &id)) {
        return -1;
    }
    return id >= 0 && id <= INT32_MAX ? (int32_t)id : INT32_MAX; /* refused as outside the vocabulary */
}

static void load_special_ids(rt_tokenizer *t, const rt_gguf *g)
{
    t->bos = get_id(g, KEY("bos_token_id"));
    t->eos = get_id(g, KEY("eos_token_id"));
    t->eot = get_id(g, KEY("eot_token_id"));
    t->eom = get_id(g, KEY("eom_token_id"));
    t->pad = get_id(g, KEY("padding_token_id"));
    t->unk = get_id(g, KEY("unknown_token_id"));
    t->adds_bos = t->pre->adds_bos && t->bos >= 0;
    (void)rt_gguf_get_bool(g, KEY("add_bos_token"), &t->adds_bos);
    (void)rt_gguf_get_bool(g, KEY("add_eos_token"), &t->adds_eos);
}

static rt_status load_pre(rt_tokenizer *t, const rt_gguf *g, rt_alphabet alphabet, rt_err *err)
{
    rt_slice pre;
    if (alphabet == RT_ALPHABET_SPACES) {
        bool prefix = true;
        (void)rt_gguf_get_bool(g, KEY("add_space_prefix"), &prefix);
        t->space_prefix = prefix ? RT_PREFIX_ALWAYS : RT_PREFIX_NEVER;
        t->pre = &rt_pre_whole;
        return RT_OK;
    }
    if (!rt_gguf_get_str(g, KEY("pre"), &pre)) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "key '" KEY("pre") "' is missing: which pre-tokenizer to use is not known");
    }
    return rt_tokenizer_set_pre(t, pre.p, pre.n, err);
}

rt_status rt_tokenizer_from_gguf(rt_tokenizer **out, const rt_gguf *g, rt_err *err)
{
    rt_status st = RT_OK;
    rt_tokenizer *t = NULL;
    rt_alphabet alphabet;
    rt_slice chat;
    RT_TRY(rt_tokenizer_new(&t, err));
    RT_TRY(read_model(g, &alphabet, err));
    RT_TRY(load_pre(t, g, alphabet, err));
    RT_TRY(load_vocab(t, g, alphabet, err));
    RT_TRY(alphabet == RT_ALPHABET_SPACES ? load_scores(t, g, err) : load_merges(t, g, err));
    load_special_ids(t, g);
    if (rt_gguf_get_str(g, "tokenizer.chat_template", &chat)) {
        t->chat_template = rt_strndup(chat.p, chat.n);
        if (!t->chat_template) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the chat template");
        }
    }
    RT_TRY(rt_tokenizer_finish(t, err));
    *out = t;
    t = NULL;
out:
    rt_tokenizer_close(t);
    return st;
}

rt_status rt_tokenizer_save_gguf(const rt_gguf *g, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf_writer *w = rt_gguf_writer_new();
    if (!w) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to write '%s'", path);
    }
    rt_alphabet alphabet;
    RT_TRY(read_model(g, &alphabet, err));
    for (size_t i = 0; i < rt_gguf_n_kv(g); i++) {
        const rt_gguf_kv *kv = rt_gguf_kv_at(g, i);
        /* The architecture comes along because readers of GGUF want one; no tensor does. */
        if (strcmp(kv->key, "general.architecture") == 0 || strncmp(kv->key, "tokenizer.", 10) == 0) {
            rt_gguf_set_raw(w, kv);
        }
    }
    RT_TRY(rt_gguf_write(w, path, err));
out:
    rt_gguf_writer_free(w);
    return st;
}
