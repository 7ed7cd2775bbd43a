/* source.h - where training takes its batches from: a target cache, a packed corpus with a teacher that answers while
 * training runs, or a packed corpus alone (labels only). Which sequences a batch holds is a pure function of the cursor
 * and the seed, so a checkpoint stores the cursor and nothing else. After opening nothing is allocated. */
#ifndef RT_TEACHER_SOURCE_H
#define RT_TEACHER_SOURCE_H

#include "model/models.h"
#include "teacher/cache.h"

/* What every batch of a source carries besides ids, spans, rows and labels. */
typedef enum rt_source_kind {
    RT_SOURCE_LABELS, /* nothing: targets are RT_TARGET_LABEL */
    RT_SOURCE_SAMPLE, /* targets RT_TARGET_SAMPLE, cached or drawn from the teacher now: equal keys, equal draws */
    RT_SOURCE_TOPK,   /* targets RT_TARGET_TOPK, cached */
    RT_SOURCE_HIDDEN, /* teacher_hidden, cached: the caller gives the sweep its own teacher model for the head */
    RT_SOURCE_DENSE   /* teacher and teacher_x, computed now: give both to the sweep */
} rt_source_kind;

/* The next sequence to deliver: place `index` in the order of `epoch`. Starts as {0, 0}. */
typedef struct rt_source_cursor {
    int64_t epoch, index;
} rt_source_cursor;

typedef struct rt_source_options {
    uint64_t seed;            /* of the order of sequences */
    int64_t max_batch_tokens; /* largest batch that will be asked for; raised to the longest sequence */
    bool in_order;            /* no shuffling: stored order in every epoch (validation) */
    bool stop_at_epoch;   /* a batch ends with its epoch (validation: each sequence once); else it runs into the next */
    int64_t first, count; /* part of the sequences; count 0: from `first` to the last */
    /* drawing online (RT_SOURCE_SAMPLE from a teacher); equal to a cache made with the same three */
    int draws;
    double temperature; /* 0 means 1 */
    uint64_t draw_seed;
    int64_t n_vocab; /* LABELS from a corpus: the vocabulary its ids belong to; 0: the teacher's, or the least that
                        holds them */
    /* DENSE: sequences that every batch ends with, as they stand when it is filled; borrowed, NULL: none. They do not
     * move the cursor, nor count in batch_tokens. */
    const rt_packed *more;
    int64_t more_tokens; /* most they ever have */
} rt_source_options;

typedef struct rt_source_info {
    rt_source_kind kind;
    int64_t n_sequences, n_tokens, n_targets; /* one epoch of this source */
    int64_t n_vocab, d_model;                 /* d_model: HIDDEN, DENSE; else 0 */
    int sequence;                             /* longest sequence in tokens */
    int draws;                                /* SAMPLE */
    int64_t max_entries;                      /* SAMPLE, TOPK: most entries one position has, or can be drawn */
    double temperature;                       /* of the targets */
    rt_digest hash;                           /* a checkpoint made on another hash must not go on */
    size_t bytes;                             /* of a teacher that answers while training runs: its activations */
} rt_source_info;

/* Views, valid until the next call on the same source. */
typedef struct rt_source_batch {
    rt_batch net; /* ids and spans: a span is a segment, no past */
    int64_t n_sequences;
    int64_t n_rows;              /* positions with a target */
    const int32_t *rows;         /* [n_rows] ascending rows of net */
    const int32_t *labels;       /* [n_rows] realised next ids */
    const int64_t *positions;    /* [n_rows] in the packed corpus, or in `more`; NULL from a cache */
    int64_t n_more;              /* the last so many rows are of `more` */
    const rt_target *targets;    /* [n_rows] LABELS, SAMPLE, TOPK; NULL otherwise */
    const float *teacher_hidden; /* HIDDEN: [n_rows, d_model], in the order of `rows` */
    const rt_model *teacher;     /* DENSE */
    const float *teacher_x;      /* DENSE: [net.n_rows, d_model], before the teacher's final norm */
} rt_source_batch;

typedef struct rt_source rt_source;

/* Borrows the cache. The kind follows from it. */
RT_MUST_USE rt_status rt_source_from_cache(rt_source **out, const rt_cache *c, const rt_source_options *o, rt_err *err);
/* Borrows corpus and teacher. LABELS (teacher and permit NULL), SAMPLE or DENSE. The teacher's answers are teacher
 * output: without a permit there is no source. */
RT_MUST_USE rt_status rt_source_from_corpus(rt_source **out, const rt_packed *p, rt_source_kind kind,
                                            const rt_model *teacher, const rt_permit *permit,
                                            const rt_source_options *o, rt_err *err);
void rt_source_close(rt_source *s); /* accepts NULL */
const rt_source_info *rt_source_get_info(const rt_source *s);

/* Fills `b` with whole sequences from the cursor on, at most batch_tokens tokens but always one sequence (where
 * batch_tokens is 0, none), and moves the cursor behind them. Runs the teacher where the kind asks for it. Fails only
 * on a damaged cache or a cursor out of range. */
RT_MUST_USE rt_status rt_source_next(rt_source *s, rt_source_cursor *cursor, int64_t batch_tokens, rt_source_batch *b,
                                     rt_err *err);
/* Tokens the next batch would hold: lets a budget be kept without reading. */
int64_t rt_source_peek_tokens(rt_source *s, const rt_source_cursor *cursor, int64_t batch_tokens);

#endif
