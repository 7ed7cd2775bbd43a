/* endpoint_vocab.h - are the server's tokens the tokenizer's? Ids of equal number and other meaning would be believed.
 */
#ifndef RT_TEACHER_ENDPOINT_VOCAB_H
#define RT_TEACHER_ENDPOINT_VOCAB_H

#include "teacher/endpoint.h"
#include "text/tokenizer.h"

extern const char rt_endpoint_sample[]; /* a text in several scripts, as hard on tokenizers as a short one can be */

/* RT_REMOTE "wrong vocabulary" where sizes differ or the server reads the sample as other ids. A server that cannot be
 * asked for ids passes: then the texts beside its log-probabilities are compared (endpoint_row.h). */
RT_MUST_USE rt_status rt_endpoint_check_vocab(rt_endpoint *e, const rt_tokenizer *t, rt_err *err);

#endif
