/* logits.h - a model's raw answers as files other programs can compare with: logits, and the gradient of the loss. */
#ifndef RT_INFER_LOGITS_H
#define RT_INFER_LOGITS_H

#include "model/models.h"
#include "text/tokenizer.h"

/* safetensors at `path`: F32 [tokens, vocabulary] of each sequence, named seq0, seq1, ... */
RT_MUST_USE rt_status rt_logits_save(const rt_model *m, const rt_ids *sequences, size_t n, const char *path,
                                     rt_err *err);
/* safetensors at `path`: F32 gradient of the next-token loss (mean over all predictions of all sequences, nats) with
 * respect to every parameter, by its Hugging Face name and in its shape, and `loss` F32 [1]. */
RT_MUST_USE rt_status rt_logits_save_gradient(const rt_model *m, const rt_ids *sequences, size_t n, const char *path,
                                              rt_err *err);

#endif
