/* chat_form.h - recognising a chat template by its text. */
#ifndef RT_TEXT_CHAT_FORM_H
#define RT_TEXT_CHAT_FORM_H

#include "core/core.h"

/* What a known form needs besides the template's own text. */
typedef struct rt_chat_form_info {
    const char *name;       /* "chatml" */
    const char *turn_start; /* special tokens */
    const char *turn_end;
} rt_chat_form_info;

/* The form of `template`, NULL when it is none of the known. *system gets its default system content, to be freed with
 * rt_free, or NULL when the template has none. Spacing inside tags, kinds of quotes and ways of writing a line feed
 * make no difference; text outside tags must agree to the byte. */
RT_MUST_USE rt_status rt_chat_form_match(const char *template, const rt_chat_form_info **form, char **system,
                                         rt_err *err);
/* "chatml, ..." for messages; appended. */
void rt_chat_form_list(rt_str *s);

#endif
