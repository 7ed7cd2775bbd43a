/* kl_import.h - llama.cpp's logits file (format/kl_base.h) as a teacher: its chunks are the corpus, its positions'
 * distributions are answered from, drawn or cut to the likeliest. Front to back, so a pipe will do; a resumed
 * collection passes over what it has. */
#ifndef RT_TEACHER_KL_IMPORT_H
#define RT_TEACHER_KL_IMPORT_H

#include "format/kl_base.h"
#include "teacher/answers.h"
#include "teacher/remote.h"
#include "text/corpus.h"

/* The chunks as documents: ids as the model read them (BOS first where the tokenizer puts it), the second half counts.
 * RT_INPUT when the tokenizer makes other ids of the text than the file has. `name`: of the file. */
RT_MUST_USE rt_status rt_kl_import_corpus(rt_corpus *c, const rt_kl_base *b, const rt_tokenizer *t, const char *name,
                                          rt_err *err);

typedef struct rt_kl_import rt_kl_import;
/* Borrows the file, from which nothing was read yet, and `identity`. o: kind SAMPLE or TOPK; lengths are the file's. */
RT_MUST_USE rt_status rt_kl_import_new(rt_kl_import **out, rt_kl_base *b, const rt_answer_options *o,
                                       const json_t *identity, rt_err *err);
void rt_kl_import_free(rt_kl_import *k); /* accepts NULL */
const rt_remote *rt_kl_import_remote(const rt_kl_import *k);

#endif
