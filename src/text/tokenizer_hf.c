/* tokenizer_hf.c - a tokenizer out of Hugging Face's tokenizer.json: BPE of bytes, or of characters with bytes to fall
 * back on (SentencePiece's). What cannot be reproduced exactly is refused. */
#include <string.h>

#include "text/tokenizer_impl.h"

/* --- model and added tokens -------------------------------------------------------------------------------------- */

static rt_status check_model(const json_t *model, rt_err *err)
{
    if (!json_is_object(model)) {
        return rt_fail(err, RT_INPUT, 0, "no object 'model'");
    }
    /* Old files leave the type out; their models have merges. */
    if (strcmp(rt_json_str(model, "type", "BPE"), "BPE") != 0) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "model type '%s' is not supported; known is BPE",
                       rt_json_str(model, "type", ""));
    }
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++) {
        if (*rt_json_str(model, affixes[i], "")) {
            return rt_fail(err, RT_UNSUPPORTED, 0, "model has a '%s'", affixes[i]);
        }
    }
    if (!json_is_object(json_object_get(model, "vocab")) || !json_is_array(json_object_get(model, "merges"))) {
        return rt_fail(err, RT_INPUT, 0, "model has no object 'vocab' or no array 'merges'");
    }
    return RT_OK;
}

/* Ids are checked here once: the largest decides the size of the vocabulary. */
static rt_status count_tokens(const json_t *vocab, const json_t *added, int64_t *n, rt_err *err)
{
    *n = 0;
    size_t n_given = json_object_size(vocab) + json_array_size(added);
    const char *text;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)vocab, text, value)
    {
        int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= INT32_MAX) {
            return rt_fail(err, RT_INPUT, 0, "token '%.64s' has no valid id", text);
        }
        *n = id >= *n ? id + 1 : *n;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *a = json_array_get(added, i);
        int64_t id = rt_json_i64(a, "id", -1);
        if (id < 0 || id >= INT32_MAX || !json_is_string(json_object_get(a, "content"))) {
            return rt_fail(err, RT_INPUT, 0, "added token %zu has no valid 'id' and 'content'", i);
        }
        *n = id >= *n ? id + 1 : *n;
    }
    /* Vocabularies are padded to round sizes, not to sizes that exhaust memory. */
    if (*n > (int64_t)n_given * 2 + 65536) {
        return rt_fail(err, RT_INPUT, 0, "largest token id %lld does not fit %zu tokens", (long long)*n - 1, n_given);
    }
    return RT_OK;
}

static rt_status read_added(rt_tokenizer *t, const json_t *added, rt_err *err)
{
    rt_status st = RT_OK;
    static const char *const unsupported[] = {"single_word", "lstrip", "rstrip"};
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *a = json_array_get(added, i), *content = json_object_get(a, "content");
        for (size_t k = 0; k < 3; k++) {
            if (rt_json_bool(a, unsupported[k], false)) {
                RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "added token '%.64s' has the option '%s'",
                            json_string_value(content), unsupported[k]);
            }
        }
        rt_slice text = {json_string_value(content), json_string_length(content)};
        rt_token_kind kind = rt_json_bool(a, "special", false) ? RT_TOKEN_CONTROL : RT_TOKEN_USER;
        RT_TRY(rt_vocab_set(&t->vocab, (int32_t)rt_json_i64(a, "id", -1), text, kind, err));
    }
out:
    return st;
}

/* Added tokens go first: they are usually listed in the model's vocabulary too, without their kind. */
static rt_status read_vocab(rt_tokenizer *t, const json_t *root, rt_alphabet alphabet, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab"), *value;
    const json_t *added = json_object_get(root, "added_tokens");
    int64_t n;
    const char *key;
    RT_TRY(count_tokens(vocab, added, &n, err));
    RT_TRY(rt_vocab_init(&t->vocab, (size_t)n, alphabet, err));
    RT_TRY(read_added(t, added, err));
    json_object_foreach(vocab, key, value)
    {
        int32_t id = (int32_t)json_integer_value(value);
        rt_slice text = {key, strlen(key)};
        const rt_slice *have = &t->vocab.tokens[id].text;
        if (have->p && have->n == text.n && memcmp(have->p, text.p, text.n) == 0) {
            continue;
        }
        bool byte = t->vocab.alphabet == RT_ALPHABET_SPACES && rt_named_byte(text) >= 0;
        RT_TRY(rt_vocab_set(&t->vocab, id, text, byte ? RT_TOKEN_BYTE : RT_TOKEN_NORMAL, err));
    }
    RT_TRY(rt_vocab_seal(&t->vocab, err));
out:
    return st;
}

static rt_slice string_slice(const json_t *s)
{
    return (rt_slice){json_string_value(s), json_string_length(s)};
}

/* Each merge is "left right" or ["left", "right"]. */
static rt_status read_merges(rt_tokenizer *t, const json_t *merges, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_bpe_init(&t->bpe, &t->vocab, json_array_size(merges), err));
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *m = json_array_get(merges, i);
        rt_slice left, right;
        bool ok;
        if (json_is_string(m)) {
            ok = rt_merge_split(string_slice(m), &left, &right);
        } else {
            left = string_slice(json_array_get(m, 0));
            right = string_slice(json_array_get(m, 1));
            ok = json_array_size(m) == 2 && left.n > 0 && right.n > 0;
        }
        if (!ok) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "merge %zu is neither \"left right\" nor [\"left\", \"right\"]", i);
        }
        RT_TRY(rt_bpe_add(&t->bpe, &t->vocab, left, right, err));
    }
out:
    return st;
}

/* With an unknown token, bytes that have none become it instead of being dropped. */
static rt_status read_unknown(rt_tokenizer *t, const json_t *model, rt_err *err)
{
    const char *unk = rt_json_str(model, "unk_token", NULL);
    if (!unk) {
        return RT_OK;
    }
    int32_t id = rt_tokenizer_find(t, unk);
    bool met = false; /* some byte has no token */
    for (int b = 0; b < 256; b++) {
        met = met || t->bpe.byte_id[b] < 0;
    }
    if (id < 0 || (met && rt_json_bool(model, "fuse_unk", false))) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "unknown token '%.64s' is %s", unk,
                       id < 0 ? "not in the vocabulary" : "fused");
    }
    t->byte_unk = id;
    for (int b = 0; b < 256; b++) {
        t->bpe.byte_id[b] = t->bpe.byte_id[b] < 0 ? id : t->bpe.byte_id[b];
    }
    return RT_OK;
}

/* --- what tokenizer_config.json adds ----------------------------------------------------------------------------- */

/* A token is given as text or as an object with its "content"; absent or null is none. */
static rt_status config_token(const rt_tokenizer *t, const json_t *config, const char *key, int32_t *id, rt_err *err)
{
    const json_t *v = json_object_get(config, key);
    const char *text = json_is_object(v) ? rt_json_str(v, "content", NULL) : json_string_value(v);
    if (text) {
        *id = rt_tokenizer_find(t, text);
        if (*id < 0) {
            return rt_fail(err, RT_INPUT, 0, "%s '%.64s' is not in the vocabulary", key, text);
        }
    }
    return RT_OK;
}

/* Does the template of the post-processor put `bos` before a text? */
static bool template_adds(const rt_tokenizer *t, const json_t *post, int32_t bos)
{
    if (rt_hf_is(post, "Sequence")) {
        const json_t *list = json_object_get(post, "processors");
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (template_adds(t, json_array_get(list, i), bos)) {
                return true;
            }
        }
    }
    if (!rt_hf_is(post, "TemplateProcessing")) {
        return false;
    }
    const json_t *first = json_array_get(json_object_get(post, "single"), 0);
    const char *text = rt_json_str(json_object_get(first, "SpecialToken"), "id", NULL);
    return text && bos >= 0 && rt_tokenizer_find(t, text) == bos;
}

/* One template, or a list of named ones of which "default" is meant. */
static rt_status read_chat_template(rt_tokenizer *t, const json_t *config, rt_err *err)
{
    const json_t *v = json_object_get(config, "chat_template");
    const char *text = json_string_value(v);
    for (size_t i = 0; !text && i < json_array_size(v); i++) {
        const json_t *named = json_array_get(v, i);
        if (strcmp(rt_json_str(named, "name", ""), "default") == 0) {
            text = rt_json_str(named, "template", NULL);
        }
    }
    if (text) {
        t->chat_template = rt_strdup(text);
        if (!t->chat_template) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for the chat template");
        }
    }
    return RT_OK;
}

static rt_status read_config(rt_tokenizer *t, const json_t *root, const json_t *config, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(config_token(t, config, "bos_token", &t->bos, err));
    RT_TRY(config_token(t, config, "eos_token", &t->eos, err));
    RT_TRY(config_token(t, config, "pad_token", &t->pad, err));
    RT_TRY(config_token(t, config, "unk_token", &t->unk, err));
    bool by_template = template_adds(t, json_object_get(root, "post_processor"), t->bos);
    t->adds_bos = rt_json_bool(config, "add_bos_token", by_template);
    RT_TRY(read_chat_template(t, config, err));
out:
    return st;
}

rt_status rt_tokenizer_from_hf(rt_tokenizer **out, const json_t *tokenizer_json, const json_t *config, rt_err *err)
{
    rt_status st = RT_OK;
    rt_tokenizer *t = NULL;
    const json_t *model = json_object_get(tokenizer_json, "model");
    RT_TRY(rt_tokenizer_new(&t, err));
    RT_TRY(check_model(model, err));
    RT_TRY(rt_hf_read_steps(t, tokenizer_json, err));
    RT_TRY(read_vocab(t, tokenizer_json, t->pre == &rt_pre_whole ? RT_ALPHABET_SPACES : RT_ALPHABET_BYTES, err));
    RT_TRY(read_merges(t, json_object_get(model, "merges"), err));
    RT_TRY(read_unknown(t, model, err));
    RT_TRY(read_config(t, tokenizer_json, config, err));
    RT_TRY(rt_tokenizer_finish(t, err));
    *out = t;
    t = NULL;
out:
    rt_tokenizer_close(t);
    return st;
}
