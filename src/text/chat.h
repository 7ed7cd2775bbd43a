/* chat.h - chat templates as data: the template's text in the model file selects one of the known forms (chatml, gemma,
 * ...), an unknown one is refused by name instead of guessed. */
#ifndef RT_TEXT_CHAT_H
#define RT_TEXT_CHAT_H

#include "text/tokenizer.h"

typedef struct rt_chat_message {
    const char *role, *content; /* borrows */
} rt_chat_message;

/* "chatml", ... for the tokenizer's own template; NULL when it has none that is known. */
const char *rt_chat_form(const rt_tokenizer *t);
/* Takes the form of this name in place of the one the template says; before any other use of `t`. */
RT_MUST_USE rt_status rt_chat_set_form(rt_tokenizer *t, const char *name, rt_err *err);
/* Hash of the template text, or of the name set above (zeros when there is none). */
rt_digest rt_chat_hash(const rt_tokenizer *t);
/* Text form of the conversation. `open_reply`: ends with the opening of the assistant's turn. */
RT_MUST_USE rt_status rt_chat_render(const rt_tokenizer *t, const rt_chat_message *m, size_t n, bool open_reply,
                                     rt_str *out, rt_err *err);
/* Token ids: template text with special tokens, contents as plain text (a user cannot forge a turn).
 * `mask` (may be NULL): 1 for tokens of assistant contents and the token that ends the turn, else 0; same length as
 * ids. */
typedef struct rt_mask { /* zero-initialise; rt_mask_release frees */
    uint8_t *p;
    size_t n, cap;
} rt_mask;
void rt_mask_release(rt_mask *mask);
RT_MUST_USE rt_status rt_chat_encode(const rt_tokenizer *t, const rt_chat_message *m, size_t n, bool open_reply,
                                     rt_ids *ids, rt_mask *mask, rt_err *err);

#endif
