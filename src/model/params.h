/* params.h - the list of a model's parameters and the memory behind it. Private to model. */
#ifndef RT_MODEL_PARAMS_H
#define RT_MODEL_PARAMS_H

#include "model/model.h"

/* An empty model with arch, hp (rope_divisors taken over on success), compute type, parameter list and zeroed memory.
 */
RT_MUST_USE rt_status rt_params_build(rt_model **out, const rt_arch *arch, const rt_hparams *hp,
                                      const rt_model_options *o, rt_err *err);
/* Elements of parameters first .. end - 1 of a model that is not trained, by the type they are kept in; and the places
 * of those parameters, one after another in the two blocks. */
void rt_params_count(const rt_model *m, int64_t first, int64_t end, int64_t *n_f32, int64_t *n_bf16);
void rt_params_place(rt_model *m, int64_t first, int64_t end, float *f32, uint16_t *bf16);
/* Points the layers at the parameters of the list again. */
void rt_params_index(rt_model *m);
/* RT_UNSUPPORTED for a model whose parameters are not all in memory. */
RT_MUST_USE rt_status rt_params_in_memory(const rt_model *m, rt_err *err);
/* The description a parameter was made from. */
const rt_tensor_desc *rt_param_desc(const rt_model *m, const rt_param *p);
/* Row of the GGUF tensor that holds row `r` of the parameter in memory. */
int64_t rt_param_gguf_row(const rt_model *m, const rt_tensor_desc *d, int64_t r);
/* Rows and columns as stored row-major; vectors are one row. */
int64_t rt_param_rows(const rt_param *p);
int64_t rt_param_cols(const rt_param *p);

#endif
