/* ceiling.h - what the process may hold while a model is used (rt_model_options.memory): every block of the heap as
 * asked for, touched or not, pages of files that lie in memory, and a share of fixed size for what neither counts. */
#ifndef RT_MODEL_CEILING_H
#define RT_MODEL_CEILING_H

#include "model/model.h"

/* A forward pass over text, and what its caller holds beside activations and head buffers. */
typedef struct rt_pass {
    int64_t rows;            /* wanted, at most */
    int64_t span;            /* tokens of the longest sequence: fewer rows are of no use */
    const rt_model *teacher; /* of the head, NULL: none */
    int64_t bytes;           /* caller's, whatever the rows */
    int64_t bytes_per_row;
} rt_pass;

/* Rows the pass can have: those wanted, halved until all of it keeps below the ceiling the model was opened with.
 * RT_MEMORY, with the smallest ceiling that would do, when `span` rows do not. */
RT_MUST_USE rt_status rt_pass_rows(int64_t *rows, const rt_model *m, const rt_pass *p, rt_err *err);
/* Bytes that weights may take so that a pass over one sequence (model.h: span, beside) has room beside them; without a
 * ceiling of what the machine has. */
int64_t rt_ceiling_room(const rt_model *m, const rt_model_options *o);
/* A model that was just opened has the fewest rows in a chunk of its head: more while their logits are a small part of
 * what is left. */
void rt_ceiling_widen_head(rt_model *m, const rt_model_options *o);
/* From now on passes are not held to it: what else the process holds is wanted more. */
void rt_ceiling_lift(rt_model *m);
/* RT_MEMORY: so many bytes of weights and such a pass exceed it; says what would do. */
RT_MUST_USE rt_status rt_ceiling_refuse(const rt_model *m, int64_t bytes, const rt_model_options *o, rt_err *err);
/* Bytes that may still be taken; INT64_MAX without a ceiling. */
int64_t rt_ceiling_left(const rt_model *m);
/* `what` needs `bytes` more: RT_MEMORY with the smallest ceiling, and with `remedy`, when they exceed it. */
RT_MUST_USE rt_status rt_ceiling_check(const rt_model *m, int64_t bytes, const char *what, const char *remedy,
                                       rt_err *err);

#endif
