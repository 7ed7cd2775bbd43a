/* task_item.h - rows of a task's data as items. Private to audit. */
#ifndef RT_AUDIT_TASK_ITEM_H
#define RT_AUDIT_TASK_ITEM_H

#include "audit/task_desc.h"

enum { RT_MAX_CHOICES = 64 };

typedef struct rt_task_request {
    rt_slice context, continuation; /* the continuation begins with its delimiter */
    int64_t length, bytes;          /* of the choice, in characters and bytes */
} rt_task_request;

/* Lives in the arena it was read into. A rolling text is one continuation of nothing; an answer to be generated is one
 * context without a continuation. */
typedef struct rt_task_item {
    const char *id, *group;    /* group NULL: an item by itself */
    const char *category;      /* for tables by category; NULL: none */
    const char *kin;           /* items of one kin ask the same in another way; NULL: none do */
    size_t variant, turned;    /* which of the row's items; by how many places its options are turned */
    int side;                  /* of two, 0 or 1; -1: of none */
    rt_task_request *requests; /* [n] one a choice; those of one context follow each other */
    size_t n;
    int64_t gold;                     /* -1: not by number; of a prompt 1: it should be refused */
    uint64_t right, unknown, follows; /* bits by choice: right; bbq: says nothing, follows the stereotype */
    bool ambiguous;                   /* bbq: the context does not tell */
    rt_slice answer;                  /* the right one, to compare with what is generated */
    bool secret;                      /* the row is harmful: what is generated is judged, and no text of it is kept */
    int64_t words, bytes;             /* of a rolling text */
} rt_task_item;

/* How many items a row makes. */
size_t rt_task_item_variants(const rt_task *t, const json_t *row);
/* RT_INPUT names the field that is missing; the caller adds file and line. */
RT_MUST_USE rt_status rt_task_item_read(rt_task_item *out, const rt_task *t, const json_t *row, uint64_t line,
                                        size_t variant, rt_arena *arena, rt_err *err);

/* bbq: takes the row's own phrase for "unknown" out for the task's list of phrases, if it has one, and marks what is
 * unknown, right and follows the stereotype. `choices` has the three texts of the row, and afterwards *n. */
RT_MUST_USE rt_status rt_task_bbq(rt_task_item *item, const rt_task *t, const json_t *row, rt_slice *choices, size_t *n,
                                  rt_err *err);

#endif
