/* hparams.h - hyper-parameters read from and written to both file formats. Private to model. */
#ifndef RT_MODEL_HPARAMS_H
#define RT_MODEL_HPARAMS_H

#include "format/format.h"
#include "model/arch.h"

/* Fills *arch and *hp from general.architecture and its keys. Vocabulary and rope_freqs come with the tensors. */
RT_MUST_USE rt_status rt_hparams_from_gguf(const rt_arch **arch, rt_hparams *hp, const rt_gguf *g, rt_err *err);
RT_MUST_USE rt_status rt_hparams_from_hf(const rt_arch **arch, rt_hparams *hp, const json_t *config, rt_err *err);
/* The same of an open folder, whose tensors tell which block an unknown architecture would need. */
RT_MUST_USE rt_status rt_hparams_from_folder(const rt_arch **arch, rt_hparams *hp, const rt_hf *hf, rt_err *err);
/* A size read from a file: refuses what no model has, so that products stay far from overflow. */
RT_MUST_USE rt_status rt_in_range(const char *what, int64_t v, int64_t lo, int64_t hi, rt_err *err);
/* Everything in range and consistent; both readers and rt_model_new end with it. */
RT_MUST_USE rt_status rt_hparams_check(const rt_hparams *hp, rt_err *err);

/* The attention scale of a file that names none. */
double rt_hparams_usual_scale(const rt_arch *arch, const rt_hparams *hp);
bool rt_hparams_scale_is_usual(const rt_arch *arch, const rt_hparams *hp);

/* Refuses what the format cannot say (RT_UNSUPPORTED) before anything is written. */
RT_MUST_USE rt_status rt_hparams_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err);
/* New config.json object; NULL when memory is out. */
json_t *rt_hparams_to_hf(const rt_arch *arch, const rt_hparams *hp, const int32_t ids[3], rt_dtype type);

#endif
