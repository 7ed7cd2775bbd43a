/* small_model.h - settings of a model of any plain architecture that is small enough to try everything on. */
#ifndef RT_TESTS_SMALL_MODEL_H
#define RT_TESTS_SMALL_MODEL_H

#include <math.h>

#include "model/models.h"

/* Heads of 16 with a key/value head for two, tied; the caller may change what it likes before the model is made. */
static inline rt_hparams small_hparams(const rt_arch *a, int64_t n_layer, int64_t d_model, int64_t n_head)
{
    return (rt_hparams){.n_layer = n_layer,
                        .d_model = d_model,
                        .d_ff = d_model + 32,
                        .n_head = n_head,
                        .n_head_kv = n_head / 2,
                        .head_dim = 16,
                        .head_dim_v = 16,
                        .norm_eps = 1e-6,
                        .attn_scale = 0.25,
                        .embed_scale = a->embed_scaled ? sqrt((double)d_model) : 1,
                        .tied = true,
                        .n_rot = 16,
                        .rope_theta = 1e4,
                        .rope_theta_local = 1e4,
                        .rope_factor = 1,
                        .window = 16,
                        .glu = RT_GLU_PLAIN(a->act)};
}

#endif
