/* task_reader.h - parts of which an item is made. Private to audit. */
#ifndef RT_AUDIT_TASK_READER_H
#define RT_AUDIT_TASK_READER_H

#include "audit/task_item.h"

/* What reading one row needs. */
typedef struct rt_task_reader {
    const rt_task *task;
    const json_t *row;
    size_t variant;
    rt_arena *arena;
    rt_task_item *item;
    rt_err *err;
} rt_task_reader;

/* Texts live in the reader's arena: a form with its fields in place, a text of the row as it stands. */
RT_MUST_USE rt_status rt_reader_form(const rt_task_reader *r, rt_slice *out, const char *form);
RT_MUST_USE rt_status rt_reader_field(const rt_task_reader *r, rt_slice *out, const json_t *text, const char *name);
/* The texts of a list in the description, or of the field it names; those of a finished row. */
RT_MUST_USE rt_status rt_reader_texts(const rt_task_reader *r, const json_t *list, rt_slice out[RT_MAX_CHOICES],
                                      size_t *n);
RT_MUST_USE rt_status rt_reader_finished(const rt_task_reader *r, const char *key, rt_slice out[RT_MAX_CHOICES],
                                         size_t *n);
/* The field that a list in the description names, when it names one; else NULL: the list's own texts are meant. */
const char *rt_reader_field_of(const json_t *list);

/* Requests of the item: n of them, one, one a choice, one a context. */
RT_MUST_USE rt_status rt_reader_requests(const rt_task_reader *r, size_t n);
RT_MUST_USE rt_status rt_reader_request(const rt_task_reader *r, size_t i, rt_slice context, rt_slice choice);
RT_MUST_USE rt_status rt_reader_choices(const rt_task_reader *r, rt_slice context, const rt_slice *choices, size_t n);
RT_MUST_USE rt_status rt_reader_contexts(const rt_task_reader *r, const rt_slice *contexts, size_t n,
                                         rt_slice continuation);

/* The right choice: by a field or form, by the task's own, only told (-1: it names none), by a list of truths. */
RT_MUST_USE rt_status rt_reader_gold(const rt_task_reader *r, const char *name, const json_t *labels);
RT_MUST_USE rt_status rt_reader_set_own_gold(const rt_task_reader *r);
RT_MUST_USE rt_status rt_reader_own_gold(const rt_task_reader *r, int64_t *gold);
RT_MUST_USE rt_status rt_reader_truths(const rt_task_reader *r);

/* task_variant.c: item number r->variant of a row that makes several. */
RT_MUST_USE rt_status rt_reader_variant(const rt_task_reader *r);

#endif
