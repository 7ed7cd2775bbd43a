/* cut.h - a student in the shape of its teacher, but smaller: layers, residual channels, feed-forward neurons and
 * key/value heads with their queries. Head size and vocabulary stay. Which axis of a tensor runs along what is read off
 * its symbolic shape (arch.h), so that no architecture is named here. */
#ifndef RT_MODEL_CUT_H
#define RT_MODEL_CUT_H

#include "model/model.h"

/* Sizes of a student; 0: the teacher's. */
typedef struct rt_shape {
    int64_t layers, hidden, ffn, kv_heads;
} rt_shape;

/* Widths are whole blocks of Q8_0, Q4_0 and Q4_1: rows of other lengths would be stored as F16. */
#define RT_WIDTH_UNIT RT_Q_BLOCK

/* Puts the teacher's sizes in place of zeros. RT_UNSUPPORTED, RT_USAGE: the sizes are none of a student of this
 * teacher. */
RT_MUST_USE rt_status rt_shape_settle(rt_shape *s, const rt_arch *arch, const rt_hparams *hp, rt_err *err);
/* transformers opens models of some architectures only where d_model is a multiple of the number of heads. */
bool rt_shape_opens_in_transformers(const rt_arch *arch, const rt_hparams *hp);
/* Hyper-parameters of a settled shape; `layers`: those of the teacher that stay, NULL: the first ones. Without
 * rope_divisors. */
void rt_shape_hparams(rt_hparams *out, const rt_arch *arch, const rt_hparams *teacher, const rt_shape *s,
                      const int *layers);

/* What stays. Lists ascend; NULL: everything. */
typedef struct rt_cut {
    rt_shape shape;
    const int *layers;     /* [shape.layers] */
    const int32_t *hidden; /* [shape.hidden] channels of the residual stream, the same in every layer */
    const int32_t *ffn;    /* [layers of the teacher][shape.ffn] */
    const int32_t *heads;  /* [layers of the teacher][shape.kv_heads] */
    /* [parameters of the teacher] factors on the gains of norms over residual channels, whose mean square over what
     * stays is another than over all; NULL: 1 */
    const float *gain;
} rt_cut;

/* Student from the teacher's weights. Where embeddings are scaled by sqrt(d_model), their values make up for the
 * smaller scale, and the final gain for their second use as head. Everything kept is copied bit for bit. */
RT_MUST_USE rt_status rt_model_prune(rt_model **out, const rt_model *teacher, const rt_cut *cut,
                                     const rt_model_options *o, rt_err *err);

/* A fresh student of a settled shape: matrices normal with standard deviation 0.02, those that write into the residual
 * stream 0.02 / sqrt(2 layers) (Radford et al. 2019), gains 1, biases 0. A value is a function of seed, tensor name and
 * place. */
RT_MUST_USE rt_status rt_model_random(rt_model **out, const rt_model *teacher, const rt_shape *s, uint64_t seed,
                                      const rt_model_options *o, rt_err *err);
#define RT_INIT_STD 0.02

#endif
