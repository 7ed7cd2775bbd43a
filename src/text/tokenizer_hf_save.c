/* tokenizer_hf_save.c - the files from which Hugging Face's libraries load the same tokenizer: tokenizer.json,
 * tokenizer_config.json, special_tokens_map.json. Jansson's failures surface once, when a part comes out NULL. */
#include "text/spm_rules.h"
#include "text/tokenizer_impl.h"

/* Both take `item`. A failure makes the whole NULL, so that no part can go missing unnoticed. */
static void append(json_t **list, json_t *item)
{
    if (json_array_append_new(*list, item) != 0) {
        json_decref(*list);
        *list = NULL;
    }
}

static void set(json_t **object, const char *key, json_t *item)
{
    if (json_object_set_new(*object, key, item) != 0) {
        json_decref(*object);
        *object = NULL;
    }
}

static json_t *text_json(rt_slice s)
{
    return json_stringn(s.p, s.n);
}

static json_t *token_json(const rt_tokenizer *t, int32_t id)
{
    return text_json(t->vocab.tokens[id].text);
}

static bool is_added(const rt_token *token)
{
    return token->kind == RT_TOKEN_CONTROL || token->kind == RT_TOKEN_USER || token->kind == RT_TOKEN_UNKNOWN;
}

static json_t *byte_level(bool use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex",
                     (int)use_regex);
}

static json_t *pre_tokenizer(const rt_pre *pre)
{
    json_t *list = json_array();
    const char *const *step = pre->steps;
    if (pre->hf_digits) {
        append(&list, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1));
        step++;
    }
    for (; *step && !(pre->hf_own && !step[1]); step++) {
        append(&list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", *step, "behavior",
                                "Isolated", "invert", 0));
    }
    append(&list, byte_level(pre->hf_own));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

/* BOS before each text, as a template; otherwise only ByteLevel's trimming of offsets. */
static json_t *post_processor(const rt_tokenizer *t)
{
    if (!t->adds_bos) {
        return t->vocab.alphabet == RT_ALPHABET_SPACES ? json_null() : byte_level(true);
    }
    const char *bos = t->vocab.tokens[t->bos].text.p;
    return json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}],"
                     " s:{s:{s:s, s:[i], s:[s]}}}",
                     "type", "TemplateProcessing", "single", "SpecialToken", "id", bos, "type_id", 0, "Sequence", "id",
                     "A", "type_id", 0, "pair", "SpecialToken", "id", bos, "type_id", 0, "Sequence", "id", "A",
                     "type_id", 0, "Sequence", "id", "B", "type_id", 1, "special_tokens", bos, "id", bos, "ids", t->bos,
                     "tokens", bos);
}

static json_t *added_tokens(const rt_tokenizer *t)
{
    json_t *list = json_array();
    for (int32_t id = 0; id < t->vocab.n; id++) {
        const rt_token *token = &t->vocab.tokens[id];
        if (is_added(token)) {
            append(&list, json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", text_json(token->text),
                                    "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special",
                                    token->kind != RT_TOKEN_USER));
        }
    }
    return list;
}

/* NULL when a text is not UTF-8. Padding is left out: readers fill it in again. */
static json_t *vocab_json(const rt_tokenizer *t)
{
    json_t *o = json_object();
    for (int32_t id = 0; id < t->vocab.n; id++) {
        const rt_token *token = &t->vocab.tokens[id];
        if (token->kind == RT_TOKEN_UNUSED) {
            continue;
        }
        if (json_object_setn_new(o, token->text.p, token->text.n, json_integer(id)) != 0) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

static json_t *merges_json(const rt_tokenizer *t, const rt_merge *merges, size_t n)
{
    json_t *list = json_array();
    rt_str line = {0};
    for (size_t i = 0; i < n; i++) {
        rt_slice left = t->vocab.tokens[merges[i].left].text, right = t->vocab.tokens[merges[i].right].text;
        rt_str_clear(&line);
        rt_str_add(&line, left.p, left.n);
        rt_str_putc(&line, ' ');
        rt_str_add(&line, right.p, right.n);
        append(&list, line.failed ? NULL : json_stringn(rt_str_cstr(&line), line.n));
    }
    rt_str_release(&line);
    return list;
}

/* Its merges, made from the scores where it has those instead. NULL when memory is out. */
static json_t *all_merges(const rt_tokenizer *t)
{
    rt_merge *made = NULL;
    size_t n = 0;
    if (!t->bpe.score_ranks) {
        return merges_json(t, t->bpe.merges, t->bpe.n_merges);
    }
    json_t *list = rt_spm_merges(&t->bpe, &t->vocab, &made, &n, NULL) == RT_OK ? merges_json(t, made, n) : NULL;
    rt_free(made);
    return list;
}

/* Spaces are marked by the normalizer or by the pre-tokenizer; both can put one before the text. */
static json_t *metaspace(const rt_tokenizer *t)
{
    static const char *const schemes[] = {
        [RT_PREFIX_NEVER] = "never", [RT_PREFIX_FIRST] = "first", [RT_PREFIX_ALWAYS] = "always"};
    if (!t->metaspace) {
        return json_null();
    }
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", RT_SPACE_MARK, "prepend_scheme",
                     schemes[t->space_prefix], "split", 0);
}

static json_t *mark_spaces(const rt_tokenizer *t)
{
    if (t->metaspace) {
        return json_null();
    }
    json_t *replace =
        json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ", "content", RT_SPACE_MARK);
    if (t->space_prefix == RT_PREFIX_NEVER) {
        return replace;
    }
    return json_pack("{s:s, s:[{s:s, s:s}, o]}", "type", "Sequence", "normalizers", "type", "Prepend", "prepend",
                     RT_SPACE_MARK, replace);
}

static json_t *unmark_spaces(const rt_tokenizer *t)
{
    json_t *list = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                             RT_SPACE_MARK, "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (t->space_prefix != RT_PREFIX_NEVER) {
        append(&list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    }
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
}

static json_t *model_json(const rt_tokenizer *t, bool spm)
{
    const int32_t unk = spm ? t->unk : t->byte_unk;
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                     unk < 0 ? json_null() : token_json(t, unk), "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", (int)spm, "byte_fallback", (int)spm, "ignore_merges", (int)t->pre->ignore_merges,
                     "vocab", vocab_json(t), "merges", all_merges(t));
}

static json_t *tokenizer_json(const rt_tokenizer *t)
{
    const bool spm = t->vocab.alphabet == RT_ALPHABET_SPACES;
    json_t *normalizer = spm ? mark_spaces(t) : t->nfc ? json_pack("{s:s}", "type", "NFC") : json_null();
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", added_tokens(t), "normalizer", normalizer, "pre_tokenizer",
                     spm ? metaspace(t) : pre_tokenizer(t->pre), "post_processor", post_processor(t), "decoder",
                     spm ? unmark_spaces(t) : byte_level(true), "model", model_json(t, spm));
}

static void set_special(json_t **o, const rt_tokenizer *t, const char *key, int32_t id)
{
    if (id >= 0) {
        set(o, key, token_json(t, id));
    }
}

static void set_specials(json_t **o, const rt_tokenizer *t)
{
    set_special(o, t, "bos_token", t->bos);
    set_special(o, t, "eos_token", t->eos);
    set_special(o, t, "pad_token", t->pad);
    set_special(o, t, "unk_token", t->unk);
}

static json_t *special_tokens_json(const rt_tokenizer *t)
{
    json_t *o = json_object();
    set_specials(&o, t);
    return o;
}

/* The general class: those named after a model rebuild their own pre-tokenizer. */
static json_t *config_json(const rt_tokenizer *t)
{
    json_t *o = json_pack("{s:s, s:b, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "add_bos_token",
                          (int)t->adds_bos, "add_prefix_space", 0, "clean_up_tokenization_spaces", 0);
    set_specials(&o, t);
    if (t->chat_template) {
        set(&o, "chat_template", json_string(t->chat_template));
    }
    return o;
}

/* Takes `j`. */
static rt_status save(json_t *j, const char *dir, const char *name, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = rt_path_join(dir, name);
    if (!j || !path) {
        RT_FAIL_OUT(err, j ? RT_MEMORY : RT_INPUT, 0,
                    "cannot build '%s' for '%s': a token is not UTF-8 text, or memory is out", name, dir);
    }
    RT_TRY(rt_json_save(j, path, err));
out:
    json_decref(j);
    rt_free(path);
    return st;
}

rt_status rt_tokenizer_save_hf(const rt_tokenizer *t, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(save(config_json(t), dir, "tokenizer_config.json", err));
    RT_TRY(save(special_tokens_json(t), dir, "special_tokens_map.json", err));
    RT_TRY(save(tokenizer_json(t), dir, "tokenizer.json", err));
out:
    return st;
}
