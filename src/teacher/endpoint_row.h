/* endpoint_row.h - one position's log-probabilities as a server lists them, believed only as far as they check: enough
 * of them, distinct, inside the vocabulary, ids that mean what the tokenizer says, probabilities that add up to at
 * most 1. */
#ifndef RT_TEACHER_ENDPOINT_ROW_H
#define RT_TEACHER_ENDPOINT_ROW_H

#include "format/json.h"
#include "teacher/cache.h"
#include "text/tokenizer.h"

typedef struct rt_endpoint_row { /* zero-initialise; open, use for many rows, release */
    const char *url;
    const rt_tokenizer *tokenizer;
    int64_t n_vocab;
    uint8_t *compared; /* [n_vocab] ids whose text was seen to be right */
    /* of the row at hand */
    int k, n, listed;
    int32_t label;
    int32_t *ids; /* [k] the likeliest so far */
    float *logp;
    double label_logp; /* NaN: not listed */
} rt_endpoint_row;
RT_MUST_USE rt_status rt_endpoint_row_open(rt_endpoint_row *r, const char *url, const rt_tokenizer *t, int64_t n_vocab,
                                           rt_err *err);
void rt_endpoint_row_release(rt_endpoint_row *r);

/* ids, logp [k]: where the row's likeliest k go. */
void rt_endpoint_row_begin(rt_endpoint_row *r, int k, int32_t label, int32_t *ids, float *logp);
/* An entry of the list. `text`: what the server says the id means; NULL: it does not. `exact`: byte for byte, else up
 * to a leading blank and characters that were cut. */
RT_MUST_USE rt_status rt_endpoint_row_add(rt_endpoint_row *r, int64_t id, const json_t *logprob, const rt_slice *text,
                                          bool exact, rt_err *err);
/* The realised token, where the server gives it apart from the list. */
RT_MUST_USE rt_status rt_endpoint_row_label(rt_endpoint_row *r, int64_t id, const json_t *logprob, rt_err *err);
/* The finished row: k entries and the mass outside. */
RT_MUST_USE rt_status rt_endpoint_row_end(rt_endpoint_row *r, rt_cache_row *out, rt_err *err);

#endif
