/* answers.h - the teacher run over a batch, and what a cache would keep of its answer at each row with a target. Used
 * to fill caches and to draw targets while training; equal options and positions give equal rows. */
#ifndef RT_TEACHER_ANSWERS_H
#define RT_TEACHER_ANSWERS_H

#include "teacher/gather.h"

typedef struct rt_answer_options {
    rt_cache_kind kind;
    int draws, k;
    double temperature;
    uint64_t seed;
    int64_t max_tokens, max_span; /* of a batch */
    int64_t n_vocab;              /* without a teacher: of the logits given; SAMPLE and TOPK */
} rt_answer_options;

typedef struct rt_answers rt_answers;
/* Borrows the teacher; NULL: logits come from elsewhere (rt_answers_put). Nothing is allocated after this. */
RT_MUST_USE rt_status rt_answers_new(rt_answers **out, const rt_model *teacher, const rt_answer_options *o,
                                     rt_err *err);
void rt_answers_free(rt_answers *a);
size_t rt_answers_bytes(const rt_model *teacher, const rt_answer_options *o);
/* Of them what is neither activations nor head. */
int64_t rt_answers_beside(const rt_model *teacher, const rt_answer_options *o);
/* Lowers max_tokens until the answers, and `beside` bytes of the caller's, keep below the teacher's ceiling. */
RT_MUST_USE rt_status rt_answers_fit(rt_answer_options *o, const rt_model *teacher, int64_t beside, rt_err *err);
/* One row for each of g->rows; a view until the next run. Broken logits show as NaN in the rows. */
const rt_cache_row *rt_answers_run(rt_answers *a, const rt_gather *g);
/* Without a teacher: a batch begins, then row i of its rows comes from logits [n_vocab], or log-probabilities, on
 * thread `thread` of the team. */
void rt_answers_begin(rt_answers *a, const rt_gather *g);
void rt_answers_put(rt_answers *a, int64_t i, float *logits, int thread);
const rt_cache_row *rt_answers_rows(const rt_answers *a); /* of the batch, likewise a view */

#endif
