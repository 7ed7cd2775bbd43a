/* chat_layout.h - a conversation taken apart into template text and contents, in their order. */
#ifndef RT_TEXT_CHAT_LAYOUT_H
#define RT_TEXT_CHAT_LAYOUT_H

#include "text/chat.h"

typedef enum rt_chat_part_kind {
    RT_PART_TEMPLATE, /* may hold special tokens */
    RT_PART_CONTENT,  /* holds none, whatever it looks like */
    RT_PART_REPLY,    /* content of an assistant's turn */
    RT_PART_END       /* template text that ends a reply */
} rt_chat_part_kind;

typedef struct rt_chat_part {
    rt_chat_part_kind kind;
    rt_slice text;
} rt_chat_part;

typedef struct rt_chat_layout { /* zero-initialise; rt_chat_layout_release frees */
    rt_chat_part *parts;
    size_t n;
} rt_chat_layout;

/* Parts borrow from tokenizer and messages. Refuses roles that the form has no turn for. */
RT_MUST_USE rt_status rt_chat_lay_out(rt_chat_layout *l, const rt_tokenizer *t, const rt_chat_message *m, size_t n,
                                      bool open_reply, rt_err *err);
void rt_chat_layout_release(rt_chat_layout *l);

#endif
