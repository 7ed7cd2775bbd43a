/* gather.h - whole sequences put side by side as one batch: ids, spans, the rows that have a target, their labels and
 * their places in the packed corpus. Sized once. */
#ifndef RT_TEACHER_GATHER_H
#define RT_TEACHER_GATHER_H

#include "model/models.h"
#include "teacher/cache.h"

typedef struct rt_gather {
    int64_t max_tokens;
    int64_t n_tokens, n_spans, n_rows, n_sequences;
    int32_t *ids;       /* [n_tokens] */
    rt_span *spans;     /* [n_spans] one a segment */
    int32_t *rows;      /* [n_rows] ascending */
    int32_t *labels;    /* [n_rows] */
    int64_t *positions; /* [n_rows] in the packed token array; -1 for sequences out of a cache */
} rt_gather;

/* Zero-initialise; release in every case. */
RT_MUST_USE rt_status rt_gather_init(rt_gather *g, int64_t max_tokens, rt_err *err);
void rt_gather_release(rt_gather *g);
void rt_gather_clear(rt_gather *g);
/* The caller has made sure that the sequence fits. */
void rt_gather_add_packed(rt_gather *g, const rt_packed *p, int64_t sequence);
/* The first n tokens of a segment, as a span of their own. */
void rt_gather_add_piece(rt_gather *g, const rt_packed *p, const rt_segment *s, int64_t n);
void rt_gather_add_cached(rt_gather *g, const rt_cache_sequence *s);
/* Initialises, and takes beginnings of segments from all over the corpus, up to `tokens` (a piece at least): what one
 * page can spare, another may need. */
#define RT_PIECE_TOKENS 256
RT_MUST_USE rt_status rt_gather_spread(rt_gather *g, const rt_packed *p, int64_t tokens, rt_err *err);
rt_batch rt_gather_batch(const rt_gather *g); /* view */

int64_t rt_packed_sequence_tokens(const rt_packed *p, int64_t sequence);
int64_t rt_packed_sequence_targets(const rt_packed *p, int64_t sequence);
/* Ids inside the vocabulary, sequences inside the context: what the engine takes for granted. */
RT_MUST_USE rt_status rt_packed_fits(const rt_packed *p, int64_t context, int64_t n_vocab,
                                     rt_err *err); /* context 0: not known */
RT_MUST_USE rt_status rt_packed_check(const rt_packed *p, const rt_model *m, rt_err *err);

#endif
