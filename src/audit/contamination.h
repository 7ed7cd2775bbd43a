/* contamination.h - evaluation items whose words stand in the training text: contamination, by runs of 13 words. */
#ifndef RT_AUDIT_CONTAMINATION_H
#define RT_AUDIT_CONTAMINATION_H

#include <jansson.h>

#include "core/core.h"

enum { RT_CONTAMINATION_LEAST = 8 };

typedef struct rt_contamination {
    int64_t items, checked; /* an item of fewer than RT_CONTAMINATION_LEAST words cannot be checked */
    int64_t found;
    bool *hit; /* [items] */
} rt_contamination;

/* docs[k]: items of the k-th task (rt_task_docs); out [n_tasks]. An item is hit when RT_WORDS_RUN words in a row of one
 * of its requests, all of them where it has fewer, stand in one text of the files. What all requests of a task begin
 * with (its instructions) does not count. Words are those of words.h; in .jsonl every text of a row is one text,
 * elsewhere the file is. */
RT_MUST_USE rt_status rt_contamination_find(rt_contamination *out, const json_t *const *docs, size_t n_tasks,
                                            const char *const *paths, size_t n_paths, rt_err *err);
void rt_contamination_release(rt_contamination *o);

#endif
