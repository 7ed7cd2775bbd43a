/* choice_item.h - rows of a task's data as questions. Private to audit. */
#ifndef RT_AUDIT_CHOICE_ITEM_H
#define RT_AUDIT_CHOICE_ITEM_H

#include <jansson.h>

#include "core/core.h"

typedef struct rt_choice_task rt_choice_task;
const rt_choice_task *rt_choice_task_find(const char *name); /* NULL: unknown */
bool rt_choice_task_has_norm(const rt_choice_task *t);

typedef struct rt_choice_request {
    rt_slice context, continuation; /* the continuation begins with its delimiter */
    int64_t length;                 /* characters of the choice, for acc_norm */
} rt_choice_request;

typedef struct rt_choice_item { /* lives in the arena it was read into */
    const char *id;
    rt_choice_request *requests; /* [n] one a choice; those of one context follow each other */
    size_t n;
    int64_t gold;
} rt_choice_item;

/* RT_INPUT names the field that is missing; the caller adds file and line. */
RT_MUST_USE rt_status rt_choice_item_read(rt_choice_item *out, const rt_choice_task *t, const json_t *row,
                                          uint64_t line, rt_arena *arena, rt_err *err);

#endif
