/* utf8.h - UTF-8 as the tokenizers need it: one character at a time, ill-formed input repaired. */
#ifndef RT_TEXT_UTF8_H
#define RT_TEXT_UTF8_H

#include "core/core.h"

/* Bytes of the well-formed character at `p`, or 0 when it is ill-formed; `*part` is then the length of the maximal
 * ill-formed part (Unicode 3.9), else the character's. Needs n >= 1. `*cp` (may be NULL) gets the code point. */
size_t rt_utf8_char(const char *p, size_t n, size_t *part, uint32_t *cp);
/* Appends `text` with each maximal ill-formed part replaced by one U+FFFD. */
void rt_utf8_repair(rt_str *out, const char *text, size_t n);
/* Appends the code point `cp` (a scalar value). */
void rt_utf8_add(rt_str *out, uint32_t cp);
/* Appends normal form C of well-formed `text`. */
RT_MUST_USE rt_status rt_utf8_nfc(rt_str *out, const char *text, size_t n, rt_err *err);

#endif
