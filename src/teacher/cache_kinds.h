/* cache_kinds.h - rows of a shard sorted into kinds that draw from similar ids: after "the" come other words than after
 * a comma. Every kind lists the ids it is fond of, the fondest first, so that they get small numbers in its rows. */
#ifndef RT_TEACHER_CACHE_KINDS_H
#define RT_TEACHER_CACHE_KINDS_H

#include "teacher/cache_model.h"

/* Rows one after another: the ids of row i follow those of row i - 1. */
typedef struct rt_kind_rows {
    int64_t n;
    const int32_t *size; /* [n] ids in each */
    const int32_t *ids;
} rt_kind_rows;

typedef struct rt_kinds {
    int n;
    int32_t (*rank)[RT_MODEL_MAX_KINDS];   /* [n_vocab] place of an id in the ranking of each kind */
    uint8_t (*listed)[RT_MODEL_MAX_KINDS]; /* [n_vocab] class of an id in each kind, 0: not in its list */
} rt_kinds;

/* How many kinds so many rows can pay for. */
int rt_kinds_wanted(int64_t n_rows);
/* Improves a first guess `kind` [rows->n] until few rows change, by the bits their ids would cost. */
RT_MUST_USE rt_status rt_kinds_sort(uint8_t *kind, int n_kinds, const rt_kind_rows *rows, int64_t n_vocab, rt_err *err);
/* Rankings of all kinds: ids of a list by falling class, then the others, each in the order of id_of_rank [n_vocab].
 * Replaces those that were; release in every case. */
RT_MUST_USE rt_status rt_kinds_rank(rt_kinds *k, const uint8_t *kind, int n_kinds, const rt_kind_rows *rows,
                                    const int32_t *id_of_rank, int64_t n_vocab, rt_err *err);
void rt_kinds_release(rt_kinds *k);

#endif
