/* candidates.h - what students of a model would be and cost, before one is chosen. */
#ifndef RT_FLOW_CANDIDATES_H
#define RT_FLOW_CANDIDATES_H

#include <jansson.h>

#include "model/models.h"

/* The shape that is asked for (zeros: the model's own, and then none is asked for), every depth, and some widths:
 * {teacher: {layers, hidden, ffn, kv_heads, parameters}, forward_tokens_per_s, decode_tokens_per_s, candidates:
 * [{layers, hidden, ffn, kv_heads, parameters, bytes: {f16, q8_0, q4_0}, forward_flops_per_token,
 * training_flops_per_token, training_tokens_per_s, decode_tokens_per_s}]}. Speeds are those of `m` measured here for a
 * few seconds and scaled: of training by the FLOPs of a forward pass, of which a step is three; of decoding in Q8_0 by
 * the bytes that are read. */
RT_MUST_USE rt_status rt_candidates(json_t **out, const rt_model *m, const rt_shape *asked, rt_err *err);

#endif
