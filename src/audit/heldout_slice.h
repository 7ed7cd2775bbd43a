/* heldout_slice.h - held-out text by position, context, frequency of the token, the teacher's entropy and domain: sums
 * by slice and cluster. What the slices are is data (slices.def). Private to audit. */
#ifndef RT_AUDIT_HELDOUT_SLICE_H
#define RT_AUDIT_HELDOUT_SLICE_H

#include <jansson.h>

#include "audit/compare.h"
#include "text/text.h"

typedef enum rt_dimension {
    RT_DIM_POSITION,  /* of the predicted token in its document */
    RT_DIM_CONTEXT,   /* tokens the model saw before it */
    RT_DIM_FREQUENCY, /* of the predicted token, in this held-out text */
    RT_DIM_ENTROPY,   /* of the teacher's distribution, nats */
    RT_N_DIMENSIONS
} rt_dimension;

typedef struct rt_slices rt_slices;

/* Borrows all. A document's domain is the file it is from; a slice each where there are two or more. */
RT_MUST_USE rt_status rt_slices_new(rt_slices **out, const rt_packed *packed, const rt_document *docs, size_t n_docs,
                                    size_t n_clusters, rt_err *err);
void rt_slices_free(rt_slices *s);
/* The position of the packed text that predicts, in its segment; its document's cluster; what was measured there. */
void rt_slices_add(rt_slices *s, const rt_segment *segment, int64_t position, size_t cluster,
                   const double value[RT_N_MEASURES]);
/* [{dimension, slice, n, kl, nll, teacher_nll, gap, top1: rt_stat_json}]: gap = nll - teacher_nll. Slices without
 * positions are left out. Owned. */
json_t *rt_slices_json(const rt_slices *s);

#endif
