/* id_lists.h - token ids from outside: a file of them, and the checks the engine leaves to whoever takes input. */
#ifndef RT_INFER_ID_LISTS_H
#define RT_INFER_ID_LISTS_H

#include "model/model.h"
#include "text/tokenizer.h"

/* All inside the vocabulary. `what` and `index` name the list in the refusal: "prompt 3". */
RT_MUST_USE rt_status rt_ids_check(const rt_model *m, const int32_t *ids, int64_t n, const char *what, size_t index,
                                   rt_err *err);
/* As many as the context of the model takes, and at least one; then as above. */
RT_MUST_USE rt_status rt_ids_check_context(const rt_model *m, const int32_t *ids, int64_t n, const char *what,
                                           size_t index, rt_err *err);

typedef struct rt_id_lists { /* zero-initialise; rt_id_lists_release frees */
    rt_ids *list;
    size_t n, cap;
} rt_id_lists;
/* A line {"ids": [1, 2, ...]} a list. */
RT_MUST_USE rt_status rt_id_lists_read(rt_id_lists *out, const char *path, rt_err *err);
void rt_id_lists_release(rt_id_lists *l);

#endif
