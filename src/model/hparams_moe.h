/* hparams_moe.h - the hyper-parameters of experts: hp->route, widths, layer_moe. Private to model. */
#ifndef RT_MODEL_HPARAMS_MOE_H
#define RT_MODEL_HPARAMS_MOE_H

#include "model/gguf_keys.h"
#include "model/hparams.h"

/* Readers: n_layer and d_ff are known before. */
RT_MUST_USE rt_status rt_moe_from_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *keys);
RT_MUST_USE rt_status rt_moe_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *config, rt_err *err);
RT_MUST_USE rt_status rt_moe_check(const rt_hparams *hp, rt_err *err);
RT_MUST_USE rt_status rt_moe_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err);
void rt_moe_to_hf(json_t *config, const rt_arch *arch, const rt_hparams *hp);

#endif
