/* corpus.h - documents from JSONL or plain text, as token ids, packed into sequences with document isolation. */
#ifndef RT_TEXT_CORPUS_H
#define RT_TEXT_CORPUS_H

#include "text/chat.h"

/* A document: ids with a loss mask, its origin, and where it came from (for the ledger and clustered errors). */
typedef struct rt_document {
    int64_t first, n;   /* range in rt_corpus.ids */
    bool opened;        /* begins with the BOS its tokenizer puts before every text */
    const char *source; /* path of the file */
    const char *id;     /* the row's "id", or "<file>:<line>" */
    const char *origin; /* the row's or file's stated origin/licence, NULL: not stated */
    uint64_t line;
    rt_digest text_hash; /* SHA-256 of the text before tokenising */
    bool harmful;        /* the row says so: what a model says to it is nobody's example */
    const char *cluster; /* "title" or "book" field when there is one, else id: unit of clustered standard errors */
} rt_document;

typedef struct rt_corpus {
    rt_ids ids;
    uint8_t *mask; /* per id: 1 = counts in the loss as a *predicted* token */
    rt_document *docs;
    size_t n_docs;
    rt_arena arena; /* strings of the documents */
    rt_digest hash; /* of files' bytes and of everything that changes the ids */
} rt_corpus;

typedef struct rt_corpus_options {
    const char *const *paths;
    size_t n_paths;
    const char *text_field; /* NULL: "text", else "prompt"+"answer", else "messages" (chat, prompt masked), decided per
                               row; of a pair as text a row may say what is "between", and that it has an "end" (EOS) */
    int64_t max_tokens;     /* stop after the document that reaches it; 0 = all */
    bool add_eos;           /* end each document with EOS, counted in the loss */
    bool chat;              /* plain "prompt" rows become a user turn with an open reply */
} rt_corpus_options;

/* .jsonl: one row a document; .txt: documents separated by a line of three or more dashes or stars, else one document.
 * Zero documents is RT_INPUT. Each path must exist. */
RT_MUST_USE rt_status rt_corpus_load(rt_corpus *c, const rt_tokenizer *t, const rt_corpus_options *o, rt_err *err);
void rt_corpus_release(rt_corpus *c);
/* What is asked in a document, in tokens: all before the first that counts; in a text that counts from its beginning (a
 * BOS before it does not), the first `otherwise`. */
int64_t rt_document_prompt(const rt_corpus *c, const rt_document *d, int64_t otherwise);

/* Packing: documents are cut into pieces of at most `sequence` tokens; pieces fill sequences of exactly up to
 * `sequence` tokens, first fit in document order. Attention never crosses a piece. Pieces of opened documents all begin
 * with BOS: a model that has always seen one makes nothing of a text without. */
typedef struct rt_segment {
    int64_t start; /* offset in the packed token array */
    int64_t n;     /* tokens, <= sequence */
    int64_t src;   /* offset in rt_corpus.ids, of what follows a repeated BOS */
    int32_t doc;   /* index in rt_corpus.docs */
} rt_segment;
typedef struct rt_packed {
    int32_t *ids;       /* [n_tokens] in packed order */
    uint8_t *loss_mask; /* [n_tokens] 1 when position i predicts a token that counts: next id in the same segment with
                           mask 1 */
    int64_t n_tokens;
    rt_segment *segments; /* ordered by start */
    size_t n_segments;
    int64_t *sequence_first_segment; /* [n_sequences + 1] */
    size_t n_sequences;
    int sequence;
    rt_digest hash; /* layout and ids */
} rt_packed;
RT_MUST_USE rt_status rt_pack(rt_packed *p, const rt_corpus *c, int sequence, rt_err *err);
void rt_packed_release(rt_packed *p);

#endif
