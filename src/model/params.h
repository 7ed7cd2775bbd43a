/* params.h - the list of a model's parameters and the memory behind it. Private to model. */
#ifndef RT_MODEL_PARAMS_H
#define RT_MODEL_PARAMS_H

#include "model/model.h"

/* An empty model with arch, hp (rope_divisors taken over on success), compute type, parameter list and zeroed memory.
 */
RT_MUST_USE rt_status rt_params_build(rt_model **out, const rt_arch *arch, const rt_hparams *hp,
                                      const rt_model_options *o, rt_err *err);
/* The description a parameter was made from. */
const rt_tensor_desc *rt_param_desc(const rt_model *m, const rt_param *p);
/* Row of the GGUF tensor that holds row `r` of the parameter in memory. */
int64_t rt_param_gguf_row(const rt_model *m, const rt_tensor_desc *d, int64_t r);
/* Rows and columns as stored row-major; vectors are one row. */
int64_t rt_param_rows(const rt_param *p);
int64_t rt_param_cols(const rt_param *p);

#endif
