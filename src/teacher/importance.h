/* importance.h - which channels, neurons and heads a teacher can do without, by what runs through them on text
 * (Muralidharan et al. 2024, "Compact language models via pruning and knowledge distillation", section 3.1). One
 * forward pass is enough for every width, so the figures are kept in a file. */
#ifndef RT_TEACHER_IMPORTANCE_H
#define RT_TEACHER_IMPORTANCE_H

#include "model/models.h"
#include "teacher/cache.h"

/* D = d_model, F = d_ff, K = key/value heads, N = norms over residual channels, in the order of the parameters. */
typedef struct rt_importance {
    rt_digest teacher, data;
    int64_t tokens; /* of text */
    int64_t n_layer, d_model, d_ff, n_head_kv, n_norms;
    float *hidden; /* [D] mean |output of the norms| */
    float *ffn;    /* [n_layer, F] mean |input of the down-projection| */
    float *heads;  /* [n_layer, K] mean norm of a group's outputs */
    float *square; /* [N, D] mean of (x / rms(x))^2 */
    float *block;  /* all of the above */
} rt_importance;

#define RT_IMPORTANCE_TOKENS 4096

/* Zero-initialise; release in every case. On pieces of text from all over the corpus, up to so many tokens. Seconds;
 * RT_CANCELLED when interrupted, RT_NUMERIC where something is not finite. */
RT_MUST_USE rt_status rt_importance_measure(rt_importance *out, const rt_model *teacher, const rt_digest *teacher_hash,
                                            const rt_packed *p, int64_t tokens, rt_err *err);
void rt_importance_release(rt_importance *i);

/* A safetensors file of the four arrays. A file about another teacher is refused. */
RT_MUST_USE rt_status rt_importance_save(const rt_importance *i, const char *path, rt_err *err);
RT_MUST_USE rt_status rt_importance_load(rt_importance *out, const char *path, const rt_digest *teacher_hash,
                                         const rt_model *teacher, rt_err *err);
/* "<dir>/<first 16 digits of the hash>.safetensors"; the caller frees; NULL when memory is out. */
char *rt_importance_path(const char *dir, const rt_digest *teacher_hash);

/* What stays of a teacher in a settled shape: the most important of every width that shrinks, ties to the first. `cut`
 * views `block`, which the caller frees, and `layers`, which may be NULL.
 *
 * A norm divides by the root of the mean square over its channels. Over the kept set C of d of D channels that root is
 *   f = sqrt(D/d * sum_{i in C} s_i / sum_i s_i),  s_i = mean over tokens of (x_i / rms(x))^2,
 * times what it was, in root mean square over tokens; so gains are multiplied by f, and the outputs of the channels
 * that stay keep their size. */
RT_MUST_USE rt_status rt_importance_cut(rt_cut *cut, void **block, const rt_importance *i, const rt_model *teacher,
                                        const rt_shape *shape, const int *layers, rt_err *err);

#endif
