/* hparams_mix.h - the hyper-parameters of what mixes rows and how its output joins the stream: hp->layer_mixer and the
 * weights of the residual connections. Private to model. */
#ifndef RT_MODEL_HPARAMS_MIX_H
#define RT_MODEL_HPARAMS_MIX_H

#include "model/gguf_keys.h"
#include "model/hparams.h"

/* Readers: n_layer is known before. */
RT_MUST_USE rt_status rt_mix_from_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *keys);
RT_MUST_USE rt_status rt_mix_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *config, rt_err *err);
RT_MUST_USE rt_status rt_mix_check(const rt_hparams *hp, rt_err *err);

#endif
