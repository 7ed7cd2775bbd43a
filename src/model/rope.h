/* rope.h - rotary positions: settings in both file formats, and the tables they make. Private to model. */
#ifndef RT_MODEL_ROPE_H
#define RT_MODEL_ROPE_H

#include "model/arch.h"
#include "model/gguf_keys.h"

/* Fill the rope fields of *hp; its other sizes are there already. */
RT_MUST_USE rt_status rt_rope_from_gguf(const rt_arch *arch, rt_hparams *hp, const rt_keys *k);
RT_MUST_USE rt_status rt_rope_from_hf(const rt_arch *arch, rt_hparams *hp, const json_t *config, rt_err *err);
/* One object of settings, for architectures that name theirs otherwise; NULL: nothing. */
RT_MUST_USE rt_status rt_rope_settings_from_hf(rt_hparams *hp, const json_t *rope, rt_err *err);
RT_MUST_USE rt_status rt_rope_check(const rt_hparams *hp, rt_err *err);
/* Refuses what GGUF readers would compute in another way. */
RT_MUST_USE rt_status rt_rope_to_gguf(rt_gguf_writer *w, const rt_arch *arch, const rt_hparams *hp, rt_err *err);
void rt_rope_to_hf(json_t *config, const rt_arch *arch, const rt_hparams *hp);

/* What YaRN makes of a multiplier: 0.1 m ln(factor) + 1. */
double rt_rope_mscale(double factor, double m);
/* Factor on cosines and sines of scaled layers. */
double rt_rope_amplitude(const rt_hparams *hp);
/* Divisors of the rotary frequencies [n_rot/2] of scaled layers (all 1 when plain). */
void rt_rope_divisors(const rt_hparams *hp, float *out);
/* amplitude x cos/sin table [rows][n_rot]: cos of the n_rot/2 angles, then sin. divisors NULL: all 1. */
void rt_rope_table(float *cs, int64_t rows, int64_t n_rot, double theta, const float *divisors, double amplitude);

#endif
