/* written.h - text that a model writes, as documents to measure it on: how near it is to its teacher where its own
 * words lead, not where an author's do. */
#ifndef RT_AUDIT_WRITTEN_H
#define RT_AUDIT_WRITTEN_H

#include "infer/generate.h"
#include "text/text.h"

typedef struct rt_written_options {
    int64_t prompt_tokens; /* of a document without a prompt of its own (rt_document_prompt) */
    int64_t new_tokens;    /* written after it, at most */
    int64_t max_prompts;   /* the first so many documents; 0: all */
    double temperature;    /* 0: greedy */
    uint64_t seed;
} rt_written_options;

/* Each document's prompt continued by `m`: documents of the same names and clusters, in which only what was written
 * counts. What is written depends on m, its prompt and the options only. Prompts too long for the model's context are
 * refused. Zero-initialise; rt_corpus_release in every case. */
RT_MUST_USE rt_status rt_written_corpus(rt_corpus *out, const rt_model *m, const rt_tokenizer *t,
                                        const rt_corpus *prompts, const rt_written_options *o, rt_err *err);
/* Tokens of the longest document. */
int64_t rt_corpus_longest(const rt_corpus *c);

#endif
