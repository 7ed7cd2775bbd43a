/* endpoint_way.h - the ways in which servers can be brought to score given text, as data: what is asked, and where in
 * the answer the log-probabilities are. The order is the order in which they are tried. */
#ifndef RT_TEACHER_ENDPOINT_WAY_H
#define RT_TEACHER_ENDPOINT_WAY_H

#include "teacher/endpoint_row.h"

typedef struct rt_endpoint_way {
    const char *name, *path;
    bool for_llama; /* llama-server only, else for all others */
    bool stepwise;  /* a request says what follows ids[0..n), which was `label`; else it says so of every prefix */
    json_t *(*question)(const char *model, const int32_t *ids, int64_t n, int k, int32_t label);
    /* Was the wish heard? An answer that ignores it looks like any other. */
    bool (*honoured)(const json_t *answer, const int32_t *ids, int64_t n);
    /* Entries of the distribution of ids[at], between begin and end of `row`. */
    rt_status (*read)(const json_t *answer, int64_t at, rt_endpoint_row *row, rt_err *err);
} rt_endpoint_way;

extern const rt_endpoint_way rt_endpoint_ways[]; /* ends with a nameless one */

#endif
