/* tokenizer_impl.h - what the files of a tokenizer share: the handle, and the steps every loader takes to fill it. */
#ifndef RT_TEXT_TOKENIZER_IMPL_H
#define RT_TEXT_TOKENIZER_IMPL_H

#include "text/bpe.h"
#include "text/chat_form.h"
#include "text/pretok.h"
#include "text/special.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

/* A space before text, as SentencePiece vocabularies may have it: never; where the text begins; also behind every
 * special token. */
typedef enum rt_space_prefix { RT_PREFIX_NEVER, RT_PREFIX_FIRST, RT_PREFIX_ALWAYS } rt_space_prefix;

struct rt_tokenizer {
    rt_vocab vocab;
    rt_bpe bpe;
    const rt_pre *pre;
    rt_pretok *pretok; /* NULL: text is not cut into pieces */
    rt_space_prefix space_prefix;
    bool metaspace;                       /* the prefix is left out before text that begins with a space */
    rt_specials specials;                 /* control, unknown and user-defined tokens */
    rt_specials user_specials;            /* user-defined only: these are cut out of plain text too */
    int32_t bos, eos, eot, eom, pad, unk; /* -1: none */
    int32_t byte_unk;                     /* stands for bytes without a token; -1: they are dropped */
    bool adds_bos;
    bool adds_eos;                      /* the file asks for it; retort ends documents itself */
    bool nfc;                           /* text is brought into normal form C first */
    char *from;                         /* whose it is, for messages; NULL: nobody said */
    char *chat_template;                /* NULL: none */
    const rt_chat_form_info *chat_form; /* NULL: none, or not known */
    bool chat_form_named;               /* by the user, not by the template */
    char *chat_system;                  /* system content the template adds by itself; NULL: none */
    rt_digest hash;
};

/* A loader calls new, fills vocab (sealed), pre and bpe (all merges added) and the fields of special ids, then finish;
 * on failure rt_tokenizer_close frees what there is. */
RT_MUST_USE rt_status rt_tokenizer_new(rt_tokenizer **out, rt_err *err);
RT_MUST_USE rt_status rt_tokenizer_finish(rt_tokenizer *t, rt_err *err);
/* Refuses a rule name that is not known, listing those that are. */
RT_MUST_USE rt_status rt_tokenizer_set_pre(rt_tokenizer *t, const char *name, size_t n, rt_err *err);
/* A step of a tokenizer.json is of this type. */
bool rt_hf_is(const json_t *step, const char *type);
/* Its normalizer and pre_tokenizer: sets pre, nfc and what concerns spaces. */
RT_MUST_USE rt_status rt_hf_read_steps(rt_tokenizer *t, const json_t *root, rt_err *err);
/* "left right" -> parts; false when there is not exactly one space between two texts. */
bool rt_merge_split(rt_slice line, rt_slice *left, rt_slice *right);

#endif
