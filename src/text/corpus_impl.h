/* corpus_impl.h - what the readers of a corpus share: a builder that takes one document at a time. */
#ifndef RT_TEXT_CORPUS_IMPL_H
#define RT_TEXT_CORPUS_IMPL_H

#include "format/json.h"
#include "text/corpus.h"

typedef struct rt_corpus_builder {
    rt_corpus *c;
    const rt_tokenizer *t;
    const rt_corpus_options *o;
    rt_mask mask; /* becomes c->mask */
    size_t docs_cap;
    rt_sha256 hash;
    const char *source, *origin; /* of the file being read, in the corpus's arena; origin may be NULL */
} rt_corpus_builder;

/* Begins a document at the end of the ids; the reader then adds to it. */
void rt_draft_begin(rt_corpus_builder *b, rt_document *d, uint64_t line);
/* Appends text; `counts`: its tokens count in the loss as predicted ones; `flags`: 0, or RT_ENCODE_CONTINUES. */
RT_MUST_USE rt_status rt_draft_add(rt_corpus_builder *b, const char *text, size_t n, int flags, bool counts,
                                   rt_err *err);
/* BOS where the tokenizer wants one; EOS where the options do, or the row is `wanted` to end. */
RT_MUST_USE rt_status rt_draft_open(rt_corpus_builder *b, rt_err *err);
RT_MUST_USE rt_status rt_draft_end_text(rt_corpus_builder *b, bool wanted, rt_err *err);
/* Takes the document into the corpus unless it has no tokens. Fields still NULL get their defaults. */
RT_MUST_USE rt_status rt_draft_keep(rt_corpus_builder *b, rt_document *d, rt_err *err);
/* The options' limit of tokens is reached. */
bool rt_corpus_full(const rt_corpus_builder *b);
/* Copy that lives as long as the corpus; NULL gives NULL. */
RT_MUST_USE rt_status rt_corpus_keep_str(rt_corpus_builder *b, const char *s, const char **out, rt_err *err);

/* One row of a JSONL file as a document (corpus_row.c). */
RT_MUST_USE rt_status rt_corpus_add_row(rt_corpus_builder *b, const json_t *row, uint64_t line, rt_err *err);
/* A whole plain-text file (corpus_text.c). */
RT_MUST_USE rt_status rt_corpus_add_text(rt_corpus_builder *b, const char *text, size_t n, rt_err *err);
/* "origin", "licence" or "license" of a row or an origin file, both when both are there; NULL when none is. */
RT_MUST_USE rt_status rt_corpus_origin(rt_corpus_builder *b, const json_t *o, const char **out, rt_err *err);

#endif
