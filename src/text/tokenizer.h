/* tokenizer.h - text <-> token ids. Opened from GGUF metadata or a Hugging Face tokenizer.json. Immutable after
 * opening; encode may be called from several threads at once. */
#ifndef RT_TEXT_TOKENIZER_H
#define RT_TEXT_TOKENIZER_H

#include "format/format.h"

typedef struct rt_tokenizer rt_tokenizer;

typedef struct rt_ids { /* zero-initialise; rt_ids_release frees */
    int32_t *p;
    size_t n, cap;
} rt_ids;
RT_MUST_USE rt_status rt_ids_push(rt_ids *ids, int32_t id, rt_err *err);
void rt_ids_release(rt_ids *ids);

/* `path`: a GGUF file, a tokenizer.json, or a folder/file beside which a tokenizer.gguf (preferred) or tokenizer.json
 * lies. */
RT_MUST_USE rt_status rt_tokenizer_open(rt_tokenizer **out, const char *path, rt_err *err);
RT_MUST_USE rt_status rt_tokenizer_from_gguf(rt_tokenizer **out, const rt_gguf *g,
                                             rt_err *err); /* copies what it needs */
RT_MUST_USE rt_status rt_tokenizer_from_hf(rt_tokenizer **out, const json_t *tokenizer_json, const json_t *config,
                                           rt_err *err);
void rt_tokenizer_close(rt_tokenizer *t);

#define RT_ENCODE_PLAIN 1 /* special tokens in the text are treated as ordinary text */
#define RT_ENCODE_CONTINUES \
    2 /* the text goes on from other text: a vocabulary that wants a space before text gets none */
/* Appends the ids of `text` (any bytes; ill-formed UTF-8 becomes U+FFFD per maximal subpart). Adds no BOS or EOS. */
RT_MUST_USE rt_status rt_encode_text(const rt_tokenizer *t, const char *text, size_t n, int flags, rt_ids *ids,
                                     rt_err *err);
/* Appends the bytes of one id; a token may end inside a character. */
RT_MUST_USE rt_status rt_decode_id(const rt_tokenizer *t, int32_t id, rt_str *out, rt_err *err);
RT_MUST_USE rt_status rt_decode_ids(const rt_tokenizer *t, const int32_t *ids, size_t n, rt_str *out, rt_err *err);

int32_t rt_tokenizer_n_vocab(const rt_tokenizer *t);
const char *rt_tokenizer_pre(const rt_tokenizer *t); /* "smollm" */
int32_t rt_tokenizer_bos(const rt_tokenizer *t);     /* -1 when there is none; likewise below */
int32_t rt_tokenizer_eos(const rt_tokenizer *t);
int32_t rt_tokenizer_eot(const rt_tokenizer *t);
bool rt_tokenizer_adds_bos(const rt_tokenizer *t);
bool rt_tokenizer_is_end(const rt_tokenizer *t, int32_t id); /* eos, eot or eom */
int32_t rt_tokenizer_find(const rt_tokenizer *t,
                          const char *piece); /* id of a vocabulary entry by its stored text, -1 */
/* SHA-256 over pre-tokenizer name, tokens, types and merges: equal for a GGUF and the tokenizer.json of the same
 * tokenizer. */
rt_digest rt_tokenizer_hash(const rt_tokenizer *t);
/* First id whose text differs, or -1 when one vocabulary is a prefix of the other (padding apart). */
int32_t rt_tokenizer_first_difference(const rt_tokenizer *a, const rt_tokenizer *b);

/* Hugging Face files of this tokenizer: tokenizer.json, tokenizer_config.json, special_tokens_map.json into `dir`. */
RT_MUST_USE rt_status rt_tokenizer_save_hf(const rt_tokenizer *t, const char *dir, rt_err *err);
/* Vocabulary-only GGUF with the tokenizer.* keys of `g` byte for byte. */
RT_MUST_USE rt_status rt_tokenizer_save_gguf(const rt_gguf *g, const char *path, rt_err *err);
/* The same keys for a tokenizer that was not opened from a GGUF file. NFC and an unknown token for bytes have no key.
 */
RT_MUST_USE rt_status rt_tokenizer_set_gguf(const rt_tokenizer *t, rt_gguf_writer *w, rt_err *err);

#endif
