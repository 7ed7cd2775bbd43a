/* hparams_mla.h - the hyper-parameters of multi-head latent attention and its indexer, from and to both file formats.
 * Private to model. */
#ifndef RT_MODEL_HPARAMS_MLA_H
#define RT_MODEL_HPARAMS_MLA_H

#include "model/gguf_keys.h"
#include "model/hparams.h"

/* Nothing for architectures without latents. Readers: n_layer, n_head are known before, rotary settings come after. */
RT_MUST_USE rt_status rt_mla_from_gguf(const rt_arch *arch, rt_hparams *hp, rt_keys *keys);
RT_MUST_USE rt_status rt_mla_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *config, rt_err *err);
RT_MUST_USE rt_status rt_mla_check(const rt_hparams *hp, rt_err *err);
RT_MUST_USE rt_status rt_mla_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err);
void rt_mla_to_hf(json_t *config, const rt_arch *arch, const rt_hparams *hp);

#endif
