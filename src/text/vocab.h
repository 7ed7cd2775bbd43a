/* vocab.h - the tokens of a vocabulary: stored text, the bytes it stands for, kind, and look-up by text. */
#ifndef RT_TEXT_VOCAB_H
#define RT_TEXT_VOCAB_H

#include "core/core.h"

/* Values of tokenizer.ggml.token_type (frozen). */
typedef enum rt_token_kind {
    RT_TOKEN_NORMAL = 1,
    RT_TOKEN_UNKNOWN = 2,
    RT_TOKEN_CONTROL = 3,
    RT_TOKEN_USER = 4, /* user-defined: always cut out of the text, but no control token */
    RT_TOKEN_UNUSED = 5,
    RT_TOKEN_BYTE = 6
} rt_token_kind;

/* How texts of tokens are written. */
typedef enum rt_alphabet {
    RT_ALPHABET_BYTES, /* every byte as a printable character (GPT-2's; below) */
    RT_ALPHABET_SPACES /* as it is, but a space is U+2581 and a byte that is no character "<0x1B>" (SentencePiece's) */
} rt_alphabet;

#define RT_SPACE_MARK "\xE2\x96\x81" /* U+2581 */

typedef struct rt_token {
    rt_slice text;  /* as stored */
    rt_slice bytes; /* what it decodes to */
    rt_token_kind kind;
} rt_token;

typedef struct rt_vocab { /* zero-initialise; rt_vocab_release frees */
    rt_token *tokens;
    int32_t n;
    rt_alphabet alphabet;
    int32_t *slots; /* open addressing by text; -1 empty */
    uint32_t mask;
    rt_arena arena;
} rt_vocab;

/* Room for n tokens. Set each at most once, then seal: ids not set become unused "[PAD<id>]" as converters write
 * them; two tokens with one text are refused. */
RT_MUST_USE rt_status rt_vocab_init(rt_vocab *v, size_t n, rt_alphabet alphabet, rt_err *err);
RT_MUST_USE rt_status rt_vocab_set(rt_vocab *v, int32_t id, rt_slice text, rt_token_kind kind, rt_err *err);
RT_MUST_USE rt_status rt_vocab_seal(rt_vocab *v, rt_err *err);
void rt_vocab_release(rt_vocab *v);
/* -1 when absent. */
int32_t rt_vocab_find(const rt_vocab *v, const char *text, size_t n);
/* Number of tokens without the padding at the end. */
int32_t rt_vocab_n_used(const rt_vocab *v);

/* "<0x1B>" -> its byte; -1 for any other text. */
int rt_named_byte(rt_slice text);

/* The byte alphabet of GPT-2: printable Latin-1 stands for itself, the other 68 byte values for U+0100 and up. */
uint32_t rt_byte_to_char(uint8_t b);
/* Byte that `cp` stands for, -1 when it stands for none. */
int rt_char_to_byte(uint32_t cp);

#endif
