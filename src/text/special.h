/* special.h - finds special tokens in text: the leftmost match, of several there the longest. */
#ifndef RT_TEXT_SPECIAL_H
#define RT_TEXT_SPECIAL_H

#include "core/core.h"

typedef struct rt_special {
    rt_slice text; /* borrows from the vocabulary */
    int32_t id;
} rt_special;

typedef struct rt_specials { /* zero-initialise; rt_specials_release frees */
    rt_special *list;        /* sorted by text after sealing */
    size_t n;
    bool opens[256]; /* some token begins with this byte */
} rt_specials;

RT_MUST_USE rt_status rt_specials_init(rt_specials *s, size_t cap, rt_err *err);
void rt_specials_add(rt_specials *s, rt_slice text, int32_t id); /* at most `cap` times */
void rt_specials_seal(rt_specials *s);
void rt_specials_release(rt_specials *s);
/* First match at or after `from`: its token, with its place in *at; NULL when there is none. */
const rt_special *rt_specials_next(const rt_specials *s, const char *text, size_t n, size_t from, size_t *at);

#endif
