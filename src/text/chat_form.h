/* chat_form.h - the known forms of conversations as data, and recognising a template's form by its text. */
#ifndef RT_TEXT_CHAT_FORM_H
#define RT_TEXT_CHAT_FORM_H

#include "core/core.h"

/* What stands around a turn's content. `open` NULL: the form has no such turn. */
typedef struct rt_chat_frame {
    const char *open, *close;
} rt_chat_frame;

/* Where a form without system turns puts the system's content: in front of a user's, an empty line between. */
typedef enum rt_chat_system { RT_SYSTEM_TURN, RT_SYSTEM_IN_FIRST_USER, RT_SYSTEM_IN_LAST_USER } rt_chat_system;

/* A form renders plain turns. What templates do beyond that (tools, dates, thoughts) is not part of it. */
typedef struct rt_chat_form_info {
    const char *name;         /* "chatml" */
    const char *const *marks; /* special tokens its frames are made of; ends with NULL */
    bool bos;                 /* the conversation begins with BOS, if there is one */
    const char *head;         /* then this */
    rt_chat_frame system, user, assistant, tool;
    const char *last_close; /* in place of the assistant's `close` at the end of the conversation; NULL: the same */
    const char *reply_lead; /* goes before a reply and is part of it */
    bool trims;             /* contents lose white space at both ends */
    rt_chat_system system_place;
    const char *system_default; /* system content where the conversation brings none; NULL: no turn then */
    /* Templates, in tags without spacing, in literals without escapes, have their default system content between these
     * two; NULL: none have one. */
    const char *default_after, *default_before;
} rt_chat_form_info;

/* NULL when unknown. */
const rt_chat_form_info *rt_chat_form_by_name(const char *name);
/* The same for a template with the texts that tell a family; chatml's are not told so. */
const rt_chat_form_info *rt_chat_form_by_print(const char *template);
/* The form of `template`, NULL when it is none of the known. chatml's templates must be one of those known: spacing
 * inside tags, kinds of quotes and ways of writing a line feed make no difference; text outside tags must agree to the
 * byte. Others are told by texts that all templates of a family have. *system gets its default system content, to be
 * freed with rt_free, or NULL when the template has none. */
RT_MUST_USE rt_status rt_chat_form_match(const char *template, const rt_chat_form_info **form, char **system,
                                         rt_err *err);
/* What a template (may be NULL) of this form has as default system content, as above. */
RT_MUST_USE rt_status rt_chat_form_default(const rt_chat_form_info *form, const char *template, char **system,
                                           rt_err *err);
/* "chatml, ..." for messages; appended. */
void rt_chat_form_list(rt_str *s);

#endif
