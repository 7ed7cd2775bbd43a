/* endpoint_score.h - what a served teacher says about given text: its k likeliest tokens a position, with the mass of
 * the rest. Before the first of them the server shows that its vocabulary is the tokenizer's and that it gives k + 1.
 */
#ifndef RT_TEACHER_ENDPOINT_SCORE_H
#define RT_TEACHER_ENDPOINT_SCORE_H

#include "teacher/endpoint.h"
#include "teacher/remote.h"

typedef struct rt_endpoint_scorer rt_endpoint_scorer;
/* Borrows endpoint (identified) and tokenizer. RT_REMOTE names what the server lacks, and what it can do instead.
 * `n_vocab`: of the model, which may have more rows than the tokenizer has tokens; 0: what the server or the tokenizer
 * says. `sequence`: the longest piece of text. */
RT_MUST_USE rt_status rt_endpoint_scorer_new(rt_endpoint_scorer **out, rt_endpoint *e, const rt_tokenizer *t,
                                             int64_t n_vocab, int k, int sequence, rt_err *err);
void rt_endpoint_scorer_free(rt_endpoint_scorer *s);
/* As collecting takes it; lives as long as the scorer. */
const rt_remote *rt_endpoint_scorer_remote(const rt_endpoint_scorer *s);

#endif
