/* hparams_compressed.h - the hyper-parameters of architectures with pooled attention and parallel streams:
 * hp->compression, hp->hyper, their layers' mixers, windows and hashed experts. Private to model. */
#ifndef RT_MODEL_HPARAMS_COMPRESSED_H
#define RT_MODEL_HPARAMS_COMPRESSED_H

#include "model/gguf_keys.h"
#include "model/hparams.h"

/* Readers leave hp alone when the architecture has none of it; n_layer, head sizes and experts are known before. */
RT_MUST_USE rt_status rt_compressed_from_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *keys);
RT_MUST_USE rt_status rt_compressed_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *config, rt_err *err);
RT_MUST_USE rt_status rt_compressed_check(const rt_hparams *hp, rt_err *err);

#endif
